/**
 * Who a peer is, by what it shows. Shared by all bindings.
 *
 *     token ────────> key of an API, or a signed JWT ──> its originator ─┐
 *     certificate ──> its name, checked by the transport ───────────────┼──> all that is shown must agree ──> Identity
 *     name ─────────> a claim ──────────────────────────────────────────┘
 *
 * Nothing here is logged, and no sentence quotes a token.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { ORIGINATOR, type IdentityConfig } from '../config-channels.js';
import { isRefusal, refuse, type Refusal } from '../errors.js';
import type { VerifyJwt } from './jwt.js';
import type { RequestHead } from './transport/transport.js';

export interface Claim {
  readonly originator?: string;
  /** Of `Authorization: Bearer`, of the first message or of `/authz-info`. Never logged. */
  readonly token?: string;
  /** The name in a client certificate, which the transport has checked. */
  readonly certified?: string;
  /** Where it comes from; proves nothing. */
  readonly from?: string;
}

export interface Identity {
  readonly originator: string;
  /** When what proves it ceases to, UTC microseconds; absent: not by itself. */
  readonly expiresUs?: number;
}

/** The originator of a peer's requests, or why it gets no further. */
export interface Identify {
  /** Without a token it is known at once. */
  (claim: Claim & { readonly token?: undefined }): Identity | Refusal;
  (claim: Claim): Identity | Refusal | Promise<Identity | Refusal>;
}

const ANONYMOUS = 'anonymous';

/** Without security configured everybody is who he says, or nobody in particular. A certificate is believed more. */
export const believe: Identify = (shown) => agreed(shown.certified ?? shown.originator ?? ANONYMOUS, shown);

/**
 * By configuration: what proves nothing is anonymous or refused.
 *
 * @param verifyJwt absent: no JWT is taken
 */
export function identifyBy(
  { apiKeys, anonymous }: NonNullable<IdentityConfig>,
  verifyJwt: VerifyJwt | undefined,
): Identify {
  const keys = apiKeys.map(({ originator, sha256 }) => ({ originator, hash: Buffer.from(sha256, 'hex') }));

  function identify(claim: Claim & { readonly token?: undefined }): Identity | Refusal;
  function identify(claim: Claim): Identity | Refusal | Promise<Identity | Refusal>;
  function identify({ token, ...shown }: Claim): Identity | Refusal | Promise<Identity | Refusal> {
    if (token !== undefined) return ofToken(token, shown);
    if (shown.certified !== undefined) return agreed(shown.certified, shown);
    return anonymous ? agreed(ANONYMOUS, shown) : refuse('STATUS_PERMISSION_DENIED', 'A token is needed here.');
  }
  return identify;

  function ofToken(token: string, shown: Claim): Identity | Refusal | Promise<Identity | Refusal> {
    const owner = ownerOf(token);
    if (owner !== undefined) return agreed(owner, shown);
    if (!verifyJwt || !COMPACT_JWS.test(token)) return WRONG_TOKEN;
    return verifyJwt(token).then((proven) =>
      isRefusal(proven) ? proven : agreed(proven.originator, shown, proven.expiresUs),
    );
  }

  /** Every key is compared, all of each: how long it takes tells nothing. */
  function ownerOf(token: string): string | undefined {
    const hash = hashOf(token);
    let owner: string | undefined;
    for (const key of keys) if (timingSafeEqual(key.hash, hash)) owner = key.originator;
    return owner;
  }
}

const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]*$/;
const WRONG_TOKEN = refuse('STATUS_PERMISSION_DENIED', 'The token is none that is taken here.');

/** What a key is known by. It is 256 random bits, so a slow hash would protect nothing more. */
export const hashOf = (key: string): Buffer => createHash('sha256').update(key).digest();

/** The originator that is proven, where all else that was shown says the same. */
function agreed(originator: string, shown: Claim, expiresUs?: number): Identity | Refusal {
  if (!ORIGINATOR.test(originator)) {
    const detail = 'An originator is 1 to 128 letters, digits, ".", "_", ":", "@", "/" or "-".';
    return refuse('STATUS_BAD_REQUEST', detail);
  }
  for (const name of [shown.certified, shown.originator]) {
    if (name !== undefined && name !== originator) {
      const detail = `What was shown belongs to ${originator}, not to ${JSON.stringify(name.slice(0, 128))}.`;
      return refuse('STATUS_PERMISSION_DENIED', detail);
    }
  }
  return { originator, ...(expiresUs !== undefined && { expiresUs }) };
}

/** The same; and whoever shows what is not taken is told of, with where he comes from. */
export function watched(identify: Identify, refused: (from: string, refusal: Refusal) => void): Identify {
  const look = (claim: Claim, result: Identity | Refusal): Identity | Refusal => {
    const isShown = claim.token !== undefined || claim.certified !== undefined;
    if (isShown && isRefusal(result)) refused(claim.from ?? 'unknown', result);
    return result;
  };
  const watch = (claim: Claim): Identity | Refusal | Promise<Identity | Refusal> => {
    const result = identify(claim);
    return result instanceof Promise ? result.then((each) => look(claim, each)) : look(claim, result);
  };
  return watch as Identify; // it forwards, and so keeps both overloads
}

/** The token of an Authorization field [RFC6750-2.1]: empty, and so a wrong one, where it is of another scheme. */
export function bearerToken(authorization: string | undefined): string | undefined {
  if (authorization === undefined) return undefined;
  return /^Bearer +([\w.~+/-]+=*)$/i.exec(authorization)?.[1] ?? '';
}

const NOTHING_SHOWN: Claim = {};

/** What a request's head shows. */
export function claimOf(head: RequestHead): Claim {
  const token = bearerToken(head.header('authorization'));
  const { certified } = head;
  // Where a head comes from costs 2 us to find out, and is told of those alone who show something.
  if (token === undefined && certified === undefined) return NOTHING_SHOWN;
  return { from: head.remote, ...(token !== undefined && { token }), ...(certified !== undefined && { certified }) };
}

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
