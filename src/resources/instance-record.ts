/** What a history holds: one contentInstance, as light as it can be. */
import { formatTime } from '../clock.js';
import type { Json } from './values.js';

/** A contentInstance before anybody has asked for its representation. */
export class InstanceRecord<T> {
  /** Its place in the order of all changes, set by `append`: its entity tag, and a cursor for whoever reads on. */
  sequence = 0;

  /**
   * @param measuredUs UTC instant of measurement, microseconds since the epoch
   * @param createdUs UTC instant of storing, microseconds since the epoch
   * @param sizeBytes contentSize: bytes of the decoded content
   * @param name id that was given or generated; absent: the time tag is the id
   * @param attributes what else the creator said: delayTolerance, contentTypes, searchStrings
   * @param creator the originator; absent: the broker itself
   */
  constructor(
    readonly value: T,
    readonly measuredUs: number,
    readonly createdUs: number,
    readonly sizeBytes: number,
    readonly name?: string,
    readonly attributes?: ReadonlyMap<string, Json>,
    readonly creator?: string,
  ) {}

  get id(): string {
    return this.name ?? formatTime(this.measuredUs);
  }
}
