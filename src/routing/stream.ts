/**
 * A PMU stream, as the source's actor and the protocol that brings its bytes know it of each other: one decides when to connect,
 * ask, retry or give up; the other does what it is told, and tells what happens.
 *
 *     source ── connect, stopData, requestConfiguration, startData, close ──> StreamPort
 *     source <── CONNECTED, CONFIGURED, UNANSWERED, OUTDATED, FLOWING, SILENT, LOST, and every measurement ── StreamPort
 */
import type { Measurement, PmuDescriptor } from './measurement.js';

/** What moves the bytes of a stream. Every call is answered by events, later. */
export interface StreamPort {
  /** False where the device sends unasked and nothing can be asked of it. */
  readonly isCommanded: boolean;
  /** Drops a link that stands and opens one: CONNECTED or LOST. */
  connect(): void;
  /** CONFIGURED or UNANSWERED. */
  requestConfiguration(): void;
  /** FLOWING or SILENT. */
  startData(): void;
  stopData(): void;
  /** Ends in order, and for good. */
  close(): void;
}

export type StreamEvent =
  | { readonly type: 'CONNECTED' }
  /** A configuration holds from now on; not `isNew`: it is the one that held before. */
  | { readonly type: 'CONFIGURED'; readonly pmus: readonly PmuDescriptor[]; readonly isNew: boolean }
  /** The configuration asked for has not come in time. */
  | { readonly type: 'UNANSWERED' }
  /** The configuration does not hold any more, or soon will not. */
  | { readonly type: 'OUTDATED' }
  /** Data frames come: the first, or the first after SILENT. */
  | { readonly type: 'FLOWING' }
  /** None has come for that long; told again and again while it lasts. */
  | { readonly type: 'SILENT'; readonly silentMs: number }
  | { readonly type: 'LOST'; readonly why: string };

export interface StreamSink {
  event(event: StreamEvent): void;
  /**
   * @param index of the PMU in the configuration that holds
   * @param measuredUs the tag, microseconds UTC
   * @param arrivedUs monotonic clock, frame complete at our socket
   * @param quality bits of QUALITY
   */
  measurement(index: number, measurement: Measurement, measuredUs: number, arrivedUs: number, quality: number): void;
}
