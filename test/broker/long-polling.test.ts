/** Notification channels, polled over HTTP. */
import { ManualClock } from '../support/manual-clock.js';
import { closeStage, container, expectBalanced, http, startBroker, until, type RunningBroker } from './stage.js';

afterEach(closeStage);

/** Queue of a channel: what waits for a poll. */
const QUEUE_LENGTH = 32;

async function channelOn(running: RunningBroker, subscription: Record<string, unknown> = {}) {
  const path = await container(running);
  const created = await http(running, 'POST', '/m2m/notificationChannels', {
    notificationChannel: { channelType: 'LONG_POLLING' },
  });
  const { contactURI: contact, channelData } = created.json.notificationChannel as unknown as {
    contactURI: string;
    channelData: { longPollingURI: string };
  };
  const subscribed = await http(running, 'POST', `${path}/contentInstances/subscriptions`, {
    subscription: {
      contact,
      filterCriteria: { attributeAccessor: 'latest/content' },
      accept: 'text/plain',
      ...subscription,
    } as never,
  });
  expect(subscribed.sentence).toBe('');
  return {
    path,
    contact,
    subscription: subscribed.location,
    publish: (text: string) =>
      http(running, 'POST', `${path}/contentInstances`, text, { 'content-type': 'text/plain' }),
    poll: (signal?: AbortSignal) => pollOf(running, channelData.longPollingURI, signal),
  };
}

async function pollOf({ http: root }: RunningBroker, path: string, signal: AbortSignal | undefined) {
  const response = await fetch(`${root}${path}`, signal ? { signal } : {});
  const text = await response.text();
  const { notify } = (text === '' ? {} : JSON.parse(text)) as {
    notify?: {
      missed: number;
      subscriptionReference: string;
      representation: { contentType: string; textContent: string };
    };
  };
  return { status: response.status, text, notify };
}

/** A channel has one deadline on the wheel, a held poll another. */
const held = ({ broker }: RunningBroker) => until('a poll is held', () => broker.wheel.size === 2);

test('an idle poll is answered 202, without a body, when the hold ends', async () => {
  const clock = new ManualClock();
  const running = await startBroker({ longPollHoldS: 3 }, { clock });
  const { poll } = await channelOn(running);
  const waiting = poll();
  await held(running);
  clock.advance(2_900);
  expect(running.broker.wheel.size).toBe(2);
  clock.advance(200);
  expect(await waiting).toMatchObject({ status: 202, text: '' });
  expect(running.broker.wheel.size).toBe(1);
});

test('a notification answers a held poll at once, naming its subscription', async () => {
  const running = await startBroker();
  const { poll, publish, subscription } = await channelOn(running);
  const waiting = poll();
  await held(running);
  await publish('230 V');
  const { status, notify } = await waiting;
  expect(status).toBe(200);
  expect(notify).toMatchObject({
    subscriptionReference: subscription,
    missed: 0,
    representation: { contentType: 'text/plain', textContent: '230 V' },
  });
  await expectBalanced(running);
});

test('a second poll releases the first with 202 and is the one that is told', async () => {
  const running = await startBroker();
  const { poll, publish } = await channelOn(running);
  const first = poll();
  await held(running);
  const second = poll();
  expect((await first).status).toBe(202);
  await publish('x');
  expect((await second).notify?.representation.textContent).toBe('x');
});

test('what comes after a poller has gone waits for his next poll', async () => {
  const running = await startBroker();
  const { poll, publish } = await channelOn(running);
  const gone = new AbortController();
  const waiting = poll(gone.signal);
  await held(running);
  gone.abort();
  await expect(waiting).rejects.toThrow();
  await until('the hold has ended', () => running.broker.wheel.size === 1);
  await publish('for the next one');
  expect((await poll()).notify?.representation.textContent).toBe('for the next one');
});

test('a producer is told 503 with Retry-After when 32 notifications wait, and is taken again when one has gone', async () => {
  const running = await startBroker();
  const { contact, poll } = await channelOn(running);
  const post = () => http(running, 'POST', contact, 'news', { 'content-type': 'text/plain' });
  for (let posted = 0; posted < QUEUE_LENGTH; posted++) expect((await post()).status).toBeLessThan(300);
  const refused = await post();
  expect(refused.status).toBe(503);
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
  expect(refused.sentence).toContain('32 notifications wait');
  expect((await poll()).status).toBe(200);
  expect((await post()).status).toBeLessThan(300);
});

test('a slow poller gets what fits the queue, then the newest, and is told how many he missed', async () => {
  const running = await startBroker();
  const { publish, poll } = await channelOn(running);
  const published = QUEUE_LENGTH + 10;
  for (let index = 1; index <= published; index++) await publish(String(index));
  await expectBalanced(running);
  const [account] = running.broker.subscriptions.accounts();
  expect(account).toMatchObject({ received: published, delivered: QUEUE_LENGTH, held: 1, dropped: { conflated: 9 } });

  const told = [];
  for (let polls = 0; polls <= QUEUE_LENGTH; polls++) told.push((await poll()).notify);
  expect(told.slice(0, QUEUE_LENGTH).map((notify) => notify?.representation.textContent)).toEqual(
    Array.from({ length: QUEUE_LENGTH }, (_, index) => String(index + 1)),
  );
  expect(told.at(-1)).toMatchObject({ missed: 9, representation: { textContent: String(published) } });
  await expectBalanced(running);
});

test('deleting the channel answers its poll, ends its subscriptions and leaves nothing open', async () => {
  const running = await startBroker();
  const { poll, contact } = await channelOn(running);
  const waiting = poll();
  await held(running);
  expect((await http(running, 'DELETE', contact)).status).toBe(204);
  expect((await waiting).status).toBe(404);
  expect((await poll()).status).toBe(404);
  expect([...running.broker.subscriptions.accounts()]).toEqual([]);
  expect(running.broker.wheel.size).toBe(0);
});

test('a broker that stops answers a held poll with 503', async () => {
  const running = await startBroker();
  const { poll } = await channelOn(running);
  const waiting = poll();
  await held(running);
  await running.close();
  expect((await waiting).status).toBe(503);
  expect(running.broker.wheel.size).toBe(0);
});
