/** What the two transports promise alike. Clients are node:http, ws and bare TCP: none of them is our code. */
import { Agent, request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { connect, type Socket as TcpSocket } from 'node:net';
import { once } from 'node:events';
import { WebSocket, type ClientOptions } from 'ws';
import { systemClock } from '../../../src/clock.js';
import { isRefusal, STATUSES } from '../../../src/errors.js';
import { silentLog, type Log } from '../../../src/log.js';
import { openTransport } from '../../../src/protocols/transport/open.js';
import type {
  Handlers,
  HttpHandler,
  HttpRequest,
  SendResult,
  TransportLimits,
  TransportName,
  WsReceiver,
  WsSocket,
} from '../../../src/protocols/transport/transport.js';
import { IS_HERE } from '../../support/optional.js';

const isUwsHere = IS_HERE['uWebSockets.js'];
if (!isUwsHere) console.warn('skipped for uws: uWebSockets.js has no native file for this platform and Node version');

const cleanUps: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const turn = (): Promise<void> => new Promise((done) => setImmediate(done));

/** A promise with its settling functions outside. */
function deferred<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void; // set by the constructor, which runs its function at once
  const promise = new Promise<T>((done) => (resolve = done));
  return { promise, resolve };
}

/** Keeps what is logged as an error: a fault of a handler must be told to the operator. */
function recordingLog(): { log: Log; errors: unknown[] } {
  const errors: unknown[] = [];
  const record = (...entry: unknown[]): void => void errors.push(entry);
  return { log: Object.assign(Object.create(silentLog), { error: record }) as Log, errors };
}

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

describe.each<[TransportName]>([['uws'], ['node']])('transport %s', (name) => {
  const scenario = name === 'uws' && !isUwsHere ? test.skip : test;

  async function serve(handlers: Partial<Handlers>, limits: Partial<TransportLimits> = {}) {
    const { log, errors } = recordingLog();
    const transport = openTransport({ clock: systemClock, log, prefer: name, limits });
    expect(transport.name).toBe(name);
    const listener = await transport.listen(
      { host: '127.0.0.1', port: 0 },
      { request: () => ({ status: 404 }), upgrade: () => ({ status: 404 }), ...handlers },
    );
    cleanUps.push(() => listener.close());
    const { port } = listener.address;

    function ask(
      path: string,
      {
        agent = false,
        body,
        ...options
      }: { method?: string; body?: string | Buffer; headers?: Record<string, string>; agent?: Agent | false } = {},
    ): Promise<Reply> {
      return new Promise((answered, failed) => {
        const asking = httpRequest({ host: '127.0.0.1', port, path, agent, ...options }, (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('error', failed);
          response.on('end', () =>
            answered({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: Buffer.concat(chunks).toString(),
            }),
          );
        });
        asking.on('error', failed);
        asking.end(body);
      });
    }

    /** A WebSocket that is open, with what it receives and how it ends. */
    async function open(path = '/', protocols: string[] = [], options: ClientOptions = {}) {
      const client = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, options);
      const closed = new Promise<{ code: number; reason: string }>((done) =>
        client.on('close', (code, reason) => done({ code, reason: reason.toString() })),
      );
      cleanUps.push(() => client.terminate());
      client.on('error', () => {});
      await once(client, 'open');
      return { client, closed };
    }

    /** The status and body that an upgrade is refused with. */
    function refusal(
      path: string,
      protocols: string[] = [],
      options: ClientOptions = {},
    ): Promise<{ status: number; body: string }> {
      const client = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, options);
      return new Promise((refused, failed) => {
        client.on('error', () => {});
        client.on('open', () => failed(new Error('the upgrade was taken')));
        client.on('unexpected-response', (_request, response) => {
          let body = '';
          response.on('data', (chunk: Buffer) => (body += chunk.toString()));
          response.on('end', () => refused({ status: response.statusCode ?? 0, body }));
        });
      });
    }

    async function tcp(bytes: string): Promise<TcpSocket> {
      const socket = connect(port, '127.0.0.1');
      cleanUps.push(() => socket.destroy());
      socket.on('error', () => {});
      await once(socket, 'connect');
      socket.write(bytes);
      return socket;
    }

    return { listener, port, ask, open, refusal, tcp, errors };
  }

  /** Takes every upgrade; `received` gives the receiver's half. */
  const taking = (receiverOf: (socket: WsSocket) => Partial<WsReceiver>): Pick<Handlers, 'upgrade'> => ({
    upgrade: () => ({
      open: (socket) => ({
        message: () => {},
        drain: () => {},
        pong: () => {},
        close: () => {},
        ...receiverOf(socket),
      }),
    }),
  });
  const echoing = taking((socket) => ({ message: (bytes, isBinary) => void socket.send(bytes, isBinary) }));

  describe('HTTP', () => {
    scenario(
      'gives the handler method, raw path, raw query, headers, address and body, and sends its answer',
      async () => {
        const { ask } = await serve({
          request: async (request) => {
            const body = await request.body();
            if (isRefusal(body)) throw new Error(body.detail);
            const { method, path, query, remote } = request;
            const told = {
              method,
              path,
              query,
              remote,
              field: request.header('x-field'),
              body: Buffer.from(body).toString(),
            };
            return { status: 201, headers: { Location: '/made' }, body: JSON.stringify(told) };
          },
        });
        const reply = await ask('/a%2Fb/../c?x=%20&x', {
          method: 'POST',
          headers: { 'X-Field': 'one' },
          body: 'hello',
        });
        expect(reply.status).toBe(201);
        expect(reply.headers.location).toBe('/made');
        expect(JSON.parse(reply.body)).toEqual({
          method: 'POST',
          path: '/a%2Fb/../c',
          query: 'x=%20&x',
          remote: '127.0.0.1',
          field: 'one',
          body: 'hello',
        });
      },
    );

    scenario('sends neither body nor Content-Length with 204 and 304, and no body to HEAD', async () => {
      const { ask } = await serve({
        request: ({ path }) => (path === '/full' ? { status: 200, body: 'text' } : { status: Number(path.slice(1)) }),
      });
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      cleanUps.push(() => agent.destroy());
      for (const status of [204, 304]) {
        const { headers, ...reply } = await ask(`/${status}`, { agent });
        expect(reply).toEqual({ status, body: '' });
        expect(headers['content-length']).toBeUndefined();
      }
      expect((await ask('/full', { method: 'HEAD', agent })).headers['content-length']).toBe('4');
      expect((await ask('/full', { agent })).body).toBe('text');
    });

    const body200k = Buffer.alloc(200 * 1024, 'x');
    const echo: HttpHandler = async (request) => {
      const body = await request.body();
      return isRefusal(body) ? { status: STATUSES[body.status].http, body: body.detail } : { status: 200, body };
    };

    scenario('takes a body of 200 KB, with a length or in chunks, and sends it back', async () => {
      const { ask } = await serve({ request: echo });
      expect((await ask('/', { method: 'POST', body: body200k })).body.length).toBe(body200k.length);
      const chunked = await ask('/', { method: 'POST', body: body200k, headers: { 'transfer-encoding': 'chunked' } });
      expect(chunked.body.length).toBe(body200k.length);
    });

    scenario('answers 413 to a body over the limit, declared or not, and the connection goes on', async () => {
      const { ask } = await serve({ request: echo }, { maxBodyBytes: 100 * 1024 });
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      cleanUps.push(() => agent.destroy());
      for (const headers of [{}, { 'transfer-encoding': 'chunked' }]) {
        const reply = await ask('/', { method: 'POST', body: body200k, headers, agent });
        expect(reply).toMatchObject({ status: 413, body: expect.stringContaining('102400') as string });
      }
      expect((await ask('/', { method: 'POST', body: 'small', agent })).body).toBe('small');
    });

    scenario('gives the body also to a handler that asks for it late', async () => {
      const { ask } = await serve({
        request: async (request) => {
          await new Promise((later) => systemClock.atTurnEnd(() => later(undefined)));
          return echo(request);
        },
      });
      expect((await ask('/', { method: 'PUT', body: 'late' })).body).toBe('late');
    });

    scenario.each<[string, HttpHandler]>([
      [
        'throws',
        () => {
          throw new Error('a bug');
        },
      ],
      ['rejects', () => Promise.reject(new Error('a bug'))],
      ['gives nothing', (() => undefined) as unknown as HttpHandler],
      ['sets a header with CR LF', () => ({ status: 200, headers: { 'x-a': 'b\r\nset-cookie: c' } })],
      ['sets a header name with a space', () => ({ status: 200, headers: { 'x a': 'b' } })],
      ['sets the length itself', () => ({ status: 200, headers: { 'Content-Length': '3' } })],
      ['answers with a status out of range', () => ({ status: 99 })],
    ])('a handler that %s: 500, logged, and the next request is served', async (_what, faulty) => {
      const { ask, errors } = await serve({
        request: (request) => (request.path === '/bug' ? faulty(request) : { status: 200 }),
      });
      const reply = await ask('/bug');
      expect(reply.status).toBe(500);
      expect(reply.headers['set-cookie']).toBeUndefined();
      expect(errors).toHaveLength(1);
      expect((await ask('/well')).status).toBe(200);
    });

    scenario('holds a long poll until it is released', async () => {
      const held = deferred<void>();
      const release = deferred<void>();
      const { ask } = await serve({
        request: async () => {
          held.resolve();
          await release.promise;
          return { status: 200, body: 'released' };
        },
      });
      const reply = ask('/poll');
      await held.promise;
      release.resolve();
      expect((await reply).body).toBe('released');
    });

    scenario(
      'tells a held long poll when the client goes, and whoever asks later; the late answer is let go',
      async () => {
        const held = deferred<void>();
        const aborted = deferred<void>();
        const told: string[] = [];
        const { ask, tcp } = await serve({
          request: async (request) => {
            if (request.path !== '/poll') return { status: 200 };
            held.resolve();
            const deaf = request.onGone(() => told.push('who no longer listens'));
            deaf();
            await new Promise<void>((gone) => request.onGone(gone));
            request.onGone(() => told.push('who asks later'));
            aborted.resolve();
            return { status: 200, body: 'too late' };
          },
        });
        const client = await tcp('GET /poll HTTP/1.1\r\nHost: x\r\n\r\n');
        await held.promise;
        client.destroy();
        await aborted.promise;
        expect(told).toEqual(['who asks later']);
        expect((await ask('/')).status).toBe(200);
      },
    );

    scenario('refuses the body of a client that goes half-way', async () => {
      const outcome = deferred<unknown>();
      const begun = deferred<void>();
      const { tcp } = await serve({
        request: async (request) => {
          begun.resolve();
          outcome.resolve(await request.body());
          return { status: 200 };
        },
      });
      const client = await tcp('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf');
      await begun.promise;
      client.destroy();
      expect(await outcome.promise).toMatchObject({ status: 'STATUS_REQUEST_INCOMPLETE' });
    });

    scenario('keeps the connection alive, and answers requests sent in one packet in order', async () => {
      const { tcp } = await serve({ request: ({ path }) => ({ status: 200, body: path }) });
      const head = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
      const client = await tcp(head('/one') + head('/two'));
      let text = '';
      client.on('data', (bytes: Buffer) => {
        text += bytes.toString();
        if (text.includes('/two') && !text.includes('/three')) client.write(head('/three'));
        if (text.includes('/three')) client.end();
      });
      await once(client, 'close');
      expect(text.match(/\/one|\/two|\/three/g)).toEqual(['/one', '/two', '/three']);
    });

    scenario('answers bytes that are not HTTP with 400 or hangs up, and goes on', async () => {
      const { ask, tcp } = await serve({ request: () => ({ status: 200 }) });
      const client = await tcp('\x16\x03\x01 nonsense\r\n\r\n');
      client.resume();
      await once(client, 'close');
      expect((await ask('/')).status).toBe(200);
    });

    scenario('refuses to listen where another listens', async () => {
      const { port } = await serve({});
      const transport = openTransport({ clock: systemClock, log: silentLog, prefer: name });
      const handlers: Handlers = { request: () => ({ status: 200 }), upgrade: () => ({ status: 404 }) };
      await expect(transport.listen({ host: '127.0.0.1', port }, handlers)).rejects.toThrow();
    });
  });

  describe('WebSocket', () => {
    scenario.each<[string, string | Buffer]>([
      ['text', 'Grüße'],
      ['binary', Buffer.from([0, 1, 255])],
      ['no bytes at all', Buffer.alloc(0)],
      ['an empty text', ''],
      ['60 KB', Buffer.alloc(60 * 1024, 7)],
    ])('echoes %s', async (_what, message) => {
      const { open } = await serve(echoing);
      const { client } = await open();
      client.send(message);
      const [bytes, isBinary] = (await once(client, 'message')) as [Buffer, boolean];
      expect(isBinary).toBe(typeof message !== 'string');
      expect(bytes).toEqual(Buffer.from(message));
    });

    scenario('sends text given as bytes', async () => {
      const { open } = await serve(taking((socket) => ({ message: () => void socket.send(Buffer.from('Ω'), false) })));
      const { client } = await open();
      client.send('');
      const [bytes, isBinary] = (await once(client, 'message')) as [Buffer, boolean];
      expect([bytes.toString(), isBinary]).toEqual(['Ω', false]);
    });

    scenario('a peer that says much at once and leaves has been heard, in its order, before it is gone', async () => {
      const heard: string[] = [];
      const gone = deferred<number>();
      const { open } = await serve(
        taking(() => ({
          message: (bytes) => void heard.push(bytes.toString()),
          close: () => gone.resolve(heard.length),
        })),
      );
      const { client } = await open();
      const said = Array.from({ length: 500 }, (_, n) => `${n}`);
      for (const each of said) client.send(each);
      client.close(1000);
      expect(await gone.promise).toBe(said.length);
      expect(heard).toEqual(said);
    });

    scenario('a peer that says much at once does not keep another one waiting', async () => {
      const heard: string[] = [];
      const { open } = await serve(taking(() => ({ message: (bytes) => void heard.push(bytes.toString()) })));
      const [{ client: flood }, { client: command }] = [await open(), await open()];
      flood.send('first');
      while (!heard.includes('first')) await turn();
      // Both have sent all before the broker, in this very thread, reads.
      for (let n = 0; n < 1000; n++) flood.send('flood');
      command.send('command');
      while (heard.length < 1002) await turn();
      expect(heard.indexOf('command')).toBeLessThan(500);
    });

    scenario('ends a socket that sends more than the limit: 1009, or 1006 without a close frame', async () => {
      const closing = deferred<number>();
      const { open } = await serve(taking(() => ({ close: closing.resolve })));
      const { client, closed } = await open();
      client.send(Buffer.alloc(64 * 1024 + 1));
      expect([1006, 1009]).toContain((await closed).code);
      expect([1006, 1009]).toContain(await closing.promise);
    });

    scenario('ends a socket that sends text which is not UTF-8: 1007, or 1006 without a close frame', async () => {
      const { open } = await serve(echoing);
      const { client, closed } = await open();
      client.send(Buffer.from([0xff, 0xfe]), { binary: false });
      expect([1006, 1007]).toContain((await closed).code);
    });

    scenario(
      'lets the handler refuse an upgrade with its own answer, by path, Origin, subprotocol or credential',
      async () => {
        const { refusal, open } = await serve({
          upgrade: (request) => {
            if (request.path !== '/m2m') return { status: 404 };
            if (request.header('authorization') !== 'Bearer good')
              return { status: 401, body: `no token from ${request.header('origin')}` };
            if (!request.protocols.includes('b'))
              return { status: 400, body: `known: b; offered: ${request.protocols.join('+')}` };
            return {
              protocol: 'b',
              open: () => ({ message: () => {}, drain: () => {}, pong: () => {}, close: () => {} }),
            };
          },
        });
        const headers = { authorization: 'Bearer good' };
        expect(await refusal('/other')).toEqual({ status: 404, body: '' });
        expect(await refusal('/m2m', ['b'], { origin: 'http://evil' })).toEqual({
          status: 401,
          body: 'no token from http://evil',
        });
        expect(await refusal('/m2m?x', ['a', 'c'], { headers })).toEqual({
          status: 400,
          body: 'known: b; offered: a+c',
        });
        expect((await open('/m2m', ['a', 'b'], { headers })).client.protocol).toBe('b');
      },
    );

    scenario('answers 500 to an upgrade whose handler throws', async () => {
      const { refusal, errors } = await serve({
        upgrade: () => {
          throw new Error('a bug');
        },
      });
      expect((await refusal('/')).status).toBe(500);
      expect(errors).toHaveLength(1);
    });

    scenario('closes a socket whose receiver throws with 1011, and the others go on', async () => {
      const { open, errors } = await serve(
        taking((socket) => ({
          message(bytes, isBinary) {
            if (bytes.toString() === 'bug') throw new Error('a bug');
            socket.send(bytes, isBinary);
          },
        })),
      );
      const [faulty, well] = [await open(), await open()];
      faulty.client.send('bug');
      expect((await faulty.closed).code).toBe(1011);
      expect(errors).toHaveLength(1);
      well.client.send('well');
      await once(well.client, 'message');
    });

    scenario('tells the receiver once, with the code, who closed', async () => {
      const closes: [number, string][] = [];
      const sockets: WsSocket[] = [];
      const told = deferred<void>();
      const { open } = await serve(
        taking((socket) => {
          sockets.push(socket);
          return {
            message: () => socket.close(4001, 'ours'),
            close: (code, reason) => {
              closes.push([code, reason]);
              if (closes.length === 2) told.resolve();
            },
          };
        }),
      );
      const first = await open();
      first.client.send('close me');
      expect(await first.closed).toEqual({ code: 4001, reason: 'ours' });
      const second = await open();
      second.client.close(4002, 'theirs');
      await told.promise;
      expect(closes).toEqual([
        [4001, 'ours'],
        [4002, 'theirs'],
      ]);
      expect(sockets.map(({ isOpen, bufferedBytes }) => [isOpen, bufferedBytes])).toEqual([
        [false, 0],
        [false, 0],
      ]);
    });

    scenario('drops what is sent after the close, in and out of a cork', async () => {
      const results: SendResult[] = [];
      const closed = deferred<void>();
      const { open } = await serve(
        taking((socket) => ({
          close() {
            results.push(socket.send('late', false));
            socket.cork(() => results.push(socket.send('later', false)));
            socket.close(1000, 'again');
            closed.resolve();
          },
        })),
      );
      (await open()).client.terminate();
      await closed.promise;
      expect(results).toEqual(['dropped', 'dropped']);
    });

    scenario('closes a socket in its own opening', async () => {
      const closing = deferred<number>();
      const { open } = await serve(
        taking((socket) => {
          socket.close(1013, 'not now');
          return { close: closing.resolve };
        }),
      );
      expect((await (await open()).closed).code).toBe(1013);
      expect(await closing.promise).toBe(1013);
    });

    scenario(
      'queues for a slow reader up to the limit, drops beyond, drains when it reads, and loses nothing kept',
      async () => {
        const socketOpen = deferred<WsSocket>();
        const drained = deferred<void>();
        const { open } = await serve(
          taking((socket) => {
            socketOpen.resolve(socket);
            return { drain: () => socket.bufferedBytes === 0 && drained.resolve() };
          }),
          { maxBackpressureBytes: 256 * 1024 },
        );
        const { client } = await open();
        client.pause();
        const socket = await socketOpen.promise;
        const message = Buffer.alloc(32 * 1024, 1);
        const counts: Record<SendResult, number> = { sent: 0, queued: 0, dropped: 0 };
        while (counts.dropped < 3) counts[socket.send(message, true)]++;
        expect(counts.queued).toBeGreaterThanOrEqual(256 / 32);
        expect(socket.bufferedBytes).toBeGreaterThan(256 * 1024);
        // One message may cross the limit, with the frame headers of all.
        expect(socket.bufferedBytes).toBeLessThan(256 * 1024 + 2 * message.length);

        let received = 0;
        client.on('message', (bytes: Buffer) => (received += bytes.length));
        client.resume();
        await drained.promise;
        expect(socket.send('after', false)).toBe('sent');
        const kept = (counts.sent + counts.queued) * message.length + 'after'.length;
        while (received < kept) await once(client, 'message');
        expect(received).toBe(kept);
      },
    );

    scenario('has the bytes of a message for itself when `send` returns, be they sent or queued', async () => {
      const socketOpen = deferred<WsSocket>();
      const { open } = await serve(
        taking((socket) => {
          socketOpen.resolve(socket);
          return {};
        }),
      );
      const { client } = await open();
      client.pause();
      const socket = await socketOpen.promise;
      const message = Buffer.alloc(32 * 1024);
      const results: SendResult[] = [];
      const sendNext = (): void => {
        message.fill(results.length);
        results.push(socket.send(message, true));
      };
      while (results.at(-1) !== 'queued') sendNext();
      socket.cork(() => [1, 2].forEach(sendNext));
      message.fill(0xff);

      const firsts: number[] = [];
      client.on('message', (bytes: Buffer) => firsts.push(new Set(bytes).size === 1 ? (bytes[0] ?? -1) : -1));
      client.resume();
      while (firsts.length < results.length) await once(client, 'message');
      expect(firsts).toEqual(results.map((_, index) => index % 256));
    });

    scenario('sends all messages of a cork, in order', async () => {
      const { open } = await serve(
        taking((socket) => ({
          message: () => socket.cork(() => ['1', '2', '3'].forEach((text) => socket.send(text, false))),
        })),
      );
      const { client } = await open();
      const texts: string[] = [];
      const all = new Promise<void>((done) =>
        client.on('message', (bytes: Buffer) => {
          if (texts.push(bytes.toString()) === 3) done();
        }),
      );
      client.send('go');
      await all;
      expect(texts).toEqual(['1', '2', '3']);
    });

    scenario('ends a half-open peer, which answers no ping, with 1006; one that does stays', async () => {
      const closes: number[] = [];
      const halfOpenEnded = deferred<void>();
      const { open, tcp } = await serve(
        taking(() => ({
          close: (code) => {
            closes.push(code);
            halfOpenEnded.resolve();
          },
        })),
        { idleTimeoutMs: 300 },
      );
      const { client } = await open();
      const halfOpen = await tcp(
        'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n' +
          'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
      );
      halfOpen.resume();
      await halfOpenEnded.promise;
      expect(closes).toEqual([1006]);
      expect(client.readyState).toBe(WebSocket.OPEN);
    });

    scenario('pings when told to, and tells of the pong; a peer that pings is told of as well', async () => {
      const ponged = deferred<void>();
      const pinged = deferred<void>();
      let pongs = 0;
      const { open } = await serve(
        taking((socket) => ({
          message: () => socket.ping(),
          pong: () => (++pongs === 1 ? ponged : pinged).resolve(),
        })),
      );
      const { client } = await open();
      const arrived = once(client, 'ping');
      client.send('ping me');
      await arrived;
      await ponged.promise;
      client.ping();
      await pinged.promise;
      expect(pongs).toBe(2);
    });

    scenario('terminates without a close frame; the receiver is told 1006 before it returns, and once', async () => {
      const told: unknown[] = [];
      const sockets: WsSocket[] = [];
      const { open } = await serve(
        taking((socket) => {
          sockets.push(socket);
          return {
            message() {
              socket.terminate();
              told.push('returned');
              socket.terminate();
              socket.ping();
            },
            close: (code) => void told.push(code),
          };
        }),
      );
      const { client, closed } = await open();
      client.send('end me');
      expect(await closed).toEqual({ code: 1006, reason: '' });
      expect(told).toEqual([1006, 'returned']);
      expect(sockets[0]).toMatchObject({ isOpen: false, bufferedBytes: 0 });
    });

    scenario('refuses one socket too many of an address with 429, and takes one again when one has gone', async () => {
      const gone = deferred<void>();
      const { open, refusal } = await serve(
        taking(() => ({ close: () => gone.resolve() })),
        { maxSocketsPerAddress: 1 },
      );
      const { client } = await open();
      expect((await refusal('/')).status).toBe(429);
      client.close();
      await gone.promise;
      await open();
    });
  });

  describe('close', () => {
    scenario('tells sockets 1012, lets exchanges under way be answered, and ends kept-alive connections', async () => {
      const held = deferred<void>();
      const release = deferred<void>();
      const { ask, open, listener, tcp } = await serve({
        ...echoing,
        request: async ({ path }) => {
          if (path === '/idle') return { status: 200 };
          held.resolve();
          await release.promise;
          return { status: 200, body: 'in time' };
        },
      });
      const idle = await tcp('GET /idle HTTP/1.1\r\nHost: x\r\n\r\n');
      await once(idle, 'data');
      const idleEnded = once(idle, 'close');
      const { closed } = await open();
      const reply = ask('/poll');
      await held.promise;

      const closing = listener.close(10_000);
      expect(await closed).toEqual({ code: 1012, reason: 'the broker is stopping' });
      await expect(ask('/new')).rejects.toThrow('ECONNREFUSED');
      release.resolve();
      expect((await reply).body).toBe('in time');
      await closing;
      await idleEnded;
    });

    scenario('cuts off an exchange that is not answered in the grace given, and tells it', async () => {
      const held = deferred<HttpRequest>();
      const { ask, listener } = await serve({
        request: (request) => {
          held.resolve(request);
          return new Promise(() => {});
        },
      });
      const reply = ask('/poll');
      const cutOff = expect(reply).rejects.toThrow('socket hang up');
      const request = await held.promise;
      const gone = new Promise<void>((done) => request.onGone(done));
      await listener.close(10);
      await gone;
      await cutOff;
    });
  });
});

test('falls back to node:http and ws where uWebSockets.js does not load, and says what is lost', () => {
  const warnings: unknown[] = [];
  const log = Object.assign(Object.create(silentLog), {
    warn: (...entry: unknown[]) => void warnings.push(entry),
  }) as Log;
  const broken = (): never => {
    throw new Error('no native file');
  };
  expect(openTransport({ clock: systemClock, log, load: broken }).name).toBe('node');
  expect(JSON.stringify(warnings)).toContain('no native file');
  expect(warnings).toHaveLength(1);
});
