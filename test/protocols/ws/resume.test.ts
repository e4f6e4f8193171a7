/** A session that outlives its connection: scripts of frames to a whole broker, over real sockets that are cut. */
import { refuse } from '../../../src/errors.js';
import type { Frame, Subprotocol, WelcomeFrame } from '../../../src/protocols/ws/frames.js';
import type { JsonObject } from '../../../src/routing/primitive.js';
import {
  closeStage,
  container,
  http,
  startBroker,
  until,
  whenStageCloses,
  type RunningBroker,
} from '../../broker/stage.js';
import { FramePeer, untilAcknowledged } from '../../support/frame-peer.js';
import { ManualClock } from '../../support/manual-clock.js';

afterEach(closeStage);

const FEEDER = '/m2m/applications/feeder';
const COMMANDS = `${FEEDER}/containers/commands/contentInstances`;
type Hello = Partial<Extract<Frame, { t: 'hello' }>>;

describe.each<[Subprotocol]>([['gridcast.v1+json'], ['gridcast.v1']])('%s', (subprotocol) => {
  async function connect({ ws }: RunningBroker, hello: Hello = {}, spelt = subprotocol) {
    const peer = await FramePeer.open(ws, spelt);
    whenStageCloses(() => peer.socket.terminate());
    peer.send({ t: 'hello', originator: 'app-1', attach: [], ...hello });
    const welcome = await peer.next();
    if (welcome.t !== 'welcome') throw new Error(JSON.stringify(welcome));
    return { peer, welcome, session: welcome.session };
  }

  /** Cuts the connection, as a network does; resolves when the broker has noticed. */
  async function cut({ broker: { sessions } }: RunningBroker, { peer, session }: { peer: FramePeer; session: string }) {
    peer.socket.terminate();
    await until('the broker has noticed', () => sessions.detached.has(session));
  }

  const tell = ({ broker }: RunningBroker, session: string, body: JsonObject, acknowledged?: () => void) =>
    broker.sessions.toIssuer('app-1', session, 'outcome', body, acknowledged);
  const message = (seq: number, body: JsonObject): Frame => ({ t: 'msg', seq, kind: 'outcome', body });

  /** All frames up to the answer to a ping: nothing else was on its way. */
  async function framesOf(peer: FramePeer): Promise<Frame[]> {
    peer.send({ t: 'ping', id: 77 });
    const frames: Frame[] = [];
    for (;;) {
      const frame = await peer.next();
      if (frame.t === 'pong') return frames;
      frames.push(frame);
    }
  }

  test('what is not acknowledged comes again in order, once, under its seq, with what was sent meanwhile', async () => {
    const running = await startBroker();
    const first = await connect(running);
    const acknowledged: number[] = [];
    for (const n of [1, 2, 3]) tell(running, first.session, { n }, () => acknowledged.push(n));
    expect([await first.peer.next(), await first.peer.next()]).toEqual([message(1, { n: 1 }), message(2, { n: 2 })]);
    first.peer.send({ t: 'ack', seq: 1 });
    await until('it is acknowledged', () => acknowledged.length === 1);
    await cut(running, first);
    tell(running, first.session, { n: 4 });

    const second = await connect(running, { resume: first.session });
    expect(second.welcome).toMatchObject({ session: first.session, resumed: true });
    expect(await framesOf(second.peer)).toEqual([2, 3, 4].map((n) => message(n, { n })));
    second.peer.send({ t: 'ack', seq: 4 });
    await until('all are acknowledged', () => acknowledged.length === 3);
    tell(running, first.session, { n: 5 });
    await cut(running, second);
    const third = await connect(running, { resume: first.session });
    expect(await framesOf(third.peer)).toEqual([message(5, { n: 5 })]);
    const { text } = await running.broker.metrics.expose();
    expect(text).toContain('gridcast_endpoints_resumed_total 2');
    expect(text).toContain('gridcast_connections_lost_total{cause="CONNECTION_LOST"} 2');
    expect(text).toContain('gridcast_endpoints_detached 0');
  });

  /** A device whose words are noted, and refused as the test says. */
  async function listening() {
    const running = await startBroker();
    await http(running, 'POST', '/m2m/applications', { application: { appId: 'feeder' } });
    const heard: string[] = [];
    const state = { isSick: false };
    running.broker.commands.word = async (_peer, { commandId }) => {
      if (state.isSick) return refuse('STATUS_SERVICE_UNAVAILABLE', 'The store is in trouble.');
      heard.push(commandId);
      return commandId === 'foreign' ? refuse('STATUS_NOT_FOUND', 'No such command.') : undefined;
    };
    const device = await connect(running, { attach: [FEEDER] });
    return { running, device, heard, state };
  }
  const word = (seq: number, commandId = `c-${seq}`): Frame => message(seq, { commandId, state: 'executed' });

  test('what the peer said is heard once: welcome tells how far, and what comes again is acknowledged alone', async () => {
    const { running, device, heard } = await listening();
    device.peer.send(word(1), word(2));
    await until('both are heard', () => heard.length === 2);
    await cut(running, device);
    const again = await connect(running, { attach: [FEEDER], resume: device.session });
    expect(again.welcome).toMatchObject({ resumed: true, heard: 2 });
    again.peer.send(word(2), word(3));
    expect(await untilAcknowledged(again.peer, 3)).toEqual([]);
    expect(heard).toEqual(['c-1', 'c-2', 'c-3']);
  });

  test('a word that cannot be taken now is not acknowledged, nor heard what follows; said again, all are, in order', async () => {
    const { device, heard, state } = await listening();
    const { peer } = device;
    peer.send(word(1), word(2, 'foreign'));
    expect(await untilAcknowledged(peer, 2)).toEqual([
      { t: 'error', status: 'STATUS_NOT_FOUND', reason: 'No such command.', seq: 2 },
    ]);
    state.isSick = true;
    peer.send(word(3), word(4));
    expect(await peer.next()).toEqual({
      t: 'error',
      status: 'STATUS_SERVICE_UNAVAILABLE',
      reason: 'The store is in trouble.',
      seq: 3,
    });
    // Nor what is said first thereafter: its acknowledgement would speak for the third.
    peer.send(word(4));
    expect(await framesOf(peer)).toEqual([]);
    state.isSick = false;
    peer.send(word(3), word(4));
    expect(await untilAcknowledged(peer, 4)).toEqual([]);
    expect(heard).toEqual(['c-1', 'foreign', 'c-3', 'c-4']);
  });

  test('a subscription goes on under its id: the newest comes at once, and is told how many were missed', async () => {
    const running = await startBroker();
    const load = await container(running);
    const publish = (value: number) => http(running, 'POST', `${load}/contentInstances`, { value });
    const first = await connect(running);
    first.peer.send({ t: 'sub', id: 7, to: `${load}/contentInstances/latest/content`, accept: 'application/json' });
    expect(await first.peer.next()).toMatchObject({ t: 'res', id: 7, code: 200 });
    await publish(1);
    expect(await first.peer.next()).toMatchObject({ t: 'ntf', sub: 7, missed: 0 });
    await cut(running, first);
    for (const value of [2, 3, 4]) await publish(value);

    const second = await connect(running, { resume: first.session });
    expect(second.welcome).toMatchObject({ resumed: true, subs: [7] });
    const held = await second.peer.next();
    expect(held).toMatchObject({ t: 'ntf', sub: 7, missed: 2 });
    expect(JSON.parse(Buffer.from((held as { body: Uint8Array }).body).toString())).toEqual({ value: 4 });
    await publish(5);
    expect(await second.peer.next()).toMatchObject({ t: 'ntf', sub: 7, missed: 0 });
    second.peer.send({ t: 'unsub', id: 8, sub: 7 });
    expect(await second.peer.next()).toMatchObject({ t: 'res', id: 8, code: 200 });
  });

  test('a subscription that ended while its peer was away is not among those that go on', async () => {
    const running = await startBroker();
    const [gone, kept] = [await container(running), await container(running)];
    const first = await connect(running);
    for (const [id, path] of [gone, kept].entries()) {
      first.peer.send({ t: 'sub', id, to: `${path}/contentInstances/latest/content` });
      await first.peer.next();
    }
    await cut(running, first);
    expect((await http(running, 'DELETE', gone)).status).toBeLessThan(300);
    expect((await connect(running, { resume: first.session })).welcome.subs).toEqual([1]);
  });

  test('one that the broker still holds for open is taken over; the old connection is told', async () => {
    const running = await startBroker();
    const first = await connect(running);
    tell(running, first.session, { n: 1 });
    await first.peer.next();
    const second = await connect(running, { resume: first.session });
    expect(second.welcome).toMatchObject({ session: first.session, resumed: true });
    expect(await first.peer.closed).toEqual({ code: 1000, reason: 'REPLACED' });
    expect(await framesOf(second.peer)).toEqual([message(1, { n: 1 })]);
    expect(running.broker.sessions.population.size).toBe(1);
    expect([...running.broker.sessions.losses]).toEqual([['REPLACED', 1]]);
  });

  test('is not resumed by another originator, for other applications, in another subprotocol, or when it is not known', async () => {
    const running = await startBroker();
    await http(running, 'POST', '/m2m/applications', { application: { appId: 'feeder' } });
    const first = await connect(running);
    tell(running, first.session, { n: 1 });
    await first.peer.next();
    await cut(running, first);
    const resume = first.session;
    const resumed = async (hello: Hello, spelt = subprotocol): Promise<WelcomeFrame> =>
      (await connect(running, { resume, ...hello }, spelt)).welcome;
    expect(await resumed({ originator: 'app-2' })).toMatchObject({ resumed: false, heard: 0, subs: [] });
    expect(await resumed({ resume: 'nobody' })).toMatchObject({ resumed: false });
    expect(running.broker.sessions.detached.has(resume)).toBe(true);
    const other = subprotocol === 'gridcast.v1' ? 'gridcast.v1+json' : 'gridcast.v1';
    const fresh = await resumed({}, other);
    expect(fresh).toMatchObject({ resumed: false });
    expect(fresh.session).not.toBe(resume);
    // Its own originator has begun anew: nobody waits for the former one.
    expect(running.broker.sessions.detached.has(resume)).toBe(false);
    expect(await resumed({ resume: fresh.session, attach: [FEEDER] }, other)).toMatchObject({ resumed: false });
  });

  test('ends when its peer does not come back in time, and what was subscribed with it', async () => {
    const clock = new ManualClock();
    const running = await startBroker({}, { clock });
    const load = await container(running);
    const first = await connect(running);
    first.peer.send({ t: 'sub', id: 1, to: `${load}/contentInstances/latest/content` });
    await first.peer.next();
    await cut(running, first);
    clock.advance(29_900);
    expect(running.broker.sessions.population.size).toBe(1);
    clock.advance(200);
    expect(running.broker.sessions.population.size).toBe(0);
    expect([...running.broker.sessions.endings]).toEqual([['RESUME_EXPIRED', 1]]);
    expect(running.broker.subscriptions.population.size).toBe(0);
    expect((await connect(running, { resume: first.session })).welcome).toMatchObject({ resumed: false });
  });

  test('ends at once when its peer closes it, when there is nothing to come back for, and without hello', async () => {
    const running = await startBroker();
    const { sessions } = running.broker;
    const closing = await connect(running);
    tell(running, closing.session, { n: 1 });
    closing.peer.socket.close(1001);
    await until('it has ended', () => sessions.endings.get('PEER_CLOSED') === 1);
    (await connect(running)).peer.socket.terminate();
    await until('it has ended', () => sessions.endings.get('CONNECTION_LOST') === 1);
    const plain = await FramePeer.open(running.ws, subprotocol);
    plain.send({ t: 'sub', id: 1, to: `${await container(running)}/contentInstances/latest/content` });
    await plain.next();
    plain.socket.terminate();
    await until('it has ended', () => sessions.endings.get('CONNECTION_LOST') === 2);
    expect(sessions.population.size).toBe(0);
  });

  test('whose lane fills while its peer is away ends for that', async () => {
    const running = await startBroker();
    const first = await connect(running);
    tell(running, first.session, { n: 1 });
    await cut(running, first);
    for (let n = 2; n <= 1024; n++) tell(running, first.session, { n });
    expect(running.broker.sessions.population.size).toBe(1);
    tell(running, first.session, { n: 1025 });
    expect([...running.broker.sessions.endings]).toEqual([['SLOW_CONSUMER', 1]]);
    expect((await connect(running, { resume: first.session })).welcome).toMatchObject({ resumed: false });
  });

  test('ends, and its connection with it, when its peer is there and acknowledges nothing', async () => {
    const clock = new ManualClock();
    const running = await startBroker({}, { clock });
    const first = await connect(running);
    tell(running, first.session, { n: 1 });
    await first.peer.next();
    for (let second = 1; second < 15; second++) {
      clock.advance(1000);
      expect(await framesOf(first.peer)).toEqual([]);
    }
    clock.advance(1000);
    expect(await first.peer.closed).toEqual({ code: 1013, reason: 'SLOW_CONSUMER' });
    expect([...running.broker.sessions.endings]).toEqual([['SLOW_CONSUMER', 1]]);
    expect((await connect(running, { resume: first.session })).welcome).toMatchObject({ resumed: false });
  });

  test('of a device: a command that went out comes again with less time, one accepted meanwhile goes out, an expired one does not', async () => {
    const running = await startBroker();
    await http(running, 'POST', '/m2m/applications', { application: { appId: 'feeder' } });
    await http(running, 'POST', `${FEEDER}/containers`, { container: { id: 'commands' } });
    const issue = (commandId: string, deadlineMs: number) =>
      http(running, 'POST', COMMANDS, { commandId, point: commandId, value: 0, deadlineMs });
    const stateOf = async (location: string) => (await http(running, 'GET', `${location}/content`)).json.state;
    const first = await connect(running, { attach: [FEEDER] });
    const [short, long] = [await issue('short', 200), await issue('long', 9_000)];
    const sent = [await first.peer.next(), await first.peer.next()] as { seq: number; body: JsonObject }[];
    expect(sent.map(({ seq, body }) => [seq, body.commandId])).toEqual([
      [1, 'short'],
      [2, 'long'],
    ]);
    await cut(running, first);
    const meanwhile = await issue('meanwhile', 9_000);
    await until('the short one is over', async () => (await stateOf(short.location)) === 'unknown');
    expect(await stateOf(meanwhile.location)).toBe('accepted');

    const second = await connect(running, { attach: [FEEDER], resume: first.session });
    const again = [await second.peer.next(), await second.peer.next()] as { seq: number; body: JsonObject }[];
    expect(again.map(({ seq, body }) => [seq, body.commandId])).toEqual([
      [2, 'long'],
      [3, 'meanwhile'],
    ]);
    expect(Number(again[0]?.body.deadlineMs)).toBeLessThan(Number(sent[1]?.body.deadlineMs));
    expect(await framesOf(second.peer)).toEqual([]);
    expect(await stateOf(long.location)).toBe('dispatched');
  });
});
