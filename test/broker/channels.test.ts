/** Secure channels of a whole broker, on real sockets: clients are node:https, ws, curl and our own SDK. */
import { execFile, spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { get, type RequestOptions } from 'node:https';
import { connect as connectTls } from 'node:tls';
import { once } from 'node:events';
import { promisify } from 'node:util';
import { pino } from 'pino';
import fc from 'fast-check';
import { WebSocket, type ClientOptions } from 'ws';
import { open } from '../../src/client/index.js';
import type { Config } from '../../src/config.js';
import type { TlsConfig } from '../../src/config-channels.js';
import { Authority, hasOpenssl, type Certificate } from '../support/certificates.js';
import { AuditedStore } from './command-stage.js';
import { closeBrokers, startBroker } from '../support/broker.js';
import { API_KEY, Issuer } from '../support/tokens.js';

const issuer = new Issuer();
const identity = issuer.identity();
const listeners: Config['listeners'] = [
  { protocol: 'https', host: '127.0.0.1', port: 0, network: 'public' },
  { protocol: 'http', host: '127.0.0.1', port: 0 },
  { protocol: 'coap', host: '127.0.0.1', port: 0 },
];
const LOAD = { op: 'create', to: '/m2m/containers', body: { container: { id: 'load' } } } as const;

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
  await closeBrokers();
});

/** Status of a GET by node:https; `refused` where no answer came about. */
function ask(uri: string, options: RequestOptions = {}): Promise<number | 'refused'> {
  return new Promise((answered) => {
    get(uri, { agent: false, ...options }, (response) => {
      response.resume();
      answered(response.statusCode ?? 0);
    }).on('error', () => answered('refused'));
  });
}

/** A socket by ws that has said hello: the first frame, and how it is closed. */
async function hello(uri: string, said: object, options: ClientOptions = {}) {
  const socket = new WebSocket(uri, 'gridcast.v1+json', options);
  cleanUps.push(() => socket.terminate());
  const closed = new Promise<string>((done) =>
    socket.on('close', (code, reason) => done(`${code} ${reason.toString()}`)),
  );
  await once(socket, 'open');
  socket.send(JSON.stringify({ t: 'hello', attach: [], ...said }));
  const [frame] = (await once(socket, 'message')) as [Buffer];
  return { frame: JSON.parse(frame.toString()) as { t: string; status?: string }, closed };
}

describe('in clear, a token', () => {
  test('is asked for over all three bindings, and one that is wrong is refused with 401', async () => {
    const { http, ws, coap } = await startBroker({ identity });
    for (const uri of [http, coap]) {
      const nobody = await open(uri);
      cleanUps.push(() => nobody.close());
      await expect(nobody.request({ op: 'retrieve', to: '/m2m' })).rejects.toMatchObject({ code: 401 });
    }
    await expect(open(ws)).rejects.toMatchObject({ code: 401 });
    for (const token of ['wrong', issuer.token({ exp: 1 }), new Issuer().token()]) {
      const answer = await fetch(`${http}/m2m`, { headers: { authorization: `Bearer ${token}` } });
      expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, 'Bearer']);
      await expect(open(ws, { token })).rejects.toMatchObject({ code: 401 });
      await expect(open(coap, { token })).rejects.toMatchObject({ code: 401 });
    }
    expect((await fetch(`${http}/livez`)).status).toBe(200);
    expect((await fetch(`${http}/metrics`)).status).toBe(401);
  });

  test('lets its owner in over all three, under no other name', async () => {
    const { http, ws, coap } = await startBroker({ identity });
    for (const token of [API_KEY, issuer.token()]) {
      for (const uri of [http, ws, coap]) {
        const client = await open(uri, { token });
        expect((await client.request({ op: 'retrieve', to: '/m2m' })).status).toBe('STATUS_OK');
        await client.close();
      }
    }
    expect((await hello(ws, { token: API_KEY, originator: 'meter-7' })).frame.t).toBe('welcome');
    const { frame, closed } = await hello(ws, { token: API_KEY, originator: 'operator-1' });
    expect(frame).toMatchObject({ t: 'error', status: 'STATUS_PERMISSION_DENIED' });
    expect(await closed).toBe('1008 PROTOCOL_ERROR');
  });

  test('that expires ends its WebSocket session and its CoAP observation within a second, told why', async () => {
    const { http, ws, coap } = await startBroker({ identity });
    const owner = await open(http, { token: API_KEY });
    cleanUps.push(() => owner.close());
    await owner.request(LOAD);
    await owner.request({
      op: 'create',
      to: '/m2m/containers/load/contentInstances',
      body: { mediaType: 'text/plain', bytes: Buffer.from('1') },
    });
    const expS = Math.ceil(Date.now() / 1000) + 2;
    const token = issuer.token({ exp: expS });
    const session = await hello(ws, { token });
    expect(session.frame.t).toBe('welcome');
    const client = await open(coap, { token });
    cleanUps.push(() => client.close());
    const observed = client.observe('/m2m/containers/load/contentInstances/latest/content').next();
    const told = expect(observed).rejects.toMatchObject({ code: 401, message: expect.stringContaining('expired') });
    expect(await session.closed).toBe('1008 TOKEN_EXPIRED');
    await told;
    expect(Date.now() / 1000).toBeLessThan(expS + 2);
    await expect(client.request({ op: 'retrieve', to: '/m2m' })).rejects.toMatchObject({ code: 401 });
  }, 15_000);

  test.each(['http', 'coap'] as const)('that expires ends a poll that is held over %s', async (binding) => {
    const running = await startBroker({ identity });
    const expS = Math.ceil(Date.now() / 1000) + 2;
    const client = await open(running[binding], { token: issuer.token({ exp: expS }) });
    cleanUps.push(() => client.close());
    const body = { notificationChannel: { channelType: 'LONG_POLLING' } };
    const { location } = await client.request({ op: 'create', to: '/m2m/notificationChannels', body });
    const poll = client.request({ op: 'retrieve', to: `${location}/longPolling`, timeoutMs: 60_000 });
    await expect(poll).rejects.toMatchObject({ code: 401, message: expect.stringContaining('expired') });
    expect(Date.now() / 1000).toBeGreaterThan(expS - 1);
    expect(Date.now() / 1000).toBeLessThan(expS + 10);
  });

  test('that is refused is in the audit trail, with where it came from, and without the token', async () => {
    const store = new AuditedStore();
    const { http, ws, coap } = await startBroker({ identity }, { store });
    for (const uri of [http, ws, coap]) {
      const client = open(uri, { token: 'wrong' });
      await expect(client.then((each) => each.request(LOAD))).rejects.toMatchObject({ code: 401 });
      void client.then((each) => each.close()).catch(() => {});
    }
    // Who shows nothing has shown nothing wrong.
    expect((await fetch(`${http}/m2m`)).status).toBe(401);
    const refusals = store.audited.filter(({ event }) => event === 'token-refused');
    expect(refusals.map(({ details }) => details?.binding)).toEqual(['http', 'ws', 'coap']);
    for (const { originator } of refusals) expect(originator).toMatch(/^127\.0\.0\.1/);
    expect(JSON.stringify(refusals)).not.toContain('"wrong"');
  });

  test('that a CoAP broker has forgotten is shown again, once', async () => {
    const former = await startBroker({ identity });
    const client = await open(former.coap, { token: issuer.token() });
    cleanUps.push(() => client.close());
    await client.request(LOAD);
    const { port } = former.coapAddress;
    await former.close();
    const { broker } = await startBroker({ identity, coap: port });
    expect(await client.request(LOAD)).toMatchObject({ status: 'STATUS_CREATED' });
    await broker.stop();
    // Where it is not taken any more, that is the answer.
    await startBroker({ identity: new Issuer().identity(), coap: port });
    await expect(client.request(LOAD)).rejects.toMatchObject({ code: 401 });
  });

  test('by a key that the issuer has replaced is refused once the keys are read again; a file that is none changes nothing', async () => {
    const [former, latter] = [new Issuer(), new Issuer()];
    const { http, security } = await startBroker({ identity: former.identity() });
    const status = async (by: Issuer): Promise<number> =>
      (await fetch(`${http}/m2m`, { headers: { authorization: `Bearer ${by.token()}` } })).status;
    expect([await status(former), await status(latter)]).toEqual([200, 401]);
    writeFileSync(former.file, 'no key');
    expect(await security.reload()).toMatchObject({ detail: expect.stringMatching(/^identity.jwt.keys: /) });
    expect([await status(former), await status(latter)]).toEqual([200, 401]);
    writeFileSync(former.file, latter.pem);
    expect(await security.reload()).toBeUndefined();
    expect([await status(former), await status(latter)]).toEqual([401, 200]);
  });

  test('stands in no line of the log, whatever it is and wherever it comes', async () => {
    const lines: string[] = [];
    const log = pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) });
    const { http, ws, coap } = await startBroker({ identity }, { log });
    const jwt = fc.record({ sub: fc.string(), exp: fc.integer() }).map((claims) => issuer.token(claims));
    const wrong = fc.stringMatching(/^[\w.~+/-]{12,60}$/);
    await fc.assert(
      fc.asyncProperty(fc.oneof(jwt, wrong, fc.constant(API_KEY)), async (token) => {
        await fetch(`${http}/m2m`, { headers: { authorization: `Bearer ${token}` } });
        for (const uri of [ws, coap])
          await open(uri, { token }).then(
            (client) => client.close(),
            () => undefined,
          );
        expect(lines.join('')).not.toContain(token);
        expect(lines.join('')).not.toContain(token.slice(-12));
      }),
      { numRuns: 15 },
    );
    expect(lines.length).toBeGreaterThan(0);
  }, 30_000);
});

(hasOpenssl ? describe : describe.skip)('over TLS', () => {
  let authority: Authority;
  let server: Certificate;
  beforeAll(() => {
    authority = new Authority();
    server = authority.signs('/CN=broker');
  });
  const withTls = (rest: Partial<NonNullable<TlsConfig>> = {}): Partial<Config> => ({
    listeners,
    identity,
    tls: { ...server, clientCertificates: 'none', ...rest },
  });
  const filesOf = ({ certificate, key }: Certificate) => ({
    cert: readFileSync(certificate, 'utf8'),
    key: readFileSync(key, 'utf8'),
  });

  test('HTTP and WebSocket are served to node:https, ws and the SDK; the authority is checked', async () => {
    const { https } = await startBroker(withTls());
    const ca = authority.pem;
    const headers = { authorization: `Bearer ${API_KEY}` };
    expect(await ask(`${https}/m2m`, { ca, headers })).toBe(200);
    expect(await ask(`${https}/m2m`, { ca })).toBe(401);
    expect(await ask(`${https}/m2m`, { headers })).toBe('refused');
    const wss = https.replace('https', 'wss');
    expect((await hello(`${wss}/m2m`, { token: API_KEY }, { ca })).frame.t).toBe('welcome');
    expect((await hello(`${wss}/m2m`, {}, { ca, headers })).frame.t).toBe('welcome');
    for (const uri of [https, wss]) {
      const client = await open(uri, { token: API_KEY, tls: { ca } });
      expect((await client.request({ op: 'retrieve', to: '/m2m' })).status).toBe('STATUS_OK');
      await client.close();
      const stranger = open(uri, { token: API_KEY, tls: { ca: new Authority().pem } });
      await expect(stranger.then((other) => other.request({ op: 'retrieve', to: '/m2m' }))).rejects.toMatchObject({
        kind: 'unreachable',
      });
    }
  }, 20_000);

  const curl = spawnSync('curl', ['--version']).status === 0 ? test : test.skip;
  curl('curl reads the tree', async () => {
    const { https } = await startBroker(withTls());
    const run = promisify(execFile);
    const words = ['-sS', '--cacert', authority.file, '-H', `Authorization: Bearer ${API_KEY}`, `${https}/m2m`];
    expect((await run('curl', words)).stdout).toContain('sclBase');
    await expect(run('curl', ['--tls-max', '1.2', ...words])).rejects.toMatchObject({ code: 35 });
  });

  test('1.2 is refused, and told to the operator', async () => {
    const lines: string[] = [];
    const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) });
    const { https } = await startBroker(withTls(), { log });
    expect(await ask(`${https}/m2m`, { ca: authority.pem, maxVersion: 'TLSv1.2' })).toBe('refused');
    expect(lines.join('')).toContain('tls: a handshake failed');
  });

  test('a client certificate is its owner’s name: CN, or URI where there is none', async () => {
    const { https } = await startBroker(withTls({ clientCa: authority.file, clientCertificates: 'required' }));
    const wss = `${https.replace('https', 'wss')}/m2m`;
    const ca = authority.pem;
    const named = { ca, ...filesOf(authority.signs('/CN=gscl-1')) };
    expect((await hello(wss, { originator: 'gscl-1' }, named)).frame.t).toBe('welcome');
    expect((await hello(wss, { originator: 'gscl-2' }, named)).frame.status).toBe('STATUS_PERMISSION_DENIED');
    expect((await hello(wss, { token: API_KEY }, named)).frame.status).toBe('STATUS_PERMISSION_DENIED');
    const byUri = { ca, ...filesOf(authority.signs('/O=grid', 'DNS:x,URI:urn:gridcast:gscl-3')) };
    expect((await hello(wss, { originator: 'urn:gridcast:gscl-3' }, byUri)).frame.t).toBe('welcome');
    expect(await ask(`${https}/m2m`, { ca, ...filesOf(authority.signs('/CN=a/CN=b')) })).toBe(400);
    const refused = [
      { ca },
      { ca, ...filesOf(new Authority().signs('/CN=gscl-1')) },
      { ca, ...filesOf(authority.signs('/CN=gscl-1', 'DNS:x', -1)) },
    ];
    for (const options of refused) expect(await ask(`${https}/m2m`, options)).toBe('refused');
  }, 20_000);

  test('where client certificates are optional a token does as well, and a bad certificate does not', async () => {
    const { https } = await startBroker(withTls({ clientCa: authority.file, clientCertificates: 'optional' }));
    const ca = authority.pem;
    const headers = { authorization: `Bearer ${API_KEY}` };
    expect(await ask(`${https}/m2m`, { ca, headers })).toBe(200);
    expect(await ask(`${https}/m2m`, { ca })).toBe(401);
    expect(await ask(`${https}/m2m`, { ca, ...filesOf(authority.signs('/CN=gscl-1')) })).toBe(200);
    expect(await ask(`${https}/m2m`, { ca, headers, ...filesOf(new Authority().signs('/CN=gscl-1')) })).toBe('refused');
  }, 20_000);

  test('certificates are replaced without a connection being dropped; files that do not fit change nothing', async () => {
    const files = authority.signs('/CN=first');
    const { https, security } = await startBroker(withTls(files));
    const subject = async (): Promise<unknown> => {
      const socket = connectTls({ host: '127.0.0.1', port: Number(new URL(https).port), ca: authority.pem });
      await once(socket, 'secureConnect');
      const { CN } = socket.getPeerCertificate().subject;
      socket.destroy();
      return CN;
    };
    expect(await subject()).toBe('first');
    const standing = await open(https.replace('https', 'wss'), { token: API_KEY, tls: { ca: authority.pem } });
    cleanUps.push(() => standing.close());
    const next = authority.signs('/CN=second');
    copyFileSync(next.certificate, files.certificate);
    expect(await security.reload()).toMatchObject({
      detail: expect.stringMatching(/^tls: the files do not go together/),
    });
    expect(await subject()).toBe('first');
    copyFileSync(next.key, files.key);
    expect(await security.reload()).toBeUndefined();
    expect(await subject()).toBe('second');
    expect((await standing.request({ op: 'retrieve', to: '/m2m' })).status).toBe('STATUS_OK');
  }, 20_000);
});
