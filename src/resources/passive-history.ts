/**
 * A history within a row: its state, and its records with their contents. What follows it in the row is written as if it were not there,
 * so that it can change alone.
 */
import { History, InstanceRecord } from './history.js';
import type { ResourceNode } from './node.js';
import { ringOf } from './retention.js';
import type { Revisions } from './revision.js';
import type { Packing } from './ring.js';
import { SERIES, type RowReader, type RowWriter } from './row-bytes.js';
import type { Json } from './values.js';

/** Writes and reads what a record holds; what a row cannot hold may lie packed in its ring. */
export interface ValueForm<T> extends Packing<T> {
  /** False for what cannot stand in a row. */
  write(value: T, row: RowWriter): boolean;
  read(row: RowReader, measuredUs: number, name: string | undefined): T;
}

/** Bits of a history. */
const HISTORY = { isChanged: 1, hasTags: 2 } as const;
/** Bits of a record. */
const RECORD = { hasAttributes: 1, isFractional: 2 } as const;

export class PassiveHistory<T> {
  constructor(
    private readonly revisions: Revisions,
    private readonly values: ValueForm<T>,
  ) {}

  /** False where a record cannot stand in a row. */
  write(history: History<T>, row: RowWriter): boolean {
    const { mark } = row;
    const { epoch, revision, changedUs, highestTagUs } = history.state;
    const hasTags = highestTagUs !== -Infinity;
    row.near(SERIES.revision, epoch);
    row.whole((revision !== 0 ? HISTORY.isChanged : 0) + (hasTags ? HISTORY.hasTags : 0));
    if (revision !== 0) {
      row.near(SERIES.revision, revision);
      row.near(SERIES.time, changedUs);
    }
    if (hasTags) row.any(highestTagUs);
    const records = history.newest();
    row.whole(records.length);
    for (const record of records) if (!this.writeRecord(record, row)) return false;
    row.mark = mark;
    return true;
  }

  read(row: RowReader, { parent }: ResourceNode<T>): History<T> {
    if (!parent) throw new Error('a history stands below no container');
    const { mark } = row;
    const epoch = row.near(SERIES.revision);
    const bits = row.whole();
    const isChanged = (bits & HISTORY.isChanged) !== 0;
    const revision = isChanged ? row.near(SERIES.revision) : 0;
    const changedUs = isChanged ? row.near(SERIES.time) : 0;
    const highestTagUs = (bits & HISTORY.hasTags) !== 0 ? row.any() : -Infinity;
    const state = { epoch, revision, changedUs, highestTagUs };
    const history = new History<T>(this.revisions, ringOf(parent.attributes), state, this.values);
    for (let records = row.whole(); records > 0; records--) this.readRecord(row, history);
    row.mark = mark;
    return history;
  }

  private writeRecord(record: InstanceRecord<T>, row: RowWriter): boolean {
    const { value, sequence, measuredUs, createdUs, sizeBytes, name, attributes, creator } = record;
    const isFractional = !Number.isSafeInteger(measuredUs);
    row.whole((attributes ? RECORD.hasAttributes : 0) + (isFractional ? RECORD.isFractional : 0));
    row.near(SERIES.revision, sequence);
    row.near(SERIES.time, createdUs);
    if (isFractional) row.any(measuredUs);
    else row.near(SERIES.time, measuredUs);
    row.whole(sizeBytes);
    row.word(creator);
    row.name(name);
    if (attributes) row.text(JSON.stringify([...attributes]));
    return this.values.write(value, row);
  }

  private readRecord(row: RowReader, history: History<T>): void {
    const bits = row.whole();
    const sequence = row.near(SERIES.revision);
    const createdUs = row.near(SERIES.time);
    const measuredUs = (bits & RECORD.isFractional) !== 0 ? row.any() : row.near(SERIES.time);
    const sizeBytes = row.whole();
    const creator = row.word();
    const name = row.name();
    const attributes =
      (bits & RECORD.hasAttributes) !== 0 ? new Map(JSON.parse(row.text()) as [string, Json][]) : undefined;
    const value = this.values.read(row, measuredUs, name);
    history.reclaim(new InstanceRecord(value, measuredUs, createdUs, sizeBytes, name, attributes, creator), sequence);
  }
}
