/** What the members of a group tell one subscriber comes together: aggregateURI. */
import { ManualClock } from '../support/manual-clock.js';
import { RememberingStore } from '../support/remembering-store.js';
import { contactAnswering, type Notify } from './contact.js';
import { closeStage, expectBalanced, http, nodeAt, startBroker, until, type RunningBroker } from './stage.js';

afterEach(closeStage);

const GROUP = '/m2m/groups/feeders';
const IDS = ['a', 'b', 'c'];
const loadOf = (id: string): string => `/m2m/applications/${id}/containers/load`;
const RETRY_MS = 10_000;

/** Three applications with a container each, and their group. */
async function furnish(running: RunningBroker): Promise<void> {
  for (const appId of IDS) {
    await http(running, 'POST', '/m2m/applications', { application: { appId } });
    await http(running, 'POST', `/m2m/applications/${appId}/containers`, { container: { id: 'load' } });
  }
  const members = { reference: IDS.map((id) => `/m2m/applications/${id}`) };
  await http(running, 'POST', '/m2m/groups', { group: { id: 'feeders', memberType: 'APPLICATION', members } });
}

/** A subscription at each member, by one request to the group. */
async function subscribe(running: RunningBroker, contact: string, aggregateURI = GROUP): Promise<string[]> {
  const to = `${GROUP}/membersContent/containers/load/contentInstances/subscriptions`;
  const filterCriteria = { attributeAccessor: 'latest/content' };
  const { json } = await http(running, 'POST', to, {
    subscription: { id: 's', contact, aggregateURI, filterCriteria, accept: 'application/json' },
  });
  const { status } = json.membersContentResponses as unknown as { status: readonly { statusCode: string }[] };
  return status.map(({ statusCode }) => statusCode);
}

const publish = (running: RunningBroker, id: string, value: number) =>
  http(running, 'POST', `${loadOf(id)}/contentInstances`, { value });

const valueOf = ({ representation }: Notify): unknown =>
  representation && (JSON.parse(representation.textContent) as { value: unknown }).value;
const memberOf = ({ subscriptionReference }: Notify): string | undefined => subscriptionReference.split('/')[3];

/** A broker whose time is the test's, and a contact. */
async function stage(...statuses: number[]) {
  const clock = new ManualClock();
  const store = new RememberingStore();
  const running = await startBroker({}, { clock, store });
  await furnish(running);
  const contact = await contactAnswering(...statuses);
  /** Lets what has been gathered go. */
  const gathered = async (count: number): Promise<void> => {
    await until('it is gathered', () => {
      clock.advance(10);
      return contact.told.length >= count;
    });
  };
  return { clock, store, running, contact, gathered };
}

test('what three members tell within 20 ms is one notifyCollection, each notify with the subscription that it is of', async () => {
  const { running, contact, gathered } = await stage();
  expect(await subscribe(running, contact.uri)).toEqual(Array(3).fill('STATUS_CREATED'));
  for (const [n, id] of IDS.entries()) await publish(running, id, n);
  await gathered(3);
  expect(contact.collections).toEqual([3]);
  expect(contact.told.map((notify) => [memberOf(notify), valueOf(notify), notify.missed])).toEqual([
    ['a', 0, 0],
    ['b', 1, 0],
    ['c', 2, 0],
  ]);
});

test('while a collection is outstanding each member keeps its newest, and says what it missed', async () => {
  const { clock, running, contact, gathered } = await stage();
  await subscribe(running, contact.uri);
  contact.hold();
  await publish(running, 'a', 1);
  await gathered(1);
  for (const value of [2, 3, 4]) await publish(running, 'a', value);
  await publish(running, 'b', 5);
  clock.advance(1000);
  expect(contact.told).toHaveLength(1);
  contact.letGo();
  await gathered(3);
  expect(contact.told.map((notify) => [memberOf(notify), valueOf(notify), notify.missed])).toEqual([
    ['a', 1, 0],
    ['a', 4, 2],
    ['b', 5, 0],
  ]);
});

test('one that is answered 5xx is told again after 10 s, as it was; after three times it is dropped, and the subscriptions stay', async () => {
  const { clock, running, contact, gathered } = await stage(503, 503, 503, 503);
  await subscribe(running, contact.uri);
  await publish(running, 'a', 1);
  for (const times of [1, 2, 3, 4]) {
    await gathered(times);
    // The answer has arrived when its retry waits; of the last there is none.
    await until('it is answered', () => running.broker.wheel.size === (times < 4 ? 1 : 0));
    clock.advance(RETRY_MS);
  }
  expect(contact.told.map(valueOf)).toEqual([1, 1, 1, 1]);
  expect(running.broker.subscriptions.population.size).toBe(3);
  await publish(running, 'b', 2);
  await gathered(5);
  expect(contact.told.map(valueOf)).toEqual([1, 1, 1, 1, 2]);
  await expectBalanced(running);
});

test('a contact that does not want to be told ends the subscriptions at all members', async () => {
  const { running, contact, gathered } = await stage(404);
  await subscribe(running, contact.uri);
  await publish(running, 'a', 1);
  await gathered(1);
  await until('they are over', () => running.broker.subscriptions.population.size === 0);
  for (const id of IDS) expect(nodeAt(running, `${loadOf(id)}/contentInstances/subscriptions/s`)).toBeUndefined();
});

test('a member that goes says so in the collection; when the group goes its subscriptions go', async () => {
  const { running, contact, gathered } = await stage();
  await subscribe(running, contact.uri);
  await http(running, 'DELETE', loadOf('a'));
  await publish(running, 'b', 1);
  await gathered(2);
  expect(contact.collections).toEqual([2]);
  expect(contact.told.map(({ statusCode }) => statusCode)).toEqual(['STATUS_DELETED', 'STATUS_OK']);
  await http(running, 'DELETE', GROUP);
  expect(running.broker.subscriptions.population.size).toBe(0);
  expect(nodeAt(running, `${loadOf('b')}/contentInstances/subscriptions/s`)).toBeUndefined();
});

test('a group made anew gathers for itself, while what its namesake gathered is still being told', async () => {
  const { running, contact, gathered } = await stage();
  await subscribe(running, contact.uri);
  contact.hold();
  await publish(running, 'a', 1);
  await gathered(1);
  await http(running, 'DELETE', GROUP);
  const members = { reference: IDS.map((id) => `/m2m/applications/${id}`) };
  await http(running, 'POST', '/m2m/groups', { group: { id: 'feeders', memberType: 'APPLICATION', members } });
  expect(await subscribe(running, contact.uri)).toEqual(Array(3).fill('STATUS_CREATED'));
  await http(running, 'DELETE', GROUP);
  for (const id of IDS) expect(nodeAt(running, `${loadOf(id)}/contentInstances/subscriptions/s`)).toBeUndefined();
  contact.letGo();
});

test('over a notificationChannel a poll brings the collection; when the channel goes its subscriptions go', async () => {
  const { clock, running } = await stage();
  const channel = await http(running, 'POST', '/m2m/notificationChannels', {
    notificationChannel: { channelType: 'LONG_POLLING' },
  });
  await subscribe(running, channel.location, `${GROUP}/membersContent`);
  for (const [n, id] of IDS.entries()) await publish(running, id, n);
  clock.advance(30);
  const { json } = await http(running, 'POST', `${channel.location}/longPolling`);
  const { notify } = json.notifyCollection as unknown as { notify: readonly Notify[] };
  expect(notify.map(valueOf)).toEqual([0, 1, 2]);
  await http(running, 'DELETE', channel.location);
  expect(running.broker.subscriptions.population.size).toBe(0);
});

test('after a restart they are told together again', async () => {
  const { store, running, contact } = await stage();
  await subscribe(running, contact.uri);
  await running.close();
  const clock = new ManualClock();
  const next = await startBroker({}, { store, clock });
  for (const [n, id] of IDS.entries()) await publish(next, id, n);
  await until('it is gathered', () => {
    clock.advance(10);
    return contact.told.length >= 3;
  });
  expect(contact.collections).toEqual([3]);
});

test.each(['/m2m/groups/none', '/m2m/applications/a', GROUP.slice(1)])(
  '%s gathers nothing: 400',
  async (aggregateURI) => {
    const { running, contact } = await stage();
    const { status, sentence } = await http(running, 'POST', `${loadOf('a')}/subscriptions`, {
      subscription: { contact: contact.uri, aggregateURI },
    });
    expect(status).toBe(400);
    expect(sentence).toContain('subscription.aggregateURI is');
  },
);
