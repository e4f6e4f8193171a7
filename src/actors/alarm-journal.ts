/**
 * Alarms on their way to disk. What changes in one turn is one write; what is told waits for it.
 *
 *     note ── end of the turn ──> one write, synced ──> settled, in the order of the notes
 *                                     └─ refused (the disk): settled all the same, with why; written when the store is well
 *
 * An alarm that cannot be kept must still be seen: of all that a sick store holds up, alarms are what people need then.
 */
import type { Clock } from '../clock.js';
import type { Refusal } from '../errors.js';
import type { Alarm } from '../routing/alarm.js';
import type { AuditEvent, Change, Store } from '../store/store.js';

export type Settled = (refusal: Refusal | undefined) => void;

interface Note {
  readonly key: string;
  /** Undefined: the alarm is dropped. */
  readonly alarm: Alarm | undefined;
  readonly audit: AuditEvent | undefined;
  readonly settled: Settled;
}

export class AlarmJournal {
  private notes: Note[] = [];
  private issued = 0;
  private finished = 0;
  /** By key: alarms whose row the store refused, with the audit events that were to go with it. */
  private readonly unwritten = new Map<string, readonly AuditEvent[]>();
  private readonly waiting: { readonly after: number; readonly run: () => void }[] = [];

  constructor(
    private readonly store: Store,
    private readonly clock: Clock,
    /** The alarm as it is now; undefined when it was dropped. */
    private readonly present: (key: string) => Alarm | undefined,
  ) {
    store.onTrouble((trouble) => {
      if (!trouble) this.writeAgain();
    });
  }

  /** Alarms that are told and not on disk. */
  get owed(): number {
    return this.unwritten.size;
  }

  isOwed(key: string): boolean {
    return this.unwritten.has(key);
  }

  note(key: string, alarm: Alarm | undefined, audit: AuditEvent | undefined, settled: Settled = () => {}): void {
    this.notes.push({ key, alarm, audit, settled });
    if (this.notes.length === 1) this.clock.atTurnEnd(() => this.write());
  }

  /** Runs when all that has been noted so far is settled; at once when nothing is under way. */
  afterAll(run: () => void): void {
    const after = this.issued + (this.notes.length > 0 ? 1 : 0);
    if (after === this.finished) run();
    else this.waiting.push({ after, run });
  }

  private write(): void {
    const { notes } = this;
    this.notes = [];
    this.issued++;
    const changes = notes.map(({ key, alarm }): Change => ({ table: 'alarm', key, row: alarm && { document: alarm } }));
    const audit = notes.map((note) => note.audit).filter((event) => event !== undefined);
    this.store.write({ changes, audit, durability: 'synced', isVital: true }, (refusal) => {
      for (const note of notes) this.settle(note, refusal);
      this.finished++;
      while (this.waiting[0] !== undefined && this.waiting[0].after <= this.finished) this.waiting.shift()?.run();
      if (!refusal && !this.store.trouble) this.writeAgain();
    });
  }

  private settle({ key, audit, settled }: Note, refusal: Refusal | undefined): void {
    const owed = this.unwritten.get(key);
    if (refusal) this.unwritten.set(key, [...(owed ?? []), ...(audit ? [audit] : [])]);
    else if (owed?.length === 0) this.unwritten.delete(key);
    settled(refusal);
  }

  private writeAgain(): void {
    const owed = [...this.unwritten];
    this.unwritten.clear();
    for (const [key, audit] of owed)
      for (const event of audit.length > 0 ? audit : [undefined]) this.note(key, this.present(key), event);
  }
}
