/**
 * De-duplication: what was received lately, so that nothing is executed twice [RFC7252-4.5].
 *
 *     first time ──> Handled in progress ──> acknowledged (empty) ──> answered
 *     again            nothing                the same bytes again     the same bytes again
 *
 * Kept per peer by message id, oldest first, for an exchange's lifetime; of a non-confirmable the id alone. Bounded in bytes per peer and in all; who adds pays
 * with his own oldest entry, so that a flood from one peer never costs another his protection.
 */
import { HeardIds } from './heard-ids.js';

/** One message received, and what it was answered with. */
export interface Handled {
  readonly id: number;
  readonly expiresUs: number;
  /** What a duplicate is answered with, a character for each byte; none while in progress, and for a non-confirmable. */
  reply: string | undefined;
}

/** A kept reply as the datagram that it was. */
export const datagramOf = (reply: string): Buffer => Buffer.from(reply, 'latin1');

/** Map slot and entry, about. */
const ENTRY_BYTES = 160;
/** Of a non-confirmable's id, about: its place in the queue, and its bit. */
const ID_BYTES = 12;
/** What a reply costs besides its bytes, about: it is a string, as a buffer takes 166 bytes and a microsecond more. */
const REPLY_BYTES = 24;
const MOST_BYTES_PER_PEER = 4 * 1024 * 1024;
const MOST_BYTES = 32 * 1024 * 1024;

const costOf = (reply: string | undefined): number => (reply === undefined ? 0 : REPLY_BYTES + reply.length);

/** What all peers' entries take together. */
export class DedupBudget {
  bytes = 0;
  /** Entries pushed out before their time: from then on a late duplicate would be executed. */
  evicted = 0;
}

/** Stands for every non-confirmable: there is nothing to say to a duplicate of one. */
const HEARD: Handled = { id: -1, expiresUs: Infinity, reply: undefined };

export class Recent {
  private readonly handled = new Map<number, Handled>();
  private readonly heard = new HeardIds();
  private bytes = 0;

  constructor(private readonly budget: DedupBudget) {}

  get size(): number {
    return this.handled.size + this.heard.size;
  }

  find(id: number, nowUs: number): Handled | undefined {
    this.expire(nowUs);
    return this.handled.get(id) ?? (this.heard.has(id) ? HEARD : undefined);
  }

  /** Of a non-confirmable that `find` has just not found. */
  rememberNon(id: number, nowUs: number, lifetimeMs: number): Handled {
    this.heard.add(id, nowUs + lifetimeMs * 1000);
    this.charge(ID_BYTES);
    while (this.heard.size > 1 && this.isOverBudget) {
      this.heard.forgetOldest();
      this.charge(-ID_BYTES);
      this.budget.evicted++;
    }
    return HEARD;
  }

  remember(id: number, nowUs: number, lifetimeMs: number, reply?: Buffer): Handled {
    this.expire(nowUs);
    const stale = this.handled.get(id);
    if (stale) this.forget(stale);
    const entry: Handled = { id, expiresUs: nowUs + lifetimeMs * 1000, reply: undefined };
    this.handled.set(id, entry);
    this.charge(ENTRY_BYTES);
    if (reply) this.answered(entry, reply);
    while (this.handled.size > 1 && this.isOverBudget) {
      this.forgetOldest();
      this.budget.evicted++;
    }
    return entry;
  }

  /** Keeps the answer of an entry, unless that was pushed out meanwhile. */
  answered(entry: Handled, datagram: Buffer): void {
    if (this.handled.get(entry.id) !== entry) return;
    const reply = datagram.toString('latin1');
    this.charge(costOf(reply) - costOf(entry.reply));
    entry.reply = reply;
  }

  /** Drops everything; the peer is forgotten. */
  clear(): void {
    this.budget.bytes -= this.bytes;
    this.bytes = 0;
    this.handled.clear();
    while (this.heard.size > 0) this.heard.forgetOldest();
  }

  private get isOverBudget(): boolean {
    return this.bytes > MOST_BYTES_PER_PEER || this.budget.bytes > MOST_BYTES;
  }

  /** Entries stand in order of arrival, and those of a kind live equally long. */
  private expire(nowUs: number): void {
    const before = this.heard.size;
    this.heard.expire(nowUs);
    if (this.heard.size < before) this.charge((this.heard.size - before) * ID_BYTES);
    if (this.handled.size === 0) return;
    for (const entry of this.handled.values()) {
      if (entry.expiresUs > nowUs) return;
      this.forget(entry);
    }
  }

  private forgetOldest(): void {
    for (const entry of this.handled.values()) return this.forget(entry);
  }

  private forget(entry: Handled): void {
    this.handled.delete(entry.id);
    this.charge(-ENTRY_BYTES - costOf(entry.reply));
  }

  private charge(bytes: number): void {
    this.bytes += bytes;
    this.budget.bytes += bytes;
  }
}
