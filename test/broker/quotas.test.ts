/** Limits of what may stand: refused with 503 and a sentence over every binding, counted, and free again with what goes. */
import { parsePath, type Response } from '../../src/routing/primitive.js';
import { RememberingStore } from '../support/remembering-store.js';
import {
  ask,
  clientOf,
  closeStage,
  connect,
  container,
  http,
  retrieve,
  startBroker,
  type RunningBroker,
} from './stage.js';

afterEach(closeStage);

const LATEST = 'contentInstances/latest';
const refusals = async ({ broker }: RunningBroker, limit: string): Promise<string | undefined> =>
  new RegExp(`^gridcast_quota_refusals_total\\{limit="${limit}"\\} (\\d+)`, 'm').exec(
    (await broker.metrics.expose()).text,
  )?.[1];

const create = (running: RunningBroker, appId: string) =>
  http(running, 'POST', '/m2m/applications', { application: { appId } });

test('resources are created up to maxResources, and again when one has gone with what it held', async () => {
  const running = await startBroker({ maxResources: 3 });
  expect((await create(running, 'a')).status).toBe(201);
  const load = { container: { id: 'load' } };
  expect((await http(running, 'POST', '/m2m/applications/a/containers', load)).status).toBe(201);
  expect((await create(running, 'b')).status).toBe(201);
  const refused = await create(running, 'c');
  expect(refused).toMatchObject({
    status: 503,
    sentence: 'There are 3 resources here, as many as maxResources allows; delete what is not needed.',
  });
  expect(refused.headers.get('retry-after')).toBe('60');
  // What is refused has left no trace.
  expect((await http(running, 'GET', '/m2m/applications')).bytes.toString()).not.toContain('"c"');
  // Contents and subscriptions have limits of their own.
  expect((await http(running, 'POST', '/m2m/applications/a/containers/load/contentInstances', { v: 1 })).status).toBe(
    201,
  );
  await http(running, 'DELETE', '/m2m/applications/a');
  expect([(await create(running, 'c')).status, (await create(running, 'd')).status]).toEqual([201, 201]);
  expect((await create(running, 'e')).status).toBe(503);
  expect(await refusals(running, 'maxResources')).toBe('2');
});

test('the limit of an originator is his own', async () => {
  const { broker, close } = await startBroker({ maxResourcesPerOriginator: 1 });
  const asked = async (originator: string, op: 'create' | 'delete', path: string, id = ''): Promise<Response> => {
    const to = parsePath(path);
    if ('detail' in to) throw new Error(to.detail);
    const document = (): { container: { id: string } } => ({ container: { id } });
    const body = {
      mediaType: 'application/json',
      bytes: Buffer.from('{}'),
      value: () => ({ parsed: document() }),
      document,
    };
    return broker.request({ ...retrieve(path), to, op, originator, ...(op === 'create' && { body }) });
  };
  expect(await asked('one', 'create', '/m2m/containers', 'a')).toMatchObject({ status: 'STATUS_CREATED' });
  expect(await asked('one', 'create', '/m2m/containers', 'b')).toMatchObject({
    status: 'STATUS_SERVICE_UNAVAILABLE',
    detail: expect.stringMatching(/^one has created 1 resources that stand, as many as maxResourcesPerOriginator/),
  });
  expect(await asked('other', 'create', '/m2m/containers', 'b')).toMatchObject({ status: 'STATUS_CREATED' });
  // Whoever deletes it, it was his who created it.
  await asked('other', 'delete', '/m2m/containers/a');
  expect(await asked('one', 'create', '/m2m/containers', 'c')).toMatchObject({ status: 'STATUS_CREATED' });
  await close();
});

test('what stood before a restart stands after it, and counts', async () => {
  const store = new RememberingStore();
  const first = await startBroker({}, { store });
  for (const id of ['a', 'b', 'c']) await create(first, id);
  await first.close();
  const next = await startBroker({ maxResources: 2 }, { store });
  expect((await http(next, 'GET', '/m2m/applications/c')).status).toBe(200);
  expect((await create(next, 'd')).status).toBe(503);
  for (const id of ['a', 'b']) await http(next, 'DELETE', `/m2m/applications/${id}`);
  expect((await create(next, 'd')).status).toBe(201);
});

test('subscriptions of every kind count together, at one resource and in all', async () => {
  const running = await startBroker({ maxSubscriptionsPerResource: 2, maxSubscriptions: 3 });
  const [one, other] = [await container(running, { id: 'one' }), await container(running, { id: 'other' })];
  const channel = await http(running, 'POST', '/m2m/notificationChannels', {
    notificationChannel: { channelType: 'LONG_POLLING' },
  });
  const subscribe = (path: string) =>
    http(running, 'POST', `${path}/contentInstances/subscriptions`, { subscription: { contact: channel.location } });
  const observe = (path: string) => {
    const { session } = connect(running);
    return session.subscribe(retrieve(`${path}/${LATEST}`), {});
  };
  const created = await subscribe(one);
  expect(created.status).toBe(201);
  expect(await observe(one)).toHaveProperty('delivery');
  expect(await observe(one)).toMatchObject({
    status: 'STATUS_SERVICE_UNAVAILABLE',
    detail: `${one}/contentInstances/subscriptions has 2 subscriptions, as many as maxSubscriptionsPerResource allows; delete what is not needed.`,
    retryAfterS: 60,
  });
  expect(await subscribe(one)).toMatchObject({ status: 503, sentence: expect.stringContaining('has 2 subscriptions') });
  expect(await observe(other)).toHaveProperty('delivery');
  expect(await subscribe(other)).toMatchObject({
    status: 503,
    sentence: expect.stringContaining('maxSubscriptions allows'),
  });
  expect(await refusals(running, 'maxSubscriptionsPerResource')).toBe('2');
  expect(await refusals(running, 'maxSubscriptions')).toBe('1');
  await http(running, 'DELETE', created.location);
  expect((await subscribe(one)).status).toBe(201);
});

test.each(['http', 'coap', 'ws'] as const)('over %s the answer is 503, 5.03', async (binding) => {
  const running = await startBroker({ maxResources: 1, maxSubscriptionsPerResource: 1 });
  const client = await clientOf(running, binding);
  expect((await ask(client, 'create', '/m2m/containers', { container: { id: 'a' } })).status).toBe('STATUS_CREATED');
  expect(await ask(client, 'create', '/m2m/containers', { container: { id: 'b' } })).toMatchObject({
    status: 'STATUS_SERVICE_UNAVAILABLE',
    sentence: expect.stringContaining('as many as maxResources allows'),
  });
  if (binding === 'http') return;
  const path = `/m2m/containers/a/${LATEST}`;
  const { session } = connect(running);
  expect(await session.subscribe(retrieve(path), {})).toHaveProperty('delivery');
  await expect(client.observe(path).next()).rejects.toMatchObject({
    status: 'STATUS_SERVICE_UNAVAILABLE',
    message: expect.stringContaining('maxSubscriptionsPerResource'),
  });
});
