import { NotificationChannel } from '../../src/actors/notification-channel.js';
import { Delivery, MODE } from '../../src/routing/delivery.js';
import { FORMATS } from '../../src/routing/format.js';
import type { Response } from '../../src/routing/primitive.js';
import { Sample } from '../../src/routing/sample.js';

const QUEUE_LENGTH = 32;

/** A channel of subscriptions `a`, `b`, ...; what a poll brings is told as `a7`: sample 7 of a. */
function channelOf(names: string) {
  const channel = new NotificationChannel(
    () => () => {},
    60_000,
    () => {},
  );
  const deliveries = new Map(
    names.split(' ').map((name) => {
      const delivery = new Delivery(channel, 'content', FORMATS.text, {});
      delivery.mode = MODE.active;
      channel.join(delivery, [name]);
      return [name, delivery];
    }),
  );
  const brought: string[] = [];
  return {
    channel,
    brought,
    account: (name: string) => deliveries.get(name)!,
    publish(name: string, n: number) {
      const bytes = Buffer.from(`${name}${n}`);
      const encoder = { encode: () => bytes };
      channel.offer(
        deliveries.get(name)!,
        new Sample({ kind: 'stored', mediaType: 'text/plain', bytes }, n, 0, 0, encoder),
      );
    },
    poll() {
      channel.ask({}, ({ content }: Response) => {
        if (content?.kind !== 'document') return;
        const { notify } = content.document as { notify: { representation: { textContent: string } } };
        brought.push(notify.representation.textContent);
      });
    },
  };
}

test('who polls too slowly gets, after what the queue had, the newest of whichever subscription has waited longest', () => {
  const { publish, poll, brought, account } = channelOf('a b c');
  let n = 0;
  const publishAll = (): void => {
    n++;
    for (const name of ['a', 'b']) publish(name, n);
  };
  while (account('b').held === undefined) publishAll();
  publish('c', 1);
  for (let polls = 0; polls < QUEUE_LENGTH; polls++) {
    poll();
    publishAll();
  }
  expect(brought).toHaveLength(QUEUE_LENGTH);
  expect(brought.at(-1)).toBe(`b${QUEUE_LENGTH / 2}`);
  brought.length = 0;
  const newest: string[] = [];
  for (const name of ['a', 'b', 'c', 'a', 'b', 'a']) {
    newest.push(`${name}${name === 'c' ? 1 : n}`);
    poll();
    publishAll();
  }
  expect(brought).toEqual(newest);
});

test('who has caught up finds again all that comes between two polls, in order', () => {
  const { publish, poll, brought, account } = channelOf('a');
  for (let n = 1; n <= QUEUE_LENGTH + 5; n++) publish('a', n);
  expect(account('a')).toMatchObject({ delivered: QUEUE_LENGTH, missed: 4 });
  for (let polls = 0; polls <= QUEUE_LENGTH; polls++) poll();
  expect(brought.at(-1)).toBe(`a${QUEUE_LENGTH + 5}`);
  poll();
  publish('a', 101);
  publish('a', 102);
  publish('a', 103);
  poll();
  poll();
  expect(brought.slice(-3)).toEqual(['a101', 'a102', 'a103']);
});

test('what may not be conflated goes before samples that wait', async () => {
  const { channel, publish, poll, brought } = channelOf('a');
  for (let n = 1; n <= QUEUE_LENGTH + 1; n++) publish('a', n);
  poll();
  expect(await channel.tell({ notify: { representation: { textContent: 'alarm' } } })).toBe(200);
  for (let polls = 0; polls <= QUEUE_LENGTH; polls++) poll();
  expect(brought.slice(-2)).toEqual(['alarm', `a${QUEUE_LENGTH + 1}`]);
});
