/**
 * Between a socket that pushes and an iteration that pulls.
 *
 *     push ──> [ at most 1,024, the oldest makes room and is counted as missed ] ──> take
 *     fail ────────────────────────────────────────────────────────────────────────> take throws, once all is taken
 */
import type { Notification } from './client.js';

/** Half a minute of 30 samples a second: a pause of the reader, not a reader that is too slow. */
const CAPACITY = 1024;

export class Inbox {
  private readonly waiting: Notification[] = [];
  private missed = 0;
  private failure: { readonly reason: unknown } | undefined;
  private wake: () => void = () => {};

  /** Latest wins: a reader that is too slow gets the newest, and is told how many it missed. */
  push(notification: Notification): void {
    if (this.failure) return;
    if (this.waiting.length >= CAPACITY) {
      const lost = this.waiting.shift();
      this.missed += 1 + (lost?.missed ?? 0);
    }
    this.waiting.push(notification);
    this.wake();
  }

  /** Nothing comes any more. The first reason counts. */
  fail(reason: unknown): void {
    this.failure ??= { reason };
    this.wake();
  }

  /** The next notification, waited for if there is none. Throws what `fail` was given. */
  async take(): Promise<Notification> {
    for (;;) {
      const next = this.waiting.shift();
      if (next) {
        const missed = next.missed + this.missed;
        this.missed = 0;
        return missed === next.missed ? next : { ...next, missed };
      }
      if (this.failure) throw this.failure.reason;
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
}

type Unsubscribe = () => void | Promise<void>;

/**
 * The iteration of one subscription: subscribes at its first step, unsubscribes however it ends.
 *
 * @param subscribe fills the inbox from now on; gives what ends it
 */
export async function* iterate(
  subscribe: (inbox: Inbox) => Unsubscribe | Promise<Unsubscribe>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Notification, void, undefined> {
  signal?.throwIfAborted();
  const inbox = new Inbox();
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
