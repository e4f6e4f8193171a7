/**
 * Who publishes by NON and wants no answer [RFC7967], found again by what it says: the options of its messages are the same ones
 * each time [option-memory]. Its first sample is a request like any other; the following go straight to the container's actor.
 */
import { isRefusal, type Refusal } from '../../errors.js';
import type { Request } from '../../routing/primitive.js';
import type { Publication } from '../../routing/publication.js';
import type { Site } from '../../routing/site.js';
import type { Identity } from '../identity.js';
import { TYPE, type Message } from './message.js';
import { firstOf, OPTION, uintOption, type Option } from './options.js';

/** All three classes of answers: 2.xx, 4.xx and 5.xx. */
const NO_ANSWER = 0b11010;

interface Way {
  readonly identity: Identity;
  readonly publication: Publication;
}

export class Publishers {
  private readonly ways = new WeakMap<readonly Option[], Way>();

  constructor(private readonly site: Pick<Site, 'publication'>) {}

  /** Remembers the way of a request that has been answered with success. */
  learn(identity: Identity | Refusal, { type, options }: Message, request: Request): void {
    // Another token may have come from there while the request was under way.
    if (isRefusal(identity) || identity.originator !== request.originator) return;
    if (type !== TYPE.nonConfirmable) return;
    if (((uintOption(options, OPTION.noResponse) ?? 0) & NO_ANSWER) !== NO_ANSWER) return;
    if (firstOf(options, OPTION.block1) !== undefined) return;
    const publication = this.site.publication?.(request);
    if (publication) this.ways.set(options, { identity, publication });
  }

  /** True: taken. Somebody else of the same words has a way of his own once he has come as a request. */
  take(identity: Identity | Refusal, options: readonly Option[], payload: Uint8Array): boolean {
    const way = this.ways.get(options);
    if (way?.identity !== identity) return false;
    if (way.publication.publish(payload)) return true;
    this.ways.delete(options);
    return false;
  }
}
