import { DISTURBANCES, occurrence, parseDisturbance, parseDisturbances } from '../../src/sim/disturbance.js';

const detailOf = (text: string): string => {
  const read = parseDisturbance(text);
  if (!('status' in read)) throw new Error(`${text} was taken`);
  expect(read.status).toBe('STATUS_BAD_REQUEST');
  return read.detail;
};

describe('parseDisturbance', () => {
  test('every name of the table is taken, its parameters by default', () => {
    for (const name of Object.keys(DISTURBANCES)) expect(parseDisturbance(name)).toMatchObject({ name });
  });

  test('parameters given replace their defaults', () => {
    expect(parseDisturbance('ringdown:at=20,amplitude=0.05')).toEqual({
      name: 'ringdown',
      at: 20,
      every: 0,
      hz: 0.5,
      amplitude: 0.05,
      damping: 0.03,
    });
    expect(parseDisturbance('frequency-step:hz=-0.5')).toMatchObject({ hz: -0.5 });
  });

  test('what is wrong is named with what would be right', () => {
    expect(detailOf('earthquake')).toMatch(/no disturbance "earthquake"; there are steady, ambient, .*loss-of-lock/);
    expect(detailOf('constructor')).toMatch(/no disturbance/);
    expect(detailOf('loss:part=1')).toBe('loss has no parameter "part"; it takes share.');
    expect(detailOf('loss:toString=1')).toMatch(/no parameter/);
    expect(detailOf('steady:hz=1')).toBe('steady has no parameter "hz"; it takes none.');
    expect(detailOf('loss:share=2')).toBe('loss:share must be a number from 0 to 1, not "2".');
    expect(detailOf('loss:share=')).toMatch(/must be a number/);
    expect(detailOf('loss:share')).toMatch(/must be a number/);
    expect(detailOf('jitter:ms=soon')).toMatch(/must be a number from 0 to 60000/);
    expect(detailOf('forced-oscillation:for=60,every=30')).toMatch(/lasts 60 s and so can not begin every 30 s/);
  });

  test('a list is refused for its first wrong one', () => {
    expect(parseDisturbances(['ambient', 'loss', 'oops', 'loss:share=9'])).toMatchObject({
      detail: expect.stringMatching(/oops/) as string,
    });
    expect(parseDisturbances(['ambient', 'loss'])).toHaveLength(2);
  });
});

test('an occurrence is counted from its beginning, and again every period', () => {
  const timing = { at: 10, every: 60 };
  expect(occurrence(9.9, timing)).toEqual({ count: 0, elapsed: NaN });
  expect(occurrence(10, timing)).toEqual({ count: 1, elapsed: 0 });
  expect(occurrence(75, timing)).toEqual({ count: 2, elapsed: 5 });
  expect(occurrence(75, { at: 10, every: 0 })).toEqual({ count: 1, elapsed: 65 });
});
