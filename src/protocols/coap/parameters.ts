/**
 * The transmission parameters [RFC7252-4.8] of the two congestion modes, and what follows from them.
 *
 * `standard` is the Internet's default. `provisioned` is for a network that its operator has dimensioned: the acknowledgement
 * time-out follows the measured RTT and several exchanges may be outstanding, both within [RFC7252-4.8.1]; assuming a latency
 * of at most 5 s shortens the life of a message id, which departs from the default and must hold at both ends.
 */

export type Congestion = 'standard' | 'provisioned';

export interface Parameters {
  readonly congestion: Congestion;
  /** First wait for an acknowledgement, ms, before the random factor; `provisioned` moves within floor and ceiling by RTT. */
  readonly ackTimeoutFloorMs: number;
  readonly ackTimeoutCeilingMs: number;
  readonly maxRetransmit: number;
  /** Outstanding confirmable exchanges per peer. */
  readonly nstart: number;
  /** How long a message id stays taken, ms: a confirmable's. */
  readonly exchangeLifetimeMs: number;
  /** The same for a non-confirmable. */
  readonly nonLifetimeMs: number;
  /** From the first sending until a confirmable is given up, ms. */
  readonly maxTransmitWaitMs: number;
}

export const ACK_RANDOM_FACTOR = 1.5;
/** A request unanswered this long gets an empty acknowledgement, so that the client does not send it again [RFC7252-5.2.2]. */
export const SEPARATE_AFTER_MS = 50;
/** Safe without knowing the path's MTU [RFC7252-4.6]. */
export const LARGEST_PAYLOAD_BYTES = 1024;
/** Ids of one peer: 16 bits. */
export const MESSAGE_IDS = 0x10000;
/** Max-Age of an answer that names none, seconds [RFC7252-5.10.5]. */
export const DEFAULT_MAX_AGE_S = 60;

function derive(
  congestion: Congestion,
  floorMs: number,
  ceilingMs: number,
  maxRetransmit: number,
  nstart: number,
  maxLatencyMs: number,
): Parameters {
  const spanMs = ceilingMs * (2 ** maxRetransmit - 1) * ACK_RANDOM_FACTOR;
  return {
    congestion,
    ackTimeoutFloorMs: floorMs,
    ackTimeoutCeilingMs: ceilingMs,
    maxRetransmit,
    nstart,
    exchangeLifetimeMs: spanMs + 2 * maxLatencyMs + ceilingMs,
    nonLifetimeMs: spanMs + maxLatencyMs,
    maxTransmitWaitMs: ceilingMs * (2 ** (maxRetransmit + 1) - 1) * ACK_RANDOM_FACTOR,
  };
}

export const PARAMETERS: Readonly<Record<Congestion, Parameters>> = {
  // 2 s, 4 retransmissions, NSTART 1, latency 100 s: ids live 247 s, 265 messages a second, a vanished client costs 93 s.
  standard: derive('standard', 2000, 2000, 4, 1, 100_000),
  // 0.1..0.2 s by RTT, latency 5 s: ids live 14.7 s, 4,458 messages a second, a vanished client costs 9.3 s. Four
  // retransmissions, because at 5 % loss each way two would end a healthy relation every 18 minutes.
  provisioned: derive('provisioned', 100, 200, 4, 8, 5_000),
};
