import fc from 'fast-check';
import { Mailbox } from '../../src/kernel/mailbox.js';

const drain = (mailbox: Mailbox<number>): number[] => {
  const taken: number[] = [];
  for (let next = mailbox.take(); next !== undefined; next = mailbox.take()) taken.push(next);
  return taken;
};

describe('Mailbox', () => {
  test('the oldest gives way to a newer measurement', () => {
    const mailbox = new Mailbox<number>(3, 'drop-oldest');
    expect([1, 2, 3, 4, 5].map((n) => mailbox.put(n))).toEqual([undefined, undefined, undefined, 1, 2]);
    expect(drain(mailbox)).toEqual([3, 4, 5]);
    expect(mailbox.overflows).toBe(2);
  });

  test('a request is refused when as many wait as may', () => {
    const mailbox = new Mailbox<number>(3, 'refuse');
    expect([1, 2, 3, 4].map((n) => mailbox.put(n))).toEqual([undefined, undefined, undefined, 4]);
    expect(drain(mailbox)).toEqual([1, 2, 3]);
  });

  test('is a bounded queue, whatever is put and taken', () => {
    const steps = fc.array(fc.option(fc.nat(1000), { nil: undefined }), { maxLength: 200 });
    fc.assert(
      fc.property(
        steps,
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom('drop-oldest', 'refuse'),
        (all, size, rule) => {
          const mailbox = new Mailbox<number>(size, rule);
          const model: number[] = [];
          for (const step of all) {
            if (step === undefined) expect(mailbox.take()).toBe(model.shift());
            else {
              const isFull = model.length === size;
              const loser = !isFull ? undefined : rule === 'refuse' ? step : model.shift();
              if (!isFull || rule === 'drop-oldest') model.push(step);
              expect(mailbox.put(step)).toBe(loser);
            }
            expect(mailbox.length).toBe(model.length);
          }
          expect(drain(mailbox)).toEqual(model);
        },
      ),
    );
  });
});
