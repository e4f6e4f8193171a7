/** The HTTP client against a broker that is a table: what it sends, and what it makes of every kind of answer. */
import { systemClock } from '../../src/clock.js';
import { HttpClient } from '../../src/client/http-client.js';
import { parseTarget } from '../../src/client/target.js';
import { silentLog } from '../../src/log.js';
import { isRefusal } from '../../src/errors.js';
import { systemNetwork } from '../../src/network.js';
import { openTransport } from '../../src/protocols/transport/open.js';
import type { HttpAnswer, HttpRequest } from '../../src/protocols/transport/transport.js';

const cleanUps: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

type Answers = (line: string, body: string, request: HttpRequest) => HttpAnswer | Promise<HttpAnswer>;

/** A broker that answers as the table says, a client of it, and the lines of all requests. */
async function broker(answers: Answers, token?: string) {
  const lines: string[] = [];
  const transport = openTransport({ clock: systemClock, log: silentLog, prefer: 'node' });
  const listener = await transport.listen(
    { host: '127.0.0.1', port: 0 },
    {
      upgrade: () => ({ status: 400 }),
      request: async (request) => {
        const body = await request.body();
        const line = `${request.method} ${request.path}${request.query === '' ? '' : `?${request.query}`}`;
        lines.push(line);
        return answers(line, isRefusal(body) ? '' : Buffer.from(body).toString(), request);
      },
    },
  );
  const client = new HttpClient(
    parseTarget(`http://127.0.0.1:${listener.address.port}`),
    token === undefined ? {} : { token },
  );
  cleanUps.push(
    () => listener.close(0),
    () => client.close(),
  );
  return { client, lines };
}

const json = (status: number, document: unknown, headers: Record<string, string> = {}): HttpAnswer => ({
  status,
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify(document),
});
const LATEST = '/m2m/applications/pmu-1/containers/measurements/contentInstances/latest/content';

describe('an HTTP request', () => {
  test('carries method, query, media types, body and token', async () => {
    const { client, lines } = await broker((_line, body, request) => {
      expect(request.header('content-type')).toBe('application/json');
      expect(request.header('accept')).toBe('application/cbor');
      expect(request.header('authorization')).toBe('Bearer s3cret');
      expect(JSON.parse(body)).toEqual({ container: { id: 'load' } });
      return { status: 201, headers: { location: '/m2m/containers/load' } };
    }, 's3cret');
    const response = await client.request({
      op: 'create',
      to: '/m2m/containers?x=1',
      accept: 'application/cbor',
      body: { container: { id: 'load' } },
    });
    expect(lines).toEqual(['POST /m2m/containers?x=1']);
    expect(response).toMatchObject({ status: 'STATUS_CREATED', location: '/m2m/containers/load' });
  });

  test('throws what the broker refuses, with its status and sentence', async () => {
    const { client } = await broker(() =>
      json(404, { errorInfo: { statusCode: 'STATUS_NOT_FOUND', additionalInfo: 'There is no /m2m/x.' } }),
    );
    await expect(client.request({ op: 'retrieve', to: '/m2m/x' })).rejects.toMatchObject({
      kind: 'refused',
      code: 404,
      message: 'There is no /m2m/x.',
    });
  });

  test('gives up after its time-out, at its signal, and at close', async () => {
    const { client } = await broker(
      (_line, _body, request) => new Promise((resolve) => request.onGone(() => resolve({ status: 503 }))),
    );
    const controller = new AbortController();
    await expect(client.request({ op: 'retrieve', to: '/m2m', timeoutMs: 20 })).rejects.toMatchObject({
      kind: 'timed-out',
    });
    const aborted = client.request({ op: 'retrieve', to: '/m2m', signal: controller.signal });
    const closed = client.request({ op: 'retrieve', to: '/m2m' });
    controller.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    await client.close();
    await expect(closed).rejects.toMatchObject({ kind: 'closed' });
    await expect(client.request({ op: 'retrieve', to: '/m2m' })).rejects.toMatchObject({ kind: 'closed' });
  });

  test('says where nobody listens', async () => {
    const taken = await systemNetwork.listenTcp({ host: '127.0.0.1', port: 0 }, (connection) => connection.close());
    const { port } = taken.local;
    await taken.close();
    const client = new HttpClient(parseTarget(`http://127.0.0.1:${port}`));
    await expect(client.request({ op: 'retrieve', to: '/m2m' })).rejects.toMatchObject({
      kind: 'unreachable',
      message: expect.stringContaining(`No HTTP answer from 127.0.0.1:${port}: connect ECONNREFUSED`) as string,
    });
  });
});

describe('observing over HTTP', () => {
  const channel = {
    contactURI: '/m2m/notificationChannels/c1',
    channelData: { longPollingURI: '/m2m/notificationChannels/c1/longPolling' },
  };
  const notify = (time: string, representation: object) =>
    json(200, { notify: { statusCode: 'STATUS_OK', time, missed: 3, representation } });

  /** Answers the two POSTs and the DELETEs; polls are the test's. */
  const scripted = (poll: (nth: number) => HttpAnswer): Answers => {
    let polls = 0;
    return (line) => {
      if (line.endsWith('/longPolling')) return poll(polls++);
      if (line === 'POST /m2m/notificationChannels')
        return json(201, { notificationChannel: channel }, { location: channel.contactURI });
      if (line.endsWith('/contentInstances/subscriptions'))
        return json(201, {}, { location: `${line.slice('POST '.length)}/s1` });
      return { status: line.startsWith('DELETE ') ? 200 : 500 };
    };
  };

  test('polls until there is something, and deletes subscription and channel at the end', async () => {
    const { client, lines } = await broker(
      scripted((nth) =>
        nth === 0
          ? { status: 202 }
          : notify('2026-11-24T08:15:00.200000Z', { contentType: 'application/senml+json', textContent: '[]' }),
      ),
    );
    for await (const notification of client.observe(LATEST)) {
      expect(notification).toMatchObject({
        timeUs: Date.UTC(2026, 10, 24, 8, 15) * 1000 + 200_000,
        mediaType: 'application/senml+json',
        missed: 3,
      });
      expect(Buffer.from(notification.body).toString()).toBe('[]');
      break;
    }
    const subscriptions = '/m2m/applications/pmu-1/containers/measurements/contentInstances/subscriptions';
    expect(lines).toEqual([
      'POST /m2m/notificationChannels',
      `POST ${subscriptions}`,
      'GET /m2m/notificationChannels/c1/longPolling',
      'GET /m2m/notificationChannels/c1/longPolling',
      `DELETE ${subscriptions}/s1`,
      'DELETE /m2m/notificationChannels/c1',
    ]);
  });

  test('asks for rate, class, format and attribute in the subscription', async () => {
    let asked: unknown;
    const answers = scripted(() => notify('', { contentType: 'application/x-protobuf', binaryContent: 'AQI=' }));
    const { client } = await broker((line, body, request) => {
      if (line.endsWith('/subscriptions')) asked = JSON.parse(body);
      return answers(line, body, request);
    });
    const { value } = (await client
      .observe(LATEST, { rate: 5, class: 'control', accept: 'application/x-protobuf' })
      .next()) as { value: unknown };
    expect(asked).toEqual({
      subscription: {
        contact: '/m2m/notificationChannels/c1',
        accept: 'application/x-protobuf',
        rate: 5,
        latencyClass: 'control',
        filterCriteria: { attributeAccessor: 'latest/content' },
      },
    });
    expect(value).toMatchObject({ body: Buffer.from([1, 2]) });
    expect(value).not.toHaveProperty('timeUs');
  });

  test('ends with the reason that the broker gives for the end', async () => {
    const { client, lines } = await broker(
      scripted(() => json(200, { notify: { statusCode: 'STATUS_DELETED', reason: 'The resource was deleted.' } })),
    );
    await expect(client.observe(LATEST).next()).rejects.toMatchObject({
      kind: 'refused',
      status: 'STATUS_DELETED',
      message: 'The resource was deleted.',
    });
    expect(lines.slice(-2).every((line) => line.startsWith('DELETE '))).toBe(true);
  });

  test('a refused subscription leaves no channel behind', async () => {
    const answers = scripted(() => ({ status: 500 }));
    const { client, lines } = await broker((line, body, request) =>
      line.endsWith('/subscriptions')
        ? json(400, { errorInfo: { statusCode: 'STATUS_BAD_REQUEST', additionalInfo: 'rate 7 does not divide 30.' } })
        : answers(line, body, request),
    );
    await expect(client.observe(LATEST, { rate: 7 }).next()).rejects.toThrow('rate 7 does not divide 30.');
    expect(lines.at(-1)).toBe('DELETE /m2m/notificationChannels/c1');
  });
});
