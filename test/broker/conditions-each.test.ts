/** Each condition end to end, in each binding: of a record of a SenML pack, and of what a PMU measures. */
import type { Notification } from '../../src/client/index.js';
import type { Measurement } from '../../src/routing/measurement.js';
import { clientOf, closeStage, container, http, measurements, START_US, startBroker, stream, until } from './stage.js';
import type { RunningBroker } from './stage.js';

afterEach(closeStage);

const CONTENT = 'contentInstances/latest/content';
const BINDINGS = ['http', 'coap', 'ws'] as const;

/** Starts to observe. */
async function observed(running: RunningBroker, binding: (typeof BINDINGS)[number], path: string, conditions: string) {
  const client = await clientOf(running, binding);
  const got: Notification[] = [];
  const before = running.broker.subscriptions.population.size;
  void (async () => {
    for await (const each of client.observe(`${path}/${CONTENT}`, { conditions })) got.push(each);
  })().catch(() => undefined);
  await until('it is subscribed', () => running.broker.subscriptions.population.size > before);
  /** Of packs as they were published. */
  const powers = () =>
    got.map(({ body }) => {
      const [, power] = JSON.parse(Buffer.from(body).toString()) as { v?: number; vb?: boolean }[];
      return power?.v ?? power?.vb;
    });
  return { got, powers };
}

/** Of each condition, what is published, and which of that is told: the first where nothing is there to compare it with. */
const OF_A_RECORD: readonly (readonly [string, readonly (number | boolean)[], readonly number[]])[] = [
  ['c.gt=10', [1, 2, 11, 12, 9], [0, 2, 4]],
  ['c.lt=10', [20, 19, 9, 8, 21], [0, 2, 4]],
  ['c.st=5', [1, 5, 6, 10, 12], [0, 2, 4]],
  ['c.gt=10&c.lt=20&c.band', [1, 11, 12, 25, 19], [1, 2, 4]],
  ['c.edge=1', [false, true, true, false, true], [1, 4]],
  ['c.edge=0', [true, false, false, true, false], [1, 4]],
];

/** The same of what a PMU measures; it has 50.01 Hz, -0.02 Hz/s, and 100 V when the subscriber comes. */
const OF_A_PMU: readonly (readonly [string, Partial<Measurement>[], readonly number[]])[] = [
  ['c.gt=50.2&field=frequency', [50.1, 50.3, 50.4, 50].map((frequencyHz) => ({ frequencyHz })), [1, 3]],
  ['c.lt=-0.5&field=rocof', [-0.4, -0.6, -0.7, 0].map((rocofHzPerS) => ({ rocofHzPerS })), [1, 3]],
  ['c.st=5&field=VA/magnitude', [101, 106, 108, 112].map(voltageOf), [1, 3]],
  ['c.gt=105&c.lt=95&c.band&field=VA', [100, 106, 96, 94].map(voltageOf), [1, 3]],
  ['c.edge=1&field=point 1', [0, 2, 2, 0, 2].map((word) => ({ digitals: [word] })), [1, 4]],
];

function voltageOf(magnitude: number): Partial<Measurement> {
  return { phasors: [{ magnitude, angle: 0 }, { magnitude: 12.5, angle: 0 }] }; // prettier-ignore
}

describe.each(BINDINGS)('over %s', (binding) => {
  test.each(OF_A_RECORD)('%s of a record', async (condition, published, expected) => {
    const running = await startBroker();
    const path = await container(running);
    const { got, powers } = await observed(running, binding, path, `${condition}&field=power`);
    for (const [index, value] of published.entries()) {
      const record = typeof value === 'boolean' ? { vb: value } : { v: value };
      const pack = JSON.stringify([{ n: 'voltage', v: 230 }, { n: 'power', ...record }]); // prettier-ignore
      await http(running, 'POST', `${path}/contentInstances`, pack, { 'content-type': 'application/senml+json' });
      // Each before the next: of two that come at once the newer would do.
      if (expected.includes(index)) await until('it is told', () => got.length === expected.indexOf(index) + 1);
    }
    expect(powers()).toEqual(expected.map((index) => published[index]));
  });

  test.each(OF_A_PMU)('%s of a PMU', async (condition, published, expected) => {
    const running = await startBroker();
    const pmus = stream(running, [1], 50);
    pmus.frame();
    const { got } = await observed(running, binding, measurements(1), condition);
    for (const [index, values] of published.entries()) {
      pmus.frame(values);
      if (expected.includes(index)) await until('it is told', () => got.length === expected.indexOf(index) + 1);
    }
    // Frame 0 was there before.
    expect(got.map(({ timeUs = 0 }) => timeUs - START_US)).toEqual(expected.map((index) => (index + 1) * 20_000));
  });

  test('c.epmin judges no two samples that are closer', async () => {
    const running = await startBroker();
    const pmus = stream(running, [1], 50);
    pmus.frame();
    const { got } = await observed(running, binding, measurements(1), 'c.st=0.1&c.epmin=0.1&c.epmax=1');
    for (let n = 1; n <= 11; n++) {
      pmus.frame({ frequencyHz: 50 + n });
      if (n % 5 === 1) await until('it is told', () => got.length === (n - 1) / 5 + 1);
    }
    expect(got.map(({ timeUs = 0 }) => timeUs - START_US)).toEqual([20_000, 120_000, 220_000]);
  });

  test('c.epmax that the source can not keep is refused', async () => {
    const running = await startBroker();
    stream(running, [1], 50).frame();
    const client = await clientOf(running, binding);
    const asked = client.observe(`${measurements(1)}/${CONTENT}`, { conditions: 'c.st=1&c.epmax=0.001' });
    await expect(asked.next()).rejects.toMatchObject({
      kind: 'refused',
      message: expect.stringContaining('c.epmax is 0.001 s, and the source reports 50 times a second') as string,
    });
  });
});
