import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { decode as decodeCbor } from 'cborg';
import { systemClock } from '../../../src/clock.js';
import { refuse, STATUSES, type Status } from '../../../src/errors.js';
import { silentLog } from '../../../src/log.js';
import { HttpBinding } from '../../../src/protocols/http/binding.js';
import type { Operations } from '../../../src/protocols/http/operations.js';
import type { Identify } from '../../../src/protocols/identity.js';
import { openTransport } from '../../../src/protocols/transport/open.js';
import { seededRandom } from '../../../src/random.js';
import { answer, isSuccess, type Request, type Response } from '../../../src/routing/primitive.js';
import type { Site } from '../../../src/routing/site.js';

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}
interface Asking {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
}

const QUIET: Operations = {
  expose: async () => ({ mediaType: 'text/plain', text: '' }),
  unready: () => undefined,
  descriptions: {},
  tree: () => ({}),
  explain: () => ({}),
  isOperator: () => true,
};

/** A binding on a port of its own, in front of a site that answers as told; `seen` are the requests it was asked. */
async function serve(
  respond: Response | ((request: Request) => Response | Promise<Response>),
  {
    operations = QUIET,
    identify,
    maxBodyBytes,
  }: { operations?: Operations; identify?: Identify; maxBodyBytes?: number } = {},
) {
  const seen: Request[] = [];
  const site: Site = {
    request: async (request) => {
      seen.push(request);
      return typeof respond === 'function' ? respond(request) : respond;
    },
    connect: () => refuse('STATUS_NOT_IMPLEMENTED', 'Not by HTTP.'),
    discover: () => [],
  };
  const transport = openTransport({
    clock: systemClock,
    log: silentLog,
    limits: maxBodyBytes === undefined ? {} : { maxBodyBytes },
  });
  const binding = new HttpBinding(site, operations, seededRandom(1), silentLog, identify);
  const listener = await transport.listen(
    { host: '127.0.0.1', port: 0 },
    { request: binding.handle, upgrade: () => ({ status: 404 }) },
  );
  cleanUps.push(() => listener.close());
  const { port } = listener.address;

  /** Paths go out as they are written here: fetch would tidy them. */
  function ask(path: string, { body, ...options }: Asking = {}): Promise<Reply> {
    return new Promise((answered, failed) => {
      const asking = httpRequest({ host: '127.0.0.1', port, path, agent: false, ...options }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          answered({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }),
        );
      });
      asking.on('error', failed);
      asking.end(body);
    });
  }
  return { ask, seen, port };
}

const json = ({ body }: Reply): unknown => JSON.parse(body.toString());
const additionalInfo = (reply: Reply): string =>
  (json(reply) as { errorInfo: { additionalInfo: string } }).errorInfo.additionalInfo;
const container = { container: { id: 'load' } };
const OK = answer('STATUS_OK');

describe('HTTP request to primitive', () => {
  test.each([
    ['POST', 'create'],
    ['GET', 'retrieve'],
    ['PUT', 'update'],
    ['DELETE', 'delete'],
  ])('%s is %s, with path, query, Accept, entity tags and who asks', async (method, op) => {
    const { ask, seen } = await serve(OK);
    const headers = {
      accept: 'text/plain;q=0.5, application/cbor',
      'if-match': '"1", W/"2", "3"',
      'if-none-match': 'W/"4", "5"',
    };
    await ask('/m2m/a%20b/%C3%A9?rate=5&x=%26', { method, headers });
    expect(seen[0]).toMatchObject({
      op,
      to: ['m2m', 'a b', 'é'],
      originator: 'anonymous',
      binding: 'http',
      accept: ['application/cbor', 'text/plain'],
      defaultFormat: { mediaType: 'application/senml+json' },
      ifMatch: ['1', '3'],
      ifNoneMatch: ['4', '5'],
    });
    expect(Object.fromEntries(seen[0]?.query ?? [])).toEqual({ rate: '5', x: '&' });
    expect(seen[0]?.body).toBeUndefined();
  });

  test('a body keeps its bytes and media type; one without a type is JSON', async () => {
    const { ask, seen } = await serve(OK);
    await ask('/m2m', { method: 'POST', headers: { 'content-type': 'text/csv; header=present' }, body: 'a,b' });
    await ask('/m2m', { method: 'PUT', body: JSON.stringify(container) });
    expect(seen[0]?.body).toMatchObject({ mediaType: 'text/csv; header=present', bytes: Buffer.from('a,b') });
    expect(seen[1]?.body?.document()).toEqual(container);
  });

  test('requests have ids of their own', async () => {
    const { ask, seen } = await serve(OK);
    await ask('/m2m');
    await ask('/m2m');
    expect(new Set(seen.map(({ requestId }) => requestId)).size).toBe(2);
  });

  test.each([
    ['/m2m/a%2Fb', 'a/b'],
    ['/m2m/a%00', 'which is never a name'],
    ['/m2m/../x', '".."'],
    ['/m2m/%2e%2E/x', '".."'],
    ['/m2m/./x', '"."'],
    ['/m2m//x', '""'],
    ['/m2m/%zz', 'broken percent escape'],
  ])('the path %s is refused with 400 and a sentence', async (path, part) => {
    const { ask, seen } = await serve(OK);
    const reply = await ask(path);
    expect(reply.status).toBe(400);
    expect(additionalInfo(reply)).toContain(part);
    expect(seen).toHaveLength(0);
  });

  test.each([
    ['if-match', 'abc'],
    ['if-none-match', '"a" "b"'],
  ])('%s of %s, which is no list of entity tags, is refused with 400', async (field, value) => {
    const { ask } = await serve(OK);
    const reply = await ask('/m2m', { headers: { [field]: value } });
    expect(reply.status).toBe(400);
    expect(additionalInfo(reply)).toContain('entity tags in quotes');
  });

  test('a body over the limit is 413, a compressed one 415: neither reaches the tree', async () => {
    const { ask, seen } = await serve(OK, { maxBodyBytes: 1000 });
    const large = await ask('/m2m', { method: 'POST', body: 'x'.repeat(1001) });
    expect([large.status, additionalInfo(large)]).toEqual([413, expect.stringContaining('1000 bytes')]);
    const compressed = await ask('/m2m', { method: 'POST', body: 'x', headers: { 'content-encoding': 'gzip' } });
    expect([compressed.status, additionalInfo(compressed)]).toEqual([415, expect.stringContaining('gzip')]);
    expect(seen).toHaveLength(0);
  });

  test.each(['PATCH', 'OPTIONS', 'HEAD'])('%s is 405 with what is allowed', async (method) => {
    const { ask } = await serve(OK);
    const reply = await ask('/m2m', { method });
    expect(reply).toMatchObject({ status: 405, headers: { allow: 'POST, GET, PUT, DELETE' } });
  });
});

describe('primitive to HTTP answer', () => {
  test.each(Object.keys(STATUSES) as Status[])(
    '%s has the number of the status table, and says why if it refuses',
    async (status) => {
      const { ask } = await serve(answer(status, { detail: 'because' }));
      const reply = await ask('/m2m');
      expect(reply.status).toBe(status === 'STATUS_OK' ? 204 : STATUSES[status].http);
      if (isSuccess(answer(status))) expect(reply.body).toHaveLength(0);
      else expect(json(reply)).toEqual({ errorInfo: { statusCode: status, additionalInfo: 'because' } });
    },
  );

  test('a representation is JSON, or CBOR when that is preferred, with a strong ETag', async () => {
    const { ask } = await serve(
      answer('STATUS_OK', { content: { kind: 'document', document: container }, etag: '17' }),
    );
    const plain = await ask('/m2m');
    expect(plain).toMatchObject({
      status: 200,
      headers: { 'content-type': 'application/json', etag: '"17"', 'cache-control': 'no-cache' },
    });
    expect(json(plain)).toEqual(container);
    const cbor = await ask('/m2m', { headers: { accept: 'application/cbor' } });
    expect(cbor.headers['content-type']).toBe('application/cbor');
    expect(decodeCbor(cbor.body)).toEqual(container);
  });

  test('201 has a Location that leads back to the same segments', async () => {
    const { ask, seen } = await serve(answer('STATUS_CREATED', { location: ['m2m', 'a b', 'ü?'] }));
    const { headers } = await ask('/m2m', { method: 'POST' });
    expect(headers.location).toBe('/m2m/a%20b/%C3%BC%3F');
    await ask(headers.location ?? '');
    expect(seen[1]?.to).toEqual(['m2m', 'a b', 'ü?']);
  });

  test('405 has Allow, 503 Retry-After in whole seconds, 401 the scheme to come with', async () => {
    const { ask } = await serve(({ to }) =>
      to[1] === 'a'
        ? answer('STATUS_METHOD_NOT_ALLOWED', { allow: ['retrieve', 'create', 'notify'] })
        : to[1] === 'b'
          ? answer('STATUS_SERVICE_UNAVAILABLE', { retryAfterS: 4.2 })
          : answer('STATUS_PERMISSION_DENIED'),
    );
    expect(await ask('/m2m/a')).toMatchObject({ status: 405, headers: { allow: 'GET, POST' } });
    expect(await ask('/m2m/b')).toMatchObject({ status: 503, headers: { 'retry-after': '5' } });
    expect(await ask('/m2m/c')).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer' } });
  });

  test('304 has the ETag and no body', async () => {
    const { ask } = await serve(
      answer('STATUS_NOT_MODIFIED', { etag: '17', content: { kind: 'document', document: container } }),
    );
    const { status, headers, body } = await ask('/m2m', { headers: { 'if-none-match': '"17"' } });
    expect([status, headers.etag, body.length]).toEqual([304, '"17"', 0]);
  });

  test('content comes back byte for byte, and no browser may run it', async () => {
    const bytes = Buffer.from([0, 255, 13, 10]);
    const { ask } = await serve(answer('STATUS_OK', { content: { kind: 'bytes', mediaType: 'text/html', bytes } }));
    const reply = await ask('/m2m');
    expect(reply.body).toEqual(bytes);
    expect(reply.headers).toMatchObject({ 'content-type': 'text/html', 'x-content-type-options': 'nosniff' });
    expect(reply.headers['content-security-policy']).toContain('sandbox');
  });

  test('a stored media type with a line break in it can set no header', async () => {
    const mediaType = 'text/plain\r\nset-cookie: a=b';
    const { ask } = await serve(
      answer('STATUS_OK', { content: { kind: 'bytes', mediaType, bytes: Buffer.from('x') } }),
    );
    const { status, headers } = await ask('/m2m');
    expect([status, headers['content-type'], headers['set-cookie']]).toEqual([
      200,
      'application/octet-stream',
      undefined,
    ]);
  });

  test('a fault behind the site is 500 with an errorInfo, and the next request is served', async () => {
    const { ask } = await serve(({ to }) => {
      if (to.length > 1) throw new Error('a bug');
      return OK;
    });
    expect(json(await ask('/m2m/x'))).toMatchObject({ errorInfo: { statusCode: 'STATUS_INTERNAL_SERVER_ERROR' } });
    expect((await ask('/m2m')).status).toBe(204);
  });
});

describe('a long poll', () => {
  test('is answered when the site answers', async () => {
    let reply: (response: Response) => void = () => {};
    let isHeld: () => void = () => {};
    const held = new Promise<void>((done) => (isHeld = done));
    const { ask } = await serve(() => {
      isHeld();
      return new Promise((done) => (reply = done));
    });
    const poll = ask('/m2m/channel', { method: 'POST' });
    await held;
    reply(answer('STATUS_ACCEPTED'));
    expect((await poll).status).toBe(202);
  });

  test('tells the site when its asker has gone', async () => {
    let isHeld: (request: Request) => void = () => {};
    const held = new Promise<Request>((done) => (isHeld = done));
    const { port } = await serve((request) => {
      isHeld(request);
      return new Promise(() => {});
    });
    const asking = httpRequest({ host: '127.0.0.1', port, path: '/m2m/channel', agent: false });
    asking.on('error', () => {});
    asking.end();
    const { onGone } = await held;
    const gone = new Promise<void>((done) => onGone?.(done));
    asking.destroy();
    await gone;
  });
});

describe('who asks', () => {
  const identify: Identify = ({ token }) =>
    token === 'good'
      ? { originator: 'app-1' }
      : refuse('STATUS_PERMISSION_DENIED', 'Come with a token that is known here.');

  test('is told by the bearer token', async () => {
    const { ask, seen } = await serve(OK, { identify });
    expect((await ask('/m2m', { headers: { authorization: 'Bearer good' } })).status).toBe(204);
    expect(seen[0]?.originator).toBe('app-1');
  });

  test.each([{}, { authorization: 'Bearer bad' }, { authorization: 'Basic Z29vZA==' }])(
    'is refused with 401 without one: %j',
    async (headers) => {
      const { ask, seen } = await serve(OK, { identify });
      expect(await ask('/m2m', { headers })).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Bearer' } });
      expect(seen).toHaveLength(0);
    },
  );

  test.each([
    ['http://evil.example', 403],
    ['null', 403],
    ['http://localhost', 403],
    ['http://127.0.0.1', 403],
  ])('a page of %s may not use a visitor’s browser: %i', async (origin, status) => {
    const { ask, seen } = await serve(OK);
    expect((await ask('/m2m', { method: 'POST', headers: { origin } })).status).toBe(status);
    expect(seen).toHaveLength(0);
  });

  test('a page of the broker’s own address may; a name pointed at it may not', async () => {
    const { ask, port } = await serve(OK);
    expect((await ask('/m2m', { headers: { origin: `http://127.0.0.1:${port}` } })).status).toBe(204);
    const rebound = { origin: `http://evil.example:${port}`, host: `evil.example:${port}` };
    expect((await ask('/m2m', { headers: rebound })).status).toBe(403);
  });
});

describe('pages for operators', () => {
  test('metrics, liveness, readiness; for operators alone the supervision tree and what decides on rights', async () => {
    let why: string | undefined = 'starting';
    let isOpen = true;
    const { ask, seen } = await serve(OK, {
      operations: {
        expose: async () => ({ mediaType: 'text/plain; version=0.0.4', text: 'up 1\n' }),
        unready: () => why,
        descriptions: { '/openapi.json': () => ({ openapi: '3.1.0' }) },
        tree: () => ({ name: 'broker' }),
        explain: (query) => ({ originator: query.get('originator') ?? '' }),
        isOperator: (originator) => originator === 'anonymous' && isOpen,
      },
    });
    expect(await ask('/metrics')).toMatchObject({
      status: 200,
      headers: { 'content-type': 'text/plain; version=0.0.4' },
      body: Buffer.from('up 1\n'),
    });
    expect((await ask('/livez')).status).toBe(200);
    const unready = await ask('/readyz');
    expect([unready.status, unready.body.toString()]).toEqual([503, expect.stringContaining('starting')]);
    why = undefined;
    expect((await ask('/readyz')).status).toBe(200);
    expect(json(await ask('/supervision'))).toEqual({ name: 'broker' });
    expect(json(await ask('/acl?originator=app-1'))).toEqual({ originator: 'app-1' });
    isOpen = false;
    for (const page of ['/supervision', '/acl']) expect((await ask(page)).status).toBe(401);
    expect(seen).toHaveLength(0);
  });
});
