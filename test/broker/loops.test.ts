/** What leads back to the broker itself: contacts, aPoCs, groups. Each must end, and say so. */
import { closeStage, container, http, nodeAt, startBroker, until, type RunningBroker } from './stage.js';

afterEach(closeStage);

const TEXT = { 'content-type': 'text/plain' };
const contact = (running: RunningBroker, binding: 'http' | 'coap', path: string) => `${running[binding]}${path}`;

describe.each(['http', 'coap'] as const)('over %s', (binding) => {
  test.each([
    ['what it subscribes to', (path: string) => [`${path}/contentInstances`, `${path}/contentInstances`]],
    ['the container above it', (path: string) => [`${path}/contentInstances`, path]],
    ['the sclBase', (path: string) => [path, '/m2m']],
  ])('a subscription whose contact is %s is over with its first notification', async (_what, paths) => {
    const running = await startBroker();
    const path = await container(running);
    const [subscribed = '', back = ''] = paths(path);
    const subscription = { contact: contact(running, binding, back) };
    const created = await http(running, 'POST', `${subscribed}/subscriptions`, { subscription });
    expect(created.status).toBe(201);
    await http(running, 'POST', `${path}/contentInstances`, 'x', TEXT);
    await http(running, 'PUT', path, { container: { maxNrOfInstances: 7 } });
    await until('the subscription is gone', () => nodeAt(running, created.location) === undefined);
    const { json } = await http(running, 'GET', `${path}/contentInstances`);
    expect(json.contentInstances).toMatchObject({ currentNrOfInstances: 1 });
    expect(running.broker.subscriptions.endings.get('CONTACT_REFUSED')).toBe(1);
  });

  test('an aPoC that leads back here is told so by the one request there is', async () => {
    const running = await startBroker();
    await http(running, 'PUT', '/m2m', { sclBase: { aPocHandling: 'DEEP' } });
    const aPoCPaths = { aPoCPath: [{ path: 'x' }] };
    const application = { appId: 'meter', aPoC: contact(running, binding, '/m2m/applications/meter/x'), aPoCPaths };
    await http(running, 'POST', '/m2m/applications', { application });
    const { status, bytes } = await http(running, 'GET', '/m2m/applications/meter/x');
    expect([status, bytes.toString()]).toEqual([403, expect.stringContaining('leads back here')]);
  });
});

test('a path of its own that is no channel is no contact: 400, and no subscription', async () => {
  const running = await startBroker();
  const path = await container(running);
  for (const own of [path, `${path}/contentInstances`, '/m2m', '/m2m/nowhere']) {
    const { status, sentence } = await http(running, 'POST', `${path}/subscriptions`, {
      subscription: { contact: own },
    });
    expect([status, sentence]).toEqual([400, expect.stringContaining('notificationChannel')]);
  }
  expect([...(nodeAt(running, `${path}/subscriptions`)?.known ?? [])]).toEqual([]);
});

test('a channel told of its own channels is told once for each change', async () => {
  const running = await startBroker();
  const { json } = await http(running, 'POST', '/m2m/notificationChannels', {
    notificationChannel: { channelType: 'LONG_POLLING' },
  });
  const { contactURI } = json.notificationChannel as { contactURI: string };
  const created = await http(running, 'POST', '/m2m/subscriptions', { subscription: { contact: contactURI } });
  expect(created.status).toBe(201);
  await http(running, 'PUT', '/m2m', { sclBase: { searchStrings: { searchString: ['x'] } } });
  await until('it is told', () => [...running.broker.subscriptions.accounts()].some(({ received }) => received > 0));
  expect([...running.broker.subscriptions.accounts()].map(({ received }) => received)).toEqual([1]);
});

test('groups that hold each other: a request comes to each once, whatever is asked', async () => {
  const running = await startBroker();
  const member = await container(running, { id: 'c' });
  const group = (id: string, ...reference: string[]) => ({
    group: { id, memberType: 'MIXED', members: { reference } },
  });
  for (const id of ['g1', 'g2', 'g3']) await http(running, 'POST', '/m2m/groups', group(id));
  const change = async (id: string, ...reference: string[]) => {
    const { status } = await http(running, 'PUT', `/m2m/groups/${id}`, { group: { members: { reference } } });
    expect(status).toBeLessThan(300);
  };
  await change('g1', '/m2m/groups/g2', '/m2m/groups/g3', '/m2m/groups/g1');
  await change('g2', '/m2m/groups/g1', '/m2m/groups/g3', member);
  await change('g3', '/m2m/groups/g2', member);
  const ask = async (method: string, suffix: string, body?: object) => {
    const answer = await http(running, method, `/m2m/groups/g1/membersContent${suffix}`, body as never);
    expect(answer.status).toBe(200);
    return answer.bytes.toString();
  };
  expect(await ask('GET', '')).toContain('has been asked in this request');
  await ask('POST', '/contentInstances', {
    contentInstance: { id: 'once', content: { contentType: 'text/plain', textContent: 'x' } },
  });
  const { json } = await http(running, 'GET', `${member}/contentInstances`);
  expect(json.contentInstances).toMatchObject({ currentNrOfInstances: 1 });
  await ask('DELETE', '');
  expect(nodeAt(running, member)).toBeUndefined();
});
