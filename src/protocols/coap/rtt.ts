/**
 * The round-trip time of one peer, from confirmable messages and their acknowledgements.
 *
 *     not retransmitted ──> strong estimator (RFC 6298, K = 4) ──┐ weight 1/2
 *     retransmitted     ──> weak estimator   (CoCoA,    K = 1) ──┘ weight 1/4  ──> RTO
 *
 * The weak one measures from the first sending, so it errs on the long side; without it a path slower than the first time-out
 * would never be measured at all [Karn]. Of CoCoA (expired draft) only these two estimators are taken: the back-off stays a
 * doubling, because the times after which a vanished peer is given up rest on it.
 */

const GAIN = 1 / 8;
const DEVIATION_GAIN = 1 / 4;
/** Of the mean deviation, added to the mean. */
const STRONG_K = 4;
const WEAK_K = 1;
const STRONG_WEIGHT = 0.5;
const WEAK_WEIGHT = 0.25;
/** The weak estimator learns from at most two retransmissions: beyond, the ambiguity exceeds the path. */
const MOST_RETRANSMISSIONS = 2;
/** RTO before any measurement, microseconds: ACK_TIMEOUT of RFC 7252. */
const FIRST_RTO_US = 2_000_000;

interface Estimate {
  readonly meanUs: number;
  readonly deviationUs: number;
}

export class RttEstimator {
  private strong: Estimate | undefined;
  private weak: Estimate | undefined;
  private rto = FIRST_RTO_US;

  /** Mean round trip in microseconds; `undefined` before the first measurement. */
  get meanUs(): number | undefined {
    return this.strong?.meanUs ?? this.weak?.meanUs;
  }

  /** How long to wait for an acknowledgement, microseconds. */
  get timeoutUs(): number {
    return this.rto;
  }

  /**
   * @param elapsedUs from the first sending to the acknowledgement
   * @param retransmissions how often the message went out again meanwhile
   */
  measure(elapsedUs: number, retransmissions: number): void {
    if (retransmissions > MOST_RETRANSMISSIONS) return;
    if (retransmissions === 0) {
      this.strong = next(this.strong, elapsedUs);
      this.settle(this.strong.meanUs + STRONG_K * this.strong.deviationUs, STRONG_WEIGHT);
    } else {
      this.weak = next(this.weak, elapsedUs);
      this.settle(this.weak.meanUs + WEAK_K * this.weak.deviationUs, WEAK_WEIGHT);
    }
  }

  private settle(rtoUs: number, weight: number): void {
    this.rto = weight * rtoUs + (1 - weight) * this.rto;
  }
}

/** [RFC6298-2.2, 2.3] */
function next(estimate: Estimate | undefined, sampleUs: number): Estimate {
  if (!estimate) return { meanUs: sampleUs, deviationUs: sampleUs / 2 };
  const { meanUs, deviationUs } = estimate;
  return {
    meanUs: meanUs + GAIN * (sampleUs - meanUs),
    deviationUs: deviationUs + DEVIATION_GAIN * (Math.abs(sampleUs - meanUs) - deviationUs),
  };
}
