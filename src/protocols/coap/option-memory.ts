/**
 * The options of messages heard lately, by their bytes. A publisher says the same path and format with every sample, so what they
 * come to is worked out once; the bytes are the key, and there is nothing to invalidate. Those of confirmable POSTs do not come here
 * [message.ts]: of a million gateways each has its own, and to enter each in three weak maps was a fifth of what its reading cost.
 *
 *     datagram ──> where the options end ──> known? the same list again : decode, remember
 *                                                  └──> screened, whoever takes what comes with them, and whatever else others keep by the list
 */
import { decodeOptions, optionsEnd, screen, type DecodedOptions, type Option, type Screened } from './options.js';
import type { Peer } from './peer.js';

/** Each about 1 KB; beyond, all are forgotten. */
const MOST_REMEMBERED = 4096;
/** Longer ones are not worth a place. */
const LONGEST_REMEMBERED = 256;
/** Of FNV-1a in 32 bits. Two lists of one hash take each other's place: the bytes are compared. */
const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/** Takes a copy of the payload, which begins at an offset, before an exchange is made of the message. True: it is done. */
export type Take = (peer: Peer, datagram: Uint8Array, payloadAt: number) => boolean;

/** A list of options that is remembered. */
export interface Heard {
  readonly bytes: Uint8Array;
  readonly options: readonly Option[];
  readonly screened: Screened;
  /** Of a non-confirmable POST with these options. */
  take: Take | undefined;
}

export class OptionMemory {
  private readonly byHash = new Map<number, Heard>();
  /** By the list as it was decoded, and as it was screened. */
  private byList = new WeakMap<readonly Option[], Heard>();

  /** As `decodeOptions`, but that the values of short ones are no views into the datagram. */
  readonly decode = (datagram: Uint8Array, offset: number): DecodedOptions => {
    const end = optionsEnd(datagram, offset);
    if (end === undefined || end - offset > LONGEST_REMEMBERED) return decodeOptions(datagram, offset);
    const hash = hashOf(datagram, offset, end);
    const known = this.known(hash, datagram, offset, end);
    if (known) return { options: known.options, end };
    const bytes = datagram.slice(offset, end);
    const decoded = decodeOptions(bytes, 0);
    if ('malformed' in decoded) return decoded;
    this.remember(hash, bytes, decoded.options);
    return { options: decoded.options, end };
  };

  /** As `screen`. */
  screen(options: readonly Option[]): Screened {
    return this.byList.get(options)?.screened ?? screen(options);
  }

  /** What is remembered of the options that begin at `offset`. */
  find(datagram: Uint8Array, offset: number): Heard | undefined {
    const end = optionsEnd(datagram, offset);
    if (end === undefined || end - offset > LONGEST_REMEMBERED) return undefined;
    return this.known(hashOf(datagram, offset, end), datagram, offset, end);
  }

  /** What is remembered of a list, decoded or screened. */
  of(options: readonly Option[]): Heard | undefined {
    return this.byList.get(options);
  }

  private known(hash: number, datagram: Uint8Array, offset: number, end: number): Heard | undefined {
    const heard = this.byHash.get(hash);
    if (heard?.bytes.length !== end - offset) return undefined;
    const { bytes } = heard;
    for (let n = 0; n < bytes.length; n++) if (bytes[n] !== datagram[offset + n]) return undefined;
    return heard;
  }

  private remember(hash: number, bytes: Uint8Array, options: readonly Option[]): void {
    if (this.byHash.size >= MOST_REMEMBERED) {
      this.byHash.clear();
      this.byList = new WeakMap();
    }
    const heard: Heard = { bytes, options, screened: screen(options), take: undefined };
    this.byHash.set(hash, heard);
    this.byList.set(options, heard);
    this.byList.set(heard.screened.options, heard);
  }
}

function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = FNV_OFFSET | 0;
  for (let n = start; n < end; n++) hash = Math.imul(hash ^ (bytes[n] ?? 0), FNV_PRIME);
  return hash;
}
