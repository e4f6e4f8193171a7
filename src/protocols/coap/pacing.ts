/**
 * Pacing: when the next notification may go to one client, and as what [RFC7641-4.5.1].
 *
 *     standard      CON ─ ack ─ NON · NON · NON · CON ─ ack ─ ...      · = one RTT; nothing goes while a CON is unacknowledged
 *     provisioned   CON NON NON NON CON NON NON ...                    nothing goes after 3 s without an acknowledgement
 *
 * The client is what is paced, over all its relations: it is the path to it that gets congested. About one notification a
 * second is confirmable: it measures the RTT and shows that somebody is there. One lost datagram of that pair stalls a
 * `standard` client for 2 to 3 s; on lossy paths this, not the lost NON, is the tail, and what `provisioned` is for.
 */
import type { Parameters } from './parameters.js';
import type { Peer } from './peer.js';

export type Verdict = 'non' | 'con' | 'wait';

/** One CON a second: a vanished client costs a second of notifications. */
const PROBE_INTERVAL_US = 1_000_000;
/** A relation whose turn it is may be slow; after this any other takes its place. */
const PROBE_OVERDUE_US = 1_500_000;
/** [RFC7641-4.5.1] spacing without an RTT estimate. */
const UNKNOWN_RTT_US = 3_000_000;
/** How long `provisioned` goes on without an acknowledgement. */
const GRACE_US = 3_000_000;
/** The same from the last acknowledgement on, however late the probe after it was: a vanished client costs no more than this. */
const SILENCE_US = PROBE_INTERVAL_US + GRACE_US;
/** Timers have a grain of 1 ms: the average of one NON per RTT is kept over two of them. */
const CREDIT_US = 2_000;

/** A relation's place in the order of probes. */
export interface Turn {
  round: number;
}

export class Pacer {
  private isProved = false;
  private probedUs = -Infinity;
  /** Since when a CON has been outstanding, or the last acknowledgement if that is later; meaningless with none outstanding. */
  private silentSinceUs = 0;
  /** The last acknowledgement; before the first, when the first CON left. */
  private heardUs = 0;
  private outstanding = 0;
  /** `standard`: when the RTT of the last NON has passed. */
  private freeUs = -Infinity;
  private round = 1;
  private probedInRound = 0;
  /** Until then a `provisioned` NON may go and no probe is due: 20 ns less a notification than to find that out. */
  private quietUntilMs = 0;

  constructor(
    private readonly parameters: Parameters,
    private readonly peer: Peer,
  ) {}

  /** When a `wait` ends by itself, monotonic microseconds; in the past if it ends only with an acknowledgement. */
  get freeAtUs(): number {
    return this.freeUs;
  }

  isPaused(nowUs: number): boolean {
    if (this.outstanding === 0) return false;
    if (this.parameters.congestion === 'standard') return true;
    return nowUs - this.silentSinceUs > GRACE_US || nowUs - this.heardUs > SILENCE_US;
  }

  /** Whether a NON may go without another thought. */
  isQuiet(nowMs: number): boolean {
    return nowMs < this.quietUntilMs;
  }

  /** @param wantsConfirmable the subscriber asked for nothing but CON */
  verdict(nowUs: number, wantsConfirmable: boolean, turn: Turn): Verdict {
    const isStandard = this.parameters.congestion === 'standard';
    if (this.isPaused(nowUs) || (isStandard && (!this.peer.hasRoom || nowUs < this.freeUs))) return 'wait';
    if (wantsConfirmable) return this.peer.hasRoom ? 'con' : 'wait';
    const isDue = !this.isProved || this.isProbeDue(nowUs, turn);
    return isDue && this.outstanding === 0 && this.peer.hasRoom ? 'con' : 'non';
  }

  sentNon(nowUs: number): void {
    if (this.parameters.congestion !== 'standard') return;
    const rttUs = this.peer.rtt.meanUs ?? UNKNOWN_RTT_US;
    this.freeUs = Math.max(this.freeUs, nowUs - CREDIT_US) + rttUs;
  }

  /** @param relations of the client: a round is over when each has had its probe */
  sentConfirmable(nowUs: number, turn: Turn, relations: number): void {
    if (this.outstanding++ === 0) this.silentSinceUs = nowUs;
    if (!this.isProved && this.outstanding === 1) this.heardUs = nowUs;
    this.probedUs = nowUs;
    turn.round = this.round;
    if (++this.probedInRound >= relations) this.beginRound();
    this.foresee();
  }

  /** One of its confirmables is settled. */
  settled(nowUs: number, isAcknowledged: boolean): void {
    this.outstanding--;
    if (isAcknowledged) {
      this.isProved = true;
      this.silentSinceUs = nowUs;
      this.heardUs = nowUs;
    }
    this.foresee();
  }

  private foresee(): void {
    if (this.parameters.congestion === 'standard') return;
    const untilUs =
      this.outstanding > 0
        ? Math.min(this.silentSinceUs + GRACE_US, this.heardUs + SILENCE_US)
        : this.probedUs + PROBE_INTERVAL_US;
    this.quietUntilMs = this.outstanding > 0 || this.isProved ? Math.floor(untilUs / 1000) : 0;
  }

  private isProbeDue(nowUs: number, turn: Turn): boolean {
    const sinceUs = nowUs - this.probedUs;
    if (sinceUs < PROBE_INTERVAL_US) return false;
    if (turn.round !== this.round) return true;
    if (sinceUs < PROBE_OVERDUE_US) return false;
    this.beginRound();
    return true;
  }

  private beginRound(): void {
    this.round++;
    this.probedInRound = 0;
  }
}
