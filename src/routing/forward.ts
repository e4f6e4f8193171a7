/** How a request reaches an application that answers for itself: the same request to its point of contact, in the protocol of its URI. */
import type { Request, Response } from './primitive.js';

/**
 * Sends a request on and waits for the answer.
 *
 * @returns what was answered; STATUS_BAD_GATEWAY for one that is not reached or not understood, STATUS_GATEWAY_TIMEOUT for one that
 *   does not answer in time
 */
export type Forwarder = (to: URL, request: Request, timeoutMs: number) => Promise<Response>;

/** By the scheme of the URI, `http:` say. */
export type Forwarders = Readonly<Record<string, Forwarder>>;
