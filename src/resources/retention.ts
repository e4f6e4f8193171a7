/** How much a container keeps, by its attributes: all of it, and what of that stays in memory where the rest is on disk. */
import type { Retention } from './history.js';
import type { Json } from './values.js';

/** In memory beside the disk: 10 s of samples, for whoever looks back on a moment. */
const RING_S = 10;
const RING_LEAST = 64;
/** Ten seconds of the fastest PMUs there are, 120/s; a rate that somebody claims must not set our memory. */
const RING_MOST = 1_200;
const RING_BYTES = 1024 * 1024;

/** An attribute that is not there does not limit. */
export function limitsOf(attributes: ReadonlyMap<string, Json>): Retention {
  const limit = (name: string): number => {
    const value = attributes.get(name);
    return typeof value === 'number' ? value : Infinity;
  };
  return { count: limit('maxNrOfInstances'), bytes: limit('maxByteSize'), ageS: limit('maxInstanceAge') };
}

/** What of it the ring keeps. */
export function ringOf(attributes: ReadonlyMap<string, Json>): Retention {
  const limits = limitsOf(attributes);
  if (attributes.get('storage') !== 'disk') return limits;
  const rate = attributes.get('reportingRate');
  const wanted = Math.max(RING_LEAST, Math.min(RING_MOST, Math.round(typeof rate === 'number' ? rate * RING_S : 0)));
  return {
    count: Math.min(limits.count, wanted),
    bytes: Math.min(limits.bytes, RING_BYTES),
    ageS: limits.ageS,
    contentBytes: limits.bytes,
  };
}
