/**
 * What a snapshot's sample holds: the measurements of one slot, member by member, or of one part of the members.
 *
 *     aligner ──> set ──> Sample{snapshot} ──> whole                 `group/snapshot`
 *                   └───> Sample{snapshot} ──> members 0..6, 7..13   `group/snapshot/0`, `group/snapshot/1`: a datagram each
 */
import type { Framed, Measurement, PmuDescriptor } from './measurement.js';
import type { Sample } from './sample.js';

export interface SnapshotMember {
  /** Id of the application. */
  readonly name: string;
  /** Of a measurement; undefined: missing. */
  readonly sample: Sample | undefined;
}

export interface SnapshotContent {
  /** Id of the group. */
  readonly group: string;
  readonly members: readonly SnapshotMember[];
  /** As one C37.118 frame; absent in a part, and in a group without an IDCODE. */
  readonly framed?: Framed;
}

/** Sizes of the SenML+CBOR form, which parts are cut by. */
export interface SnapshotSizes {
  /** What stands in front of the members. */
  head(group: string): number;
  /** The most that a member takes, there or missing; of one that has never been there its being missing. */
  member(name: string, descriptor: PmuDescriptor | undefined): number;
}

/** Makes the C37.118 frames of one group, set by set; undefined is a missing member. */
export type Concentrate = (measurements: readonly (Measurement | undefined)[], slotUs: number) => Framed | undefined;
export type ConcentratorOf = (idCode: number, rate: number) => Concentrate;
