/**
 * `/authz-info`: a client posts its token, and what comes from its address and port is its originator's from then on
 * [RFC9200-5.10.1].
 *
 *     POST token ──> Identify ──> 2.01, bound ──> expired, or another's token ──> its observations end, 4.01
 *                        └─ wrong: 4.01, and a former binding stays
 *
 * The binding is part of what the message layer knows of the endpoint, and bounded with it: an address that has been silent for
 * an exchange's lifetime may be another machine's by then. In clear, whoever can forge its datagrams can borrow it.
 */
import { isRefusal, refuse, type Refusal } from '../../errors.js';
import { FORMATS } from '../../routing/format.js';
import { answer, refused, type Response } from '../../routing/primitive.js';
import { readCborMaps } from '../codec.js';
import { Expiries } from '../expiries.js';
import type { Identify, Identity } from '../identity.js';
import type { Endpoint } from './endpoint.js';
import { CODE, type Message } from './message.js';
import type { Observers } from './observers.js';
import { OPTION, uintOption, valuesOf } from './options.js';
import type { Peer } from './peer.js';

const NAME = 'authz-info';
/** application/ace+cbor [RFC9200-8.16] */
const ACE_CBOR = 19;
/** Label of access_token in its map [RFC9200-8.10]. */
const ACCESS_TOKEN = 1;

export const isAuthzInfo = ({ options }: Message): boolean => {
  const path = valuesOf(options, OPTION.uriPath);
  return path.length === 1 && Buffer.from(path[0] ?? []).equals(Buffer.from(NAME));
};

export class AuthzInfo {
  private readonly expiries: Expiries<Peer>;
  /** Whoever comes without a token; found out once, since each sample of a publisher asks. */
  private readonly unproven: Identity | Refusal;

  constructor(
    endpoint: Endpoint,
    private readonly observers: Observers,
    private readonly identify: Identify,
  ) {
    this.unproven = identify({});
    this.expiries = new Expiries(endpoint.clock, (peer) => {
      peer.identity = undefined;
      observers.endPeer(peer, 'TOKEN_EXPIRED');
    });
    endpoint.onForgotten((peer) => this.expiries.release(peer));
  }

  /** Who asks: whose token was posted from there, or whoever comes without. */
  whoIs(peer: Peer): Identity | Refusal {
    return peer.identity ?? this.unproven;
  }

  async receive(peer: Peer, message: Message): Promise<Response> {
    if (message.code !== CODE.post)
      return answer('STATUS_METHOD_NOT_ALLOWED', { detail: 'A token is posted here; nothing can be read.' });
    const token = tokenOf(message);
    if (typeof token !== 'string') return refused(token);
    const identity = await this.identify({ token, from: peer.key });
    if (isRefusal(identity)) return refused(identity);
    // What it observes was allowed to another.
    const former = this.whoIs(peer);
    if (isRefusal(former) || former.originator !== identity.originator) {
      this.observers.endPeer(peer, 'IDENTITY_CHANGED');
    }
    peer.identity = identity;
    this.expiries.hold(peer, identity);
    return answer('STATUS_CREATED');
  }

  close(): void {
    this.expiries.close();
  }
}

/** As it is, or in the map of ACE. */
function tokenOf({ options, payload }: Message): string | Refusal {
  const format = uintOption(options, OPTION.contentFormat);
  const isMap = format === ACE_CBOR || format === FORMATS.cbor.coap;
  const content = isMap ? readCborMaps(payload) : payload;
  if (isRefusal(content)) return content;
  const token: unknown = content instanceof Map ? content.get(ACCESS_TOKEN) : content;
  const text = token instanceof Uint8Array ? Buffer.from(token).toString('latin1') : token;
  if (typeof text === 'string' && text.trim() !== '') return text.trim();
  return refuse('STATUS_BAD_REQUEST', 'The payload must be a token, or the CBOR map {1: token}.');
}
