/**
 * A resource with all below it as one row, and back. What a row holds is all that there is of an idle resource: of a million gateways
 * most are idle.
 *
 *     id │ ordinal │ node │ node below it │ ...        parents before children, each with the number of its children
 *     node: type, creator, times, revision, attributes, history with its records
 *
 * Attributes that many resources have are one map, which the rows name; `expirationTime`, which differs in each, stands in the row.
 */
import { formatTime, parseTime } from '../clock.js';
import { History, InstanceRecord } from './history.js';
import { INTERNAL, NO_ATTRIBUTES, ResourceNode, type Births, type Creator } from './node.js';
import { ringOf } from './retention.js';
import type { Packing } from './ring.js';
import type { Revisions } from './revision.js';
import { MOST_SHARED, RowReader, RowWriter, SERIES, SharedWords } from './row-bytes.js';
import { TYPES, type TypeName } from './types.js';
import type { Json } from './values.js';

/** Writes and reads what a record holds; what a row cannot hold may lie packed in its ring. */
export interface ValueForm<T> extends Packing<T> {
  /** False for what cannot stand in a row. */
  write(value: T, row: RowWriter): boolean;
  read(row: RowReader, measuredUs: number, name: string | undefined): T;
}

const TYPE_NAMES = Object.keys(TYPES) as TypeName[];
const EXPIRY = 'expirationTime';
/** How attributes are written: the place of a shared map stands above these. */
const ATTRIBUTES = { none: 0, spelt: 1, shared: 2 } as const;
const CREATOR = { internal: 0, source: 1, originator: 2, asAbove: 3 } as const;
/** Bits of a record. */
const RECORD = { hasAttributes: 1, isFractional: 2 } as const;
/** Bits of a node. */
const NODE = { isCollection: 1, hasHistory: 2, hasExpiry: 4, hasTags: 8 } as const;

type Attributes = ReadonlyMap<string, Json>;

export class PassiveForm<T> {
  private readonly words = new SharedWords();
  private readonly writer = new RowWriter(this.words);
  private readonly shared: Attributes[] = [];
  private readonly places = new Map<string, number>();
  /** Of maps that are shared already: they need not be written out to be found. */
  private readonly placeByMap = new WeakMap<Attributes, number>();

  constructor(
    private readonly revisions: Revisions,
    private readonly births: Births<T>,
    private readonly values: ValueForm<T>,
    /** A row is a resource again, with all below it. */
    readonly activated: (node: ResourceNode<T>) => void,
  ) {}

  /** The row of a resource, until the next is written; undefined where something of it is not to be had as bytes, or too large. */
  write(node: ResourceNode<T>): Buffer | undefined {
    this.writer.begin(node.id);
    return this.writeNode(node, undefined) ? this.writer.row : undefined;
  }

  read(bytes: Buffer, start: number, parent: ResourceNode<T>): ResourceNode<T> {
    const row = new RowReader(bytes, start, this.words);
    return this.readNode(row, parent, row.id, undefined);
  }

  /** Where a row comes in the order of its collection. */
  ordinalOf(bytes: Buffer, start: number): number {
    return new RowReader(bytes, start, this.words).near(SERIES.ordinal);
  }

  private writeNode(node: ResourceNode<T>, above: ResourceNode<T> | undefined): boolean {
    const { writer } = this;
    const { row, history, touched, attributes } = node;
    if (node.hasRows || (history && (history.constructor !== History || history.archive))) return false;
    const isCollection = above?.row.collections.includes(row.name) ?? false;
    const expiry = attributes.get(EXPIRY);
    const state = history?.state;
    writer.near(SERIES.ordinal, node.ordinal);
    writer.whole(TYPE_NAMES.indexOf(row.name));
    writer.whole(
      (isCollection ? NODE.isCollection : 0) +
        (state ? NODE.hasHistory : 0) +
        (typeof expiry === 'string' ? NODE.hasExpiry : 0) +
        (state && state.highestTagUs !== -Infinity ? NODE.hasTags : 0),
    );
    if (above && !isCollection) writer.text(node.id);
    this.writeCreator(node.creator, above?.creator);
    writer.near(SERIES.time, node.createdUs);
    writer.near(SERIES.time, touched.us);
    writer.near(SERIES.revision, touched.revision);
    if (typeof expiry === 'string') this.writeExpiry(expiry);
    this.writeAttributes(attributes);
    if (history && state && !this.writeHistory(history)) return false;
    writer.whole(node.size);
    for (const child of node.known) if (!this.writeNode(child, node)) return false;
    return true;
  }

  private readNode(
    row: RowReader,
    parent: ResourceNode<T>,
    rowId: string | undefined,
    above: Creator | undefined,
  ): ResourceNode<T> {
    const ordinal = row.near(SERIES.ordinal);
    const name = TYPE_NAMES[row.whole()];
    if (name === undefined) throw new Error('a row of no type');
    const bits = row.whole();
    const id = rowId ?? ((bits & NODE.isCollection) !== 0 ? name : row.text());
    const creator = readCreator(row, above);
    const createdUs = row.near(SERIES.time);
    const modifiedUs = row.near(SERIES.time);
    const revision = row.near(SERIES.revision);
    const node = new ResourceNode<T>(TYPES[name], id, parent, creator, createdUs, revision, this.births, ordinal);
    node.touch(modifiedUs, revision);
    const expiry = (bits & NODE.hasExpiry) !== 0 ? readExpiry(row) : undefined;
    const attributes = this.readAttributes(row);
    node.attributes = expiry === undefined ? attributes : new Map([[EXPIRY, expiry], ...attributes]);
    if ((bits & NODE.hasHistory) !== 0) node.history = this.readHistory(row, parent, (bits & NODE.hasTags) !== 0);
    for (let children = row.whole(); children > 0; children--)
      node.adopt(this.readNode(row, node, undefined, node.creator));
    return node;
  }

  /** As a number where it is written as the broker or a client's library writes it: that is where it comes from nearly always. */
  private writeExpiry(expiry: string): void {
    const { writer } = this;
    const us = parseTime(expiry) ?? 0;
    const form = EXPIRY_FORMS.findIndex((write) => write(us) === expiry);
    writer.whole(form + 1);
    if (form < 0) writer.text(expiry);
    else writer.near(SERIES.time, us);
  }

  private writeCreator(creator: Creator, above: Creator | undefined): void {
    const { writer } = this;
    if (creator.kind === 'originator') {
      if (above?.kind === 'originator' && above.id === creator.id) return writer.whole(CREATOR.asAbove);
      writer.whole(CREATOR.originator);
      return writer.word(creator.id);
    }
    writer.whole(creator.source === undefined ? CREATOR.internal : CREATOR.source);
    if (creator.source !== undefined) writer.text(creator.source);
  }

  private writeAttributes(attributes: Attributes): void {
    const { writer } = this;
    const hasExpiry = attributes.has(EXPIRY);
    if (attributes.size === (hasExpiry ? 1 : 0)) return writer.whole(ATTRIBUTES.none);
    const place = this.placeByMap.get(attributes);
    if (place !== undefined && !hasExpiry) return writer.whole(ATTRIBUTES.shared + place);
    const others = hasExpiry ? [...attributes].filter(([name]) => name !== EXPIRY) : [...attributes];
    const text = JSON.stringify(others);
    const found = this.places.get(text) ?? this.share(text, hasExpiry ? new Map(others) : attributes);
    if (found !== undefined) return writer.whole(ATTRIBUTES.shared + found);
    writer.whole(ATTRIBUTES.spelt);
    writer.text(text);
  }

  private share(text: string, attributes: Attributes): number | undefined {
    if (this.shared.length >= MOST_SHARED) return undefined;
    const place = this.shared.push(attributes) - 1;
    this.places.set(text, place);
    this.placeByMap.set(attributes, place);
    return place;
  }

  private readAttributes(row: RowReader): Attributes {
    const written = row.whole();
    if (written === ATTRIBUTES.none) return NO_ATTRIBUTES;
    if (written === ATTRIBUTES.spelt) return new Map(JSON.parse(row.text()) as [string, Json][]);
    const attributes = this.shared[written - ATTRIBUTES.shared];
    if (!attributes) throw new RangeError(`there are no attributes ${written}`);
    return attributes;
  }

  private writeHistory(history: History<T>): boolean {
    const { writer } = this;
    const { epoch, revision, changedUs, highestTagUs } = history.state;
    writer.near(SERIES.revision, epoch);
    writer.whole(revision === 0 ? 0 : 1);
    if (revision !== 0) {
      writer.near(SERIES.revision, revision);
      writer.near(SERIES.time, changedUs);
    }
    if (highestTagUs !== -Infinity) writer.any(highestTagUs);
    const records = history.newest();
    writer.whole(records.length);
    for (const record of records) if (!this.writeRecord(record)) return false;
    return true;
  }

  private readHistory(row: RowReader, container: ResourceNode<T>, hasTags: boolean): History<T> {
    const epoch = row.near(SERIES.revision);
    const isChanged = row.whole() === 1;
    const revision = isChanged ? row.near(SERIES.revision) : 0;
    const changedUs = isChanged ? row.near(SERIES.time) : 0;
    const highestTagUs = hasTags ? row.any() : -Infinity;
    const state = { epoch, revision, changedUs, highestTagUs };
    const history = new History<T>(this.revisions, ringOf(container.attributes), state, this.values);
    for (let records = row.whole(); records > 0; records--) this.readRecord(row, history);
    return history;
  }

  private writeRecord({
    value,
    sequence,
    measuredUs,
    createdUs,
    sizeBytes,
    name,
    attributes,
    creator,
  }: InstanceRecord<T>) {
    const { writer } = this;
    const isFractional = !Number.isSafeInteger(measuredUs);
    writer.whole((attributes ? RECORD.hasAttributes : 0) + (isFractional ? RECORD.isFractional : 0));
    writer.near(SERIES.revision, sequence);
    writer.near(SERIES.time, createdUs);
    if (isFractional) writer.any(measuredUs);
    else writer.near(SERIES.time, measuredUs);
    writer.whole(sizeBytes);
    writer.word(creator);
    writer.name(name);
    if (attributes) writer.text(JSON.stringify([...attributes]));
    return this.values.write(value, writer);
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

const EXPIRY_FORMS: readonly ((us: number) => string)[] = [
  formatTime,
  (us) => `${formatTime(us).slice(0, 23)}Z`,
  (us) => `${formatTime(us).slice(0, 19)}Z`,
];

function readExpiry(row: RowReader): string {
  const form = row.whole();
  const write = EXPIRY_FORMS[form - 1];
  return write ? write(row.near(SERIES.time)) : row.text();
}

function readCreator(row: RowReader, above: Creator | undefined): Creator {
  switch (row.whole()) {
    case CREATOR.asAbove:
      return above ?? INTERNAL;
    case CREATOR.originator:
      return { kind: 'originator', id: row.word() ?? '' };
    case CREATOR.source:
      return { kind: 'internal', source: row.text() };
    default:
      return INTERNAL;
  }
}
