/**
 * Bad input gets a clear answer on every binding, a status and a sentence that names what was wrong, and loses nothing.
 * Rates that do not divide need a source that declares one: test/broker/rates.test.ts.
 */
import { open, type Client, type ClientRequest } from '../../src/client/index.js';
import { GridcastError } from '../../src/client/error.js';
import type { Status } from '../../src/errors.js';
import { closeBrokers, startBroker } from '../support/broker.js';

afterEach(closeBrokers);

const INSTANCES = '/m2m/applications/meter/containers/load/contentInstances';
const container = (id: string): ClientRequest => ({
  op: 'create',
  to: '/m2m/applications/meter/containers',
  body: { container: { id } },
});
const post = (mediaType: string, text: string): ClientRequest => ({
  op: 'create',
  to: INSTANCES,
  body: { mediaType, bytes: Buffer.from(text) },
});

const FAULTS: readonly (readonly [name: string, request: ClientRequest, status: Status, sentence: string])[] = [
  ['an unknown path', { op: 'retrieve', to: '/m2m/applications/nobody' }, 'STATUS_NOT_FOUND', 'nobody'],
  ['an id that is taken', container('load'), 'STATUS_CONFLICT', 'load'],
  ['an id that is none', container('a/b'), 'STATUS_BAD_REQUEST', 'a/b'],
  [
    'an unknown attribute',
    { op: 'create', to: '/m2m/applications', body: { application: { colour: 'red' } } },
    'STATUS_BAD_REQUEST',
    'colour',
  ],
  [
    'a representation of another type',
    { op: 'create', to: '/m2m/applications', body: { container: {} } },
    'STATUS_BAD_REQUEST',
    'application',
  ],
  [
    'JSON that is none',
    { op: 'create', to: '/m2m/applications', body: { mediaType: 'application/json', bytes: Buffer.from('{') } },
    'STATUS_BAD_REQUEST',
    'JSON',
  ],
  [
    'a format that is not to be had',
    { op: 'retrieve', to: `${INSTANCES}/latest/content`, accept: 'application/cbor' },
    'STATUS_NOT_ACCEPTABLE',
    'text/plain',
  ],
  ['what may not be deleted', { op: 'delete', to: '/m2m' }, 'STATUS_METHOD_NOT_ALLOWED', ''],
];

describe.each(['http', 'coap', 'ws'] as const)('over %s', (binding) => {
  async function meter(): Promise<Client> {
    const broker = await startBroker();
    const client = await open(broker[binding]);
    clients.push(client);
    await client.request({ op: 'create', to: '/m2m/applications', body: { application: { appId: 'meter' } } });
    await client.request(container('load'));
    await client.request(post('text/plain', 'kept'));
    return client;
  }

  /** What was there before is there still. */
  async function isKept(client: Client): Promise<void> {
    const { bytes } = await client.request({ op: 'retrieve', to: `${INSTANCES}/latest/content` });
    expect(Buffer.from(bytes).toString()).toBe('kept');
  }

  test.each(FAULTS)('%s', async (_name, request, status, sentence) => {
    const client = await meter();
    const refusal = await refused(client.request(request));
    expect(refusal.status).toBe(status);
    expect(refusal.message).toContain(sentence);
    await isKept(client);
  });

  test.each([
    ['a rate that is none', '?rate=0', 'rate'],
    ['a condition that is no number', '?c.gt=high', 'c.gt'],
    ['a class that there is not', '?class=urgent', 'urgent'],
  ])('%s', async (_name, query, sentence) => {
    const client = await meter();
    const refusal = await refused(client.observe(`${INSTANCES}/latest/content${query}`).next());
    expect(refusal.message).toContain(sentence);
    await isKept(client);
  });

  test('a body that is too large', async () => {
    const client = await meter();
    // Over a WebSocket the message itself is refused, and with it the connection.
    const refusal = await refused(client.request(post('text/plain', 'x'.repeat(2_000_000))));
    if (binding === 'ws') return expect(refusal.message).toContain('1009');
    expect(refusal.status).toBe('STATUS_TOO_LARGE');
    await isKept(client);
  });
});

const clients: Client[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
});

async function refused(outcome: Promise<unknown>): Promise<GridcastError> {
  const error: unknown = await outcome.then(
    () => 'not refused',
    (refusal: unknown) => refusal,
  );
  if (!(error instanceof GridcastError)) throw new Error(String(error));
  return error;
}
