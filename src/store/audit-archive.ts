/**
 * The audit events that have left the state journal, for good. An event's number is its sequence here, so the journal's own
 * checks find a missing one.
 */
import { numberOfEvent } from './audit-chain.js';
import { Journal, type JournalOptions } from './journal.js';

/** Appended at once: below what may wait in a journal, and framed within half a millisecond. */
const BATCH_BYTES = 256 * 1024;

export class AuditArchive {
  private readonly journal: Journal;

  constructor(options: JournalOptions) {
    this.journal = new Journal(options);
  }

  /** Of the last event here. */
  get last(): number {
    return this.journal.durableSequence;
  }

  /** @throws Damage */
  open(): Promise<void> {
    return this.journal.open(Infinity, () => {});
  }

  /** Takes those events that it has not got, in order; they are durable when it resolves. */
  async take(events: AsyncIterable<readonly Buffer[]>): Promise<void> {
    let [batch, bytes, last]: [Buffer[], number, number] = [[], 0, this.last];
    for await (const some of events) {
      for (const event of some) {
        const number = numberOfEvent(event);
        if (number <= last) continue;
        if (number !== last + 1) throw new Error(`event ${number} of the audit trail would follow event ${last}`);
        last = number;
        batch.push(event);
        bytes += event.length;
      }
      if (bytes < BATCH_BYTES) continue;
      await this.append(batch);
      [batch, bytes] = [[], 0];
    }
    await this.append(batch);
  }

  private append(entries: readonly Buffer[]): Promise<void> {
    return new Promise((resolve, reject) =>
      this.journal.append({ entries, durability: 'synced', isVital: true }, (refusal) =>
        refusal ? reject(new Error(refusal.detail)) : resolve(),
      ),
    );
  }

  close(): Promise<void> {
    return this.journal.close();
  }
}
