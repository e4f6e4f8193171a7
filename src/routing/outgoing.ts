/**
 * What a legacy data concentrator (PDC) can take from the broker as a C37.118 stream, by IDCODE. The protocol's server asks;
 * who knows the tree answers.
 */
import type { Framed } from './measurement.js';

export interface OutgoingStream {
  /** What is subscribed to: decoded path segments of content that has a C37.118 form. */
  readonly to: readonly string[];
  /** Frames per second; below one a fraction. */
  readonly rate: number;
  /** The newest there is: its configuration is the stream's. */
  readonly newest: Framed;
}

/** Undefined: nobody has that IDCODE, or nothing has come of it yet. */
export type FindStream = (idCode: number) => OutgoingStream | undefined;
