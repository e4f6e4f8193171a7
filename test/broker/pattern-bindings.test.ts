/** Patterns over CoAP and HTTP: one observation of many resources, one subscription with a contact. */
import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';
import type { Notification, ObserveTerms } from '../../src/client/index.js';
import type { Broker } from '../../src/broker.js';
import type { JsonObject } from '../../src/json.js';
import { describeWith, hasLibcoap } from '../interop/coap-capture.js';
import { RememberingStore } from '../support/remembering-store.js';
import { contactAnswering } from './contact.js';
import {
  ask,
  clientOf,
  closeStage,
  container,
  http,
  measurements,
  nodeAt,
  startBroker,
  stream,
  until,
  whenStageCloses,
  type RunningBroker,
} from './stage.js';

afterEach(closeStage);

const ALL = '/m2m/applications/*/containers/measurements/contentInstances/latest/content';
const METERS = '/m2m/containers/*/contentInstances/latest/content';
const PATTERN = '*/contentInstances/latest/content';
const SUBSCRIPTIONS = '/m2m/containers/subscriptions';

async function observe(running: RunningBroker, binding: 'http' | 'coap', to: string, terms: ObserveTerms = {}) {
  const client = await clientOf(running, binding);
  const got: Notification[] = [];
  const iteration = client.observe(to, terms);
  const over = (async () => {
    for await (const one of iteration) got.push(one);
  })();
  over.catch(() => undefined);
  return { client, got, over };
}

const post = (running: RunningBroker, meter: string, value: unknown, type = 'application/json') =>
  http(running, 'POST', `${meter}/contentInstances`, {
    contentInstance: { content: { contentType: type, textContent: JSON.stringify(value) } },
  });
const told = (got: readonly Notification[]) =>
  got.map(({ from, body }) => `${from} ${JSON.stringify(JSON.parse(Buffer.from(body).toString()))}`);
const routes = ({ broker }: RunningBroker): number => broker.subscriptions.population.size;

describe.each(['coap', 'http'] as const)('over %s', (binding) => {
  test('it brings the samples of all PMUs, each with whose it is', async () => {
    const running = await startBroker();
    const pmus = stream(running, [1, 2, 3], 50);
    const { got } = await observe(running, binding, ALL, { rate: 10, class: 'control' });
    await until('all are routed', () => routes(running) === 3);
    pmus.run(1);
    await until('the last of each has come', () => new Set(got.map(({ from }) => from)).size === 3);
    for (const { timeUs = 0 } of got) expect(timeUs % 100_000).toBe(0);
    expect(got.map(({ from }) => from)).toEqual(expect.arrayContaining([1, 2, 3].map(measurements)));
    const [subscription, ...more] = [...nodeAt(running, '/m2m/applications/subscriptions')!.children];
    expect(more).toEqual([]);
    expect((await http(running, 'GET', subscription!.reference)).json).toMatchObject({
      subscription: { pattern: ALL.slice('/m2m/applications/'.length), rate: 10, latencyClass: 'control' },
    });
  });

  test('it follows the tree, told the newest first, and ends with its subscription', async () => {
    const running = await startBroker();
    const first = await container(running, { id: 'a' });
    await post(running, first, 'old');
    const { got, over } = await observe(running, binding, METERS);
    await until('what there was is told', () => got.length === 1);
    const second = await container(running, { id: 'b' });
    await until('it is routed', () => routes(running) === 2);
    await post(running, second, 'new');
    await until('it is told', () => got.length === 2);
    await http(running, 'DELETE', first);
    await until('it has ended', () => routes(running) === 1);
    await post(running, second, 'newer');
    await until('the other goes on', () => got.length === 3);
    expect(told(got)).toEqual([`${first} "old"`, `${second} "new"`, `${second} "newer"`]);
    const [subscription] = [...nodeAt(running, SUBSCRIPTIONS)!.children];
    running.broker.resources.remove(subscription!, 'LEASE_EXPIRED');
    await expect(over).rejects.toMatchObject({ kind: 'refused', message: 'The expirationTime has passed.' });
    expect(routes(running)).toBe(0);
  });

  test('conditions and filters are each member’s own', async () => {
    const running = await startBroker();
    const [first, second] = [await container(running, { id: 'a' }), await container(running, { id: 'b' })];
    const { got } = await observe(running, binding, METERS, { conditions: 'c.gt=10&field=power' });
    await until('both are routed', () => routes(running) === 2);
    const publish = (meter: string, power: number) =>
      post(running, meter, [{ n: 'power', v: power }], 'application/senml+json');
    const runs = [
      [first, 1, 2],
      [first, 11, 12],
      [second, 20, 21],
      [second, 3],
    ] as const;
    for (const [index, [meter, ...powers]] of runs.entries()) {
      for (const power of powers) await publish(meter, power);
      await until('what says something new has come', () => got.length > index);
    }
    const valueOf = ({ from, body }: Notification) =>
      [from, (JSON.parse(Buffer.from(body).toString()) as [{ v: number }])[0].v] as const;
    expect(got.map(valueOf)).toEqual([
      [first, 1],
      [first, 11],
      [second, 20],
      [second, 3],
    ]);
  });

  test('leaves nothing behind when its subscriber leaves', async () => {
    const running = await startBroker();
    await container(running, { id: 'a' });
    const { client } = await observe(running, binding, METERS);
    await until('it is routed', () => routes(running) === 1);
    await client.close();
    await until('nothing is subscribed', () => routes(running) === 0);
    expect([...nodeAt(running, SUBSCRIPTIONS)!.children]).toEqual([]);
    await container(running, { id: 'b' });
    expect(routes(running)).toBe(0);
  });
});

describe('over coap', () => {
  test('terms that fit nothing of what matches end it with the sentence', async () => {
    const running = await startBroker();
    stream(running, [1, 2], 50);
    const { over } = await observe(running, 'coap', `${ALL}?rate=30`);
    await expect(over).rejects.toMatchObject({
      kind: 'refused',
      status: 'STATUS_BAD_REQUEST',
      message: expect.stringContaining('does not divide') as string,
    });
    expect(routes(running)).toBe(0);
  });

  test('a fault of its endpoint ends it with an answer, so that its client comes again', async () => {
    const running = await startBroker();
    await container(running, { id: 'a' });
    const { over } = await observe(running, 'coap', METERS);
    await until('it is routed', () => routes(running) === 1);
    const { population, connected } = running.broker.sessions as unknown as {
      readonly population: Broker['sessions']['population'];
      readonly connected: ReadonlyMap<string, unknown>;
    };
    for (const id of connected.keys()) population.get(id)?.fail(new Error('a bug'));
    await expect(over).rejects.toMatchObject({ kind: 'refused', status: 'STATUS_INTERNAL_SERVER_ERROR' });
    await until('nothing is subscribed', () => routes(running) === 0);
  });

  describeWith({ 'coap-client-notls': hasLibcoap }, 'libcoap', () => {
    test('observes a pattern by one token, and is told by Location-Path whose each notification is', async () => {
      const running = await startBroker();
      const meters = [await container(running, { id: 'a' }), await container(running, { id: 'b' })];
      const client = spawn('coap-client-notls', ['-v', '7', '-s', '60', '-m', 'get', `${running.coap}${METERS}`]);
      whenStageCloses(() => client.kill());
      let said = '';
      for (const out of [client.stdout, client.stderr]) out.on('data', (bytes: Buffer) => (said += bytes.toString()));
      await until('both are routed', () => routes(running) === 2);
      for (const meter of meters) await post(running, meter, `of ${meter}`);
      await until('both have come', () => meters.every((meter) => said.includes(`of ${meter}`)));
      const answers = said.split('\n').filter((line) => /c:2\.05.*of \/m2m/.test(line));
      expect(answers).toHaveLength(2);
      for (const [index, meter] of meters.entries())
        for (const word of [
          'Observe:',
          ...meter
            .split('/')
            .filter((name) => name !== '')
            .map((name) => `Location-Path:${name}`),
        ])
          expect(answers[index]).toContain(word);
      client.kill('SIGINT');
      await until('it has left', () => routes(running) === 0);
    });
  });
});

describe('over http', () => {
  test('curl polls one channel for all, and reads whose each notify is', async () => {
    const running = await startBroker();
    const meters = [await container(running, { id: 'a' }), await container(running, { id: 'b' })];
    const curl = async (...words: readonly string[]): Promise<JsonObject> =>
      JSON.parse((await promisify(execFile)('curl', ['-s', ...words])).stdout) as JsonObject;
    const create = (path: string, body: JsonObject) =>
      curl(`${running.http}${path}`, '-H', 'content-type: application/json', '-d', JSON.stringify(body));
    const { notificationChannel: channel } = (await create('/m2m/notificationChannels', {
      notificationChannel: { channelType: 'LONG_POLLING' },
    })) as { notificationChannel: { contactURI: string; channelData: { longPollingURI: string } } };
    await create(SUBSCRIPTIONS, { subscription: { contact: channel.contactURI, pattern: PATTERN } });
    await until('both are routed', () => routes(running) === 2);
    for (const meter of meters) await post(running, meter, `of ${meter}`);
    const got: string[] = [];
    while (got.length < 2) {
      const { notifyCollection } = (await curl(`${running.http}${channel.channelData.longPollingURI}`)) as unknown as {
        notifyCollection: { notify: { path: string; representation: { textContent: string } }[] };
      };
      for (const { path, representation } of notifyCollection.notify) got.push(`${path} ${representation.textContent}`);
    }
    expect(got).toEqual(meters.map((meter) => `${meter} "of ${meter}"`));
  });

  test('a contact is told what ends, and what is not to be had', async () => {
    const running = await startBroker();
    const pmus = stream(running, [1, 2], 50);
    const contact = await contactAnswering();
    const pattern = ALL.slice('/m2m/applications/'.length);
    const subscription = { contact: contact.uri, pattern, rate: 30 };
    await http(running, 'POST', '/m2m/applications/subscriptions', { subscription });
    await until('it is told', () => contact.told.length === 2);
    const refused = { statusCode: 'STATUS_BAD_REQUEST', reason: expect.stringContaining('does not divide') as string };
    expect(contact.told).toEqual([1, 2].map((n) => expect.objectContaining({ ...refused, path: measurements(n) })));
    pmus.reports(60);
    await until('they are routed', () => routes(running) === 2);
    await http(running, 'DELETE', measurements(1));
    await until('its end is told', () => contact.told.length === 3);
    expect(contact.told[2]).toMatchObject({ statusCode: 'STATUS_DELETED', path: measurements(1) });
  });

  test('a contact that wants none ends it', async () => {
    const running = await startBroker();
    const meter = await container(running, { id: 'a' });
    await container(running, { id: 'b' });
    const contact = await contactAnswering(410);
    await http(running, 'POST', SUBSCRIPTIONS, { subscription: { contact: contact.uri, pattern: PATTERN } });
    await until('both are routed', () => routes(running) === 2);
    await post(running, meter, 'x');
    await until('nothing is subscribed', () => routes(running) === 0);
    expect([...nodeAt(running, SUBSCRIPTIONS)!.children]).toEqual([]);
  });

  test('its channel takes it along', async () => {
    const running = await startBroker();
    await container(running, { id: 'a' });
    const { json, location } = await http(running, 'POST', '/m2m/notificationChannels', {
      notificationChannel: { channelType: 'LONG_POLLING' },
    });
    const { contactURI } = json.notificationChannel as { contactURI: string };
    await http(running, 'POST', SUBSCRIPTIONS, { subscription: { contact: contactURI, pattern: PATTERN } });
    await until('it is routed', () => routes(running) === 1);
    await http(running, 'DELETE', location);
    await until('nothing is subscribed', () => routes(running) === 0);
    expect([...nodeAt(running, SUBSCRIPTIONS)!.children]).toEqual([]);
  });

  test('it goes on after a restart', async () => {
    const store = new RememberingStore();
    const before = await startBroker({}, { store });
    const contact = await contactAnswering();
    const meter = await container(before, { id: 'a' });
    await http(before, 'POST', SUBSCRIPTIONS, { subscription: { contact: contact.uri, pattern: PATTERN } });
    await before.close();
    const after = await startBroker({}, { store });
    await until('it is routed', () => routes(after) === 1);
    await post(after, meter, 'after');
    await until('it is told', () => contact.told.length === 1);
    expect(contact.told[0]).toMatchObject({ path: meter });
  });

  test.each([
    [{ pattern: 'a/*/contentInstances/latest/content' }, 'begins with "*"'],
    [{ pattern: '*/contentInstances' }, 'ends in'],
    [{ pattern: PATTERN, filterCriteria: { attributeAccessor: 'latest' } }, 'attributeAccessor'],
    [{ pattern: PATTERN, aggregateURI: '/m2m/groups/g' }, 'aggregateURI'],
    [{ pattern: PATTERN, conditions: 'c.gt=much' }, '"much"'],
  ])('%j is refused with a sentence', async (attributes, sentence) => {
    const running = await startBroker();
    const client = await clientOf(running, 'http');
    const subscription = { contact: 'http://127.0.0.1:9/', ...attributes };
    expect(await ask(client, 'create', SUBSCRIPTIONS, { subscription })).toMatchObject({
      status: 'STATUS_BAD_REQUEST',
      sentence: expect.stringContaining(sentence) as string,
    });
  });
});
