/**
 * Crashes in the behaviours that are shipped, at every level of the supervision tree. Each time: the neighbour does not
 * notice, the stream goes on for everybody else, what was opened is disposed, and the books balance.
 */
import { createSocket } from 'node:dgram';
import { systemClock, type Clock } from '../../src/clock.js';
import { isRefusal } from '../../src/errors.js';
import { Population } from '../../src/kernel/population.js';
import type { Branch } from '../../src/kernel/supervisor.js';
import { systemNetwork, type Network } from '../../src/network.js';
import { RecordingPort } from '../support/deliveries.js';
import {
  closeStage,
  connect,
  container,
  expectBalanced,
  http,
  measurements,
  nodeAt,
  retrieve,
  simulate,
  startBroker,
  stream,
  subscribe,
  until,
  whenStageCloses,
  type RunningBroker,
} from './stage.js';

afterEach(closeStage);

const BUG = new Error('injected');
const throwBug = (): never => {
  throw BUG;
};
/** Values of the injected frame are never read but by whoever asks for the raw frame. */
const POISON = { frame: throwBug };
const RAW = { accept: 'application/vnd.gridcast.c37118' };

/** A branch of the supervision tree, as /supervision shows it. */
async function branch(running: RunningBroker, ...names: readonly string[]): Promise<Branch> {
  const { json } = await http(running, 'GET', '/supervision');
  const find = (from: Branch | undefined, name: string): Branch | undefined =>
    from?.children?.find((child) => child.name === name);
  const found = names.reduce<Branch | undefined>(find, json as unknown as Branch);
  if (!found) throw new Error(`no ${names.join('/')}`);
  return found;
}

describe('a resource', () => {
  test('answers 500 to what killed it, 503 while it is down, and is up again; its stream and its neighbours go on', async () => {
    // Down for a second instead of 50 ms: on a busy machine an exchange takes longer than these.
    const after: Clock['after'] = (ms, run) => systemClock.after(ms > 40 && ms < 60 ? 1_000 : ms, run);
    const running = await startBroker({}, { clock: { ...systemClock, after } });
    const pmus = stream(running, [1, 2], 30);
    const { port } = await subscribe(running, measurements(1));
    pmus.frame(POISON);
    const latest = (idCode: number) => `${measurements(idCode)}/contentInstances/latest/content`;
    const killer = await http(running, 'GET', latest(1), undefined, RAW);
    expect([killer.status, killer.sentence]).toEqual([500, expect.stringContaining('it is being restarted')]);
    const down = await http(running, 'GET', latest(1));
    expect(down.status).toBe(503);
    expect(down.headers.get('retry-after')).toBe('1');
    expect((await http(running, 'GET', latest(2))).status).toBe(200);
    pmus.frame();
    expect(port.sent).toHaveLength(2);

    const again = await until('it is up again', async () => {
      const answer = await http(running, 'GET', latest(1), undefined, RAW);
      return answer.status === 503 ? undefined : answer;
    });
    // The frame that came meanwhile has waited for it.
    expect(again.status).toBe(200);
    expect(await branch(running, 'resources', measurements(1))).toMatchObject({ state: 'up', restarts: 1 });
    expect(running.fatal).toEqual([]);
    await expectBalanced(running);
  });

  test('is quarantined when it fails five times within a minute, and answers 503 at once; a neighbour is up', async () => {
    const running = await startBroker();
    const pmus = stream(running, [1, 2], 30);
    pmus.frame(POISON);
    const read = (idCode: number) =>
      http(
        running,
        'GET',
        `${measurements(idCode)}/contentInstances/latest/content`,
        undefined,
        idCode === 1 ? RAW : {},
      );
    await until('it is quarantined', async () => {
      await read(1);
      return (await branch(running, 'resources', measurements(1))).state === 'quarantined';
    });
    expect((await read(1)).status).toBe(503);
    expect((await read(2)).status).toBe(200);
    const { port } = await subscribe(running, measurements(2));
    pmus.frame();
    expect(port.sent).toHaveLength(1);
  });
});

describe('a subscription', () => {
  test('whose port throws drops that sample by name, is restarted and goes on; others get every sample', async () => {
    const running = await startBroker();
    const pmus = stream(running, [1], 30);
    const [before, broken, after] = [
      await subscribe(running, measurements(1)),
      await subscribe(running, measurements(1)),
      await subscribe(running, measurements(1)),
    ];
    broken.port.fault = { at: 'transmit', error: BUG };
    pmus.frame();
    broken.port.fault = undefined;
    pmus.frame();
    expect([before, broken, after].map(({ port }) => port.sent.length)).toEqual([2, 1, 2]);
    expect(broken.port.sent[0]).toMatchObject({ missed: 1 });
    const { subscriptions } = running.broker;
    expect(subscriptions.population.crashes).toBe(1);
    await until('it is up again', () => subscriptions.population.restarts === 1);
    pmus.frame();
    expect(broken.port.sent).toHaveLength(2);
    expect([...subscriptions.accounts()].map(({ dropped }) => dropped.fault)).toEqual([0, 1, 0]);
    await expectBalanced(running);
  });

  test('in quarantine can still be ended', async () => {
    const running = await startBroker();
    const pmus = stream(running, [1], 30);
    const broken = await subscribe(running, measurements(1));
    broken.port.fault = { at: 'transmit', error: BUG };
    const { subscriptions } = running.broker;
    await until('it is quarantined', () => (pmus.frame(), subscriptions.population.quarantines === 1));
    broken.session.unsubscribe(broken.delivery, 'UNSUBSCRIBED');
    expect([...subscriptions.accounts()]).toEqual([]);
    expect(subscriptions.population.size).toBe(0);
    await expectBalanced(running);
  });

  test('that is down when its answer goes out is opened all the same, and one that was suspended stays so', async () => {
    const running = await startBroker();
    const pmus = stream(running, [1], 30);
    const { port, session } = connect(running);
    const result = await session.subscribe(retrieve(`${measurements(1)}/contentInstances/latest/content`), {});
    if (!('delivery' in result)) throw new Error(result.status);
    const { subscriptions } = running.broker;
    subscriptions.failed(result.delivery, BUG);
    session.open(result.delivery);
    pmus.frame();
    expect(port.sent).toHaveLength(1);
    await until('it is up', () => subscriptions.population.restarts === 1);
    subscriptions.suspend(result.delivery);
    subscriptions.failed(result.delivery, BUG);
    await until('it is up again', () => subscriptions.population.restarts === 2);
    pmus.frame();
    expect(port.sent).toHaveLength(1);
    subscriptions.resume(result.delivery);
    expect(port.sent).toHaveLength(2);
    await expectBalanced(running);
  });
});

describe('an endpoint', () => {
  test.each(['flush', 'reliable'] as const)(
    'that throws at %s ends with its subscriptions; its neighbour’s go on',
    async (at) => {
      const running = await startBroker();
      const pmus = stream(running, [1], 30);
      const broken = await subscribe(running, measurements(1));
      const neighbour = await subscribe(running, measurements(1));
      broken.port.fault = { at, error: BUG };
      pmus.frame();
      if (at === 'reliable') running.broker.sessions.toIssuer('x', broken.session.id, 'outcome', {});
      await until('it has ended', () => running.broker.sessions.endings.get('CRASHED') === 1);
      expect(broken.port.closedFor).toBe('CRASHED');
      pmus.frame();
      expect(broken.port.sent).toHaveLength(1);
      expect(neighbour.port.sent).toHaveLength(2);
      await until('the neighbour is flushed', () => neighbour.port.flushes >= 1);
      expect(running.broker.sessions.population.size).toBe(1);
      expect(running.broker.subscriptions.endings.get('CRASHED')).toBe(1);
      expect(
        await broken.session.subscribe(retrieve(`${measurements(1)}/contentInstances/latest/content`), {}),
      ).toMatchObject({
        status: 'STATUS_SERVICE_UNAVAILABLE',
      });
      await expectBalanced(running);
    },
  );
});

test('an endpoint without a connection that crashes tells each observer, and the next registration is a new endpoint’s', async () => {
  const running = await startBroker();
  const pmus = stream(running, [1], 30);
  const port = new RecordingPort();
  const connectIt = () => {
    const peer = { binding: 'coap', address: '192.0.2.1:5683', originator: 'anonymous', attach: [] } as const;
    const session = running.broker.connect(peer, port);
    if (isRefusal(session)) throw new Error(session.detail);
    return session;
  };
  const content = retrieve(`${measurements(1)}/contentInstances/latest/content`);
  const first = await connectIt().subscribe(content, {});
  if (!('delivery' in first)) throw new Error(first.status);
  running.broker.sessions.failed(port, BUG);
  expect(port.ended).toEqual([{ delivery: first.delivery, ending: 'CRASHED' }]);
  const session = connectIt();
  const underWay = session.subscribe(content, {});
  running.broker.sessions.failed(port, BUG);
  expect(await underWay).toMatchObject({ status: 'STATUS_SERVICE_UNAVAILABLE' });
  pmus.frame();
  expect(port.sent).toEqual([]);
  await expectBalanced(running);
});

test('a command that crashes is resumed where it stood and goes out again; its neighbour is not touched', async () => {
  const running = await startBroker();
  stream(running, [1, 2], 30);
  const { sessions, commands } = running.broker;
  const device = connect(running, ['/m2m/applications/pmu-1', '/m2m/applications/pmu-2']);
  const toDevice = sessions.toDevice.bind(sessions);
  const failing = new Set(['/m2m/applications/pmu-1']);
  sessions.toDevice = (application, ...rest) =>
    failing.has(application) ? throwBug() : toDevice(application, ...rest);
  const issue = (idCode: number) =>
    http(running, 'POST', `/m2m/applications/pmu-${idCode}/containers/commands/contentInstances`, {
      commandId: `open-${idCode}`,
      point: 'breaker-1',
      value: 0,
    });
  const [one, two] = [await issue(1), await issue(2)];
  expect([one.status, two.status]).toEqual([201, 201]);
  await until('the neighbour’s goes out', () => device.port.told.length > 0);
  expect(device.port.told.map(({ body }) => body.commandId)).toEqual(['open-2']);
  expect(commands.population.crashes).toBeGreaterThan(0);
  failing.clear();
  await until('it goes out', () => device.port.told.some(({ body }) => body.commandId === 'open-1'));
  await device.session.receive('outcome', { commandId: 'open-1', state: 'executed' });
  expect((await http(running, 'GET', `${one.location}/content`)).json).toMatchObject({ state: 'executed' });
});

test('a source that crashes closes its connection and comes back; another stream loses nothing', async () => {
  const running = await startBroker();
  const [broken, other] = [await simulate({ idcode: '1', rate: '30' }), await simulate({ idcode: '5', rate: '30' })];
  await http(running, 'POST', '/m2m/applications', { application: { appId: 'a', aPoC: broken.uri } });
  await http(running, 'POST', '/m2m/applications', { application: { appId: 'b', aPoC: other.uri } });
  await until('both flow', () =>
    [1, 5].every((id) => nodeAt(running, `${measurements(id)}/contentInstances`)?.history?.latest),
  );
  const [hit, spared] = [await subscribe(running, measurements(1)), await subscribe(running, measurements(5))];
  const { router, sources } = running.broker;
  const publish = router.publish.bind(router);
  let isBroken = true;
  router.publish = (route, sample) => {
    if (isBroken && route.path === measurements(1)) throwBug();
    publish(route, sample);
  };
  await until('it has crashed', () => sources.population.crashes > 0);
  isBroken = false;
  const delivered = hit.port.sent.length;
  await until('it flows again', () => hit.port.sent.length > delivered + 10);
  const times = spared.port.times;
  const gaps = times.slice(1).map((us, index) => Math.round(((us - (times[index] ?? 0)) * 30) / 1e6));
  expect(new Set(gaps)).toEqual(new Set([1]));
  expect(running.fatal).toEqual([]);
  await expectBalanced(running);
});

/** A network whose UDP sockets throw when something is to be sent, while `isBroken`. */
function breakableNetwork(): Network & { isBroken: boolean } {
  const network = {
    ...systemNetwork,
    isBroken: false,
    async bindUdp(...args: Parameters<Network['bindUdp']>) {
      const socket = await systemNetwork.bindUdp(...args);
      const { batch } = socket;
      const open = batch.open.bind(batch);
      batch.open = (...datagram) => (network.isBroken ? throwBug() : open(...datagram));
      return socket;
    },
  };
  return network;
}

/** A CoAP client that pings; counts the resets that come back. */
function pinger({ coapAddress }: RunningBroker) {
  const socket = createSocket('udp4');
  whenStageCloses(() => socket.close());
  let resets = 0;
  let id = 0;
  socket.on('message', () => resets++);
  return {
    ping: () => socket.send(Uint8Array.of(0x40, 0, 0x10, ++id & 0xff), coapAddress.port, coapAddress.host),
    resets: () => resets,
  };
}

describe('a listener', () => {
  test('is restarted on its port; the other one keeps its connections', async () => {
    const network = breakableNetwork();
    const running = await startBroker({}, { network });
    const pmus = stream(running, [1], 30);
    const { port } = await subscribe(running, measurements(1));
    const { ping, resets } = pinger(running);
    network.isBroken = true;
    ping();
    await until('it has failed', async () => (await branch(running, 'listeners', 'coap')).restarts === 1);
    network.isBroken = false;
    await until('it answers again', () => (ping(), resets() > 0));
    pmus.frame();
    expect(port.sent).toHaveLength(1);
    expect((await branch(running, 'listeners', 'http')).restarts).toBe(0);
    expect((await branch(running, 'sources')).restarts).toBe(0);
    expect(running.fatal).toEqual([]);
  });

  test('that is not helped by restarting is escalated to the process, and everything is stopped', async () => {
    const network = breakableNetwork();
    const running = await startBroker({}, { network });
    const { ping } = pinger(running);
    network.isBroken = true;
    await until('it gives up', () => (ping(), running.fatal.length > 0));
    expect(running.fatal).toEqual([BUG]);
    expect(running.broker.tree()).toMatchObject({ state: 'failed' });
    await expect(http(running, 'GET', '/livez')).rejects.toThrow();
  });
});

test('a population that fails takes with it all that was started after it; the tree and its streams stand again', async () => {
  const fails = new Map<string, (error: unknown) => void>();
  const { start } = Population.prototype;
  whenStageCloses(() => (Population.prototype.start = start));
  Population.prototype.start = function (this: Population<unknown>, ...args: unknown[]) {
    fails.set(this.name, args[0] as (error: unknown) => void);
    start.call(this);
  };
  const running = await startBroker();
  const { uri } = await simulate();
  await http(running, 'POST', '/m2m/applications', { application: { appId: 'line', aPoC: uri } });
  await until('it flows', () => nodeAt(running, `${measurements(1)}/contentInstances`)?.history?.latest);
  const notes = await container(running, { id: 'notes' });
  const channel = await http(running, 'POST', '/m2m/notificationChannels', {
    notificationChannel: { channelType: 'LONG_POLLING' },
  });
  await http(running, 'POST', `${measurements(1)}/contentInstances/subscriptions`, {
    subscription: { contact: channel.location },
  });
  const peer = await subscribe(running, notes);

  fails.get('subscriptions')?.(BUG);
  await until('its peers are told', () => peer.port.closedFor === 'CRASHED');
  const restarts = await until('the house stands again', async () => {
    const names = ['resources', 'subscriptions', 'commands', 'endpoints', 'sources', 'listeners'];
    try {
      return await Promise.all(names.map(async (name) => (await branch(running, name)).restarts));
    } catch {
      return undefined;
    }
  });
  expect(restarts).toEqual([0, 1, 1, 1, 1, 1]);
  expect(nodeAt(running, notes)).toBeDefined();
  for (let polls = 0; polls < 40; polls++) {
    expect((await http(running, 'GET', `${channel.location}/longPolling`)).json).toMatchObject({
      notify: { statusCode: 'STATUS_OK' },
    });
  }
  // One subscription resource is left, and its actor can end it.
  expect(running.broker.subscriptions.population.size).toBe(1);
  await http(running, 'DELETE', measurements(1));
  await until('it is gone', () => running.broker.subscriptions.population.size === 0);
  await expectBalanced(running);
});

test('a broker that stops leaves no actor, no deadline and no subscription', async () => {
  const running = await startBroker();
  const { uri } = await simulate();
  await http(running, 'POST', '/m2m/applications', { application: { appId: 'line', aPoC: uri } });
  await until('it flows', () => nodeAt(running, `${measurements(1)}/contentInstances`)?.history?.latest);
  await subscribe(running, measurements(1), { maxSpacingS: 60 });
  await running.close();
  const { broker } = running;
  const populations = [broker.subscriptions, broker.sessions, broker.commands, broker.sources];
  expect(populations.map(({ population }) => population.size)).toEqual([0, 0, 0, 0]);
  expect(broker.wheel.size).toBe(0);
});
