/**
 * What waits on the timer wheel, in columns of integers: an entry is a number, and with its neighbours in a ring, its tick and what
 * it is for, takes 31 bytes of a few long arrays. A million leases are no million objects for the collector to walk through.
 *
 *     entry   0 .. rings-1    the ring of that number itself: it begins and ends it
 *             rings ..        an entry in one of the rings, or a free one
 *
 * Columns are read with `!`: whoever has an entry's number got it here, where all columns are as long.
 */

/** Capacity grows by half, so at most a third of it is unused. */
const GROWTH = 1.5;
const FIRST_CAPACITY = 1024;
/** In no ring: it has fired or was cancelled. */
export const NOWHERE = -1;

export class Rings<Subject> {
  private previous: Int32Array;
  private next: Int32Array;
  /** The ring that each is in. */
  private rings: Int16Array;
  private ticks: Float64Array;
  /** How often each number has been given out: one that is kept for longer than its entry is found out. */
  private lives: Uint32Array;
  private kinds: Uint8Array;
  private readonly subjects: (Subject | undefined)[] = [];
  private firstFree = NOWHERE;
  private used: number;
  /** Entries in all rings. */
  size = 0;

  constructor(ringCount: number) {
    const capacity = ringCount + FIRST_CAPACITY;
    this.previous = Int32Array.from({ length: capacity }, (_, ring) => ring);
    this.next = this.previous.slice();
    this.rings = new Int16Array(capacity).fill(NOWHERE);
    this.ticks = new Float64Array(capacity);
    this.lives = new Uint32Array(capacity);
    this.kinds = new Uint8Array(capacity);
    this.used = ringCount;
    this.subjects.length = ringCount;
  }

  /** A new entry, in no ring yet. @param kind a number below 256 of its owner's */
  take(tick: number, kind: number, subject: Subject): number {
    let entry = this.firstFree;
    if (entry === NOWHERE) {
      if (this.used === this.next.length) this.grow();
      entry = this.used++;
    } else this.firstFree = this.next[entry]!; // a number that was given out
    this.ticks[entry] = tick;
    this.kinds[entry] = kind;
    this.subjects[entry] = subject;
    this.size++;
    return entry;
  }

  /** Its number may be given out again; it is in no ring any more. @returns what it was for */
  release(entry: number): Subject {
    const subject = this.subjects[entry]!;
    this.subjects[entry] = undefined;
    this.lives[entry]!++; // a number that was given out
    this.next[entry] = this.firstFree;
    this.firstFree = entry;
    this.size--;
    return subject;
  }

  /** Puts an entry at the end of a ring. */
  append(ring: number, entry: number): void {
    const last = this.previous[ring]!;
    this.next[last] = entry;
    this.previous[entry] = last;
    this.next[entry] = ring;
    this.previous[ring] = entry;
    this.rings[entry] = ring;
  }

  /** Takes an entry out of its ring. */
  remove(entry: number): void {
    const [before, after] = [this.previous[entry]!, this.next[entry]!];
    this.next[before] = after;
    this.previous[after] = before;
    this.rings[entry] = NOWHERE;
  }

  /** The entry that has been in a ring for longest; undefined: it is empty. */
  first(ring: number): number | undefined {
    const entry = this.next[ring]!;
    return entry === ring ? undefined : entry;
  }

  /** NOWHERE for one that is in none. */
  ringOf(entry: number): number {
    return this.rings[entry]!; // a number that was given out
  }

  tickOf(entry: number): number {
    return this.ticks[entry]!; // a number that was given out
  }

  kindOf(entry: number): number {
    return this.kinds[entry]!; // a number that was given out
  }

  lifeOf(entry: number): number {
    return this.lives[entry]!; // a number that was given out
  }

  private grow(): void {
    const capacity = Math.ceil(this.next.length * GROWTH);
    const longer = <Column extends Int32Array | Int16Array | Float64Array | Uint32Array | Uint8Array>(
      to: Column,
      from: Column,
    ): Column => {
      to.set(from);
      return to;
    };
    this.previous = longer(new Int32Array(capacity), this.previous);
    this.next = longer(new Int32Array(capacity), this.next);
    this.rings = longer(new Int16Array(capacity).fill(NOWHERE), this.rings);
    this.ticks = longer(new Float64Array(capacity), this.ticks);
    this.lives = longer(new Uint32Array(capacity), this.lives);
    this.kinds = longer(new Uint8Array(capacity), this.kinds);
  }
}
