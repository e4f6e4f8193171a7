/**
 * Whether what is not urgent goes at the end of the turn that brought it, or waits a little for more of its kind: datagrams that go to
 * one endpoint together cost the kernel down to a quarter of what each costs alone (`npm run bench -- fanout`, the floor by `sendto` and by GSO).
 *
 *     turns take little of the time ──> it goes at once
 *     two fifths of it or more ──> it goes when enough has gathered, or after 2 ms: time is short, and what is saved is everybody's
 */
import type { Clock } from '../clock.js';

/** Of the second that class monitoring may take. */
const LONGEST_US = 2000;
/** Deliveries: what 105,000 a second make in 2.4 ms. */
const ENOUGH = 256;
/** Deliveries that may go in one turn, as protection waits meanwhile; a burst that joined what waited goes slice by slice. */
const MOST_AT_ONCE = 2 * ENOUGH;
/** From one look at how busy it is to the next. */
const LOOK_EVERY_US = 50_000;
/** 30,000 deliveries a second, spread, take a quarter of a core; 105,000, where it pays, two thirds. */
const BUSY_SHARE = 0.4;
const NEVER_US = -Infinity;

export class Coalescing {
  private isBusy = false;
  private lookedUs = NEVER_US;
  /** What the turns have taken since. */
  private spentUs = 0;
  private sinceUs = NEVER_US;
  private count = 0;
  private isTimed = false;

  /** @param wake brings about a turn in which `mayWait` is asked again */
  constructor(
    private readonly clock: Pick<Clock, 'monotonicUs' | 'after'>,
    private readonly wake: () => void,
  ) {}

  /** One more delivery that is not urgent. */
  add(): void {
    this.count++;
  }

  /** Whether what has gathered may wait for the next turn, which comes in time. */
  mayWait(nowUs: number): boolean {
    const isBusy = this.isBusy && nowUs - this.lookedUs < 2 * LOOK_EVERY_US;
    if (!isBusy || this.count === 0 || this.count >= ENOUGH) return false;
    if (!this.hasWaited) this.sinceUs = nowUs;
    if (nowUs - this.sinceUs >= LONGEST_US) return false;
    if (!this.isTimed) this.time(LONGEST_US);
    return true;
  }

  /** It has waited, and is not too much: it goes in one turn, or what comes meanwhile would go with it one by one. */
  get goesWhole(): boolean {
    return this.hasWaited && this.count < MOST_AT_ONCE;
  }

  /** All has gone. */
  rest(): void {
    this.count = 0;
    this.sinceUs = NEVER_US;
  }

  /** A turn that brought something has ended. */
  turned(fromUs: number, nowUs: number): void {
    this.spentUs += nowUs - fromUs;
    const elapsedUs = nowUs - this.lookedUs;
    if (elapsedUs < LOOK_EVERY_US) return;
    this.isBusy = this.spentUs > BUSY_SHARE * elapsedUs;
    this.lookedUs = nowUs;
    this.spentUs = 0;
  }

  private get hasWaited(): boolean {
    return this.sinceUs !== NEVER_US;
  }

  /** One timer at a time: it may find that what it was set for has gone, and something else has gathered. */
  private time(us: number): void {
    this.isTimed = true;
    this.clock.after(us / 1000, () => {
      this.isTimed = false;
      if (!this.hasWaited) return;
      const leftUs = this.sinceUs + LONGEST_US - this.clock.monotonicUs();
      if (leftUs > 0) this.time(leftUs);
      else this.wake();
    });
  }
}
