/**
 * A filter: what of a stream the members of one group get, beyond their cadence. It decides once per sample, for all of them.
 *
 *     every sample of the source ──> pass ──┬── the sample itself
 *                                           ├── another one, made of what has come so far
 *                                           └── undefined: nobody gets this one
 *
 * It sees what its cadence leaves out too, because an average is made of that. A group without a filter has none of this: no call,
 * nothing looked at inside the sample.
 */
import type { Cadence } from './cadence.js';
import type { Sample } from './sample.js';

export interface Filter {
  /**
   * @param slot of `slotOf` at the source's rate; 0 where the source declares none
   * @param isDue whether the cadence admits the sample
   */
  pass(sample: Sample, slot: number, isDue: boolean): Sample | undefined;
}

/** What was asked for; starts anew for each group. */
export interface FilterKind {
  /** Equal keys are equal filters: what deliveries are grouped by. */
  readonly key: string;
  /**
   * @param sourceRate samples per second, 0 for none declared
   * @param latest what is there already, which whoever subscribes is told at once
   */
  start(cadence: Cadence, sourceRate: number, latest: Sample | undefined): Filter;
}
