/**
 * The one status table: every answer of every binding is a row of it [TS 102 921; shared by HTTP and CoAP per RFC 7252, 8132].
 * What the user caused is a Response with one of these; an exception is a bug.
 */

/** A CoAP code from its written form: `coapCode(4, 4)` is 4.04. */
export const coapCode = (group: number, detail: number): number => (group << 5) | detail;

interface StatusRow {
  /** HTTP status. */
  readonly http: number;
  /** CoAP code byte; for STATUS_OK that of RETRIEVE, see `coapOf` of the CoAP binding for the other verbs. */
  readonly coap: number;
  /** What it means, for documents and as the last resort when no detail is known. */
  readonly sentence: string;
}

export const STATUSES = {
  STATUS_OK: { http: 200, coap: coapCode(2, 5), sentence: 'Done.' },
  STATUS_CREATED: { http: 201, coap: coapCode(2, 1), sentence: 'Created; Location says where.' },
  STATUS_ACCEPTED: { http: 202, coap: coapCode(2, 4), sentence: 'Accepted, or nothing to tell yet.' },
  STATUS_NOT_MODIFIED: { http: 304, coap: coapCode(2, 3), sentence: 'Not changed since the version you hold.' },
  STATUS_BAD_REQUEST: { http: 400, coap: coapCode(4, 0), sentence: 'The request is malformed.' },
  STATUS_PERMISSION_DENIED: { http: 401, coap: coapCode(4, 1), sentence: 'You lack the right to do this.' },
  STATUS_BAD_OPTION: { http: 400, coap: coapCode(4, 2), sentence: 'A critical option is not understood.' },
  STATUS_FORBIDDEN: { http: 403, coap: coapCode(4, 3), sentence: 'This is never allowed here.' },
  STATUS_NOT_FOUND: { http: 404, coap: coapCode(4, 4), sentence: 'There is no such resource.' },
  STATUS_METHOD_NOT_ALLOWED: {
    http: 405,
    coap: coapCode(4, 5),
    sentence: 'This resource does not take that operation.',
  },
  STATUS_NOT_ACCEPTABLE: { http: 406, coap: coapCode(4, 6), sentence: 'None of the formats you accept is to be had.' },
  STATUS_REQUEST_TIMEOUT: { http: 408, coap: coapCode(4, 0), sentence: 'The request did not complete in time.' },
  STATUS_REQUEST_INCOMPLETE: {
    http: 408,
    coap: coapCode(4, 8),
    sentence: 'Blocks of the request are missing; start again at 0.',
  },
  STATUS_CONFLICT: { http: 409, coap: coapCode(4, 9), sentence: 'That id is taken, or the state forbids it.' },
  STATUS_PRECONDITION_FAILED: {
    http: 412,
    coap: coapCode(4, 12),
    sentence: 'The resource is not in the state you named.',
  },
  STATUS_TOO_LARGE: { http: 413, coap: coapCode(4, 13), sentence: 'The body is larger than is taken here.' },
  STATUS_UNSUPPORTED_MEDIA_TYPE: {
    http: 415,
    coap: coapCode(4, 15),
    sentence: 'A body of that format is not taken here.',
  },
  STATUS_TOO_MANY_REQUESTS: { http: 429, coap: coapCode(4, 29), sentence: 'Too fast; wait as told.' },
  STATUS_INTERNAL_SERVER_ERROR: { http: 500, coap: coapCode(5, 0), sentence: 'A fault of the broker; it is logged.' },
  STATUS_NOT_IMPLEMENTED: { http: 501, coap: coapCode(5, 1), sentence: 'This is not offered here.' },
  STATUS_BAD_GATEWAY: {
    http: 502,
    coap: coapCode(5, 2),
    sentence: 'The party behind this resource can not be reached.',
  },
  STATUS_SERVICE_UNAVAILABLE: { http: 503, coap: coapCode(5, 3), sentence: 'Not now; try again as told.' },
  STATUS_GATEWAY_TIMEOUT: {
    http: 504,
    coap: coapCode(5, 4),
    sentence: 'The party behind this resource did not answer in time.',
  },
  /** Only inside a notify and on streams, never the answer to a request. */
  STATUS_DELETED: { http: 410, coap: coapCode(4, 4), sentence: 'The resource was deleted.' },
  STATUS_EXPIRED: { http: 410, coap: coapCode(4, 4), sentence: 'The resource or subscription has expired.' },
} as const satisfies Record<string, StatusRow>;

export type Status = keyof typeof STATUSES;

/**
 * The status that a code of HTTP stands for, or, by `coap`, a code byte of CoAP: what others answer with. What the table does not have is
 * read by its class.
 */
export function statusOfCode(binding: 'http' | 'coap', code: number): Status {
  const known = (Object.keys(STATUSES) as Status[]).find((status) => STATUSES[status][binding] === code);
  if (known === 'STATUS_DELETED') return 'STATUS_NOT_FOUND';
  const kind = binding === 'http' ? Math.floor(code / 100) : code >> 5;
  return known ?? CLASSES[kind] ?? 'STATUS_BAD_GATEWAY';
}
const CLASSES: readonly (Status | undefined)[] = [
  undefined,
  undefined,
  'STATUS_OK',
  undefined,
  'STATUS_BAD_REQUEST',
  'STATUS_INTERNAL_SERVER_ERROR',
];

/** What was wrong and what would be right; the value that carries a user's mistake from where it is seen to the binding. */
export interface Refusal {
  readonly status: Status;
  /** One sentence: what, where, and what would be accepted. */
  readonly detail: string;
}

export const refuse = (status: Status, detail: string): Refusal => ({ status, detail });

/** Refusals travel in unions with real results; a result never has both a status and a detail. */
export function isRefusal(value: unknown): value is Refusal {
  return typeof value === 'object' && value !== null && 'status' in value && 'detail' in value;
}

/** What a caught value says of itself, for a sentence. */
export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
