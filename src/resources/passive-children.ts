/**
 * The children of a large collection: those that are in use as they are, the idle ones as rows.
 *
 *     id ──> index ──> slot ──┬──> live node
 *                             ├──> row ── get ──> live node          passivate: back into a row
 *                             └──> row ── open ──> a history of it ── close ──> row
 *
 * Slots are in the order in which the children came, whatever became of them meanwhile, and so is every reading.
 */
import type { OpenHistory, PassiveForm } from './passive-form.js';
import type { OpenRow, ResourceNode, RowChildren } from './node.js';
import { RowArena, type RowAt } from './row-arena.js';
import { writeAscii } from './row-bytes.js';

/** What a slot holds in place of a row. */
const GONE = 0;
const LIVE = 0xffff_ffff;
/** What a place of the index holds in place of a slot, which is counted from 1. */
const EMPTY = 0;
const LEFT = 0xffff_ffff;
const FIRST_SLOTS = 1024;
/** Of the index, a power of two: filled further, its chains grow long. */
const MOST_FILLED = 0.75;
/** Of the rows' memory, a share; below it there would be more moving than using. */
const MOST_FREE = 1 / 20;
/** Of any id that is here [document.ts: at most 255 bytes]. */
const LONGEST_ID = 255;
const MOST_BYTES_PER_CHARACTER = 3;

export class PassiveChildren<T> implements RowChildren<T> {
  private readonly arena = new RowArena();
  private readonly live = new Map<number, ResourceNode<T>>();
  private slots: Uint32Array = new Uint32Array(FIRST_SLOTS);
  private index: Uint32Array = new Uint32Array(2 * FIRST_SLOTS);
  /** By slot, when it is to be woken; made with the first that is. 0: never. */
  private wakeAt: Uint32Array | undefined;
  /** By that, the ordinals of those children; of one that has another time by now, or is gone, as well. */
  private readonly wakes = new Map<number, number[]>();
  /** Slots that have been given out, and places of the index that are not empty. */
  private given = 0;
  private filled = 0;
  private children = 0;
  /** Rises when the slots are numbered anew. */
  private numbering = 0;
  /** The bytes of the id that is looked for. */
  private readonly wanted = Buffer.allocUnsafe(LONGEST_ID * MOST_BYTES_PER_CHARACTER);
  private wantedBytes = 0;

  constructor(
    private readonly collection: ResourceNode<T>,
    private readonly form: PassiveForm<T>,
    children: Iterable<ResourceNode<T>>,
  ) {
    for (const child of children) this.set(child.id, child);
  }

  get size(): number {
    return this.children;
  }

  /** Its collection has been removed, or has no children any more. */
  get isGone(): boolean {
    return this.children === 0 || this.collection.isRemoved;
  }

  /** Children that are rows, and the bytes that they take with all that finds them. */
  get passive(): { readonly count: number; readonly bytes: number } {
    const { arena, slots, index, wakeAt, wakes } = this;
    let bytes = arena.bytes + slots.byteLength + index.byteLength + (wakeAt?.byteLength ?? 0);
    for (const ordinals of wakes.values()) bytes += ordinals.length * Float64Array.BYTES_PER_ELEMENT;
    return { count: this.children - this.live.size, bytes };
  }

  /** A passive child is live from then on. */
  get(id: string): ResourceNode<T> | undefined {
    const place = this.find(id);
    const slot = place === undefined ? undefined : this.slotAt(place);
    if (slot === undefined) return undefined;
    return this.live.get(slot) ?? this.activate(slot);
  }

  /** Takes a child that was not there as the last. */
  set(id: string, child: ResourceNode<T>): void {
    if (this.given === this.slots.length || this.filled >= this.index.length * MOST_FILLED) this.renumber();
    const slot = this.given++;
    this.slots[slot] = LIVE;
    this.live.set(slot, child);
    this.children++;
    this.enter(this.hashOf(id), slot);
  }

  delete(id: string): void {
    const place = this.find(id);
    const slot = place === undefined ? undefined : this.slotAt(place);
    if (place === undefined || slot === undefined) return;
    const row = this.slots[slot] ?? GONE;
    if (row !== LIVE) this.arena.release(row);
    this.index[place] = LEFT;
    this.slots[slot] = GONE;
    this.live.delete(slot);
    this.children--;
  }

  /** False for a child that cannot be a row. */
  passivate(child: ResourceNode<T>, wakeAt = 0): boolean {
    const slot = this.slotOf(child);
    if (slot === undefined) return false;
    const row = this.form.write(child);
    if (!row) return false;
    this.slots[slot] = this.arena.put(row);
    this.live.delete(slot);
    this.willWake(slot, child.ordinal, wakeAt);
    this.compact();
    return true;
  }

  /** Where a live child stands. */
  private slotOf(child: ResourceNode<T>): number | undefined {
    const last = this.given - 1;
    // A restart lets one after the other become a row as it comes.
    if (this.live.get(last) === child) return last;
    const place = this.find(child.id);
    const slot = place === undefined ? undefined : this.slotAt(place);
    return slot !== undefined && this.live.get(slot) === child ? slot : undefined;
  }

  open(id: string, path: readonly string[]): OpenRow<T> | undefined {
    const place = this.find(id);
    const slot = place === undefined ? undefined : this.slotAt(place);
    const row = slot === undefined ? GONE : (this.slots[slot] ?? GONE);
    if (slot === undefined || row === GONE || row === LIVE) return undefined;
    const { arena, collection, form } = this;
    const opened = form.open(arena.pieceOf(row), arena.startOf(row), collection, path);
    if (!opened) return undefined;
    return { contentInstances: opened.contentInstances, close: () => this.close(id, path, slot, row, opened) };
  }

  private close(id: string, path: readonly string[], slot: number, row: RowAt, opened: OpenHistory<T>): void {
    const { arena, form } = this;
    const isThere = this.slots[slot] === row;
    const written = isThere
      ? form.rewrite(arena.pieceOf(row), arena.startOf(row), arena.endOf(row), opened)
      : undefined;
    if (written) {
      arena.release(row);
      this.slots[slot] = arena.put(written);
      return this.compact();
    }
    // It has grown too large for a row, or somebody has asked for it meanwhile.
    let node = this.get(id);
    for (const each of path) node = node?.child(each);
    if (node) node.history = opened.contentInstances.history;
  }

  /** Rows that are live now come back, mostly as long as they were; what is free beyond their share is too much. */
  private compact(): void {
    const { arena, live, children } = this;
    if (arena.freeBytes <= (arena.bytes * (MOST_FREE * children + live.size)) / children) return;
    arena.compact((from, to) => {
      const piece = arena.pieceOf(to);
      const place = this.placeOf(hash(piece, ...idIn(piece, arena.startOf(to))), from);
      this.slots[this.slotAt(place)] = to;
    });
  }

  /** The place of the index that leads to a row. */
  private placeOf(hash: number, row: RowAt): number {
    const mask = this.index.length - 1;
    let place = hash & mask;
    while (this.index[place] === LEFT || this.slots[this.slotAt(place)] !== row) place = (place + 1) & mask;
    return place;
  }

  *wake(at: number): Generator<void> {
    const ordinals = this.wakes.get(at) ?? [];
    this.wakes.delete(at);
    for (const ordinal of ordinals) {
      let slot = this.slotBehind(ordinal - 1);
      while (slot < this.given && this.slots[slot] === GONE) slot++;
      if (slot === this.given || this.wakeAt?.[slot] !== at || this.ordinalAt(slot) !== ordinal) continue;
      this.wakeAt[slot] = 0;
      if (this.slots[slot] !== LIVE) this.activate(slot);
      yield;
    }
  }

  private willWake(slot: number, ordinal: number, at: number): void {
    if (at === 0 && !this.wakeAt) return;
    this.wakeAt ??= new Uint32Array(this.slots.length);
    // As it was before: it stands there already, since its last time as a row.
    if (this.wakeAt[slot] === at) return;
    this.wakeAt[slot] = at;
    if (at === 0) return;
    const ordinals = this.wakes.get(at);
    if (ordinals) ordinals.push(ordinal);
    else this.wakes.set(at, [ordinal]);
  }

  values(): Iterable<ResourceNode<T>> {
    return this.after(-1);
  }

  /** What came after the child of this ordinal. Children may come and go meanwhile. */
  *after(ordinal: number): Generator<ResourceNode<T>> {
    let last = ordinal;
    let [slot, numbering] = [this.slotBehind(ordinal), this.numbering];
    while (slot < this.given) {
      const child = this.look(slot);
      if (child) {
        last = child.ordinal;
        yield child;
      }
      if (numbering === this.numbering) slot++;
      else [slot, numbering] = [this.slotBehind(last), this.numbering];
    }
  }

  private look(slot: number): ResourceNode<T> | undefined {
    const row = this.slots[slot] ?? GONE;
    return row === LIVE ? this.live.get(slot) : row === GONE ? undefined : this.read(row);
  }

  private read(row: RowAt): ResourceNode<T> {
    return this.form.read(this.arena.pieceOf(row), this.arena.startOf(row), this.collection);
  }

  private activate(slot: number): ResourceNode<T> {
    const row = this.slots[slot] ?? GONE;
    const node = this.read(row);
    this.arena.release(row);
    this.slots[slot] = LIVE;
    this.live.set(slot, node);
    this.form.activated(node);
    return node;
  }

  /** The first slot whose child has a higher ordinal. */
  private slotBehind(ordinal: number): number {
    let [from, to] = [0, this.given];
    while (from < to) {
      let middle = (from + to) >>> 1;
      const half = middle;
      while (middle < to && this.slots[middle] === GONE) middle++;
      if (middle === to || this.ordinalAt(middle) > ordinal) to = half;
      else from = middle + 1;
    }
    return from;
  }

  private ordinalAt(slot: number): number {
    const row = this.slots[slot] ?? GONE;
    if (row === LIVE) return this.live.get(slot)?.ordinal ?? 0;
    return this.form.ordinalOf(this.arena.pieceOf(row), this.arena.startOf(row));
  }

  /** The place of the index that leads to a child. */
  private find(id: string): number | undefined {
    if (id.length > LONGEST_ID) return undefined;
    const mask = this.index.length - 1;
    const hash = this.hashOf(id);
    const length = this.wantedBytes;
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const entry = this.index[place] ?? EMPTY;
      if (entry === EMPTY) return undefined;
      if (entry !== LEFT && this.isAt(entry - 1, id, length)) return place;
    }
  }

  private isAt(slot: number, id: string, length: number): boolean {
    const row = this.slots[slot] ?? GONE;
    if (row === LIVE) return this.live.get(slot)?.id === id;
    const piece = this.arena.pieceOf(row);
    const [start, idBytes] = idIn(piece, this.arena.startOf(row));
    if (idBytes !== length) return false;
    for (let n = 0; n < length; n++) if (piece[start + n] !== this.wanted[n]) return false;
    return true;
  }

  private slotAt(place: number): number {
    return (this.index[place] ?? EMPTY) - 1;
  }

  private enter(hash: number, slot: number): void {
    const mask = this.index.length - 1;
    let place = hash & mask;
    while (this.index[place] !== EMPTY) place = (place + 1) & mask;
    this.index[place] = slot + 1;
    this.filled++;
  }

  /** Gives the children slots without gaps, with room for as many again. */
  private renumber(): void {
    const [before, wakeAt] = [this.slots, this.wakeAt];
    const live = new Map(this.live);
    const room = roomFor(this.children + 1);
    this.slots = new Uint32Array(room.slots);
    this.index = new Uint32Array(room.places);
    this.wakeAt = wakeAt && new Uint32Array(room.slots);
    this.live.clear();
    [this.numbering, this.filled] = [this.numbering + 1, 0];
    let slot = 0;
    for (let from = 0; from < this.given; from++) {
      const row = before[from] ?? GONE;
      if (row === GONE) continue;
      const child = live.get(from);
      if (child) this.live.set(slot, child);
      this.slots[slot] = row;
      if (this.wakeAt && wakeAt) this.wakeAt[slot] = wakeAt[from] ?? 0;
      this.enter(child ? this.hashOf(child.id) : this.hashOfRow(row), slot);
      slot++;
    }
    this.given = slot;
  }

  /** Leaves the id's bytes in `wanted`. */
  private hashOf(id: string): number {
    this.wantedBytes = writeAscii(id, this.wanted, 0) ? id.length : this.wanted.write(id);
    return hash(this.wanted, 0, this.wantedBytes);
  }

  private hashOfRow(row: RowAt): number {
    const piece = this.arena.pieceOf(row);
    return hash(piece, ...idIn(piece, this.arena.startOf(row)));
  }
}

/** Where in a row its id begins, and its length: one that is as long as an id may be takes two bytes for that. */
function idIn(piece: Buffer, start: number): readonly [start: number, bytes: number] {
  const first = piece[start] ?? 0;
  return first < 128 ? [start + 1, first] : [start + 2, first - 128 + (piece[start + 1] ?? 0) * 128];
}

/** Half as many slots again as children, and at most three quarters of the index filled when those are. */
function roomFor(children: number): { readonly slots: number; readonly places: number } {
  const slots = Math.max(FIRST_SLOTS, Math.ceil(children * 1.5));
  return { slots, places: 2 ** Math.ceil(Math.log2(slots / MOST_FILLED)) };
}

/** FNV-1a, 32 bits. */
function hash(bytes: Uint8Array, start: number, length: number): number {
  let value = 0x811c9dc5;
  for (let n = start; n < start + length; n++) value = Math.imul(value ^ (bytes[n] ?? 0), 0x01000193);
  return (value ^ (value >>> 15)) >>> 0;
}
