/**
 * Revisions: one rising number for all changes of a tree. A resource's revision is its entity tag, so a tag is never given
 * twice: not within a clock tick (as lastModifiedTime would be), not to a resource deleted and created anew.
 */
import { refuse, type Refusal } from '../errors.js';

/** A CoAP ETag has at most 8 bytes [RFC7252-5.10.6]: 8 digits to the base 36. */
const ETAG_RADIX = 36;
const ETAG_COUNT = ETAG_RADIX ** 8;

/**
 * Revisions that an earlier run may have given and of which nothing is left: samples of memory alone, resources deleted. 66,667 a
 * second for three weeks.
 */
const FORGOTTEN_REVISIONS = 2 ** 37;

export class Revisions {
  /** @param last where counting goes on; drawn at random at a start without memory, so that tags of the last run are stale */
  constructor(private last = 0) {}

  next(): number {
    return ++this.last;
  }

  /** The last that was given. */
  get latest(): number {
    return this.last;
  }

  /** Counting goes on above all that an earlier run gave, of which `highest` is what is left. */
  resume(highest: number): void {
    this.last = Math.max(this.last, highest + FORGOTTEN_REVISIONS);
  }
}

export function etagOf(revision: number): string {
  if (revision !== lastTag.revision) lastTag = { revision, text: (revision % ETAG_COUNT).toString(ETAG_RADIX) };
  return lastTag.text;
}
/** A request asks for one tag several times, and to the base 36 V8 takes its time. */
let lastTag: { readonly revision: number; readonly text: string } = { revision: NaN, text: '' };

export interface Conditions {
  /** Entity tags without quotes; `*` for any. */
  readonly ifMatch?: readonly string[];
  readonly ifNoneMatch?: readonly string[];
  /** Microseconds since the epoch, of whole seconds. */
  readonly ifModifiedSinceUs?: number;
  readonly ifUnmodifiedSinceUs?: number;
}

/** What a condition is held against. */
export interface State {
  /** `undefined` when nothing stands there. */
  readonly etag: string | undefined;
  readonly modifiedUs?: number | undefined;
}

/**
 * Whether a conditional request goes on, in the order of RFC 9110, 13.2.2 [RFC9110-13.1, RFC7252-5.10.8]: a date counts only where
 * there is no tag of its kind, since what changes twice within a second has two tags and one date.
 *
 * @returns 304 for a read of what the asker holds, 412 for any other condition that fails, `undefined` to go on
 */
export function checkConditions(
  { etag, modifiedUs }: State,
  { ifMatch, ifNoneMatch, ifModifiedSinceUs, ifUnmodifiedSinceUs }: Conditions,
  access: 'read' | 'write',
): Refusal | undefined {
  const names = (tags: readonly string[]): boolean =>
    etag !== undefined && tags.some((tag) => tag === '*' || tag === etag);
  const isAfter = (us: number): boolean =>
    modifiedUs !== undefined && Math.floor(modifiedUs / SECOND_US) * SECOND_US > us;
  if (ifMatch && !names(ifMatch)) {
    return refuse(
      'STATUS_PRECONDITION_FAILED',
      `If-Match names ${ifMatch.join(', ')}; ${etag ? `the resource is at ${etag}` : 'there is no such resource'}.`,
    );
  }
  if (!ifMatch && ifUnmodifiedSinceUs !== undefined && isAfter(ifUnmodifiedSinceUs))
    return refuse('STATUS_PRECONDITION_FAILED', 'The resource has been modified since If-Unmodified-Since.');
  if (ifNoneMatch && names(ifNoneMatch)) {
    return access === 'read'
      ? refuse('STATUS_NOT_MODIFIED', `The resource is still at ${etag}.`)
      : refuse(
          'STATUS_PRECONDITION_FAILED',
          `If-None-Match names ${ifNoneMatch.join(', ')}, and the resource is at ${etag}.`,
        );
  }
  const isHeld = access === 'read' && !ifNoneMatch && ifModifiedSinceUs !== undefined && modifiedUs !== undefined;
  return isHeld && !isAfter(ifModifiedSinceUs)
    ? refuse('STATUS_NOT_MODIFIED', 'The resource has not been modified since If-Modified-Since.')
    : undefined;
}

const SECOND_US = 1_000_000;
