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
import { History } from './history.js';
import { INTERNAL, NO_ATTRIBUTES, ResourceNode, type Births, type Creator } from './node.js';
import { PassiveHistory, type ValueForm } from './passive-history.js';
import type { Revisions } from './revision.js';
import { MOST_SHARED, RowReader, RowWriter, SERIES, SharedWords, type Mark } from './row-bytes.js';
import { TYPES, type TypeName } from './types.js';
import type { Json } from './values.js';

const TYPE_NAMES = Object.keys(TYPES) as TypeName[];
const EXPIRY = 'expirationTime';
/** How attributes are written: the place of a shared map stands above these. */
const ATTRIBUTES = { none: 0, spelt: 1, shared: 2 } as const;
const CREATOR = { internal: 0, source: 1, originator: 2, asAbove: 3 } as const;
/** Bits of a node. */
const NODE = { isCollection: 1, hasHistory: 2, hasExpiry: 4 } as const;

type Attributes = ReadonlyMap<string, Json>;

/** A node as it stands in a row, and whether a history follows. */
interface Head<T> {
  readonly node: ResourceNode<T>;
  readonly hasHistory: boolean;
}

/** A history of a row, as it can be changed without the row being made live. */
export interface OpenHistory<T> {
  readonly id: string;
  /** The contentInstances, with what stands above it and nothing else. */
  readonly contentInstances: ResourceNode<T>;
  /** Where it stands, in bytes from the beginning of the row. */
  readonly from: number;
  readonly to: number;
  readonly mark: Mark;
}

export class PassiveForm<T> {
  private readonly words = new SharedWords();
  private readonly writer = new RowWriter(this.words);
  private readonly histories: PassiveHistory<T>;
  private readonly shared: Attributes[] = [];
  private readonly places = new Map<string, number>();
  /** Of maps that are shared already: they need not be written out to be found. */
  private readonly placeByMap = new WeakMap<Attributes, number>();

  constructor(
    revisions: Revisions,
    private readonly births: Births<T>,
    values: ValueForm<T>,
    /** A row is a resource again, with all below it. */
    readonly activated: (node: ResourceNode<T>) => void,
  ) {
    this.histories = new PassiveHistory(revisions, values);
  }

  /** The row of a resource, until the next is written; undefined where something of it is not to be had as bytes, or too large. */
  write(node: ResourceNode<T>): Buffer | undefined {
    this.writer.begin(node.id);
    return this.writeNode(node, undefined) ? this.writer.row : undefined;
  }

  read(bytes: Buffer, start: number, parent: ResourceNode<T>): ResourceNode<T> {
    const row = new RowReader(bytes, start, this.words);
    return this.readBelow(row, this.readHead(row, parent, row.id, undefined));
  }

  /** The history of the contentInstances at a path below the row's resource; undefined where none stands there. */
  open(bytes: Buffer, start: number, parent: ResourceNode<T>, path: readonly string[]): OpenHistory<T> | undefined {
    const row = new RowReader(bytes, start, this.words);
    let head: Head<T> | undefined = this.readHead(row, parent, row.id, undefined);
    for (const id of path) head = head && this.readTo(row, head, id);
    if (!head?.hasHistory) return undefined;
    const [contentInstances, from, mark] = [head.node, row.place - start, row.mark];
    contentInstances.history = this.histories.read(row, contentInstances);
    return { id: row.id, contentInstances, from, to: row.place - start, mark };
  }

  /** The row with its history as that is now, until the next is written; undefined as `write` has it. */
  rewrite(bytes: Buffer, start: number, end: number, opened: OpenHistory<T>): Buffer | undefined {
    const { id, contentInstances, from, to, mark } = opened;
    const { history } = contentInstances;
    const { writer } = this;
    writer.begin(id);
    writer.copy(bytes, writer.place + start, start + from);
    writer.mark = mark;
    if (!history || !this.histories.write(history, writer)) return undefined;
    writer.copy(bytes, start + to, end);
    return writer.row;
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
    writer.near(SERIES.ordinal, node.ordinal);
    writer.whole(TYPE_NAMES.indexOf(row.name));
    writer.whole(
      (isCollection ? NODE.isCollection : 0) +
        (history ? NODE.hasHistory : 0) +
        (typeof expiry === 'string' ? NODE.hasExpiry : 0),
    );
    if (above && !isCollection) writer.text(node.id);
    this.writeCreator(node.creator, above?.creator);
    writer.near(SERIES.time, node.createdUs);
    writer.near(SERIES.time, touched.us);
    writer.near(SERIES.revision, touched.revision);
    if (typeof expiry === 'string') this.writeExpiry(expiry);
    this.writeAttributes(attributes);
    if (history && !this.histories.write(history, writer)) return false;
    writer.whole(node.size);
    for (const child of node.known) if (!this.writeNode(child, node)) return false;
    return true;
  }

  private readHead(
    row: RowReader,
    parent: ResourceNode<T>,
    rowId: string | undefined,
    above: Creator | undefined,
  ): Head<T> {
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
    return { node, hasHistory: (bits & NODE.hasHistory) !== 0 };
  }

  private readBelow(row: RowReader, { node, hasHistory }: Head<T>): ResourceNode<T> {
    if (hasHistory) node.history = this.histories.read(row, node);
    for (let children = row.whole(); children > 0; children--)
      node.adopt(this.readBelow(row, this.readHead(row, node, undefined, node.creator)));
    return node;
  }

  /** The child of this id; those before it are passed by. */
  private readTo(row: RowReader, { node, hasHistory }: Head<T>, id: string): Head<T> | undefined {
    if (hasHistory) return undefined;
    for (let children = row.whole(); children > 0; children--) {
      const head = this.readHead(row, node, undefined, node.creator);
      if (head.node.id === id) return head;
      this.readBelow(row, head);
    }
    return undefined;
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
