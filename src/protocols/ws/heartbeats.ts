/**
 * Heart-beats: whether the peers of sockets are still there. TCP alone finds a half-open connection after minutes, or hours.
 *
 *     each interval: ping ──> pong, of itself, by every WebSocket peer          nothing heard for three intervals ──> lost
 *
 * One sweep serves all sockets. When the sweep itself comes late it was this process that did not listen: what the peers have
 * said meanwhile waits in its sockets, so each of them gets one more interval.
 */
import { every, type Cancel, type Clock } from '../../clock.js';

/** Command class: devices, whose silence must be known within 300 ms. */
export const COMMAND_HEARTBEAT_MS = 100;
/** All others: within 3 s. */
export const HEARTBEAT_MS = 1_000;
/** Three of these are the transport's idle time-out. */
const LONGEST_HEARTBEAT_MS = 20_000;
const INTERVALS_TO_LOSS = 3;
/** Half the shortest interval. */
const SWEEP_MS = 50;

/** What a peer asks for, within what is offered. */
export const heartbeatWithin = (askedMs: number): number =>
  Math.min(Math.max(askedMs, COMMAND_HEARTBEAT_MS), LONGEST_HEARTBEAT_MS);

/** What heart-beats need of a socket. */
export interface Pulse {
  ping(): void;
  /** Nothing was heard for three intervals. */
  lost(): void;
}

export class Heartbeat {
  private heardUs: number;
  private pingUs: number;
  private readonly intervalUs: number;

  constructor(
    intervalMs: number,
    private readonly pulse: Pulse,
    private readonly clock: Clock,
    private readonly sweepUs: number,
    readonly stop: Cancel,
  ) {
    this.intervalUs = intervalMs * 1000;
    this.heardUs = clock.monotonicUs();
    this.pingUs = this.heardUs + this.intervalUs;
  }

  /** A sign of life. */
  heard(): void {
    this.heardUs = this.clock.monotonicUs();
  }

  sweep(nowUs: number, isLate: boolean): void {
    const { intervalUs, sweepUs } = this;
    // The sweep before the last interval's end: the next one would be late.
    const lossUs = INTERVALS_TO_LOSS * intervalUs - sweepUs;
    if (isLate) this.heardUs = Math.max(this.heardUs, nowUs - lossUs + intervalUs);
    if (nowUs - this.heardUs >= lossUs) return this.pulse.lost();
    // The sweep nearest to its time: waiting for the next would make every interval longer by half.
    if (nowUs < this.pingUs - sweepUs / 2) return;
    this.pingUs = nowUs + intervalUs;
    this.pulse.ping();
  }
}

export class Heartbeats {
  private readonly beating = new Set<Heartbeat>();
  private sweptUs = 0;
  private cancelSweep: Cancel | undefined;

  /** @param sweepMs between two sweeps: where no interval is short, sweeps may be fewer */
  constructor(
    private readonly clock: Clock,
    private readonly sweepMs = SWEEP_MS,
  ) {}

  /** Watches a socket from now on. */
  start(intervalMs: number, pulse: Pulse): Heartbeat {
    const heartbeat: Heartbeat = new Heartbeat(intervalMs, pulse, this.clock, this.sweepMs * 1000, () =>
      this.stop(heartbeat),
    );
    this.beating.add(heartbeat);
    if (!this.cancelSweep) {
      this.sweptUs = this.clock.monotonicUs();
      this.cancelSweep = every(this.clock, this.sweepMs, () => this.sweep());
    }
    return heartbeat;
  }

  private stop(heartbeat: Heartbeat): void {
    this.beating.delete(heartbeat);
    if (this.beating.size > 0) return;
    this.cancelSweep?.();
    this.cancelSweep = undefined;
  }

  private sweep(): void {
    const nowUs = this.clock.monotonicUs();
    const isLate = nowUs - this.sweptUs > 2 * this.sweepMs * 1000;
    this.sweptUs = nowUs;
    for (const heartbeat of this.beating) heartbeat.sweep(nowUs, isLate);
  }
}
