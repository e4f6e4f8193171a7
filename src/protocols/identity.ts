/** Who a peer is, by what it shows: a token in its header or first message, and the name it claims. Shared by HTTP and WebSocket. */
import { refuse, type Refusal } from '../errors.js';

export interface Claim {
  readonly originator?: string;
  /** Of `Authorization: Bearer`, or of the first message. Never logged. */
  readonly token?: string;
}

/** The originator of a peer's requests, or why it gets no further. */
export type Identify = (claim: Claim) => string | Refusal;

/** An application's or SCL's id goes into logs, accounts and command ids. */
const ORIGINATOR = /^[\w.:@/-]{1,128}$/;

/** Without security configured everybody is who he says, or nobody in particular. */
export const believe: Identify = ({ originator = 'anonymous' }) =>
  ORIGINATOR.test(originator)
    ? originator
    : refuse('STATUS_BAD_REQUEST', 'An originator is 1 to 128 letters, digits, ".", "_", ":", "@", "/" or "-".');

/** The token of an Authorization field; `undefined` where there is none of that scheme [RFC6750-2.1]. */
export const bearerToken = (authorization: string | undefined): string | undefined =>
  /^Bearer +([\w.~+/-]+=*)$/i.exec(authorization ?? '')?.[1];

/**
 * Whether a browser may have sent this. Any web page may let its visitor's browser post to a broker on his loopback, and
 * open sockets to it: the browser says so in Origin, which programs that are none leave out. A page of our own is let in
 * by numeric address or as localhost only, since a foreign name can be pointed at us [DNS rebinding].
 */
export function isOwnOrigin(origin: string | undefined, host: string | undefined): boolean {
  if (origin === undefined) return true;
  if (host === undefined || !URL.canParse(origin)) return false;
  const page = new URL(origin);
  return page.host === host.toLowerCase() && OWN_HOST.test(page.hostname);
}

const OWN_HOST = /^(localhost|[\d.]+|\[[\da-f:.]+\])$/;
