/** `method=fir` asked for over each binding: measurements at a lower rate without what would alias, which say what was done to them. */
import type { Notification } from '../../src/client/client.js';
import { GridcastError } from '../../src/client/error.js';
import { isRefusal } from '../../src/errors.js';
import { readSenml } from '../../src/protocols/senml-reader.js';
import { tapsOf } from '../../src/routing/fir-taps.js';
import {
  clientOf,
  closeStage,
  expectBalanced,
  http,
  measurements,
  simulate,
  startBroker,
  subscribe,
  until,
  type RunningBroker,
} from './stage.js';

afterEach(closeStage);

const CONTENT = `${measurements(7)}/contentInstances/latest/content`;
const [SOURCE, RATE] = [30, 10];
const DELAY_S = tapsOf(SOURCE / RATE).delay / SOURCE;
/** STAT bit 9. */
const MODIFIED = 0x0200;
/** Of the swing that the simulated oscillation has in the frequency, Hz. */
const AMPLITUDE_HZ = 0.1;

/** A PMU whose frequency swings at 4 Hz, which a rate of 10 shows and one of 5 would fold. */
async function oscillating(flags: object = {}): Promise<RunningBroker> {
  const running = await startBroker();
  const disturb = [`forced-oscillation:at=0,hz=4,amplitude=${AMPLITUDE_HZ}`];
  const { uri } = await simulate({ idcode: '7', rate: String(SOURCE), format: '15', disturb, ...flags });
  await http(running, 'POST', '/m2m/applications', { application: { appId: 'line', aPoC: uri } });
  await until(
    'it sends',
    async () => (await http(running, 'GET', `${measurements(7)}/contentInstances/latest`)).status === 200,
  );
  return running;
}

const NAMES = ['stat', 'frequency', 'method', 'input-rate', 'output-rate', 'group-delay'] as const;
function valuesOf({ body, mediaType }: Notification): Record<(typeof NAMES)[number], unknown> {
  const read = readSenml(mediaType, body);
  if (isRefusal(read)) throw new Error(read.detail);
  const value = (name: string): unknown => read.find((record) => record.name === `pmu-7/${name}`)?.value;
  return Object.fromEntries(NAMES.map((name) => [name, value(name)])) as Record<(typeof NAMES)[number], unknown>;
}

async function heard(samples: AsyncIterable<Notification>, count: number): Promise<Notification[]> {
  const all: Notification[] = [];
  for await (const sample of samples) {
    // The state at the moment of subscribing is the source's own.
    if (valuesOf(sample).method !== undefined) all.push(sample);
    if (all.length === count) return all;
  }
  return all;
}

test.each(['coap', 'ws', 'http'] as const)('over %s', async (binding) => {
  const running = await oscillating();
  const client = await clientOf(running, binding);
  const samples = await heard(client.observe(CONTENT, { rate: RATE, method: 'fir' }), 12);
  const times = samples.map(({ timeUs = NaN, ...sample }) => {
    const { stat, frequency, method, ...rates } = valuesOf({ timeUs, ...sample });
    expect((Number(stat) & MODIFIED) !== 0).toBe(true);
    expect(method).toBe('fir');
    expect(rates).toEqual({ 'input-rate': SOURCE, 'output-rate': RATE, 'group-delay': DELAY_S });
    expect(Math.abs(Number(frequency) - 60)).toBeLessThan(2 * AMPLITUDE_HZ);
    return timeUs;
  });
  if (binding !== 'http') times.slice(1).forEach((time, index) => expect(time - times[index]!).toBe(100_000));
});

test('what a lower rate would fold is gone, and what was left out is counted as the rest of the cadence is', async () => {
  const running = await oscillating();
  const through = await subscribe(running, measurements(7), { rate: 5, method: 'fir' });
  const plain = await subscribe(running, measurements(7), { rate: 5 });
  await until('frames come', () => through.port.sent.length >= 8);
  await expectBalanced(running);
  const frequencies = ({ sent }: typeof through.port): number[] =>
    sent.flatMap(({ sample }) => (sample.content.kind === 'measurement' ? sample.content.measurement.frequencyHz : []));
  const swing = (values: readonly number[]): number => Math.max(...values) - Math.min(...values);
  expect(swing(frequencies(plain.port))).toBeGreaterThan(AMPLITUDE_HZ / 4);
  expect(swing(frequencies(through.port))).toBeLessThan(swing(frequencies(plain.port)) / 20);
});

test('a subscription is shown with its method, and what cannot be filtered is refused in words', async () => {
  const running = await oscillating();
  const client = await clientOf(running, 'ws');
  const refused = async (to: string, terms: object): Promise<string> => {
    try {
      for await (const sample of client.observe(to, terms)) return `heard ${sample.mediaType}`;
      return 'over';
    } catch (error) {
      if (!(error instanceof GridcastError)) throw error;
      return error.message;
    }
  };
  expect(await refused(CONTENT, { rate: 0.5, method: 'fir' })).toContain('down to one sample per second');
  expect(await refused(`${CONTENT}?method=boxcar&rate=5`, {})).toContain('method is "boxcar"; it must be one of');
  await http(running, 'POST', '/m2m/containers', { container: { id: 'notes' } });
  const notes = '/m2m/containers/notes/contentInstances';
  await http(running, 'POST', notes, 'a note', { 'content-type': 'text/plain' });
  expect(await refused(`${notes}/latest/content`, { method: 'fir' })).toContain('method=fir');
  const asked = { contact: 'http://127.0.0.1:9/told', rate: 5, method: 'fir' };
  const made = await http(running, 'POST', `${measurements(7)}/contentInstances/subscriptions`, {
    subscription: { ...asked, filterCriteria: { attributeAccessor: 'latest/content' } },
  });
  expect([made.status, made.sentence]).toEqual([201, '']);
  const { json } = await http(running, 'GET', made.location);
  expect(json).toMatchObject({ subscription: { rate: 5, method: 'fir' } });
});
