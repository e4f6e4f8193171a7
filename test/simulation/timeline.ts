/**
 * Virtual time: everything that happens in a simulation is an event in one queue, and nothing else moves the clock.
 *
 *     pop the earliest ──> now = its instant ──> run ──> microtasks ──> ends of turn ──> microtasks ──> checks ──> pop ...
 *
 * A promise of the code under test is settled by microtasks alone, because disk, network and time are simulated; so the loop
 * lets them run dry after each event, and the order of all that happens is a function of the seed.
 */
import type { Cancel, Clock } from '../../src/clock.js';

interface Event {
  atUs: number;
  /** Of events at one instant the one planned first is first. */
  order: number;
  readonly life: Life | undefined;
  run: (() => void) | undefined;
}

/** UTC at the start of every simulation; no real clock is ever read. */
const EPOCH_US = Date.UTC(2026, 0, 1) * 1000;

export class Timeline {
  nowUs = 0;
  events = 0;
  private readonly heap: Event[] = [];
  private planned = 0;
  private turnEnds: { readonly life: Life; readonly run: () => void }[] = [];

  /** @param thrown is told what an event throws: what would have ended the process it happened in */
  constructor(private readonly thrown: (error: unknown) => void) {}

  /** @param life an event of a process happens only while that lives, and waits while it is paused */
  after(delayUs: number, run: () => void, life?: Life): Cancel {
    return this.plan(this.nowUs + Math.max(0, Math.ceil(delayUs)), run, life);
  }

  atTurnEnd(life: Life, run: () => void): void {
    this.turnEnds.push({ life, run });
  }

  /**
   * Runs one event and all that follows from it at once.
   *
   * @returns in whose life it happened, if in anybody's; undefined: nothing is planned before `untilUs`, which is now
   */
  async step(untilUs: number): Promise<{ readonly life: Life | undefined } | undefined> {
    const event = this.take(untilUs);
    if (!event) {
      this.nowUs = untilUs;
      return undefined;
    }
    this.events++;
    this.nowUs = event.atUs;
    this.call(event.run);
    await settle();
    while (this.turnEnds.length > 0) {
      for (const { life, run } of this.turnEnds.splice(0)) if (life.isAlive) this.call(run);
      await settle();
    }
    return event;
  }

  private call(run: (() => void) | undefined): void {
    try {
      run?.();
    } catch (error) {
      this.thrown(error);
    }
  }

  private plan(atUs: number, run: () => void, life: Life | undefined): Cancel {
    const event: Event = { atUs, order: this.planned++, life, run };
    this.push(event);
    return () => void (event.run = undefined);
  }

  private take(untilUs: number): Event | undefined {
    for (let first = this.heap[0]; first && first.atUs <= untilUs; first = this.heap[0]) {
      this.pop();
      const { run, life } = first;
      if (!run || (life && !life.isAlive)) continue;
      if (!life || life.pausedUntilUs <= first.atUs) return first;
      // In the order in which they were due.
      first.atUs = life.pausedUntilUs;
      first.order = this.planned++;
      this.push(first);
    }
    return undefined;
  }

  private push(event: Event): void {
    const { heap } = this;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(heap[parent]!, event)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  private pop(): void {
    const { heap } = this;
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (isBefore(last, heap[child]!)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

const isBefore = (a: Event, b: Event): boolean => a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order);

/** Until no promise has anything left to do: Node takes its ticks when the microtasks have run dry, ten times sooner than an immediate. */
const settle = (): Promise<void> => new Promise((dry) => process.nextTick(dry));

/** A computer's clocks: those of its processes, life after life. */
export class HostClock {
  /** Wall time minus true time: stepped by operators and bad receivers. */
  offsetUs = 0;

  /** @param rate seconds of its own per true second */
  constructor(readonly rate = 1) {}
}

/** One life of one process: its clock, and what dies with it. */
export class Life implements Clock {
  isAlive = true;
  /** Stopped until then: SIGSTOP, a pause of the collector, a starved machine. */
  pausedUntilUs = 0;
  pausedFromUs = 0;
  private readonly bornUs: number;

  /** @param originUs what its monotonic clock says at its start: another value in each life */
  constructor(
    private readonly timeline: Timeline,
    private readonly host: HostClock,
    private readonly originUs: number,
  ) {
    this.bornUs = timeline.nowUs;
  }

  readonly wallUs = (): number => EPOCH_US + this.timeline.nowUs + this.host.offsetUs;
  readonly monotonicUs = (): number => this.originUs + Math.floor((this.timeline.nowUs - this.bornUs) * this.host.rate);

  readonly after = (delayMs: number, run: () => void): Cancel =>
    this.timeline.after((Math.max(0, delayMs) * 1000) / this.host.rate + 1, run, this);

  readonly atTurnEnd = (run: () => void): void => {
    if (this.isAlive) this.timeline.atTurnEnd(this, run);
  };

  /** kill -9: no timer of it fires any more, and nothing that it waits for comes. */
  end(): void {
    this.isAlive = false;
  }

  /** One pause at a time: what waits for the end of the first must stay in its order. */
  pause(spanUs: number): void {
    if (this.pausedUntilUs >= this.timeline.nowUs) return;
    this.pausedFromUs = this.timeline.nowUs;
    this.pausedUntilUs = this.timeline.nowUs + spanUs;
  }
}
