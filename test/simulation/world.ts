/** What all parts of one simulation share: time, chance, the trace, and the model that judges. */
import { seededRandom, type Random } from '../../src/random.js';
import { Model } from './model.js';
import { Timeline } from './timeline.js';
import { Trace } from './trace.js';

/** A source of chance with the questions that a simulation asks. */
export class Chance {
  private readonly random: Random;

  constructor(private readonly seed: number) {
    this.random = seededRandom(seed);
  }

  /** A source of its own: what one part draws moves no other. */
  fork(name: string): Chance {
    let mixed = this.seed;
    for (const letter of `${name}.`) mixed = scatter(mixed ^ letter.charCodeAt(0));
    return new Chance(mixed);
  }

  get asRandom(): Random {
    return this.random;
  }
  /** A whole number in from .. to-1. */
  between(from: number, to: number): number {
    return from + this.random.below(to - from);
  }
  is(probability: number): boolean {
    return this.random.below(1_000_000) < probability * 1_000_000;
  }
  of<Item>(items: readonly Item[]): Item {
    return items[this.random.below(items.length)]!;
  }
  /** A span with that mean, exponentially distributed: what comes at random comes so. */
  spanUs(meanS: number): number {
    return Math.ceil(-Math.log(1 - this.random.below(1_000_000) / 1_000_000) * meanS * 1e6);
  }
}

/** Neighbouring seeds must not have anything in common (the last step of MurmurHash3). */
function scatter(bits: number): number {
  let mixed = bits + 0x9e3779b9;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

export class World {
  readonly trace: Trace;
  readonly model: Model;
  readonly timeline: Timeline;
  readonly chance: Chance;
  /** Faults stop, and no new work begins: what is under way has to come to its end. */
  isCalm = false;

  constructor(seed: number, everyLine?: (line: string) => void) {
    this.chance = new Chance(seed);
    this.trace = new Trace(everyLine);
    this.model = new Model((violation) => this.fail(violation));
    this.timeline = new Timeline((error) => this.fail(error));
  }

  /** The first thing that went wrong: a violation, or an exception that nobody caught, which ends a process. */
  failure: unknown;

  fail(error: unknown): void {
    this.failure ??= error;
  }

  note(actor: string, what: string): void {
    this.trace.note(this.timeline.nowUs, actor, what);
  }
}
