/**
 * The fan-out: who is offered a sample, and whose port is flushed, now or in a later turn of the event loop. The more urgent
 * latency class goes first.
 *
 *     passed ── protection, or there is time left in this turn ──> walked at once ──> ports touched
 *        └──────── otherwise ──> walks, by class ──> a slice of them at the end of each turn ─┘
 *
 *     end of the turn: flush what is urgent ──> a slice of the walks ──> flush the rest, once no walk waits or enough has gathered;
 *                      where time is short it gathers a little longer (coalescing.ts)
 *
 * A slice is short, so that a million deliveries of class reporting let in what comes meanwhile: commands, and samples of class
 * protection, which wait for no walk. Not every slice ends with a flush: what a port sends in one go is cheaper than in many.
 *
 * Bounded: a class has at most MOST_WALKS; one more, and the oldest is walked to its end at once. So the source waits in the
 * kernel's queue, whose drops are counted, and nobody is dropped here.
 */
import type { Clock } from '../clock.js';
import { UNTOUCHED, type Delivery, type Port } from './delivery.js';
import { Coalescing } from './coalescing.js';
import type { Group } from './group.js';
import { QUALITY, type Sample } from './sample.js';
import { CLASS_DEADLINES_S, LATENCY_CLASSES, type LatencyClass } from './terms.js';

/**
 * A third of the 0.5 ms that protection may be kept waiting: sending what a slice has gathered takes about twice as long again. Where
 * nothing is urgent and what its turn has taken in took longer, a slice is as long: what is taken in must go out, or it would pile up here.
 */
const SLICE_US = 150;
/** What a turn takes in of a full socket takes about as long; whatever else took longer must not make the fan-out do so. */
const LONGEST_SLICE_US = 3000;
/** Once there is something urgent, more of it may come: for so long no slice is long. */
const URGENT_FOR_US = 1_000_000;
const NOTHING_YET = Infinity;
const NEVER_YET = -Infinity;
/** Deliveries or flushes from one look at the clock to the next: some 20 us. */
const LOOK_EVERY = 64;
/** Slices whose messages may gather before they are flushed: 2.4 ms. */
const MOST_SLICES = 16;
/** Samples x groups of one class. */
const MOST_WALKS = 4096;
/** One walk in so many goes into the age histogram. */
const AGE_SAMPLING = 16;
/** Classes whose ports are flushed in the turn that touched them, whatever else waits: protection and control. */
const URGENT_RANKS = 2;

/** Observes the age (now minus measured time) of a sampled delivery, in seconds. */
export type AgeObserver = (latencyClass: LatencyClass, ageS: number) => void;

/**
 * Told what threw: while a sample was written for or given to one delivery, which then counts it as dropped, or while a port
 * was flushed (no delivery). Neither its source nor any other subscriber notices. Must not throw.
 */
export type FaultObserver = (port: Port, delivery: Delivery | undefined, error: unknown) => void;

/** What one latency class has seen. Only rising. */
export interface ClassFigures {
  readonly latencyClass: LatencyClass;
  /** Offers to subscribers of samples whose age is known. */
  timed: number;
  /** Of these, older than the class's deadline. */
  late: number;
}

/** A sample on its way along the deliveries of one group. Reused: nothing is allocated for those that wait. */
interface Walk {
  group: Group | undefined;
  sample: Sample | undefined;
  /** Which of the samples that the group passed. */
  ordinal: number;
  /** How many of its deliveries are left; the last of them is next. */
  left: number;
}

export class FanOut {
  readonly figures: readonly ClassFigures[] = LATENCY_CLASSES.map((latencyClass) => ({
    latencyClass,
    timed: 0,
    late: 0,
  }));
  private readonly deadlinesUs = LATENCY_CLASSES.map((name) => CLASS_DEADLINES_S[name] * 1e6);
  private readonly waiting = LATENCY_CLASSES.map(() => new Walks());
  private readonly touched = LATENCY_CLASSES.map(() => new Ports());
  private readonly untilAge = LATENCY_CLASSES.map(() => AGE_SAMPLING);
  private readonly coalescing: Coalescing;
  private isArmed = false;
  /** Slices of walks since nothing was left to flush. */
  private slices = 0;
  private armedUs = 0.5;
  /** Since when something has been begun in this turn; NOTHING_YET: it only goes on with what waits. */
  private begunUs = NOTHING_YET;
  /** The turn in which what is urgent was last offered. */
  private urgentUs = NEVER_YET;
  private sliceEndUs = 0.5;
  private wallUs = 0.5;
  private untilLook = LOOK_EVERY;
  private hasTime = true;

  constructor(
    private readonly clock: Clock,
    private readonly observeAge: AgeObserver,
    private readonly onFault: FaultObserver,
  ) {
    this.coalescing = new Coalescing(clock, () => this.arm());
  }

  /** Offers a sample to a group's deliveries. */
  begin(group: Group, sample: Sample): void {
    this.arm();
    if (this.begunUs === NOTHING_YET) this.begunUs = this.clock.monotonicUs();
    const { rank } = group;
    const ordinal = ++group.passed;
    const waiting = this.waiting[rank]!; // one for each class
    let left = group.deliveries.length;
    if (rank === 0) left = this.walk(group, sample, ordinal, left, true);
    else if (this.mayBegin(rank)) left = this.walk(group, sample, ordinal, left, false);
    if (left === 0) return;
    if (waiting.length === MOST_WALKS) this.advance(waiting, true);
    waiting.add(group, sample, ordinal, left);
  }

  /** Gives a sample to one delivery. */
  offer(delivery: Delivery, sample: Sample, rank: number): void {
    this.arm();
    if (rank < URGENT_RANKS) this.urgentUs = this.armedUs;
    else this.coalescing.add();
    const { port } = delivery;
    try {
      port.offer(delivery, sample);
    } catch (error) {
      delivery.drop('fault');
      this.onFault(port, delivery, error);
    }
    if (port.touched <= rank) return;
    port.touched = rank;
    this.touched[rank]!.add(port); // one for each class
  }

  /** There is time, what is less urgent finds room, and nothing that is at least as urgent waits. */
  private mayBegin(rank: number): boolean {
    if (!this.hasTime || (rank >= URGENT_RANKS && this.isFull)) return false;
    for (let other = 1; other <= rank; other++) if (this.waiting[other]!.length > 0) return false; // as above
    return true;
  }

  /** @returns how many deliveries are left: none, unless the slice has ended */
  private walk(group: Group, sample: Sample, ordinal: number, left: number, isWhole: boolean): number {
    const { deliveries, rank } = group;
    // Those that left meanwhile have made room at the end.
    let next = Math.min(left, deliveries.length);
    let offers = 0;
    while (next > 0 && (isWhole || this.mayGoOn())) {
      // Backwards: a delivery that ends while it is offered gives its place to one that has been.
      const delivery = deliveries[--next]; // it may end others with it
      if (delivery === undefined || delivery.walked >= ordinal) continue;
      delivery.walked = ordinal;
      offers++;
      this.offer(delivery, sample, rank);
    }
    this.time(sample, rank, offers);
    return next;
  }

  private mayGoOn(): boolean {
    if (--this.untilLook > 0) return this.hasTime;
    this.untilLook = LOOK_EVERY;
    return (this.hasTime = this.hasTime && this.clock.monotonicUs() < this.sliceEndUs);
  }

  private arm(): void {
    if (this.isArmed) return;
    this.isArmed = true;
    this.begunUs = NOTHING_YET;
    this.armedUs = this.clock.monotonicUs();
    this.beginSlice(this.armedUs, SLICE_US);
    this.clock.atTurnEnd(this.endTurn);
  }

  private sliceUs(nowUs: number): number {
    if (nowUs - this.urgentUs < URGENT_FOR_US) return SLICE_US;
    return Math.min(LONGEST_SLICE_US, Math.max(SLICE_US, nowUs - this.begunUs));
  }

  private beginSlice(nowUs: number, lengthUs: number): void {
    this.sliceEndUs = nowUs + lengthUs;
    this.wallUs = this.clock.wallUs();
    this.untilLook = LOOK_EVERY;
    this.hasTime = true;
  }

  private readonly endTurn = (): void => {
    this.flushUrgent();
    const nowUs = this.clock.monotonicUs();
    this.beginSlice(nowUs, this.sliceUs(nowUs));
    if (!this.isFull && this.isWalking) this.walkOn();
    const isWaiting = !this.isFull && !this.isWalking && this.coalescing.mayWait(nowUs);
    if (this.isFull || !(this.isWalking || isWaiting)) {
      const isWhole = this.coalescing.goesWhole && !this.isFull;
      for (let rank = 0; rank < this.touched.length; rank++) this.flush(rank, isWhole);
    }
    if (!this.isTouched) this.rest();
    this.isArmed = false;
    this.coalescing.turned(this.armedUs, this.clock.monotonicUs());
    if (this.isWalking || (this.isTouched && !isWaiting)) this.arm();
  };

  private rest(): void {
    this.slices = 0;
    this.coalescing.rest();
  }

  private get isFull(): boolean {
    return this.slices >= MOST_SLICES;
  }

  private get isWalking(): boolean {
    return this.waiting.some(isAny);
  }

  private get isTouched(): boolean {
    return this.touched.some(isAny);
  }

  private walkOn(): void {
    this.slices++;
    for (const walks of this.waiting) while (walks.length > 0 && this.mayGoOn()) this.advance(walks, false);
    this.flushUrgent();
  }

  private flushUrgent(): void {
    for (let rank = 0; rank < URGENT_RANKS; rank++) this.flush(rank, true);
  }

  /** Goes on with the oldest walk. */
  private advance(walks: Walks, isWhole: boolean): void {
    const walk = walks.first;
    const { group, sample } = walk;
    if (!group || !sample) throw new Error('a walk without its sample'); // `first` of none
    const { ordinal } = walk;
    const left = this.walk(group, sample, ordinal, walk.left, isWhole);
    // What is offered may be published further on, and have brought this walk to its end to make room.
    if (walk.group !== group || walk.ordinal !== ordinal) return;
    walk.left = left;
    if (left === 0) walks.shift();
  }

  private flush(rank: number, isWhole: boolean): void {
    const ports = this.touched[rank]!; // one for each class
    // A flush that lets go of what was held may touch another port.
    while (ports.length > 0 && (isWhole || this.mayGoOn())) {
      const port = ports.shift();
      // One flush may take long.
      this.untilLook = 1;
      // It was flushed among the more urgent ones.
      if (port.touched === UNTOUCHED) continue;
      port.touched = UNTOUCHED;
      try {
        port.flush(rank < URGENT_RANKS);
      } catch (error) {
        this.onFault(port, undefined, error);
      }
    }
  }

  private time({ quality, measuredUs }: Sample, rank: number, offers: number): void {
    if (offers === 0 || (quality & (QUALITY.unsynchronised | QUALITY.timeUnreasonable)) !== 0) return;
    const ageUs = this.wallUs - measuredUs;
    const figures = this.figures[rank]!; // one for each class
    figures.timed += offers;
    if (ageUs > this.deadlinesUs[rank]!) figures.late += offers; // as above
    if (--this.untilAge[rank]! > 0) return; // as above
    this.untilAge[rank] = AGE_SAMPLING;
    this.observeAge(figures.latencyClass, ageUs / 1e6);
  }
}

const isAny = ({ length }: { readonly length: number }): boolean => length > 0;

/** Ports to flush, first touched first. An array that is emptied gives its memory back and has to grow anew, turn by turn: this one does not. */
class Ports {
  private readonly list: (Port | undefined)[] = [];
  private head = 0;
  private tail = 0;

  get length(): number {
    return this.tail - this.head;
  }

  add(port: Port): void {
    if (this.tail === this.list.length && this.head > this.length) this.close();
    this.list[this.tail++] = port;
  }

  shift(): Port {
    const port = this.list[this.head]!; // the caller has seen that there is one
    this.list[this.head++] = undefined;
    if (this.head === this.tail) this.head = this.tail = 0;
    return port;
  }

  /** Moves what is left to the front. */
  private close(): void {
    this.list.copyWithin(0, this.head, this.tail);
    this.list.fill(undefined, this.length, this.tail);
    this.tail -= this.head;
    this.head = 0;
  }
}

/** Walks that wait, oldest first: a ring that grows to what was ever needed at once. */
class Walks {
  length = 0;
  private ring: Walk[] = [];
  private head = 0;

  get first(): Walk {
    return this.ring[this.head]!; // the caller has seen that there is one
  }

  add(group: Group, sample: Sample, ordinal: number, left: number): void {
    if (this.length === this.ring.length) this.grow();
    const walk = this.ring[(this.head + this.length++) % this.ring.length]!; // of the ring's length
    walk.group = group;
    walk.sample = sample;
    walk.ordinal = ordinal;
    walk.left = left;
  }

  shift(): void {
    const walk = this.first;
    walk.group = walk.sample = undefined;
    this.head = (this.head + 1) % this.ring.length;
    this.length--;
  }

  private grow(): void {
    const none = (): Walk => ({ group: undefined, sample: undefined, ordinal: 0, left: 0 });
    const added = Array.from({ length: Math.max(16, this.ring.length) }, none);
    this.ring = [...this.ring.slice(this.head), ...this.ring.slice(0, this.head), ...added];
    this.head = 0;
  }
}
