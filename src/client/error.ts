/** What goes wrong for a client: one error type, with a closed list of kinds and a sentence that can be shown as it is. */
import { isNativeError } from 'node:util/types';
import { STATUSES, type Status } from '../errors.js';

export type FailureKind =
  /** The broker, or whoever stands behind it, answered with a refusal; `status` says which. */
  | 'refused'
  /** No connection, or it broke. */
  | 'unreachable'
  /** No answer in the time given. */
  | 'timed-out'
  /** This client has been closed. */
  | 'closed'
  /** The other side does not keep the protocol: it is no Gridcast broker, or another version. */
  | 'protocol'
  /** What the caller gave cannot be meant: a URI without a host, a rate below 0. */
  | 'argument';

export class GridcastError extends Error {
  override readonly name = 'GridcastError';

  constructor(
    readonly kind: FailureKind,
    message: string,
    /** The broker's status, with `refused` only. */
    readonly status?: Status,
  ) {
    super(message);
  }

  /** The status as HTTP has it, 404 for one; `undefined` where there was no answer. */
  get code(): number | undefined {
    return this.status && STATUSES[this.status].http;
  }
}

/** The innermost sentence of an error: `fetch` and `ws` put the system's own reason into a cause, or one of several. */
export function reasonOf(error: unknown): string {
  if (!isNativeError(error)) return String(error);
  const [first] = 'errors' in error && Array.isArray(error.errors) ? (error.errors as readonly unknown[]) : [];
  const inner = first ?? error.cause;
  return inner === undefined ? error.message : reasonOf(inner);
}
