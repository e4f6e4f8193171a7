import type { Notification } from '../../src/client/client.js';
import { countMissed, Inbox, iterate } from '../../src/client/inbox.js';

const numbered = (sequence: number): Notification => ({
  mediaType: 'text/plain',
  body: new Uint8Array(),
  missed: 0,
  sequence,
});

describe('the inbox of a subscription', () => {
  test('gives a slow reader the newest and counts what made room', async () => {
    const inbox = new Inbox(countMissed);
    for (let n = 0; n < 1024 + 7; n++) inbox.push(numbered(n));
    expect(await inbox.take()).toMatchObject({ sequence: 7, missed: 7 });
    expect(await inbox.take()).toMatchObject({ sequence: 8, missed: 0 });
  });

  test('gives all that came before it throws the failure', async () => {
    const inbox = new Inbox<Notification>();
    inbox.push(numbered(1));
    inbox.fail(new Error('gone'));
    inbox.push(numbered(2));
    expect(await inbox.take()).toMatchObject({ sequence: 1 });
    await expect(inbox.take()).rejects.toThrow('gone');
  });

  test('wakes a reader that waits', async () => {
    const inbox = new Inbox<Notification>();
    const taken = inbox.take();
    inbox.push(numbered(5));
    expect(await taken).toMatchObject({ sequence: 5 });
  });
});

describe('an iteration', () => {
  const opened = (signal?: AbortSignal) => {
    const log: string[] = [];
    let inbox: Inbox<Notification> | undefined;
    const iteration = iterate((given) => {
      inbox = given;
      log.push('subscribed');
      given.push(numbered(1));
      given.push(numbered(2));
      return Promise.resolve(() => void log.push('unsubscribed'));
    }, signal);
    return { iteration, log, inbox: () => inbox };
  };

  test('subscribes at its first step and unsubscribes at a break', async () => {
    const { iteration, log } = opened();
    expect(log).toEqual([]);
    for await (const { sequence } of iteration) {
      expect(sequence).toBe(1);
      expect(log).toEqual(['subscribed']);
      break;
    }
    expect(log).toEqual(['subscribed', 'unsubscribed']);
  });

  test('throws the reason of its signal, while it waits, and unsubscribes', async () => {
    const controller = new AbortController();
    const { iteration, log } = opened(controller.signal);
    await iteration.next();
    await iteration.next();
    const third = iteration.next();
    controller.abort(new Error('enough'));
    await expect(third).rejects.toThrow('enough');
    expect(log).toEqual(['subscribed', 'unsubscribed']);
  });

  test('does not subscribe when its signal was aborted before', async () => {
    const { iteration, log } = opened(AbortSignal.abort(new Error('never')));
    await expect(iteration.next()).rejects.toThrow('never');
    expect(log).toEqual([]);
  });
});
