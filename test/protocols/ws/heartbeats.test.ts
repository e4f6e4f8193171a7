/** Heart-beats: when a peer is taken for lost, and when not; on a clock that is moved, and over a connection that goes dead. */
import { connect as connectTcp, createServer, type Socket } from 'node:net';
import { systemClock } from '../../../src/clock.js';
import { Heartbeats } from '../../../src/protocols/ws/heartbeats.js';
import type { Frame } from '../../../src/protocols/ws/frames.js';
import { closeStage, http, startBroker, until, whenStageCloses, type RunningBroker } from '../../broker/stage.js';
import { FramePeer } from '../../support/frame-peer.js';
import { ManualClock } from '../../support/manual-clock.js';

afterEach(closeStage);

function watch(intervalMs: number) {
  const clock = new ManualClock();
  const heartbeats = new Heartbeats(clock);
  const pings: number[] = [];
  let lostMs: number | undefined;
  const nowMs = (): number => clock.monotonicUs() / 1000;
  let roundTripMs: number | undefined = 0;
  const heartbeat = heartbeats.start(intervalMs, {
    ping() {
      pings.push(nowMs());
      if (roundTripMs !== undefined) clock.after(roundTripMs, () => heartbeat.heard());
    },
    lost() {
      lostMs = nowMs();
      heartbeat.stop();
    },
  });
  return {
    clock,
    pings,
    lostMs: () => lostMs,
    nowMs,
    answersAfter: (ms: number | undefined) => void (roundTripMs = ms),
    stop: () => heartbeat.stop(),
  };
}

describe.each([
  [100, 300],
  [1000, 3000],
  [250, 750],
])('at %i ms', (intervalMs, lossMs) => {
  test(`a peer is pinged each interval, and one that falls silent is lost within ${lossMs} ms of it`, () => {
    const { clock, pings, lostMs, nowMs, answersAfter } = watch(intervalMs);
    clock.advance(10 * intervalMs);
    expect(pings).toHaveLength(10);
    expect(lostMs()).toBeUndefined();
    // Just after its last answer: the longest that a loss can go unnoticed.
    const silentMs = nowMs();
    answersAfter(undefined);
    clock.advance(lossMs);
    expect(Number(lostMs()) - silentMs).toBeLessThanOrEqual(lossMs);
    expect(Number(lostMs()) - silentMs).toBeGreaterThan(lossMs - 1.5 * intervalMs);
    expect(clock.pending).toBe(0);
  });

  test('a peer whose answers take long is not lost for that', () => {
    const { clock, lostMs, answersAfter } = watch(intervalMs);
    answersAfter(intervalMs * 1.3);
    clock.advance(20 * intervalMs);
    expect(lostMs()).toBeUndefined();
  });
});

test('a stall of our own is not held against peers: they get one more interval, in which what waits is heard', () => {
  const clock = new ManualClock();
  let stalledUs = 0;
  // Timers do not fire while the process stands still: when they do, the clock has moved on.
  const { wallUs, after, atTurnEnd } = clock;
  const stalling = { wallUs, after, atTurnEnd, monotonicUs: () => clock.monotonicUs() + stalledUs };
  const heartbeats = new Heartbeats(stalling);
  let isLost = false;
  const heartbeat = heartbeats.start(100, { ping: () => {}, lost: () => (isLost = true) });
  stalledUs = 500_000;
  clock.advance(50);
  expect(isLost).toBe(false);
  heartbeat.heard();
  clock.advance(200);
  expect(isLost).toBe(false);
  stalledUs += 500_000;
  clock.advance(100);
  expect(isLost).toBe(false);
  clock.advance(50);
  expect(isLost).toBe(true);
  heartbeat.stop();
  expect(clock.pending).toBe(0);
});

/** Between a client and the broker; forwards until it goes dead, and then keeps both connections open without a word. */
async function relay({ ws }: RunningBroker) {
  const port = Number(new URL(ws).port);
  const sockets: Socket[] = [];
  let isDead = false;
  const server = createServer((near) => {
    const far = connectTcp(port, '127.0.0.1');
    sockets.push(near, far);
    near.on('data', (bytes) => isDead || far.write(bytes));
    far.on('data', (bytes) => isDead || near.write(bytes));
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => {});
      one.on('close', () => isDead || other.destroy());
    }
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  whenStageCloses(() => {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a relay without a port');
  return { uri: `ws://127.0.0.1:${address.port}/m2m`, die: () => void (isDead = true) };
}

const FEEDER = '/m2m/applications/feeder';

describe.each(['uws', 'node'] as const)('over %s', (transport) => {
  async function half(hello: Partial<Extract<Frame, { t: 'hello' }>>) {
    const running = await startBroker({ transport });
    await http(running, 'POST', '/m2m/applications', { application: { appId: 'feeder' } });
    const { uri, die } = await relay(running);
    const peer = await FramePeer.open(uri, 'gridcast.v1+json');
    whenStageCloses(() => peer.socket.terminate());
    peer.send({ t: 'hello', originator: 'app-1', attach: [], ...hello });
    const welcome = await peer.next();
    if (welcome.t !== 'welcome') throw new Error('no welcome');
    // It must be worth keeping.
    running.broker.sessions.toIssuer('app-1', welcome.session, 'alarm', {});
    await peer.next();
    const pings = new Promise<void>((beaten) => {
      let count = 0;
      peer.socket.on('ping', () => ++count === 5 && beaten());
    });
    await pings;
    expect(running.broker.sessions.losses.size).toBe(0);
    die();
    const diedUs = systemClock.monotonicUs();
    await until('it is found', () => running.broker.sessions.losses.get('HEARTBEAT_LOST') === 1);
    expect(running.broker.sessions.detached.has(welcome.session)).toBe(true);
    return { ms: (systemClock.monotonicUs() - diedUs) / 1000, welcome };
  }

  // 300 ms, and what a busy machine adds.
  test('a half-open device is found within 300 ms, and its session waits for it', async () => {
    const { ms, welcome } = await half({ attach: [FEEDER] });
    expect(welcome).toMatchObject({ heartbeatMs: 100 });
    expect(ms).toBeLessThan(1_000);
  });

  test('a half-open application is found within 3 s, or sooner if it asked for it', async () => {
    const { ms, welcome } = await half({});
    expect(welcome).toMatchObject({ heartbeatMs: 1000 });
    expect(ms).toBeGreaterThan(1_000);
    expect(ms).toBeLessThan(5_000);
    expect((await half({ heartbeatMs: 50 })).ms).toBeLessThan(1_000);
  });

  test('half a second in which this process stands still costs no peer its connection', async () => {
    const running = await startBroker({ transport });
    await http(running, 'POST', '/m2m/applications', { application: { appId: 'feeder' } });
    const peer = await FramePeer.open(running.ws, 'gridcast.v1');
    whenStageCloses(() => peer.socket.terminate());
    peer.send({ t: 'hello', attach: [FEEDER] });
    await peer.next();
    for (let stall = 0; stall < 3; stall++) {
      const untilUs = systemClock.monotonicUs() + 500_000;
      while (systemClock.monotonicUs() < untilUs);
      for (let beat = 0; beat < 3; beat++) await new Promise((pinged) => peer.socket.once('ping', pinged));
    }
    peer.send({ t: 'ping' });
    expect(await peer.next()).toEqual({ t: 'pong' });
    expect(running.broker.sessions.losses.size).toBe(0);
  });
});

test('a socket that never said hello is not pinged for heart-beats', async () => {
  const running = await startBroker();
  const peer = await FramePeer.open(running.ws, 'gridcast.v1+json');
  whenStageCloses(() => peer.socket.terminate());
  let pings = 0;
  peer.socket.on('ping', () => pings++);
  peer.send({ t: 'ping' });
  await peer.next();
  const other = await FramePeer.open(running.ws, 'gridcast.v1+json');
  whenStageCloses(() => other.socket.terminate());
  other.send({ t: 'hello', attach: [], heartbeatMs: 100 });
  for (let beat = 0; beat < 4; beat++) await new Promise((pinged) => other.socket.once('ping', pinged));
  expect(pings).toBe(0);
});
