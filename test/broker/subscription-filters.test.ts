/** filterCriteria of subscriptions, however they are asked for: what they do not mean is not told, and is in the books as decimated. */
import { createServer } from 'node:http';
import type { JsonObject } from '../../src/json.js';
import { open } from '../../src/client/index.js';
import { closeStage, connect, container, http, retrieve, startBroker, until, whenStageCloses, type RunningBroker } from './stage.js'; // prettier-ignore

afterEach(closeStage);

const TEXT = { 'content-type': 'text/plain' };
const PAST = '2020-01-01T00:00:00Z';
const FUTURE = '2090-01-01T00:00:00Z';

/** A channel that remembers what its polls were answered with. */
async function listening(running: RunningBroker) {
  const { json } = await http(running, 'POST', '/m2m/notificationChannels', {
    notificationChannel: { channelType: 'LONG_POLLING' },
  });
  const { contactURI: contact, channelData } = json.notificationChannel as {
    contactURI: string;
    channelData: { longPollingURI: string };
  };
  const next = async (): Promise<string> => {
    const { json: told } = await http(running, 'GET', channelData.longPollingURI);
    return (told.notify as { representation: { textContent: string } }).representation.textContent;
  };
  const subscribe = (to: string, filterCriteria: JsonObject, more: JsonObject = {}) =>
    http(running, 'POST', `${to}/subscriptions`, { subscription: { contact, filterCriteria, ...more } });
  return { next, subscribe };
}

const instance = (
  id: string,
  textContent: string,
  searchString: readonly string[] = [],
  contentType = 'text/plain',
) => ({
  contentInstance: { id, content: { contentType, textContent }, searchStrings: { searchString: [...searchString] } },
});

const decimated = ({ broker }: RunningBroker): number =>
  [...broker.subscriptions.accounts()].reduce((sum, account) => sum + account.decimated, 0);

test.each<[string, JsonObject, string]>([
  ['sizeFrom', { sizeFrom: 2 }, 'b'],
  ['sizeUntil', { sizeFrom: 3, sizeUntil: 3 }, 'c'],
  ['contentType', { contentType: ['application/json', 'text/csv'] }, 'd'],
  ['searchString', { searchString: ['peak', 'Visby'] }, 'c'],
  ['createdUntil, which is over', { createdUntil: PAST, sizeFrom: 1 }, 'none'],
  ['ifModifiedSince', { ifModifiedSince: PAST, sizeFrom: 3 }, 'c'],
  ['ifUnmodifiedSince, which does not hold', { ifUnmodifiedSince: PAST }, 'none'],
  ['creator', { creator: 'somebody' }, 'none'],
  ['creator', { creator: 'anonymous' }, 'a'],
])('%s chooses among contentInstances', async (_what, criteria, first) => {
  const running = await startBroker();
  const instances = `${await container(running)}/contentInstances`;
  const { next, subscribe } = await listening(running);
  const { status } = await subscribe(instances, { attributeAccessor: 'latest', ...criteria });
  expect(status).toBe(201);
  for (const each of [
    instance('a', 'x'),
    instance('b', 'xx', ['peak']),
    instance('c', 'xxx', ['peak', 'Visby']),
    instance('d', '7', [], 'application/json'),
  ])
    await http(running, 'POST', instances, each);
  const ids = ['a', 'b', 'c', 'd'];
  if (first === 'none') expect(decimated(running)).toBe(ids.length);
  else expect(JSON.parse(await next())).toMatchObject({ contentInstance: { id: first } });
});

test('a state is told while the conditions hold', async () => {
  const running = await startBroker();
  const path = await container(running);
  const { next, subscribe } = await listening(running);
  for (const filterCriteria of [{ ifUnmodifiedSince: PAST }, { ifModifiedSince: FUTURE }, { ifMatch: ['none'] }])
    expect((await subscribe(path, filterCriteria)).status).toBe(201);
  await subscribe(path, { ifModifiedSince: PAST });
  await http(running, 'PUT', path, { container: { maxNrOfInstances: 7 } });
  expect(JSON.parse(await next())).toMatchObject({ container: { maxNrOfInstances: 7 } });
  const accounts = [...running.broker.subscriptions.accounts()];
  expect(accounts.map((each) => [each.delivered, each.decimated])).toEqual([[0, 1], [0, 1], [0, 1], [1, 0]]); // prettier-ignore
});

test('a contact is told those since its last success that are meant', async () => {
  const running = await startBroker();
  const instances = `${await container(running)}/contentInstances`;
  const told: string[] = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (bytes: Buffer) => (body += bytes.toString()));
    request.on('end', () => {
      const { notify } = JSON.parse(body) as { notify: { representation: { textContent: string } } };
      const { contentInstances } = JSON.parse(notify.representation.textContent) as {
        contentInstances: { contentInstanceCollection: { contentInstance: { id: string }[] } };
      };
      told.push(...contentInstances.contentInstanceCollection.contentInstance.map(({ id }) => id));
      response.writeHead(204).end();
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  whenStageCloses(() => {
    server.closeAllConnections();
    server.close();
  });
  const contact = `http://127.0.0.1:${(server.address() as { port: number }).port}/`;
  const subscription = { contact, filterCriteria: { searchString: ['odd'] } };
  expect((await http(running, 'POST', `${instances}/subscriptions`, { subscription })).status).toBe(201);
  for (const n of [1, 2, 3, 4, 5])
    await http(running, 'POST', instances, instance(`i${n}`, 'x', n % 2 === 1 ? ['odd'] : []));
  await until('all are told', () => told.length === 3);
  expect(told).toEqual(['i1', 'i3', 'i5']);
});

test.each(['coap', 'ws'] as const)('over %s they stand in the query', async (binding) => {
  const running = await startBroker();
  const instances = `${await container(running)}/contentInstances`;
  await http(running, 'POST', instances, 'x', TEXT);
  const client = await open(running[binding]);
  whenStageCloses(() => client.close());
  const told = client.observe(`${instances}/latest/content?sizeFrom=3`, { accept: 'text/plain' });
  const first = told.next();
  await until('it is observed', () => [...running.broker.subscriptions.accounts()].length === 1);
  await until('it is open', async () => {
    await http(running, 'POST', instances, 'xx', TEXT);
    return decimated(running) > 0;
  });
  await http(running, 'POST', instances, 'xxx', TEXT);
  const { value } = (await first) as { value: { body: Uint8Array } };
  expect(Buffer.from(value.body).toString()).toBe('xxx');
  await told.return?.();
});

test.each([
  ['a size of a resource', { sizeFrom: 2 }, 'contentInstances'],
  ['two accessors that lead nowhere', { attributeAccessor: 'nowhere' }, 'chooses'],
])('%s is 400', async (_what, criteria, sentence) => {
  const running = await startBroker();
  const { subscribe } = await listening(running);
  const answer = await subscribe(await container(running), criteria);
  expect([answer.status, answer.sentence]).toEqual([400, expect.stringContaining(sentence)]);
});

test('a state is written once for all who are shown the same', async () => {
  const running = await startBroker();
  const path = await container(running);
  const ports = await Promise.all(
    ['a', 'b', 'c'].map(async () => {
      const { port, session } = connect(running);
      const subscribed = await session.subscribe(retrieve(path), {});
      if (!('delivery' in subscribed)) throw new Error(subscribed.detail);
      session.open(subscribed.delivery);
      return port;
    }),
  );
  await http(running, 'PUT', path, { container: { maxNrOfInstances: 7 } });
  await until('all are told', () => ports.every(({ sent }) => sent.length > 0));
  const bodies = new Set(ports.map(({ sent }) => sent[0]?.body));
  expect(bodies.size).toBe(1);
});
