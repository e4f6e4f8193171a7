/**
 * Time, as everything in Gridcast sees it. Nothing else reads the system's clock or sets a timer, so that a whole broker
 * can run on a clock that a test moves.
 *
 * Two clocks, never mixed: the wall clock (UTC, may be stepped) dates what is shown to people; the monotonic clock
 * measures spans: time-outs, leases, latencies.
 */

/** Ends a timer that has not fired; harmless afterwards. */
export type Cancel = () => void;

export interface Clock {
  /** UTC, whole microseconds since 1970-01-01T00:00:00Z, leap seconds not counted. May step either way. */
  wallUs(): number;
  /** Microseconds since an arbitrary instant; never steps. */
  monotonicUs(): number;
  /** Calls `run` once, not earlier than `delayMs` from now. */
  after(delayMs: number, run: () => void): Cancel;
  /** Calls `run` when this turn of the event loop has taken in what was waiting: the place where ports are flushed. */
  atTurnEnd(run: () => void): void;
}

const MONOTONIC_ORIGIN_US = performance.timeOrigin * 1000;
/** A timer beyond this fires at once in Node; a wheel or a re-armed timer covers longer spans. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The machine's own clocks. */
export const systemClock: Clock = {
  // Date.now() has milliseconds only; the origin plus performance.now() has microseconds but misses steps of the wall
  // clock, so it is followed to within a millisecond and refined below it.
  wallUs() {
    const fineUs = Math.round(MONOTONIC_ORIGIN_US + performance.now() * 1000);
    const coarseUs = Date.now() * 1000;
    return Math.abs(fineUs - coarseUs) < 2000 ? fineUs : coarseUs;
  },
  monotonicUs: () => Math.round(performance.now() * 1000),
  after(delayMs, run) {
    const timer = setTimeout(run, Math.min(Math.max(0, delayMs), LONGEST_TIMER_MS));
    return () => clearTimeout(timer);
  },
  atTurnEnd: (run) => void setImmediate(run),
};

/**
 * Calls `run` every `periodMs` until cancelled; the next call is armed before the run, so a throw does not end it.
 *
 * @param firstMs until the first call: those of many that began together need not come together for ever
 */
export function every(clock: Clock, periodMs: number, run: () => void, firstMs = periodMs): Cancel {
  let cancel: Cancel;
  const arm = (delayMs: number): void => {
    cancel = clock.after(delayMs, () => {
      arm(periodMs);
      run();
    });
  };
  arm(firstMs);
  return () => cancel();
}

/** `2026-11-23T08:15:00.033333Z`: UTC with all six decimals, the id of a PMU's contentInstance and the time of a notification. */
export function formatTime(us: number): string {
  const microseconds = ((us % 1_000_000) + 1_000_000) % 1_000_000;
  const seconds = (us - microseconds) / 1_000_000;
  if (seconds !== lastSecond.seconds)
    lastSecond = { seconds, text: new Date(seconds * 1000).toISOString().slice(0, 19) };
  return `${lastSecond.text}.${String(microseconds).padStart(6, '0')}Z`;
}

/** What is dated is nearly always of the same second as what was dated before. */
let lastSecond: { readonly seconds: number; readonly text: string } = { seconds: NaN, text: '' };

/** `2026-11-23T08:15:00Z` */
const SHORTEST_TIME = 20;

/** Reads an xs:dateTime with zone into microseconds since the epoch; `undefined` if it is none. */
export function parseTime(text: string): number | undefined {
  if (text.length < SHORTEST_TIME) return undefined;
  const parts = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (!parts) return undefined;
  const [, toSecond, fraction = '', zone] = parts;
  const ms = Date.parse(`${toSecond}${zone}`);
  return Number.isNaN(ms) ? undefined : ms * 1000 + Number(fraction.slice(0, 6).padEnd(6, '0'));
}
