/** Clients and devices that live on when their connection breaks, or their broker is away for a while. */
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import {
  attachDevice,
  command,
  open,
  type CommandNews,
  type ConnectionState,
  type WsClient,
} from '../../src/client/index.js';
import { BackOff } from '../../src/client/back-off.js';
import { seededRandom } from '../../src/random.js';
import type { JsonObject } from '../../src/routing/primitive.js';
import {
  closeStage,
  container,
  http,
  startBroker,
  until,
  whenStageCloses,
  type RunningBroker,
} from '../broker/stage.js';
import { temporaryFolder } from '../support/folder.js';
import { Program, stopPrograms } from '../support/program.js';
import { RememberingStore } from '../support/remembering-store.js';

afterEach(closeStage);

const FEEDER = '/m2m/applications/feeder';
const COMMANDS = `${FEEDER}/containers/commands`;

async function feeder(running: RunningBroker): Promise<void> {
  await http(running, 'POST', '/m2m/applications', { application: { appId: 'feeder' } });
  await http(running, 'POST', `${FEEDER}/containers`, { container: { id: 'commands' } });
}

/** Between clients and the broker: cuts what goes through it, or is silent. */
async function relay(running: RunningBroker) {
  const pairs = new Set<readonly [Socket, Socket]>();
  let target = Number(new URL(running.ws).port);
  let isSilent = false;
  const server = createServer((near) => {
    const far = connectTcp(target, '127.0.0.1');
    const pair = [near, far] as const;
    pairs.add(pair);
    for (const [one, other] of [pair, [far, near]] as const) {
      one.on('data', (bytes) => isSilent || other.write(bytes));
      one.on('error', () => {});
      one.on('close', () => {
        pairs.delete(pair);
        if (!isSilent) other.destroy();
      });
    }
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const cut = (): void => {
    for (const sockets of pairs) for (const socket of sockets) socket.destroy();
    isSilent = false;
  };
  whenStageCloses(() => {
    cut();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a relay without a port');
  return {
    uri: `ws://127.0.0.1:${address.port}`,
    cut,
    /** Nothing goes through any more, and nobody is told. */
    silence: () => void (isSilent = true),
    leadTo: (next: RunningBroker) => void (target = Number(new URL(next.ws).port)),
  };
}

async function client(uri: string, options: Parameters<typeof open>[1] = {}) {
  const opened = (await open(uri, { originator: 'app-1', reconnect: true, ...options })) as WsClient;
  whenStageCloses(() => opened.close());
  const states: ConnectionState[] = [];
  opened.watch((state) => states.push(state));
  const connected = (count: number) =>
    until('it is connected again', () => states.filter(({ state }) => state === 'connected').length >= count);
  return { client: opened, states, connected };
}

/** What an observation brings, in a list that grows. */
function collect({ client }: { client: WsClient }, path: string): JsonObject[] {
  const values: JsonObject[] = [];
  void (async () => {
    for await (const { body } of client.observe(`${path}/contentInstances/latest/content`))
      values.push(JSON.parse(Buffer.from(body).toString()) as JsonObject);
  })().catch((error: unknown) => values.push({ error: String(error) }));
  return values;
}
const store = (running: RunningBroker, path: string, value: number) =>
  http(running, 'POST', `${path}/contentInstances`, { value });
const subscribed = ({ broker }: RunningBroker, count = 1) =>
  until('it is subscribed', () => broker.subscriptions.population.size === count);

describe.each(['gridcast.v1', 'gridcast.v1+json'] as const)('over %s', (subprotocol) => {
  test('a cut connection is resumed: what is observed goes on, the reliable lane is heard in order and once', async () => {
    const running = await startBroker();
    const load = await container(running);
    const { uri, cut } = await relay(running);
    const heard: unknown[] = [];
    const one = await client(uri, { subprotocol, received: (_kind, { n }) => void heard.push(n) });
    const values = collect(one, load);
    await subscribed(running);
    const { sessions } = running.broker;
    let sent = 0;
    for (let round = 1; round <= 3; round++) {
      await store(running, load, round * 10);
      for (let n = 0; n < 5; n++) sessions.toIssuer('app-1', undefined, 'alarm', { n: ++sent });
      cut();
      for (let n = 0; n < 5; n++) sessions.toIssuer('app-1', undefined, 'alarm', { n: ++sent });
      await one.connected(round);
      await until('all is heard', () => heard.length === sent);
    }
    await store(running, load, 99);
    await until('the last is seen', () => values.some(({ value }) => value === 99));
    expect(heard).toEqual(Array.from({ length: sent }, (_, index) => index + 1));
    expect(new Set(values.map(({ value }) => value)).size).toBe(values.length);
    expect(one.states.filter(({ state }) => state === 'connected')).toEqual(
      Array.from({ length: 3 }, () => ({ state: 'connected', isResumed: true })),
    );
    expect(sessions.resumed).toBe(3);
    expect(running.broker.subscriptions.population.size).toBe(1);
  });

  test('a broker that stops and comes back finds its observers and its sessions again, without duplicates', async () => {
    const remembering = new RememberingStore();
    const first = await startBroker({}, { store: remembering });
    const load = await container(first, { id: 'load' });
    const port = Number(new URL(first.ws).port);
    const one = await client(first.ws, { subprotocol });
    const values = collect(one, load);
    await subscribed(first);
    await store(first, load, 1);
    await until('it is seen', () => values.length === 1);
    await first.close();
    await until('it is noticed', () => one.states.length === 1);
    await expect(one.client.request({ op: 'retrieve', to: '/m2m', timeoutMs: 50 })).rejects.toMatchObject({
      kind: 'timed-out',
    });
    // Asked while nobody is there: answered when somebody is.
    const late = one.client.request({ op: 'retrieve', to: '/m2m' });
    const second = await startBroker({ http: port }, { store: remembering });
    expect(await late).toMatchObject({ status: 'STATUS_OK' });
    await subscribed(second);
    await store(second, load, 2);
    await store(second, load, 3);
    await until('they are seen', () => values.length === 3);
    expect(values).toEqual([{ value: 1 }, { value: 2 }, { value: 3 }]);
    expect(one.states.at(-1)).toEqual({ state: 'connected', isResumed: false });
    expect(second.broker.subscriptions.population.size).toBe(1);
  });

  test('what was told while the broker was away is told when it is back, in order; what it had acknowledged is not', async () => {
    const remembering = new RememberingStore();
    const first = await startBroker({}, { store: remembering });
    await feeder(first);
    const port = Number(new URL(first.ws).port);
    const heard: string[] = [];
    const listen = ({ broker }: RunningBroker): void => {
      broker.commands.word = async (_peer, { commandId }) => void heard.push(commandId);
    };
    listen(first);
    const one = await client(first.ws, { subprotocol, attach: [FEEDER] });
    const tell = (commandId: string) => one.client.tell('outcome', { commandId, state: 'executed' });
    await tell('a');
    await first.close();
    const told = Promise.all(['b', 'c', 'd'].map(tell));
    const second = await startBroker({ http: port }, { store: remembering });
    listen(second);
    await told;
    expect(heard).toEqual(['a', 'b', 'c', 'd']);
  });
});

test('a word that the broker cannot take now is told again until it can', async () => {
  const running = await startBroker();
  await feeder(running);
  let refusals = 0;
  running.broker.commands.word = async () =>
    ++refusals === 1 ? { status: 'STATUS_SERVICE_UNAVAILABLE', detail: 'Not now.' } : undefined;
  const { client: one } = await client(running.ws, { attach: [FEEDER] });
  const words = ['a', 'b'].map((commandId) => one.tell('outcome', { commandId, state: 'executed' }));
  await Promise.all(words);
  // Both of them twice: what comes behind a word that was refused for now counts only when it comes again.
  expect(refusals).toBe(4);
});

test('requests under way when the connection breaks fail as unreachable; the next one waits for the next connection', async () => {
  const running = await startBroker();
  const { uri, silence, cut } = await relay(running);
  const one = await client(uri);
  silence();
  const lost = one.client.request({ op: 'retrieve', to: '/m2m' });
  const failed = expect(lost).rejects.toMatchObject({ kind: 'unreachable' });
  cut();
  await failed;
  expect(await one.client.request({ op: 'retrieve', to: '/m2m' })).toMatchObject({ status: 'STATUS_OK' });
});

test('a broker that falls silent is noticed within three heart-beats, and looked for again', async () => {
  const running = await startBroker();
  const { uri, silence, cut } = await relay(running);
  const one = await client(uri, { heartbeatMs: 100 });
  silence();
  await until('it is noticed', () => one.states.some(({ state }) => state === 'reconnecting'));
  expect(one.states[0]).toMatchObject({
    reason: { message: expect.stringMatching(/Nothing was heard .* for 300 ms/) },
  });
  cut();
  await one.connected(1);
});

test('a client that the broker refuses when it comes back ends with the reason', async () => {
  const first = await startBroker();
  await feeder(first);
  const port = Number(new URL(first.ws).port);
  const one = await client(first.ws, { attach: [FEEDER] });
  await first.close();
  await startBroker({ http: port });
  expect(await one.client.closed).toMatchObject({ kind: 'refused', code: 404 });
  expect(one.states.at(-1)).toMatchObject({ state: 'closed' });
  await expect(one.client.tell('outcome', {})).rejects.toMatchObject({ kind: 'refused' });
});

test('a client that is closed while it looks for its broker is over at once', async () => {
  const first = await startBroker();
  const one = await client(first.ws);
  await first.close();
  await until('it looks for it', () => one.states.some(({ state }) => state === 'reconnecting'));
  await one.client.close();
  expect(await one.client.closed).toMatchObject({ kind: 'closed' });
  expect(one.states.filter(({ state }) => state === 'closed')).toHaveLength(1);
});

test('one without reconnect ends with its connection, and tells why', async () => {
  const running = await startBroker();
  const { uri, cut } = await relay(running);
  const one = await client(uri, { reconnect: false });
  const values = collect(one, await container(running));
  await subscribed(running);
  cut();
  expect(await one.client.closed).toMatchObject({ kind: 'unreachable' });
  await until('the observation has ended', () => values.length === 1);
  expect(values[0]?.error).toContain('The connection to');
});

describe('a command', () => {
  async function issue(issuer: { client: WsClient }, commandId: string): Promise<readonly CommandNews[]> {
    const news: CommandNews[] = [];
    const request = { point: 'breaker-1', value: 0, commandId, deadlineMs: 8_000 };
    for await (const each of command(issuer.client, FEEDER, request)) news.push(each);
    return news;
  }

  test('is executed once, and its issuer told, though both their connections are cut again and again', async () => {
    const running = await startBroker();
    await feeder(running);
    const [toDevice, toIssuer] = [await relay(running), await relay(running)];
    const executed: string[] = [];
    const device = await attachDevice(`${toDevice.uri}${FEEDER}`, ({ commandId }) => {
      executed.push(commandId);
      return { state: 'executed' };
    });
    whenStageCloses(() => device.close());
    const issuer = await client(toIssuer.uri);
    const ids = Array.from({ length: 20 }, (_, n) => `c-${n}`);
    const outcomes = await Promise.all(
      ids.map(async (id, index) => {
        const news = issue(issuer, id);
        if (index % 5 === 0) toDevice.cut();
        if (index % 7 === 0) toIssuer.cut();
        return (await news).at(-1)?.state;
      }),
    );
    expect(outcomes).toEqual(ids.map(() => 'executed'));
    expect([...executed].sort()).toEqual([...ids].sort());
  });

  test('whose answer is lost is given again under its id; its outcome is read where the session is a new one', async () => {
    const running = await startBroker();
    await feeder(running);
    const { uri, silence, cut } = await relay(running);
    const issuer = await client(uri);
    silence();
    const news = issue(issuer, 'c-1');
    cut();
    await issuer.connected(1);
    const { location } = await until('it is accepted', async () => {
      const path = `${COMMANDS}/contentInstances/app-1~c-1`;
      return (await http(running, 'GET', path)).status === 200 ? { location: path } : undefined;
    });
    expect(issuer.states.at(-1)).toEqual({ state: 'connected', isResumed: false });
    running.broker.sessions.toIssuer = () => false;
    const executed: string[] = [];
    const device = await attachDevice(`${running.ws.replace('/m2m', '')}${FEEDER}`, ({ commandId }) => {
      executed.push(commandId);
      return { state: 'executed' };
    });
    whenStageCloses(() => device.close());
    expect((await news).at(-1)).toEqual({ commandId: 'c-1', state: 'executed' });
    expect(executed).toEqual(['c-1']);
    expect((await http(running, 'GET', `${location}/content`)).json).toMatchObject({ state: 'executed' });
  });
});

test('attempts follow each other at 50 ms, 100 ms, ... 5 s, each a fifth more or less', () => {
  const backOff = new BackOff(seededRandom(1));
  const delays = Array.from({ length: 10 }, () => backOff.nextMs());
  for (const [index, delay] of delays.entries()) {
    const mean = Math.min(50 * 2 ** index, 5_000);
    expect(delay).toBeGreaterThanOrEqual(0.8 * mean);
    expect(delay).toBeLessThanOrEqual(1.2 * mean);
  }
  backOff.reset();
  expect(backOff.nextMs()).toBeLessThanOrEqual(60);
});

test('a device and an issuer outlive the broker’s death: kill -9, and the outcome of each command comes once', async () => {
  const data = temporaryFolder();
  whenStageCloses(stopPrograms);
  // uWebSockets.js cannot take again, for a minute, a port that it was given by the system.
  const serve = (port: number) =>
    new Program('serve', '--http', String(port), '--coap', '0', '--data', data, '--transport', 'node');
  let broker = serve(0);
  const root = await broker.told(/(http:\/\/\S+)/);
  const port = Number(new URL(root).port);
  const call = async (path: string, body: JsonObject) =>
    (await http({ http: `http://127.0.0.1:${port}` }, 'POST', path, body)).status;
  expect(await call('/m2m/applications', { application: { appId: 'feeder' } })).toBe(201);
  expect(await call(`${FEEDER}/containers`, { container: { id: 'commands' } })).toBe(201);
  const executed: string[] = [];
  const uri = `ws://127.0.0.1:${port}`;
  const device = await attachDevice(`${uri}${FEEDER}`, ({ commandId }) => {
    executed.push(commandId);
    return { state: 'executed' };
  });
  whenStageCloses(() => device.close());
  const issuer = await client(uri);
  const ids = Array.from({ length: 30 }, (_, n) => `k-${n}`);
  const outcomes = ids.map(async (commandId) => {
    let last: CommandNews | undefined;
    const request = { point: commandId, value: 0, commandId, deadlineMs: 30_000 };
    for await (const each of command(issuer.client, FEEDER, request)) last = each;
    return last?.state;
  });
  await until('some are done', () => executed.length >= 5);
  await broker.stop('SIGKILL');
  broker = serve(port);
  expect(await Promise.all(outcomes)).toEqual(ids.map(() => 'executed'));
  expect([...executed].sort()).toEqual([...ids].sort());
}, 60_000);
