/** Notifications to contacts that are not connected: real servers over HTTP and, of another hand, over CoAP. */
import type { AddressInfo } from 'node:net';
import coap from 'coap';
import type { JsonObject } from '../../src/json.js';
import { ManualClock } from '../support/manual-clock.js';
import { contactAnswering } from './contact.js';
import { closeStage, container, http, startBroker, until, whenStageCloses, type RunningBroker } from './stage.js';

afterEach(closeStage);

async function subscribe(running: RunningBroker, to: string, subscription: JsonObject): Promise<string> {
  const { location, sentence } = await http(running, 'POST', `${to}/subscriptions`, { subscription });
  expect(sentence).toBe('');
  return location;
}

const publish = (running: RunningBroker, path: string, text: string) =>
  http(running, 'POST', `${path}/contentInstances`, text, { 'content-type': 'text/plain' });

test('a collection tells of its children, a resource of its attributes', async () => {
  const running = await startBroker();
  const { uri, told, states } = await contactAnswering();
  const collection = await subscribe(running, '/m2m/containers', { contact: uri });
  const path = await container(running, { id: 'load' });
  await until('the collection has told', () => told.length === 1);
  expect(told[0]).toMatchObject({ statusCode: 'STATUS_OK', subscriptionReference: collection });
  expect(states()[0]).toMatchObject({ containers: { containerCollection: { namedReference: [{ id: 'load' }] } } });

  const resource = await subscribe(running, path, { contact: uri });
  await http(running, 'PUT', path, { container: { searchStrings: { searchString: ['feeder'] } } });
  await until('the container has told', () => told.length === 2);
  expect(told[1]).toMatchObject({ subscriptionReference: resource });
  expect(states()[1]).toMatchObject({ container: { id: 'load', searchStrings: { searchString: ['feeder'] } } });

  await http(running, 'DELETE', path);
  await until('the end is told', () => told.some(({ statusCode }) => statusCode === 'STATUS_DELETED'));
  expect(told.find(({ statusCode }) => statusCode === 'STATUS_DELETED')).toMatchObject({
    subscriptionReference: resource,
  });
  await until('the collection has told', () => told.length === 4);
  // Two contacts, two connections: either may be the first.
  expect(told.slice(2)).toContainEqual(
    expect.objectContaining({ statusCode: 'STATUS_OK', subscriptionReference: collection }),
  );
});

test('one notification is outstanding; then the newest state goes', async () => {
  const running = await startBroker();
  const { uri, told, hold, letGo, states } = await contactAnswering();
  await subscribe(running, '/m2m/containers', { contact: uri });
  hold();
  await container(running, { id: 'a' });
  await until('the first is on its way', () => told.length === 1);
  for (const id of ['b', 'c', 'd']) await container(running, { id });
  expect(told).toHaveLength(1);
  letGo();
  await until('the newest has come', () => told.length === 2);
  expect(told[1]?.missed).toBe(2);
  expect(states()[1]).toMatchObject({
    containers: { containerCollection: { namedReference: [{ id: 'a' }, { id: 'b' }, { id: 'c' }, { id: 'd' }] } },
  });
});

test('a contentInstances without an accessor tells all instances since the last success', async () => {
  const clock = new ManualClock();
  const running = await startBroker({}, { clock });
  const { uri, told, states } = await contactAnswering(503);
  const path = await container(running);
  await publish(running, path, 'before');
  await subscribe(running, `${path}/contentInstances`, { contact: uri });
  const instances = (n: number): readonly string[] => {
    const { contentInstances } = states()[n] as unknown as {
      contentInstances: { contentInstanceCollection: { contentInstance: { content: { textContent: string } }[] } };
    };
    return contentInstances.contentInstanceCollection.contentInstance.map(({ content }) => content.textContent);
  };
  await publish(running, path, 'one');
  await until('it is told', () => told.length === 1);
  expect(instances(0)).toEqual(['one']);
  await publish(running, path, 'two');
  await until('it waits', () => running.broker.wheel.size > 0);
  clock.advance(10_000);
  await until('it is told again', () => told.length === 2);
  expect(instances(1)).toEqual(['one', 'two']);
  await publish(running, path, 'three');
  await until('the next is told', () => told.length === 3);
  expect(instances(2)).toEqual(['three']);
});

test('what fails is tried three times more, then dropped; the subscription stays', async () => {
  const clock = new ManualClock();
  const running = await startBroker({}, { clock });
  const { uri, told } = await contactAnswering(500, 502, 503, 504);
  const subscription = await subscribe(running, '/m2m/containers', { contact: uri });
  await container(running);
  clock.endTurn();
  for (let n = 1; n <= 4; n++) {
    await until(`it is told ${n} times`, () => told.length === n);
    if (n < 4) await until('it waits', () => running.broker.wheel.size > 0);
    clock.advance(10_000);
  }
  await container(running);
  clock.endTurn();
  await until('the next is told', () => told.length === 5);
  expect(told[4]?.missed).toBe(1);
  expect((await http(running, 'GET', subscription)).status).toBe(200);
});

test('a contact that refuses ends its subscription', async () => {
  const running = await startBroker();
  const { uri, told } = await contactAnswering(404);
  const subscription = await subscribe(running, '/m2m/containers', { contact: uri });
  await container(running);
  await until('it is told', () => told.length === 1);
  await until('the subscription is gone', async () => (await http(running, 'GET', subscription)).status === 404);
  await container(running);
  expect(told).toHaveLength(1);
});

test('the spacing holds, and the last state comes when it has passed', async () => {
  const clock = new ManualClock();
  const running = await startBroker({}, { clock });
  const { uri, told, states } = await contactAnswering();
  await subscribe(running, '/m2m/containers', { contact: uri, minimalTimeBetweenNotifications: 5_000 });
  await container(running, { id: 'a' });
  clock.endTurn();
  await until('the first is told', () => told.length === 1);
  for (const id of ['b', 'c']) await container(running, { id });
  clock.endTurn();
  clock.advance(4_900);
  expect(told).toHaveLength(1);
  clock.advance(200);
  await until('the last is told', () => told.length === 2);
  expect(states()[1]).toMatchObject({
    containers: { containerCollection: { namedReference: [{ id: 'a' }, { id: 'b' }, { id: 'c' }] } },
  });
});

test('a contact over CoAP gets confirmable POSTs', async () => {
  const running = await startBroker();
  const told: { url: string; body: string }[] = [];
  const server = coap.createServer((request, response) => {
    told.push({ url: request.url, body: request.payload.toString() });
    response.code = '2.04';
    response.end();
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', () => listening()));
  whenStageCloses(() => new Promise<void>((closed) => server.close(() => closed())));
  const { port } = (server as unknown as { _sock: { address(): AddressInfo } })._sock.address();
  await subscribe(running, '/m2m/containers', { contact: `coap://127.0.0.1:${port}/in/box` });
  await container(running, { id: 'load' });
  await until('it is told', () => told.length === 1);
  expect(told[0]?.url).toBe('/in/box');
  expect(JSON.parse(told[0]?.body ?? '')).toMatchObject({ notify: { statusCode: 'STATUS_OK' } });
});
