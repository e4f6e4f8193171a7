/**
 * The bytes of a passive resource's row: numbers as short as they are, numbers that rise along the row as distances from the one
 * before, and texts that many rows share as a number.
 *
 *     12        one byte                               whole numbers up to 127
 *     near      distance from the last of its series   times, revisions and ordinals of one subtree lie close together
 *     word      its place in a bounded table           media types, originators; a text that has no place stands there itself
 */

import { PACKED_ID_BYTES, packId, unpackId } from '../random.js';

/** Numbers that lie close to the one before. */
export const SERIES = { time: 0, revision: 1, ordinal: 2 } as const;
export type Series = (typeof SERIES)[keyof typeof SERIES];

const CONTINUED = 128;
/** Beyond it a resource is no row: what is so large is not one of a million. */
export const MOST_ROW_BYTES = 4096;

/** Of each series, the number before. */
export type Mark = readonly number[];

/** Texts and other things that many rows share, up to so many: later ones stand in the rows themselves. */
export const MOST_SHARED = 4096;

export class SharedWords {
  private readonly places = new Map<string, number>();
  private readonly words: string[] = [];

  /** Undefined where there is no room for another. */
  placeOf(word: string): number | undefined {
    const place = this.places.get(word);
    if (place !== undefined || this.words.length >= MOST_SHARED) return place;
    this.places.set(word, this.words.length);
    return this.words.push(word) - 1;
  }

  at(place: number): string {
    const word = this.words[place];
    if (word === undefined) throw new RangeError(`there is no word ${place}`);
    return word;
  }
}

/** How a word is written: its place stands above these. */
const WORD = { absent: 0, spelt: 1, id: 2, shared: 3 } as const;

const NAME = { absent: 0, spelt: 1, generated: 2 } as const;

/** A row that is written or read: a number stands in it as what it differs by from the one before in its series. */
class Numbered {
  protected last = [0, 0, 0];

  /** Who sets it back has what lies between stand for itself. */
  get mark(): Mark {
    return [...this.last];
  }

  set mark(mark: Mark) {
    this.last = [...mark];
  }
}

/** Writes one row after the other into the same bytes. */
export class RowWriter extends Numbered {
  private readonly bytes = Buffer.allocUnsafe(2 * MOST_ROW_BYTES);
  private id = '';
  private at = 0;

  constructor(private readonly words: SharedWords) {
    super();
  }

  /** Begins a row, with the id that it is found by. */
  begin(id: string): void {
    this.at = 0;
    this.last = [0, 0, 0];
    this.id = id;
    this.text(id);
  }

  /** Bytes written. */
  get place(): number {
    return this.at;
  }

  /** The row, until the next begins; undefined for one that is too large. */
  get row(): Buffer | undefined {
    return this.at <= MOST_ROW_BYTES ? this.bytes.subarray(0, this.at) : undefined;
  }

  /** @param number whole, 0 or more */
  whole(number: number): void {
    let rest = number;
    for (; rest >= CONTINUED; rest = Math.floor(rest / CONTINUED)) this.byte((rest % CONTINUED) + CONTINUED);
    this.byte(rest);
  }

  /** @param number whole */
  near(series: Series, number: number): void {
    const distance = number - (this.last[series] ?? 0);
    this.last[series] = number;
    this.whole(distance < 0 ? -2 * distance - 1 : 2 * distance);
  }

  any(number: number): void {
    if (this.at + 8 <= this.bytes.length) this.bytes.writeDoubleLE(number, this.at);
    this.at += 8;
  }

  blob(bytes: Uint8Array): void {
    this.whole(bytes.length);
    if (this.at + bytes.length <= this.bytes.length) this.bytes.set(bytes, this.at);
    this.at += bytes.length;
  }

  /** What stands in a row already. */
  copy(bytes: Buffer, start: number, end: number): void {
    bytes.copy(this.bytes, Math.min(this.at, this.bytes.length), start, end);
    this.at += end - start;
  }

  text(text: string): void {
    const { at } = this;
    this.whole(text.length);
    if (writeAscii(text, this.bytes, this.at)) {
      this.at += text.length;
      return;
    }
    this.at = at;
    const length = Buffer.byteLength(text);
    this.whole(length);
    if (this.at + length <= this.bytes.length) this.bytes.write(text, this.at);
    this.at += length;
  }

  word(word: string | undefined): void {
    if (word === undefined) return this.whole(WORD.absent);
    if (word === this.id) return this.whole(WORD.id);
    const place = this.words.placeOf(word);
    if (place !== undefined) return this.whole(WORD.shared + place);
    this.whole(WORD.spelt);
    this.text(word);
  }

  /** An id of its own: generated ones, of which there are the most, take 10 bytes in place of 16. */
  name(name: string | undefined): void {
    if (name === undefined) return this.whole(NAME.absent);
    const packed = packId(name);
    this.whole(packed ? NAME.generated : NAME.spelt);
    if (!packed) return this.text(name);
    for (const byte of packed) this.byte(byte);
  }

  /** Once too large it stays so, and nothing is written beyond. */
  private byte(byte: number): void {
    if (this.at < this.bytes.length) this.bytes[this.at] = byte;
    this.at++;
  }
}

/** A call into Node's own code costs more than the few bytes of an id. What goes beyond `bytes` is left out. False: it is not all ASCII. */
export function writeAscii(text: string, bytes: Uint8Array, at: number): boolean {
  for (let n = 0; n < text.length; n++) {
    const code = text.charCodeAt(n);
    if (code > 0x7f) return false;
    bytes[at + n] = code;
  }
  return true;
}

/** Reads what a RowWriter has written, in the same order. */
export class RowReader extends Numbered {
  private at: number;
  readonly id: string;

  /** @param bytes what holds the row, at `start` */
  constructor(
    private readonly bytes: Buffer,
    start: number,
    private readonly words: SharedWords,
  ) {
    super();
    this.at = start;
    this.id = this.text();
  }

  /** Where the next is read from. */
  get place(): number {
    return this.at;
  }

  whole(): number {
    let [number, factor] = [0, 1];
    let byte = this.byte();
    for (; byte >= CONTINUED; byte = this.byte()) {
      number += (byte - CONTINUED) * factor;
      factor *= CONTINUED;
    }
    return number + byte * factor;
  }

  near(series: Series): number {
    const written = this.whole();
    const distance = written % 2 === 0 ? written / 2 : -(written + 1) / 2;
    return (this.last[series] = (this.last[series] ?? 0) + distance);
  }

  any(): number {
    const number = this.bytes.readDoubleLE(this.at);
    this.at += 8;
    return number;
  }

  /** A copy: the row's place is given to others. */
  blob(): Uint8Array {
    const length = this.whole();
    return Buffer.from(this.bytes.subarray(this.at, (this.at += length)));
  }

  text(): string {
    const length = this.whole();
    return this.bytes.toString('utf8', this.at, (this.at += length));
  }

  word(): string | undefined {
    const word = this.whole();
    if (word === WORD.absent) return undefined;
    if (word === WORD.id) return this.id;
    return word === WORD.spelt ? this.text() : this.words.at(word - WORD.shared);
  }

  name(): string | undefined {
    const how = this.whole();
    if (how === NAME.absent) return undefined;
    if (how === NAME.spelt) return this.text();
    const name = unpackId(this.bytes, this.at);
    this.at += PACKED_ID_BYTES;
    return name;
  }

  private byte(): number {
    return this.bytes[this.at++] ?? 0;
  }
}
