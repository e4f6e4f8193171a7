/**
 * A mailbox: a bounded ring of messages and its overflow rule, written where it is declared. It belongs to the cell, not to
 * the behaviour: what waits in it survives a restart.
 */

/** What gives way when the mailbox is full: the oldest that waits (measurements), or the newcomer (requests). */
export type Overflow = 'drop-oldest' | 'refuse';

export class Mailbox<Message> {
  private ring: (Message | undefined)[] = [];
  private head = 0;
  length = 0;
  /** Messages that gave way. */
  overflows = 0;

  constructor(
    readonly capacity: number,
    readonly overflow: Overflow,
  ) {}

  /** Takes a message; returns the one that gave way for it, which may be the message itself. */
  put(message: Message): Message | undefined {
    if (this.length < this.capacity) {
      this.ring[(this.head + this.length++) % this.capacity] = message;
      return undefined;
    }
    this.overflows++;
    if (this.overflow === 'refuse') return message;
    const oldest = this.take();
    this.put(message);
    return oldest;
  }

  take(): Message | undefined {
    if (this.length === 0) return undefined;
    const message = this.ring[this.head];
    this.ring[this.head] = undefined;
    this.head = (this.head + 1) % this.capacity;
    this.length--;
    return message;
  }
}
