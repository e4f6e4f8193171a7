/**
 * Who publishes by NON and wants no answer [RFC7967], found again by what it says: the options of its messages are the same ones
 * each time [option-memory]. Its first sample is a request like any other; the following go straight to the container's actor.
 */
import { isRefusal, type Refusal } from '../../errors.js';
import type { Request } from '../../routing/primitive.js';
import type { Site } from '../../routing/site.js';
import type { Identity } from '../identity.js';
import { TYPE, type Message } from './message.js';
import type { Take } from './option-memory.js';
import { firstOf, OPTION, uintOption } from './options.js';
import type { Peer } from './peer.js';

/** All three classes of answers: 2.xx, 4.xx and 5.xx. */
const NO_ANSWER = 0b11010;

export class Publishers {
  constructor(
    private readonly site: Pick<Site, 'publication'>,
    private readonly whoIs: (peer: Peer) => Identity | Refusal,
  ) {}

  /**
   * The way of a POST that has been answered with success, for what comes with the same options. Somebody else of the same words has
   * a way of his own once he has come as a request.
   */
  wayOf(peer: Peer, { type, options }: Message, request: Request): Take | undefined {
    const identity = this.whoIs(peer);
    // Another token may have come from there while the request was under way.
    if (isRefusal(identity) || identity.originator !== request.originator) return undefined;
    if (type !== TYPE.nonConfirmable) return undefined;
    if (((uintOption(options, OPTION.noResponse) ?? 0) & NO_ANSWER) !== NO_ANSWER) return undefined;
    if (firstOf(options, OPTION.block1) !== undefined) return undefined;
    const publication = this.site.publication?.(request);
    return publication && ((from, datagram, at) => this.whoIs(from) === identity && publication.publish(datagram, at));
  }
}
