/** The exchanges of design's spelling table, bad input among them, over real sockets to a scripted site. */
import { once } from 'node:events';
import { WebSocket, type ClientOptions } from 'ws';
import { systemClock } from '../../../src/clock.js';
import { refuse } from '../../../src/errors.js';
import { silentLog } from '../../../src/log.js';
import type { Identify, Identity } from '../../../src/protocols/identity.js';
import type { TransportName } from '../../../src/protocols/transport/transport.js';
import { openTransport } from '../../../src/protocols/transport/open.js';
import { WsBinding } from '../../../src/protocols/ws/binding.js';
import { FRAME_CODECS, type Frame, type Subprotocol } from '../../../src/protocols/ws/frames.js';
import { seededRandom } from '../../../src/random.js';
import { Delivery, MODE } from '../../../src/routing/delivery.js';
import { FORMATS } from '../../../src/routing/format.js';
import { answer, refused, type JsonObject, type Request, type Response } from '../../../src/routing/primitive.js';
import { Sample } from '../../../src/routing/sample.js';
import type { Peer, ReliablePort, Session, Site } from '../../../src/routing/site.js';
import type { Terms } from '../../../src/routing/terms.js';
import { FramePeer, untilAcknowledged } from '../../support/frame-peer.js';
import { ManualClock } from '../../support/manual-clock.js';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** What the site was told, in order: `['request', Request]`, `['acknowledge', 3]`. */
type Told = readonly [what: string, ...details: readonly unknown[]];

/** A session that notes what it is told, answers as scripted, and can be played by the test. */
class ScriptedSession implements Session {
  readonly deliveries: Delivery[] = [];

  constructor(
    readonly id: string,
    readonly peer: Peer,
    readonly port: ReliablePort,
    private readonly site: ScriptedSite,
  ) {}

  readonly request = (request: Request): Promise<Response> => {
    this.site.tell('request', request);
    return Promise.resolve(this.site.respond(request));
  };

  async subscribe(request: Request, terms: Terms) {
    this.site.tell('subscribe', request, terms);
    const response = await this.site.respond(request);
    if (response.status !== 'STATUS_OK') return response;
    const delivery = new Delivery(this.port, 'content', request.defaultFormat, terms);
    this.deliveries.push(delivery);
    return { delivery, response };
  }

  open(delivery: Delivery): void {
    delivery.mode = MODE.active;
    this.site.tell('open', delivery);
  }

  async subscribePattern(request: Request) {
    this.site.tell('subscribePattern', request);
    return await this.site.respond(request);
  }

  unsubscribe(delivery: Delivery, ending: string): void {
    this.port.release(delivery);
    this.site.tell('unsubscribe', ending);
  }

  acknowledge(seq: number): void {
    this.site.tell('acknowledge', seq);
  }

  async receive(kind: string, body: JsonObject) {
    this.site.tell('receive', kind, body);
    return body.commandId === 'unknown' ? refuse('STATUS_NOT_FOUND', 'No such command.') : undefined;
  }

  close(ending: string): void {
    this.site.tell('close', ending);
  }

  detach(cause: string, isWanted: boolean): void {
    this.site.tell('detach', cause, isWanted);
  }

  resume(): void {
    this.site.tell('resume');
  }
}

/** What every fresh session is told. */
const WELCOME = { t: 'welcome', resumed: false, heartbeatMs: 1000, resumeWithinS: 30, heard: 0, subs: [] } as const;

class ScriptedSite implements Site {
  readonly told: Told[] = [];
  readonly sessions: ScriptedSession[] = [];
  respond: (request: Request) => Response | Promise<Response> = () => answer('STATUS_OK');
  private readonly waiting: { readonly what: string; readonly count: number; readonly done: () => void }[] = [];

  request(): Promise<Response> {
    throw new Error('a session asks for itself');
  }

  connect(peer: Peer, port: ReliablePort) {
    if (peer.attach.some((path) => path.includes('nobody')))
      return refuse('STATUS_NOT_FOUND', 'There is no such application.');
    const session = new ScriptedSession(`session-${this.sessions.length + 1}`, peer, port, this);
    this.sessions.push(session);
    this.tell('connect', peer);
    return session;
  }

  discover = () => [];

  tell(what: string, ...details: unknown[]): void {
    this.told.push([what, ...details]);
    for (const { what: wanted, count, done } of this.waiting) if (this.all(wanted).length >= count) done();
  }

  all(what: string): readonly Told[] {
    return this.told.filter(([told]) => told === what);
  }

  /** Resolves when the site has been told this, so many times. */
  async heard(what: string, count = 1): Promise<readonly unknown[]> {
    if (this.all(what).length < count) await new Promise<void>((done) => this.waiting.push({ what, count, done }));
    return this.all(what)[count - 1]?.slice(1) ?? [];
  }
}

async function serve({ identify, prefer = 'uws' }: { identify?: Identify; prefer?: TransportName } = {}) {
  const site = new ScriptedSite();
  // Time stands still, but the sockets are real: their turns end by themselves.
  const clock = Object.assign(new ManualClock(), { atTurnEnd: systemClock.atTurnEnd });
  const transport = openTransport({ clock, log: silentLog, prefer });
  const binding = new WsBinding(site, { clock, log: silentLog, random: seededRandom(1) }, identify);
  const listener = await transport.listen(
    { host: '127.0.0.1', port: 0 },
    { request: () => ({ status: 404 }), upgrade: binding.upgrade },
  );
  cleanUps.push(() => listener.close());
  const { port } = listener.address;

  async function connect(
    subprotocol: Subprotocol = 'gridcast.v1+json',
    options: ClientOptions = {},
  ): Promise<FramePeer> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/m2m`, [subprotocol], options);
    cleanUps.push(() => socket.terminate());
    const peer = new FramePeer(socket, subprotocol);
    await once(socket, 'open');
    return peer;
  }

  function refusal(path: string, protocols: string[], options: ClientOptions = {}): Promise<string> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, options);
    return new Promise((told, failed) => {
      socket.on('error', () => {});
      socket.on('open', () => failed(new Error('the upgrade was taken')));
      socket.on('unexpected-response', (_request, response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => (body += chunk.toString()));
        response.on('end', () => told(`${response.statusCode} ${body}`));
      });
    });
  }
  return { site, clock, binding, connect, refusal, port };
}

const document = { container: { id: 'load' } };
const stored = { mediaType: 'application/json', bytes: Buffer.from(JSON.stringify(document)) };
const encoder = { encode: () => Buffer.from('[{"v":50}]') };
let sequence = 0;
const sample = (measuredUs = 1_000_000): Sample => {
  const made = new Sample({ kind: 'stored', ...stored }, measuredUs, 0, 0, encoder, 'id');
  made.sequence = ++sequence;
  return made;
};
const offer = (delivery: Delivery, one: Sample): void => {
  delivery.port.offer(delivery, one);
  delivery.port.flush(false);
};

describe('an upgrade', () => {
  test.each<[string, string, string[], ClientOptions, string]>([
    ['of another path', '/other', ['gridcast.v1'], {}, '404 .*opened at /m2m'],
    [
      'of an unknown subprotocol',
      '/m2m',
      ['mqtt', 'coap'],
      {},
      '400 .*gridcast.v1, gridcast.v1\\+json, not mqtt, coap',
    ],
    ['without a subprotocol', '/m2m', [], {}, '400 .*gridcast.v1, gridcast.v1\\+json, and none was offered'],
    ['by a page of another origin', '/m2m', ['gridcast.v1'], { origin: 'http://evil.example' }, '403 .*another origin'],
  ])('%s is refused with a sentence', async (_what, path, protocols, options, expected) => {
    const { refusal, site } = await serve();
    expect(await refusal(path, protocols, options)).toMatch(new RegExp(`^${expected}`));
    expect(site.told).toEqual([]);
  });

  test('takes the first subprotocol offered that is known', async () => {
    const { port } = await serve();
    const socket = new WebSocket(`ws://127.0.0.1:${port}/m2m`, ['coap', 'gridcast.v1+json', 'gridcast.v1']);
    cleanUps.push(() => socket.terminate());
    await once(socket, 'open');
    expect(socket.protocol).toBe('gridcast.v1+json');
  });
});

describe.each<[Subprotocol]>([['gridcast.v1+json'], ['gridcast.v1']])('%s', (subprotocol) => {
  const isBinary = FRAME_CODECS[subprotocol].isBinary;
  const hello: Frame = { t: 'hello', attach: [] };

  test('hello is answered with welcome; the session knows originator, address and what it attaches', async () => {
    const { site, connect } = await serve();
    const peer = await connect(subprotocol);
    peer.send({ t: 'hello', originator: 'app-1', attach: ['/m2m/applications/pmu-61', '/m2m/applications/a%20b'] });
    expect(await peer.next()).toEqual({ ...WELCOME, session: 'session-1', heartbeatMs: 100 });
    expect(await site.heard('connect')).toEqual([
      {
        binding: 'ws',
        address: '127.0.0.1',
        originator: 'app-1',
        attach: [
          ['m2m', 'applications', 'pmu-61'],
          ['m2m', 'applications', 'a b'],
        ],
      },
    ]);
  });

  test('a request becomes the primitive, and its answer a frame of the same id', async () => {
    const { site, connect } = await serve();
    site.respond = () =>
      answer('STATUS_CREATED', { location: ['m2m', 'a b'], etag: '7', content: { kind: 'document', document } });
    const peer = await connect(subprotocol);
    peer.send({
      t: 'req',
      id: 9,
      op: 'create',
      to: '/m2m/a%20b?rate=5',
      accept: 'application/json',
      payload: stored,
      ifMatch: ['1'],
      ifNoneMatch: ['*'],
    });
    const reply = await peer.next();
    expect(reply).toMatchObject({
      t: 'res',
      id: 9,
      status: 'STATUS_CREATED',
      code: 201,
      location: '/m2m/a%20b',
      etag: '7',
    });
    expect(reply).toMatchObject({ payload: { mediaType: 'application/json' } });
    const [request] = (await site.heard('request')) as [Request];
    expect(request).toMatchObject({
      op: 'create',
      to: ['m2m', 'a b'],
      binding: 'ws',
      accept: ['application/json'],
      defaultFormat: isBinary ? FORMATS.protobuf : FORMATS.senmlJson,
      ifMatch: ['1'],
      ifNoneMatch: ['*'],
      originator: 'anonymous',
    });
    expect(request.query.get('rate')).toBe('5');
    expect(request.body?.document()).toEqual(document);
  });

  test('a refusal of the site is a res with an errorInfo', async () => {
    const { site, connect } = await serve();
    site.respond = () => answer('STATUS_METHOD_NOT_ALLOWED', { detail: 'Not here.', allow: ['retrieve'] });
    const peer = await connect(subprotocol);
    peer.send({ t: 'req', id: 1, op: 'delete', to: '/m2m', ifMatch: [], ifNoneMatch: [] });
    const reply = await peer.next();
    expect(reply).toMatchObject({ status: 'STATUS_METHOD_NOT_ALLOWED', code: 405, allow: ['retrieve'] });
    expect(JSON.parse(Buffer.from((reply as { payload: { bytes: Uint8Array } }).payload.bytes).toString())).toEqual({
      errorInfo: { statusCode: 'STATUS_METHOD_NOT_ALLOWED', additionalInfo: 'Not here.' },
    });
  });

  test('a subscription: terms, the state now, then notifications with n, missed and time; several on one socket', async () => {
    const { site, connect } = await serve();
    site.respond = () => answer('STATUS_OK', { content: { kind: 'document', document } });
    const peer = await connect(subprotocol);
    peer.send({ t: 'sub', id: 2, to: '/m2m/x/latest/content?c.con=1', rate: 5, class: 'control' });
    expect(await peer.next()).toMatchObject({
      t: 'res',
      id: 2,
      status: 'STATUS_OK',
      format: isBinary ? 'application/x-protobuf' : 'application/senml+json',
      payload: { mediaType: 'application/json' },
    });
    expect((await site.heard('subscribe'))[1]).toEqual({ rate: 5, latencyClass: 'control', isConfirmable: true });
    peer.send({ t: 'sub', id: 3, to: '/m2m/y/latest/content' });
    expect(await peer.next()).toMatchObject({ t: 'res', id: 3 });
    await site.heard('open', 2);

    const [first, second] = site.sessions[0]?.deliveries ?? [];
    if (!first || !second) throw new Error('two subscriptions are open');
    first.missed = 4;
    const one = sample(1_500_000);
    offer(first, one);
    offer(second, one);
    const body = Buffer.from(isBinary ? encoder.encode() : '[{"v":50}]');
    const shared = { t: 'ntf', n: one.sequence, timeUs: 1_500_000, body };
    expect(await peer.next()).toEqual({ ...shared, sub: 2, missed: 4 });
    expect(await peer.next()).toEqual({ ...shared, sub: 3, missed: 0 });
    expect([first.delivered, second.delivered]).toEqual([1, 1]);
  });

  test('no notification comes before the answer to sub, nor after the answer to unsub', async () => {
    const { site, connect } = await serve();
    let admit: (response: Response) => void = () => {};
    site.respond = () => new Promise((done) => (admit = done));
    const peer = await connect(subprotocol);
    peer.send({ t: 'sub', id: 2, to: '/m2m/x' });
    await site.heard('subscribe');
    admit(answer('STATUS_OK'));
    expect(await peer.next()).toMatchObject({ t: 'res', id: 2 });
    const [delivery] = (await site.heard('open')) as [Delivery];
    peer.send({ t: 'unsub', id: 5, sub: 2 });
    expect(await peer.next()).toMatchObject({ t: 'res', id: 5, status: 'STATUS_OK' });
    expect(await site.heard('unsubscribe')).toEqual(['UNSUBSCRIBED']);
    offer(delivery, sample());
    peer.send({ t: 'ping', id: 6 });
    expect(await peer.next()).toEqual({ t: 'pong', id: 6 });
  });

  test('a subscription that the broker ends is told why, and its id is free again', async () => {
    const { site, connect } = await serve();
    const peer = await connect(subprotocol);
    peer.send({ t: 'sub', id: 2, to: '/m2m/x' });
    await peer.next();
    const [delivery] = (await site.heard('open')) as [Delivery];
    delivery.port.end(delivery, 'RESOURCE_DELETED');
    expect(await peer.next()).toEqual({
      t: 'end',
      sub: 2,
      ending: 'RESOURCE_DELETED',
      status: 'STATUS_DELETED',
      reason: 'The resource was deleted.',
    });
    peer.send({ t: 'sub', id: 2, to: '/m2m/x' });
    expect(await peer.next()).toMatchObject({ t: 'res', status: 'STATUS_OK' });
  });

  test('the reliable lane: msg out and its ack in; the device’s words in, each acknowledged, in order', async () => {
    const { site, connect } = await serve();
    const peer = await connect(subprotocol);
    peer.send(hello);
    await peer.next();
    site.sessions[0]?.port.sendReliable(1, 'command', { commandId: 'c-1', list: [] });
    expect(await peer.next()).toEqual({ t: 'msg', seq: 1, kind: 'command', body: { commandId: 'c-1', list: [] } });
    peer.send({ t: 'ack', seq: 1 });
    expect(await site.heard('acknowledge')).toEqual([1]);

    const word = { commandId: 'c-1', state: 'executed' };
    peer.send(
      { t: 'msg', seq: 1, kind: 'outcome', body: word },
      { t: 'msg', seq: 2, kind: 'outcome', body: { commandId: 'unknown' } },
    );
    expect(await site.heard('receive')).toEqual(['outcome', word]);
    expect(await untilAcknowledged(peer, 2)).toEqual([
      { t: 'error', status: 'STATUS_NOT_FOUND', reason: 'No such command.', seq: 2 },
    ]);
  });

  test.each<[string, Frame, Partial<Frame>]>([
    [
      'a path that is none',
      { t: 'req', id: 1, op: 'retrieve', to: 'm2m', ifMatch: [], ifNoneMatch: [] },
      { status: 'STATUS_BAD_REQUEST' },
    ],
    ['an encoded slash', { t: 'sub', id: 1, to: '/m2m/a%2Fb' }, { status: 'STATUS_BAD_REQUEST' }],
    ['a rate of nothing', { t: 'sub', id: 1, to: '/m2m', rate: 0 }, { status: 'STATUS_BAD_REQUEST' }],
    ['an unknown condition', { t: 'sub', id: 1, to: '/m2m?c.unknown=5' }, { status: 'STATUS_BAD_REQUEST' }],
    [
      'a rate among conditions',
      { t: 'sub', id: 1, to: '/m2m', conditions: 'rate=5' },
      { status: 'STATUS_BAD_REQUEST' },
    ],
    ['a batch of an hour', { t: 'sub', id: 1, to: '/m2m', batchMs: 3_600_000 }, { status: 'STATUS_BAD_REQUEST' }],
    ['no such subscription', { t: 'unsub', id: 1, sub: 77 }, { status: 'STATUS_NOT_FOUND' }],
  ])('%s is a res that says so, and the socket goes on', async (_what, frame, expected) => {
    const { connect } = await serve();
    const peer = await connect(subprotocol);
    peer.send(frame, { t: 'ping' });
    expect(await peer.next()).toMatchObject({ t: 'res', id: 1, ...expected });
    expect(await peer.next()).toEqual({ t: 'pong' });
  });

  test('an id that is taken is 409, whether its subscription is open or still asked for', async () => {
    const { site, connect } = await serve();
    const peer = await connect(subprotocol);
    let admit: (response: Response) => void = () => {};
    site.respond = () => new Promise((done) => (admit = done));
    peer.send({ t: 'sub', id: 2, to: '/m2m/x' }, { t: 'sub', id: 2, to: '/m2m/y' });
    expect(await peer.next()).toMatchObject({ t: 'res', id: 2, status: 'STATUS_CONFLICT' });
    admit(answer('STATUS_OK'));
    expect(await peer.next()).toMatchObject({ t: 'res', id: 2, status: 'STATUS_OK' });
    peer.send({ t: 'sub', id: 2, to: '/m2m/y' });
    expect(await peer.next()).toMatchObject({ t: 'res', id: 2, status: 'STATUS_CONFLICT' });
  });

  test('a refused subscription leaves nothing behind', async () => {
    const { site, connect } = await serve();
    site.respond = () => answer('STATUS_NOT_FOUND', { detail: 'No.' });
    const peer = await connect(subprotocol);
    peer.send({ t: 'sub', id: 2, to: '/m2m/x' });
    expect(await peer.next()).toMatchObject({ t: 'res', id: 2, code: 404 });
    peer.send({ t: 'unsub', id: 3, sub: 2 });
    expect(await peer.next()).toMatchObject({ t: 'res', id: 3, code: 404 });
  });

  test('a message of the wrong kind closes with 1003', async () => {
    const { connect } = await serve();
    const peer = await connect(subprotocol);
    peer.socket.send(Buffer.from('{"t":"ping"}'), { binary: !isBinary });
    expect(await peer.closed).toEqual({
      code: 1003,
      reason: `${subprotocol} takes ${isBinary ? 'binary' : 'text'} messages`,
    });
  });

  test('what is no frame is an error with a sentence; after 32 of them the peer is closed with 1008', async () => {
    const { connect, binding } = await serve();
    const peer = await connect(subprotocol);
    for (let i = 0; i < 32; i++) peer.socket.send(Buffer.from('\xff{', 'utf8'), { binary: isBinary });
    const first = await peer.next();
    expect(first).toMatchObject({ t: 'error', status: 'STATUS_BAD_REQUEST' });
    expect((first as { reason: string }).reason).toMatch(/\.$/);
    expect(await peer.closed).toEqual({ code: 1008, reason: 'PROTOCOL_ERROR' });
    expect(binding.faults).toBe(32);
  });

  test('words of the broker are no words of a client', async () => {
    const { connect } = await serve();
    const peer = await connect(subprotocol);
    peer.send({ t: 'welcome', session: 'x', resumed: true, subs: [] });
    expect(await peer.next()).toMatchObject({
      t: 'error',
      reason: expect.stringContaining('"welcome" is a word of the broker'),
    });
  });
});

describe('a session', () => {
  const hello = (rest: Partial<Extract<Frame, { t: 'hello' }>> = {}): Frame => ({ t: 'hello', attach: [], ...rest });

  test('needs no hello: the first frame opens it, as who the upgrade said', async () => {
    const identify: Identify = ({ token, originator }) =>
      token === 'good' ? { originator: originator ?? 'app-1' } : refuse('STATUS_PERMISSION_DENIED', 'Who are you?');
    const { site, connect } = await serve({ identify });
    const peer = await connect('gridcast.v1+json', { headers: { authorization: 'Bearer good' } });
    peer.send({ t: 'ping' });
    expect(await peer.next()).toEqual({ t: 'pong' });
    expect(await site.heard('connect')).toMatchObject([{ originator: 'app-1', attach: [] }]);
  });

  test('holds what is said while a token is being checked, in order; too much of it is refused', async () => {
    let prove: (identity: Identity) => void = () => {};
    const identify: Identify = ({ token }) =>
      (token === undefined ? { originator: 'nobody' } : new Promise((proven) => (prove = proven))) as Identity;
    const { site, connect } = await serve({ identify });
    const peer = await connect();
    peer.send(
      hello({ token: 'slow' }),
      { t: 'req', id: 1, op: 'retrieve', to: '/m2m', ifMatch: [], ifNoneMatch: [] },
      { t: 'ping' },
    );
    const other = await connect();
    other.send({ t: 'ping' });
    expect(await other.next()).toEqual({ t: 'pong' });
    expect(site.all('connect')).toHaveLength(1);
    prove({ originator: 'app-1' });
    expect((await peer.next()).t).toBe('welcome');
    expect([(await peer.next()).t, (await peer.next()).t].sort()).toEqual(['pong', 'res']);
    const loud = await connect();
    loud.send(hello({ token: 'slow' }), ...Array.from({ length: 65 }, () => ({ t: 'ping' }) as const));
    expect(await loud.next()).toMatchObject({ t: 'error', status: 'STATUS_TOO_MANY_REQUESTS' });
    expect((await loud.closed).code).toBe(1008);
  });

  test('ends with its token, though its connection is broken; a newer token prolongs it', async () => {
    const clock = { nowUs: 0 };
    const identify: Identify = ({ token }) => ({ originator: 'app-1', expiresUs: clock.nowUs + Number(token) * 1e6 });
    const { site, connect, clock: manual } = await serve({ identify });
    clock.nowUs = manual.wallUs();
    // The listener's own.
    const { pending } = manual;
    const attach = ['/m2m/applications/pmu-1'];
    const first = await connect();
    first.send(hello({ token: '10', attach }));
    const welcome = await first.next();
    if (welcome.t !== 'welcome') throw new Error(`no welcome: ${welcome.t}`);
    first.socket.terminate();
    await site.heard('detach');
    const second = await connect();
    second.send(hello({ token: '20', attach, resume: welcome.session }));
    expect(await second.next()).toMatchObject({ t: 'welcome', resumed: true });
    second.socket.terminate();
    await site.heard('detach', 2);
    manual.advance(15_000);
    expect(site.all('close')).toEqual([]);
    manual.advance(6_000);
    expect(site.all('close')).toMatchObject([['close', 'TOKEN_EXPIRED']]);
    expect(manual.pending).toBe(pending);
  });

  test('is refused with an error and 1008 where the token is not known, the application not there, or hello comes twice', async () => {
    const identify: Identify = ({ token }) =>
      token === 'good' ? { originator: 'app-1' } : refuse('STATUS_PERMISSION_DENIED', 'Who are you?');
    const { connect } = await serve({ identify });
    const scripts: [Frame[], string][] = [
      [[hello({ token: 'bad' })], 'Who are you?'],
      [[{ t: 'ping' }], 'Who are you?'],
      [[hello({ token: 'good', attach: ['/m2m/nobody'] })], 'There is no such application.'],
      [[hello({ token: 'good', attach: ['m2m'] })], 'must start with "/"'],
      [[hello({ token: 'good' }), hello({ token: 'good' })], '"hello" is the first frame'],
    ];
    for (const [frames, reason] of scripts) {
      const peer = await connect();
      peer.send(...frames);
      let last = await peer.next();
      if (last.t === 'welcome') last = await peer.next();
      expect(last).toMatchObject({ t: 'error', reason: expect.stringContaining(reason) });
      expect(await peer.closed).toEqual({ code: 1008, reason: 'PROTOCOL_ERROR' });
    }
  });

  test('that never speaks is closed after a minute', async () => {
    const { connect, clock, site } = await serve();
    const [silent, speaking] = [await connect(), await connect()];
    speaking.send({ t: 'ping' });
    await speaking.next();
    clock.advance(60_000);
    expect(await silent.closed).toEqual({ code: 1008, reason: 'IDLE_TIMEOUT' });
    speaking.send({ t: 'ping' });
    expect(await speaking.next()).toEqual({ t: 'pong' });
    expect(site.all('close')).toEqual([]);
  });

  test('that is resumed goes on, if it is the same originator’s; its old connection is closed', async () => {
    const { connect, site } = await serve();
    const [old, foreign, next] = [await connect(), await connect(), await connect()];
    old.send(hello({ originator: 'app-1' }));
    await old.next();
    foreign.send(hello({ originator: 'app-2', resume: 'session-1' }));
    expect(await foreign.next()).toMatchObject({ t: 'welcome' });
    old.send({ t: 'ping' });
    expect(await old.next()).toEqual({ t: 'pong' });
    next.send(hello({ originator: 'app-1', resume: 'session-1' }));
    expect(await next.next()).toEqual({ ...WELCOME, session: 'session-1', resumed: true });
    expect(site.told.slice(-2)).toEqual([['detach', 'REPLACED', true], ['resume']]);
    expect(await old.closed).toEqual({ code: 1000, reason: 'REPLACED' });
  });

  test('ends with its socket, told why, and lets go of what it held', async () => {
    const { site, connect, binding } = await serve();
    const peer = await connect();
    site.respond = () => new Promise(() => {});
    peer.send({ t: 'req', id: 1, op: 'retrieve', to: '/m2m/channel', ifMatch: [], ifNoneMatch: [] });
    const [request] = (await site.heard('request')) as [Request];
    const gone = new Promise<void>((done) => request.onGone?.(done));
    expect(binding.open).toBe(1);
    peer.socket.close();
    await gone;
    expect(await site.heard('close')).toEqual(['PEER_CLOSED']);
    expect(binding.open).toBe(0);
  });

  test.each([
    ['SLOW_CONSUMER', 1013],
    ['CRASHED', 1011],
    ['SHUTDOWN', 1012],
  ] as const)('that the broker ends for %s is closed with %i and the word', async (ending, code) => {
    const { site, connect, binding } = await serve();
    const peer = await connect();
    peer.send(hello());
    await peer.next();
    if (ending === 'SHUTDOWN') binding.close(ending);
    else site.sessions[0]?.port.close(ending);
    expect(await peer.closed).toEqual({ code, reason: ending });
    expect(await site.heard('close')).toEqual([ending]);
  });

  test('has 64 requests under way at most; one more is 503 with a time to wait', async () => {
    const { site, connect } = await serve();
    const peer = await connect();
    const release: ((response: Response) => void)[] = [];
    site.respond = () => new Promise((done) => release.push(done));
    const ask = (id: number): Frame => ({ t: 'req', id, op: 'retrieve', to: '/m2m', ifMatch: [], ifNoneMatch: [] });
    for (let id = 1; id <= 65; id++) peer.send(ask(id));
    expect(await peer.next()).toMatchObject({ t: 'res', id: 65, status: 'STATUS_SERVICE_UNAVAILABLE', retryAfterS: 1 });
    release[0]?.(answer('STATUS_OK'));
    expect(await peer.next()).toMatchObject({ t: 'res', id: 1, status: 'STATUS_OK' });
    peer.send(ask(66));
    await site.heard('request', 65);
  });

  test('survives a fault behind the site: the request is answered 500', async () => {
    const { site, connect } = await serve();
    const peer = await connect();
    site.respond = ({ to }) =>
      to.length > 1 ? Promise.reject(new Error('a bug')) : refused(refuse('STATUS_NOT_FOUND', 'No.'));
    peer.send({ t: 'req', id: 1, op: 'retrieve', to: '/m2m/x', ifMatch: [], ifNoneMatch: [] });
    expect(await peer.next()).toMatchObject({ t: 'res', id: 1, code: 500 });
    peer.send({ t: 'sub', id: 2, to: '/m2m' });
    expect(await peer.next()).toMatchObject({ t: 'res', id: 2, code: 404 });
  });
});

test.each<[TransportName]>([['uws'], ['node']])(
  'over %s a slow reader gets the newest, is told what it missed, and loses nothing uncounted',
  async (prefer) => {
    const { site, connect } = await serve({ prefer });
    const peer = await connect();
    peer.send({ t: 'sub', id: 1, to: '/m2m/x' });
    await peer.next();
    const [delivery] = (await site.heard('open')) as [Delivery];
    const body = Buffer.from(`["${'x'.repeat(10_000)}"]`);
    const large = (): Sample => {
      const made = new Sample(
        { kind: 'stored', mediaType: 'application/json', bytes: body },
        1,
        0,
        0,
        { encode: () => body },
        'id',
      );
      made.sequence = ++sequence;
      return made;
    };
    peer.socket.pause();
    let offered = 0;
    // The kernel takes some megabytes first.
    while (delivery.missed < 100) {
      offer(delivery, large());
      offered++;
      await new Promise((turn) => setImmediate(turn));
    }
    peer.socket.resume();
    let accounted = 0;
    let last: Frame | undefined;
    while (accounted < offered) {
      last = await peer.next();
      if (last.t === 'ntf') accounted += 1 + last.missed;
    }
    expect(accounted).toBe(offered);
    expect(last).toMatchObject({ n: sequence, missed: 100 });
  },
);
