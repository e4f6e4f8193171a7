/** What changes under a subscriber: the source's rate, the stream behind an application, the channel he listens on. */
import { INTERNAL } from '../../src/resources/node.js';
import type { Delivery } from '../../src/routing/delivery.js';
import { FORMATS } from '../../src/routing/format.js';
import { accountOf } from '../../src/routing/group.js';
import { parsePath, type Operation, type Request, type Response } from '../../src/routing/primitive.js';
import type { Session, Subscribed } from '../../src/routing/site.js';
import type { Terms } from '../../src/routing/terms.js';
import { bodyOfValue } from '../../src/protocols/codec.js';
import { closeBrokers, startBroker, type RunningBroker } from '../support/broker.js';
import { RecordingPort } from '../support/deliveries.js';

afterEach(closeBrokers);

const SECOND = 1_000_000;
const LOAD = '/m2m/containers/load';
const LATEST = `${LOAD}/contentInstances/latest/content`;

const request = (op: Operation, path: string, body?: Parameters<typeof bodyOfValue>[0]): Request => ({
  op,
  to: parsePath(path) as readonly string[],
  query: new URLSearchParams(),
  originator: 'anonymous',
  requestId: 'test',
  binding: 'ws',
  accept: [],
  defaultFormat: FORMATS.senmlJson,
  ...(body !== undefined && { body: bodyOfValue(body) }),
});

async function withContainer(reportingRate: number) {
  const running = await startBroker();
  const { broker } = running;
  const ask = (...args: Parameters<typeof request>): Promise<Response> => broker.request(request(...args));
  expect(await ask('create', '/m2m/containers', { container: { id: 'load', reportingRate } })).toMatchObject({
    status: 'STATUS_CREATED',
  });
  const port = new RecordingPort();
  const session = broker.connect({ binding: 'ws', address: 'test', originator: 'test', attach: [] }, port) as Session;
  const subscribe = async (terms: Terms): Promise<Delivery> => {
    const { delivery } = (await session.subscribe(request('retrieve', LATEST), terms)) as Subscribed;
    session.open(delivery);
    return delivery;
  };
  const publishSecond = async (second: number, rate: number): Promise<void> => {
    for (let slot = 0; slot < rate; slot++) {
      const t = second + Math.floor((slot * SECOND) / rate) / SECOND;
      await ask('create', `${LOAD}/contentInstances`, { contentInstance: senml(t) });
    }
  };
  return { running, ask, port, subscribe, publishSecond };
}

/** A meter's reading with its own time: SenML inside a contentInstance. */
const senml = (t: number) => ({
  content: { contentType: 'application/senml+json', textContent: JSON.stringify([{ n: 'power', t, v: 1 }]) },
});
const slotsOf = (port: RecordingPort, delivery: Delivery): number[] =>
  port.sent.filter((one) => one.delivery === delivery).map(({ sample }) => sample.measuredUs % SECOND);

describe('a source that reports at another rate', () => {
  test('moves its subscribers to the new grid, their accounts going on', async () => {
    const { ask, port, subscribe, publishSecond } = await withContainer(30);
    const delivery = await subscribe({ rate: 5 });
    await publishSecond(1_795_000_000, 30);
    await ask('update', LOAD, { container: { reportingRate: 50 } });
    port.sent.length = 0;
    await publishSecond(1_795_000_001, 50);
    expect(slotsOf(port, delivery)).toEqual([0, 200_000, 400_000, 600_000, 800_000]);
    expect(accountOf(delivery)).toMatchObject({ received: 80, delivered: 10, decimated: 70, held: 0 });
  });

  test('ends those whose rate it cannot be divided to, telling them why', async () => {
    const { running, ask, port, subscribe } = await withContainer(30);
    const gone = await subscribe({ rate: 15 });
    const stays = await subscribe({ rate: 10 });
    await ask('update', LOAD, { container: { reportingRate: 50 } });
    expect(port.ended).toEqual([{ delivery: gone, ending: 'RATE_CHANGED' }]);
    expect(stays.membership?.group.cadence.periodS).toBe(0.1);
    expect(running.broker.subscriptions.population.size).toBe(1);
  });
});

describe('a subscription that the broker ends', () => {
  test('is over for its endpoint too: nothing of it is left on a long session', async () => {
    const { running, ask } = await withContainer(30);
    const { subscriptions, resources } = running.broker;
    const over: Delivery[] = [];
    const target = resources.tree.resolve(parsePath(LATEST) as readonly string[], 0);
    if (target.kind === 'none') throw new Error(target.refusal.detail);
    const wanted = { terms: {}, accept: [], preferred: FORMATS.senmlJson };
    const delivery = subscriptions.subscribe(target, wanted, new RecordingPort(), (each) => over.push(each));
    await ask('delete', LOAD);
    expect(over).toEqual([delivery]);
    expect(subscriptions.population.size).toBe(0);
  });
});

describe('the reporting rate of a container that a PMU stream fills', () => {
  const attached = async () => {
    const stage = await withContainer(0.5);
    const { resources } = stage.running.broker;
    const containers = resources.tree.root.child('containers');
    if (!containers) throw new Error('an sclBase without containers');
    resources.create(containers, { container: { id: 'measurements', reportingRate: 30 } }, INTERNAL);
    const path = '/m2m/containers/measurements';
    const rate = (): unknown => containers.child('measurements')?.attributes.get('reportingRate');
    return { ...stage, path, rate };
  };

  test('stays through an UPDATE that leaves it out or repeats it', async () => {
    const { running, ask, path, rate } = await attached();
    for (const container of [{ defaultRate: 5 }, { defaultRate: 5, reportingRate: 30 }]) {
      expect(await ask('update', path, { container })).toMatchObject({ status: 'STATUS_OK' });
      expect(rate()).toBe(30);
    }
    const { resources } = running.broker;
    const contentInstances = resources.tree.nodeAt(['m2m', 'containers', 'measurements', 'contentInstances']);
    expect(contentInstances && resources.routeOf(contentInstances)?.sourceRate).toBe(30);
  });

  test('is not another’s to declare', async () => {
    const { ask, path, rate } = await attached();
    expect(await ask('update', path, { container: { reportingRate: 50 } })).toMatchObject({
      status: 'STATUS_BAD_REQUEST',
    });
    expect(await ask('update', `${path}/reportingRate`, { reportingRate: 50 })).toMatchObject({
      status: 'STATUS_BAD_REQUEST',
      detail: expect.stringContaining('what the source reports, 30'),
    });
    expect(await ask('update', `${path}/defaultRate`, { defaultRate: 10 })).toMatchObject({ status: 'STATUS_OK' });
    expect(rate()).toBe(30);
  });
});

describe('a notificationChannel that is deleted', () => {
  test('takes the subscriptions that name it along', async () => {
    const { running, ask } = await withContainer(0.5);
    const { location: channel = [] } = await ask('create', '/m2m/notificationChannels', {
      notificationChannel: { channelType: 'LONG_POLLING' },
    });
    const subscription = await ask('create', `${LOAD}/contentInstances/subscriptions`, {
      subscription: { contact: `/${channel.join('/')}` },
    });
    expect(subscription.status).toBe('STATUS_CREATED');
    expect(running.broker.subscriptions.population.size).toBe(1);
    await ask('delete', `/${channel.join('/')}`);
    expect(running.broker.subscriptions.population.size).toBe(0);
    expect(await ask('retrieve', `/${subscription.location?.join('/')}`)).toMatchObject({ status: 'STATUS_NOT_FOUND' });
  });
});

describe('an application whose point of contact is written anew', () => {
  const streams = ({ broker }: RunningBroker): string[] => [...broker.sources.figures()].map(({ name }) => name);

  test('leaves the stream it had', async () => {
    const { running, ask } = await withContainer(0.5);
    const aPoC = 'c37118+udp://127.0.0.1:4713?idcode=60';
    await ask('create', '/m2m/applications', { application: { appId: 'substation', aPoC } });
    expect(streams(running)).toEqual(['/m2m/applications/substation']);
    await ask('update', '/m2m/applications/substation', { application: {} });
    expect(streams(running)).toEqual([]);
  });
});
