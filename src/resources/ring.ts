/**
 * The records of one history in their order. What its values say can be packed lies as bytes once a newer record has come: 300,000
 * records of ten objects each, of 1,000 PMUs, were marked by the collector again and again for nobody who read them.
 *
 *     slots   [ kind   | record | kind   | ... | record ]      the newest, and what cannot be packed, as it came
 *     area    [ numbers, value |        | numbers, value ]      as many bytes a slot, outside the collector's heap
 *
 * Bytes are made of a record when it comes: a period later none of its objects is likely to be in a cache (ADR 8). A packed record is made anew
 * each time it is read, equal to what it was.
 */
import { InstanceRecord } from './instance-record.js';

/** How values of one kind lie packed. */
export interface Kind<T> {
  /** Of each. */
  readonly bytes: number;
  /** Whether `kindOf` has it for this value too. */
  isOf(value: T): boolean;
  write(value: T, into: Buffer, at: number): void;
  read(from: Buffer, at: number, measuredUs: number): T;
}

export interface Packing<T> {
  /** The same object for all that is packed alike; undefined for what stays as it is. Absent: everything does. */
  kindOf?(value: T): Kind<T> | undefined;
}

type Slot<T> = InstanceRecord<T> | Kind<T> | undefined;

/** Slots of a new ring. */
const FIRST_CAPACITY = 8;
/** The numbers of a packed record, in front of its value. */
const COLUMN = { measuredUs: 0, createdUs: 1, sequence: 2, sizeBytes: 3 } as const;
const COLUMNS = 4;
const NO_AREA = new Float64Array(0);

const strideOf = <T>({ bytes }: Kind<T>): number => COLUMNS + Math.ceil(bytes / Float64Array.BYTES_PER_ELEMENT);

export class Ring<T> {
  length = 0;
  // Made with the first record: of a million containers many are empty.
  private slots: Slot<T>[] = [];
  private first = 0;
  /** Doubles of the area that a slot has; 0: nothing was ever packed. */
  private stride = 0;
  private area = NO_AREA;
  private bytes: Buffer | undefined;
  /** What the newest lies packed as, beside the record itself; undefined where it cannot be packed. */
  private newestKind: Kind<T> | undefined;

  constructor(private readonly packing?: Packing<T>) {}

  /** @param position below `length`, as everywhere; 0 is the oldest */
  at(position: number): InstanceRecord<T> {
    const index = this.indexOf(position);
    const slot = this.slots[index];
    return slot instanceof InstanceRecord ? slot : this.unpack(index);
  }

  /** The time tag that is its id; NaN where it has a name. */
  tagUs(position: number): number {
    const index = this.indexOf(position);
    const slot = this.slots[index];
    if (!(slot instanceof InstanceRecord)) return this.number(index, COLUMN.measuredUs);
    return slot.name === undefined ? slot.measuredUs : NaN;
  }

  isNamed(position: number): boolean {
    const slot = this.slots[this.indexOf(position)];
    return slot instanceof InstanceRecord && slot.name !== undefined;
  }

  createdUs(position: number): number {
    const index = this.indexOf(position);
    const slot = this.slots[index];
    return slot instanceof InstanceRecord ? slot.createdUs : this.number(index, COLUMN.createdUs);
  }

  sequence(position: number): number {
    const index = this.indexOf(position);
    const slot = this.slots[index];
    return slot instanceof InstanceRecord ? slot.sequence : this.number(index, COLUMN.sequence);
  }

  sizeBytes(position: number): number {
    const index = this.indexOf(position);
    const slot = this.slots[index];
    return slot instanceof InstanceRecord ? slot.sizeBytes : this.number(index, COLUMN.sizeBytes);
  }

  /**
   * Takes a record as the newest; nothing of it that is packed may change any more.
   *
   * @param most how many there will be: it grows by doubling, but not beyond that
   */
  push(record: InstanceRecord<T>, most: number): void {
    const { length, newestKind } = this;
    if (newestKind && length > 0) this.slots[this.indexOf(length - 1)] = newestKind;
    if (length === this.slots.length)
      this.resize(Math.max(length + 1, Math.min(most, Math.max(FIRST_CAPACITY, 2 * length))), this.stride);
    const kind = this.kindOf(record, newestKind);
    const stride = kind ? strideOf(kind) : 0;
    if (stride > this.stride) this.resize(this.slots.length, stride);
    const index = this.indexOf(length);
    if (kind) this.pack(record, kind, index);
    this.slots[index] = record;
    this.newestKind = kind;
    this.length++;
  }

  remove(position: number): void {
    if (position === 0) {
      this.slots[this.first] = undefined;
      this.first = this.indexOf(1);
      this.length--;
      return;
    }
    for (let next = position + 1; next < this.length; next++) this.move(this.indexOf(next), this.indexOf(next - 1));
    this.length--;
    this.slots[this.indexOf(this.length)] = undefined;
    if (position < this.length) return;
    const newest = this.indexOf(this.length - 1);
    const slot = this.slots[newest];
    this.newestKind = slot instanceof InstanceRecord ? undefined : slot;
    if (this.newestKind) this.slots[newest] = this.unpack(newest);
  }

  private indexOf(position: number): number {
    const index = this.first + position;
    return index < this.slots.length ? index : index - this.slots.length;
  }

  private number(index: number, column: number): number {
    return this.area[index * this.stride + column]!; // of a packed record: the area has its slot
  }

  /** @param likely what the one before it is packed as */
  private kindOf({ value, name, attributes, creator }: InstanceRecord<T>, likely: Kind<T> | undefined) {
    if (name !== undefined || attributes !== undefined || creator !== undefined) return undefined;
    return likely?.isOf(value) ? likely : this.packing?.kindOf?.(value);
  }

  private pack(record: InstanceRecord<T>, kind: Kind<T>, index: number): void {
    const at = index * this.stride;
    const { area, bytes } = this;
    area[at + COLUMN.measuredUs] = record.measuredUs;
    area[at + COLUMN.createdUs] = record.createdUs;
    area[at + COLUMN.sequence] = record.sequence;
    area[at + COLUMN.sizeBytes] = record.sizeBytes;
    kind.write(record.value, bytes!, (at + COLUMNS) * Float64Array.BYTES_PER_ELEMENT); // made with the area
  }

  private unpack(index: number): InstanceRecord<T> {
    const kind = this.slots[index];
    if (!kind || kind instanceof InstanceRecord || !this.bytes) throw new RangeError('a position beyond the newest');
    const at = (index * this.stride + COLUMNS) * Float64Array.BYTES_PER_ELEMENT;
    const measuredUs = this.number(index, COLUMN.measuredUs);
    const value = kind.read(this.bytes, at, measuredUs);
    const createdUs = this.number(index, COLUMN.createdUs);
    const record = new InstanceRecord(value, measuredUs, createdUs, this.number(index, COLUMN.sizeBytes));
    record.sequence = this.number(index, COLUMN.sequence);
    return record;
  }

  private move(from: number, to: number): void {
    this.slots[to] = this.slots[from];
    this.area.copyWithin(to * this.stride, from * this.stride, (from + 1) * this.stride);
  }

  private resize(capacity: number, stride: number): void {
    const slots = new Array<Slot<T>>(capacity).fill(undefined);
    const area = stride > 0 ? new Float64Array(capacity * stride) : NO_AREA;
    for (let position = 0; position < this.length; position++) {
      const index = this.indexOf(position);
      slots[position] = this.slots[index];
      area.set(this.area.subarray(index * this.stride, (index + 1) * this.stride), position * stride);
    }
    this.slots = slots;
    this.first = 0;
    this.stride = stride;
    this.area = area;
    if (stride > 0) this.bytes = Buffer.from(area.buffer);
  }
}
