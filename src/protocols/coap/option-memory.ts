/**
 * The options of messages heard lately, by their bytes. A publisher says the same path and format with every sample, so what they
 * come to is worked out once; the bytes are the key, and there is nothing to invalidate.
 *
 *     datagram ──> where the options end ──> known? the same list again : decode, remember
 *                                                  └──> screened, and whatever else others keep by the list
 */
import { decodeOptions, optionsEnd, screen, type DecodedOptions, type Option, type Screened } from './options.js';

/** Each about 1 KB; beyond, all are forgotten. */
const MOST_REMEMBERED = 4096;
/** Longer ones are not worth a place. */
const LONGEST_REMEMBERED = 256;

export class OptionMemory {
  private readonly lists = new Map<string, readonly Option[]>();
  private readonly screened = new Map<readonly Option[], Screened>();

  /** As `decodeOptions`, but that the values of short ones are no views into the datagram. */
  readonly decode = (datagram: Uint8Array, offset: number): DecodedOptions => {
    const end = optionsEnd(datagram, offset);
    if (end === undefined || end - offset > LONGEST_REMEMBERED) return decodeOptions(datagram, offset);
    const key = Buffer.from(datagram.buffer, datagram.byteOffset + offset, end - offset).toString('latin1');
    const known = this.lists.get(key);
    if (known) return { options: known, end };
    const decoded = decodeOptions(datagram.slice(offset, end), 0);
    if ('malformed' in decoded) return decoded;
    this.remember(key, decoded.options);
    return { options: decoded.options, end };
  };

  /** As `screen`. */
  screen(options: readonly Option[]): Screened {
    return this.screened.get(options) ?? screen(options);
  }

  private remember(key: string, options: readonly Option[]): void {
    if (this.lists.size >= MOST_REMEMBERED) {
      this.lists.clear();
      this.screened.clear();
    }
    this.lists.set(key, options);
    this.screened.set(options, screen(options));
  }
}
