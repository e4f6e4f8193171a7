/**
 * Bytes one after the other, for frames whose fields stand where the ones before them end: what names of any length make of
 * CFG-3. A name is its count of bytes, 8 bits, and UTF-8.
 */
import { viewOf } from './frame.js';

const LONGEST_NAME = 255;

/** Appends numbers, bytes and names, big-endian. */
export class Writer {
  private readonly parts: Uint8Array[] = [];

  put(bytes: Uint8Array): void {
    this.parts.push(bytes);
  }
  name(text: string): void {
    const bytes = Buffer.from(text);
    if (bytes.length > LONGEST_NAME) throw new RangeError(`a name of ${bytes.length} bytes; its count ends at 255`);
    this.u8(bytes.length);
    this.put(bytes);
  }
  readonly u8 = (value: number): void => this.number(1, (view) => view.setUint8(0, value));
  readonly u16 = (value: number): void => this.number(2, (view) => view.setUint16(0, value));
  readonly i16 = (value: number): void => this.number(2, (view) => view.setInt16(0, value));
  readonly u32 = (value: number): void => this.number(4, (view) => view.setUint32(0, value));
  readonly i32 = (value: number): void => this.number(4, (view) => view.setInt32(0, value));
  readonly f32 = (value: number): void => this.number(4, (view) => view.setFloat32(0, value));

  bytes(): Uint8Array {
    return Buffer.concat(this.parts);
  }

  private number(size: number, write: (view: DataView) => void): void {
    const bytes = new Uint8Array(size);
    write(viewOf(bytes));
    this.put(bytes);
  }
}

/** Reads to the end and not beyond: from there on everything is 0, and `isCut` says so. */
export class Reader {
  isCut = false;
  isIllegible = false;
  private at = 0;
  private readonly utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  constructor(private readonly body: Uint8Array) {}

  get left(): number {
    return this.body.length - this.at;
  }

  expect(size: number): void {
    if (size > this.left) this.isCut = true;
  }

  take(size: number): Uint8Array {
    this.expect(size);
    if (this.isCut) return new Uint8Array(size);
    return this.body.subarray(this.at, (this.at += size));
  }

  name(): string {
    try {
      return this.utf8.decode(this.take(this.u8()));
    } catch {
      this.isIllegible = true;
      return '';
    }
  }
  readonly u8 = (): number => viewOf(this.take(1)).getUint8(0);
  readonly u16 = (): number => viewOf(this.take(2)).getUint16(0);
  readonly i16 = (): number => viewOf(this.take(2)).getInt16(0);
  readonly u32 = (): number => viewOf(this.take(4)).getUint32(0);
  readonly i32 = (): number => viewOf(this.take(4)).getInt32(0);
  readonly f32 = (): number => viewOf(this.take(4)).getFloat32(0);
}
