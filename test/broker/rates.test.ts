/** Rates through the whole broker: exactly so many a second, at equal instants on all PMUs. */
import {
  closeStage,
  container,
  expectBalanced,
  http,
  measurements,
  nodeAt,
  simulate,
  startBroker,
  START_US,
  stream,
  subscribe,
  until,
} from './stage.js';
import type { RecordingPort } from '../support/deliveries.js';

afterEach(closeStage);

const SECOND_US = 1_000_000;
describe.each([
  [60, 30],
  [30, 5],
  [50, 25],
  [50, 10],
])('from %i a second to %i', (source, wanted) => {
  test('each second has exactly so many, and all PMUs have them at the same instants', async () => {
    const running = await startBroker();
    const pmus = stream(running, [1, 2, 3], source);
    const ports: RecordingPort[] = [];
    for (const idCode of [1, 2, 3]) ports.push((await subscribe(running, measurements(idCode), { rate: wanted })).port);
    const seconds = 3;
    pmus.run(seconds);
    const grid = Array.from(
      { length: seconds * wanted },
      (_, slot) => START_US + Math.round((slot * SECOND_US) / wanted),
    );
    // So many in one turn are walked in several.
    await until('all are delivered', () => ports.every(({ times }) => times.length >= grid.length));
    for (const { times } of ports) expect(times).toEqual(grid);
    await expectBalanced(running);
    for (const account of running.broker.subscriptions.accounts()) {
      expect(account).toMatchObject({
        received: seconds * source,
        delivered: seconds * wanted,
        decimated: seconds * (source - wanted),
      });
    }
  });

  test('a lost frame costs itself alone and shifts nothing', async () => {
    const running = await startBroker();
    const pmus = stream(running, [1], source);
    const { port } = await subscribe(running, measurements(1), { rate: wanted });
    pmus.run(2, (slot) => slot === 1 || slot === source);
    const grid = Array.from({ length: 2 * wanted }, (_, slot) => START_US + Math.round((slot * SECOND_US) / wanted));
    // Slot 1 is one that nobody asked for, the first of the second second is one that everybody did.
    const isAsked = (1 * wanted) % source === 0;
    expect(port.times).toEqual(grid.filter((_, index) => index !== wanted && !(isAsked && index === 1)));
    await expectBalanced(running);
  });
});

test('a simulated stream of 30 a second is delivered at 5, on the same slots for each of its PMUs', async () => {
  const running = await startBroker();
  const { uri } = await simulate({ pmus: '2', rate: '30' });
  await http(running, 'POST', '/m2m/applications', { application: { appId: 'line', aPoC: uri } });
  await until('they stand', () => nodeAt(running, measurements(2)));
  const [one, two] = [
    await subscribe(running, measurements(1), { rate: 5 }),
    await subscribe(running, measurements(2), { rate: 5 }),
  ];
  await until('two seconds have passed', () => Math.min(one.port.sent.length, two.port.sent.length) >= 10);
  const [first, second] = [one.port.times, two.port.times];
  expect(first.slice(1, 10)).toEqual(first.slice(1, 10).map((us) => Math.round(us / 200_000) * 200_000));
  expect(second.filter((us) => first.includes(us)).length).toBeGreaterThanOrEqual(9);
  await expectBalanced(running);
});

test('a rate that does not divide is refused, and the sentence names those that do', async () => {
  const running = await startBroker();
  stream(running, [1], 30);
  await expect(subscribe(running, measurements(1), { rate: 7 })).rejects.toThrow(
    'possible: 30, 15, 10, 6, 5, 3, 2, 1,',
  );
  const channel = await http(running, 'POST', '/m2m/notificationChannels', {
    notificationChannel: { channelType: 'LONG_POLLING' },
  });
  const refused = await http(running, 'POST', `${measurements(1)}/contentInstances/subscriptions`, {
    subscription: { contact: channel.location, rate: 20 },
  });
  expect([refused.status, refused.sentence]).toEqual([
    400,
    expect.stringContaining('possible: 30, 15, 10, 6, 5, 3, 2, 1,'),
  ]);
  const { json } = await http(running, 'GET', `${measurements(1)}/contentInstances/subscriptions`);
  expect(json).toMatchObject({ subscriptions: { subscriptionCollection: { namedReference: [] } } });
  expect([...running.broker.subscriptions.accounts()]).toEqual([]);
});

describe('a container’s own limits', () => {
  test('its default is what one gets who asks for none; its highest is the most there is', async () => {
    const running = await startBroker();
    const pmus = stream(running, [1], 30);
    const limited = await http(running, 'PUT', measurements(1), { container: { defaultRate: 5, highestRate: 15 } });
    expect(limited.status).toBeLessThan(300);
    const byDefault = await subscribe(running, measurements(1));
    const fastest = await subscribe(running, measurements(1), { rate: 15 });
    const spaced = await subscribe(running, measurements(1), { minSpacingS: 0.01 });
    await expect(subscribe(running, measurements(1), { rate: 30 })).rejects.toThrow(
      'highest allowed here, 15 per second',
    );
    pmus.run(1);
    expect([byDefault, fastest, spaced].map(({ port }) => port.sent.length)).toEqual([5, 15, 15]);
    await expectBalanced(running);
  });

  test('without a declared rate spacing is by measured time', async () => {
    const running = await startBroker();
    const path = await container(running);
    const { port } = await subscribe(running, path, { minSpacingS: 1 });
    for (const [index, bt] of [0, 0.4, 0.8, 1, 1.5, 2.1].entries()) {
      const senml = JSON.stringify([{ n: 'load', bt: 1_700_000_000 + bt, v: index }]);
      expect((await http(running, 'POST', path, senml, { 'content-type': 'application/senml+json' })).status).toBe(201);
    }
    expect(port.sent.map(({ body }) => (JSON.parse(Buffer.from(body).toString()) as [{ v: number }])[0].v)).toEqual([
      0, 3, 5,
    ]);
    await expectBalanced(running);
  });
});
