/**
 * How a request reaches an application that answers for itself: the same request to its point of contact, in the protocol of its URI.
 *
 * It says whom it has come through (HTTP's Via; an option of its own in CoAP). An aPoC or a contact that leads back to the broker would have
 * it ask, or tell, itself without end: a subscription whose contact is what it subscribes to doubles its container with every change.
 */
import { refuse, type Refusal } from '../errors.js';
import type { Request, Response } from './primitive.js';

/** Why a request goes no further: it has come from here. */
export const loopOf = ({ via }: Pick<Request, 'via'>, self: string): Refusal | undefined =>
  via?.includes(self)
    ? refuse(
        'STATUS_FORBIDDEN',
        'This request has come from this broker: an aPoC or contact leads back here. To be told here, use a notificationChannel.',
      )
    : undefined;

/** Whom it has come through when it leaves. */
export const passedOn = ({ via = [] }: Pick<Request, 'via'>, self: string): readonly string[] => [...via, self];

/**
 * Sends a request on and waits for the answer.
 *
 * @returns what was answered; STATUS_BAD_GATEWAY for one that is not reached or not understood, STATUS_GATEWAY_TIMEOUT for one that
 *   does not answer in time
 */
export type Forwarder = (to: URL, request: Request, timeoutMs: number) => Promise<Response>;

/** By the scheme of the URI, `http:` say. */
export type Forwarders = Readonly<Record<string, Forwarder>>;
