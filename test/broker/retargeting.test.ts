/** Paths that an application answers itself: real servers, over HTTP and, of another hand, over CoAP. */
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import coap from 'coap';
import { ManualClock } from '../support/manual-clock.js';
import { ask, clientOf, closeStage, http, startBroker, until, whenStageCloses, type RunningBroker } from './stage.js';

afterEach(closeStage);

interface Heard {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly type: string | undefined;
  readonly body: string;
  /** If-Match and If-Unmodified-Since. */
  readonly conditions?: readonly (string | undefined)[];
}

/** An application that answers for itself; `silent` never does. */
async function application(answer: (heard: Heard) => { status: number; body?: string; type?: string } | 'silent') {
  const heard: Heard[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    let body = '';
    request.on('data', (bytes: Buffer) => (body += bytes.toString()));
    request.on('end', () => {
      const { method, url, headers } = request;
      const conditions = [headers['if-match'], headers['if-unmodified-since']];
      const isConditional = conditions.some((condition) => condition !== undefined);
      heard.push({ method, url, type: headers['content-type'], body, ...(isConditional && { conditions }) });
      const said = answer({ method, url, type: headers['content-type'], body });
      if (said === 'silent') return;
      response.writeHead(said.status, said.type === undefined ? {} : { 'content-type': said.type }).end(said.body);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  whenStageCloses(() => {
    server.closeAllConnections();
    server.close();
  });
  return { heard, aPoC: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api` };
}

async function register(running: RunningBroker, aPoC: string, ...paths: string[]): Promise<string> {
  const aPoCPaths = { aPoCPath: paths.map((path) => ({ path })) };
  const { status, location } = await http(running, 'POST', '/m2m/applications', {
    application: { appId: 'meter', aPoC, aPoCPaths },
  });
  expect(status).toBe(201);
  return location;
}

describe.each(['http', 'coap', 'ws'] as const)('asked over %s', (binding) => {
  test('a request goes on as it is, and its answer comes back', async () => {
    const running = await startBroker();
    const client = await clientOf(running, binding);
    const { heard, aPoC } = await application(({ method }) =>
      method === 'DELETE' ? { status: 204 } : { status: 200, body: '{"kW":3.2}', type: 'application/json' },
    );
    const path = `${await register(running, aPoC, 'readings/')}/readings/to%20day`;
    expect(await ask(client, 'retrieve', `${path}?unit=kW`)).toMatchObject({ status: 'STATUS_OK', json: { kW: 3.2 } });
    await ask(client, 'update', path, { limit: 5 });
    await ask(client, 'create', path, { limit: 6 });
    expect((await ask(client, 'delete', path)).status).toBe('STATUS_OK');
    expect(heard).toEqual([
      { method: 'GET', url: '/api/readings/to%20day?unit=kW', type: undefined, body: '' },
      { method: 'PUT', url: '/api/readings/to%20day', type: 'application/json', body: '{"limit":5}' },
      { method: 'POST', url: '/api/readings/to%20day', type: 'application/json', body: '{"limit":6}' },
      { method: 'DELETE', url: '/api/readings/to%20day', type: undefined, body: '' },
    ]);
  });

  test.each([
    [404, 'STATUS_NOT_FOUND'],
    [418, 'STATUS_BAD_REQUEST'],
    [500, 'STATUS_INTERNAL_SERVER_ERROR'],
    [302, 'STATUS_BAD_GATEWAY'],
  ])('its %s is a %s', async (status, told) => {
    const running = await startBroker();
    const client = await clientOf(running, binding);
    const { aPoC } = await application(() => ({ status, body: 'no', type: 'text/plain' }));
    expect((await ask(client, 'retrieve', `${await register(running, aPoC, 'x')}/x`)).status).toBe(told);
  });

  test('what no path of it names is not found, and nobody is asked', async () => {
    const running = await startBroker();
    const client = await clientOf(running, binding);
    const { heard, aPoC } = await application(() => ({ status: 200 }));
    const path = await register(running, aPoC, 'x');
    for (const below of ['y', 'x/y', 'containers/y'])
      expect((await ask(client, 'retrieve', `${path}/${below}`)).status).toBe('STATUS_NOT_FOUND');
    expect(heard).toEqual([]);
  });
});

test('conditions are for the application to hold against its own state', async () => {
  const running = await startBroker();
  const { heard, aPoC } = await application(() => ({ status: 412 }));
  const path = `${await register(running, aPoC, 'x')}/x`;
  const date = 'Wed, 25 Nov 2026 10:00:00 GMT';
  const headers = { 'if-match': '"v1", "v2"', 'if-unmodified-since': date };
  expect((await http(running, 'PUT', path, { limit: 5 }, headers)).status).toBe(412);
  expect(heard[0]?.conditions).toEqual(['"v1", "v2"', date]);
});

test('one that is not there: 502', async () => {
  const running = await startBroker();
  const { aPoC } = await application(() => ({ status: 200 }));
  const path = await register(running, aPoC.replace(/:\d+/, ':1'), 'x');
  const { status, sentence } = await http(running, 'GET', `${path}/x`);
  expect({ status, sentence }).toEqual({ status: 502, sentence: expect.stringContaining('is not reached') as string });
});

test('one that says nothing: 504, in time for whoever waits', async () => {
  const clock = new ManualClock();
  const running = await startBroker({}, { clock });
  const { heard, aPoC } = await application(() => 'silent');
  const path = await register(running, aPoC, 'x');
  const asked = http(running, 'GET', `${path}/x`);
  await until('the application is asked', () => heard.length === 1);
  clock.advance(8_001);
  const { status, sentence } = await asked;
  expect({ status, sentence }).toEqual({ status: 504, sentence: expect.stringContaining('within 8 s') as string });
});

test('an answer without end is not kept: 502', async () => {
  const running = await startBroker();
  const { aPoC } = await application(() => ({ status: 200, body: 'x'.repeat(2_000_000), type: 'text/plain' }));
  const { status, sentence } = await http(running, 'GET', `${await register(running, aPoC, 'x')}/x`);
  expect({ status, sentence }).toEqual({ status: 502, sentence: expect.stringContaining('more than') as string });
});

test('an application over CoAP', async () => {
  const running = await startBroker();
  const heard: unknown[] = [];
  const server = coap.createServer((request, response) => {
    const { options } = request as unknown as { options: readonly { name: string; value: Buffer }[] };
    const ifMatch = options.filter(({ name }) => name === 'If-Match').map(({ value }) => String(value));
    heard.push({ method: request.method, url: request.url, payload: request.payload.toString(), ...(ifMatch.length > 0 && { ifMatch }) }); // prettier-ignore
    response.code = request.method === 'GET' ? '2.05' : '2.04';
    if (request.method === 'GET') response.setOption('Content-Format', 'application/json');
    response.end(request.method === 'GET' ? '{"kW":3.2}' : '');
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', () => listening()));
  whenStageCloses(() => new Promise<void>((closed) => server.close(() => closed())));
  const { port } = (server as unknown as { _sock: { address(): AddressInfo } })._sock.address();
  const path = `${await register(running, `coap://127.0.0.1:${port}/api`, 'readings')}/readings`;
  expect((await http(running, 'GET', `${path}?unit=kW`)).json).toEqual({ kW: 3.2 });
  expect((await http(running, 'PUT', path, { limit: 5 })).status).toBe(204);
  expect((await http(running, 'PUT', path, { limit: 6 }, { 'if-match': '"v1"' })).status).toBe(204);
  // What CoAP has no word for is not left out of a write.
  const refused: [string, string][] = [
    ['if-unmodified-since', 'Wed, 25 Nov 2026 10:00:00 GMT'],
    ['if-none-match', '"v1"'],
    ['if-match', '"longer than 8 bytes"'.replaceAll(' ', '')],
  ];
  for (const [name, value] of refused)
    expect((await http(running, 'PUT', path, { limit: 7 }, { [name]: value })).status).toBe(412);
  expect(heard).toEqual([
    { method: 'GET', url: '/api/readings?unit=kW', payload: '' },
    { method: 'PUT', url: '/api/readings', payload: '{"limit":5}' },
    { method: 'PUT', url: '/api/readings', payload: '{"limit":6}', ifMatch: ['v1'] },
  ]);
});
