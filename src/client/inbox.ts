/**
 * Between a socket that pushes and an iteration that pulls.
 *
 *     push ──> [ at most 1,024; the oldest is merged into the next to make room ] ──> take
 *     fail ─────────────────────────────────────────────────────────────────────────> take throws, once all is taken
 */
import type { Notification } from './client.js';

/** Half a minute of 30 samples a second: a pause of the reader, not a reader that is too slow. */
const CAPACITY = 1024;

export class Inbox<Item> {
  private readonly waiting: Item[] = [];
  private failure: { readonly reason: unknown } | undefined;
  private wake: () => void = () => {};

  /** @param merge what is left of an item that makes room: the next one, which may take something over */
  constructor(private readonly merge: (dropped: Item, next: Item) => Item = (_, next) => next) {}

  push(item: Item): void {
    if (this.failure) return;
    this.waiting.push(item);
    const [oldest, next] = this.waiting;
    if (this.waiting.length > CAPACITY && oldest !== undefined && next !== undefined)
      this.waiting.splice(0, 2, this.merge(oldest, next));
    this.wake();
  }

  /** Nothing comes any more. The first reason counts. */
  fail(reason: unknown): void {
    this.failure ??= { reason };
    this.wake();
  }

  /** The next item, waited for if there is none. Throws what `fail` was given. */
  async take(): Promise<Item> {
    for (;;) {
      const next = this.waiting.shift();
      if (next !== undefined) return next;
      if (this.failure) throw this.failure.reason;
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
}

/** Latest wins: a reader that is too slow gets the newest, and is told how many it missed. */
export const countMissed = (dropped: Notification, next: Notification): Notification => ({
  ...next,
  missed: next.missed + dropped.missed + 1,
});

type Unsubscribe = () => void | Promise<void>;

/**
 * The iteration of one subscription: subscribes at its first step, unsubscribes however it ends.
 *
 * @param subscribe fills the inbox from now on; gives what ends it
 */
export async function* iterate(
  subscribe: (inbox: Inbox<Notification>) => Unsubscribe | Promise<Unsubscribe>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Notification, void, undefined> {
  signal?.throwIfAborted();
  const inbox = new Inbox(countMissed);
  const leave = (): void => inbox.fail(signal?.reason);
  signal?.addEventListener('abort', leave);
  try {
    const unsubscribe = await subscribe(inbox);
    try {
      for (;;) yield await inbox.take();
    } finally {
      await unsubscribe();
    }
  } finally {
    signal?.removeEventListener('abort', leave);
  }
}
