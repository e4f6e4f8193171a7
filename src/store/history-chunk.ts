/**
 * A chunk: a second of one container's instances as one entry of the history's log. It stands for itself: whoever has it, and
 * nothing else, knows whose instances these are and can decode them.
 *
 *     kind 1 │ CRC 4 │ n 8 │ epoch 8 │ count 2 │ reference │ media type │ configuration │ record, record, ...
 *     record   measured 8 │ created 8 │ weight 4 │ quality 1 │ name │ creator │ attributes │ content
 *
 * Little-endian; a text or byte string has its length before it, ABSENT for none. A removal is the same without records.
 */
import { crc32 } from 'node:zlib';
import { Span } from './history-row.js';
import { Rooms } from './rooms.js';

/** An instance as it is kept. */
export interface Stored {
  /** Microseconds since the epoch, UTC. */
  readonly measuredUs: number;
  readonly createdUs: number;
  /** The bytes it counts for. */
  readonly sizeBytes: number;
  readonly quality: number;
  readonly name: string | undefined;
  readonly creator: string | undefined;
  /** JSON. */
  readonly attributes: string | undefined;
  readonly mediaType: string;
  /** What it takes to decode the content: the CFG-2 of a C37.118 frame. */
  readonly configuration: Uint8Array | undefined;
  readonly content: Uint8Array;
}

/** An instance that is to be kept: what writes its own content need not make bytes of it first. */
export interface Storable extends Omit<Stored, 'content'> {
  readonly content: Uint8Array | ContentWriter;
}

export interface ContentWriter {
  readonly frameBytes: number;
  writeFrame(into: Buffer, at: number): void;
}

const lengthOfContent = (content: Storable['content']): number =>
  content instanceof Uint8Array ? content.length : content.frameBytes;

/** Of one container; `epoch` tells it from others that had its reference before. */
export interface Owner {
  readonly reference: string;
  readonly epoch: number;
}

export interface Chunk extends Owner {
  /** The first record's place among all that the container ever had; each next is one more. */
  readonly n: number;
  /** All have one media type and one configuration. */
  readonly records: readonly Stored[];
}

/** The container has been deleted, and all its chunks with it. */
export interface Removal extends Owner {
  readonly records?: undefined;
}

const [CHUNK, REMOVAL] = [1, 2];
const CRC_AT = 1;
const BODY_AT = 5;
const N_AT = BODY_AT;
const EPOCH_AT = N_AT + 8;
const COUNT_AT = EPOCH_AT + 8;
const HEAD_BYTES = COUNT_AT + 2;
const RECORD_BYTES = 8 + 8 + 4 + 1;
const LENGTH_BYTES = 4;
const ABSENT = 0xffff_ffff;
const NOTHING = new Uint8Array(0);
const NO_ROOM = Buffer.alloc(0);

const viewOf = ({ buffer, byteOffset, length }: Buffer): DataView => new DataView(buffer, byteOffset, length);

const lengthOf = (text: string | undefined): number =>
  LENGTH_BYTES + (text === undefined ? 0 : Buffer.byteLength(text));

/** A chunk is read whole, whatever is wanted of it. */
export const RECORDS_A_CHUNK = 64;
const CONTENT_BYTES_A_CHUNK = 256 * 1024;
const FIRST_BYTES = 256;
const rooms = new Rooms();

/**
 * A chunk in the making. Records lie in it as the bytes that they will be in the log: thousands of samples that waited as objects
 * were copied by the collector again and again.
 */
export class OpenChunk {
  /** What its row will say of its records. */
  readonly span = new Span();
  private readonly writer: Writer;
  private readonly mediaType: string;
  private readonly configuration: Uint8Array | undefined;
  private readonly recordsAt: number;
  private contentBytes = 0;
  private isKept = false;

  /** @param bytes how long it is likely to get; it grows as it must */
  constructor({ reference, epoch }: Owner, { mediaType, configuration }: Storable, bytes = FIRST_BYTES) {
    this.mediaType = mediaType;
    this.configuration = configuration;
    const head = HEAD_BYTES + lengthOf(reference) + lengthOf(mediaType) + LENGTH_BYTES + (configuration?.length ?? 0);
    this.writer = new Writer(CHUNK, epoch, Math.max(head, bytes));
    this.writer.text(reference);
    this.writer.text(mediaType);
    this.writer.bytes(configuration);
    this.recordsAt = this.writer.at;
  }

  get count(): number {
    return this.span.count;
  }

  get byteLength(): number {
    return this.writer.at;
  }

  /** The hot path. False for a record that must begin another chunk: this one is full, or of another media type or configuration. */
  add(record: Storable): boolean {
    const length = lengthOfContent(record.content);
    if (
      record.mediaType !== this.mediaType ||
      record.configuration !== this.configuration ||
      (this.count > 0 && (this.count >= RECORDS_A_CHUNK || this.contentBytes + length > CONTENT_BYTES_A_CHUNK))
    )
      return false;
    this.contentBytes += length;
    this.writer.record(record, length);
    this.span.add(record);
    return true;
  }

  /** The first `count` of its records. */
  records(count = this.count): readonly Stored[] {
    // A copy: its bytes serve others when it has gone.
    const reader = new Reader(Buffer.from(this.writer.written()), this.recordsAt);
    return Array.from({ length: count }, () => reader.record(this.mediaType, this.configuration));
  }

  /** Somebody will read it later, whether it has gone by then or not. */
  keep(): void {
    this.isKept = true;
  }

  /** It is on the disk, and nobody writes or reads its bytes any more. */
  leave(): void {
    if (!this.isKept) this.writer.leave();
  }

  /** As an entry of the log, with `n` for its first record; nothing may be added from then on. */
  sealed(n: number): Buffer {
    return this.writer.sealed(n, this.count);
  }
}

export function encodeRemoval({ reference, epoch }: Owner): Buffer {
  const writer = new Writer(REMOVAL, epoch, HEAD_BYTES + lengthOf(reference));
  writer.text(reference);
  return writer.sealed(0, 0);
}

/** Undefined: these bytes are not what was written. The contents are views on them. */
export function decodeEntry(entry: Uint8Array): Chunk | Removal | undefined {
  const bytes = Buffer.from(entry.buffer, entry.byteOffset, entry.length);
  if (bytes.length < HEAD_BYTES || bytes.readUInt32LE(CRC_AT) !== crc32(bytes.subarray(BODY_AT), bytes[0]))
    return undefined;
  const reader = new Reader(bytes, BODY_AT);
  const [n, epoch, count] = [reader.double(), reader.double(), reader.u16()];
  const reference = reader.text() ?? '';
  if (bytes[0] === REMOVAL) return { reference, epoch };
  const mediaType = reader.text() ?? '';
  const configuration = reader.bytes();
  const records = Array.from({ length: count }, () => reader.record(mediaType, configuration));
  return { reference, epoch, n, records };
}

class Writer {
  at = HEAD_BYTES;
  private buffer: Buffer;
  /** Of the same bytes: a Buffer writes its numbers byte by byte. */
  private view: DataView;

  constructor(kind: number, epoch: number, bytes: number) {
    this.buffer = rooms.take(bytes);
    this.view = viewOf(this.buffer);
    this.buffer[0] = kind;
    this.buffer.writeDoubleLE(epoch, EPOCH_AT);
  }

  text(text: string | undefined): void {
    if (text === undefined) return this.length(ABSENT);
    const length = this.buffer.write(text, this.at + LENGTH_BYTES);
    this.length(length);
    this.at += length;
  }

  bytes(bytes: Uint8Array | undefined): void {
    if (bytes === undefined) return this.length(ABSENT);
    this.length(bytes.length);
    this.buffer.set(bytes, this.at);
    this.at += bytes.length;
  }

  record(record: Storable, contentBytes: number): void {
    const { measuredUs, createdUs, sizeBytes, quality, name, creator, attributes, content } = record;
    const texts = lengthOf(name) + lengthOf(creator) + lengthOf(attributes);
    this.reserve(RECORD_BYTES + texts + LENGTH_BYTES + contentBytes);
    const { view, at } = this;
    view.setFloat64(at, measuredUs, true);
    view.setFloat64(at + 8, createdUs, true);
    view.setUint32(at + 16, sizeBytes, true);
    view.setUint8(at + 20, quality);
    this.at = at + RECORD_BYTES;
    this.text(name);
    this.text(creator);
    this.text(attributes);
    if (content instanceof Uint8Array) return this.bytes(content);
    this.length(contentBytes);
    content.writeFrame(this.buffer, this.at);
    this.at += contentBytes;
  }

  private length(length: number): void {
    this.view.setUint32(this.at, length, true);
    this.at += LENGTH_BYTES;
  }

  /** What is there; records that are written later do not change it. */
  written(): Buffer {
    return this.buffer.subarray(0, this.at);
  }

  leave(): void {
    rooms.give(this.buffer);
    this.buffer = NO_ROOM;
  }

  sealed(n: number, count: number): Buffer {
    const whole = this.written();
    whole.writeDoubleLE(n, N_AT);
    whole.writeUInt16LE(count, COUNT_AT);
    whole.writeUInt32LE(crc32(whole.subarray(BODY_AT), whole[0]), CRC_AT);
    return whole;
  }

  private reserve(bytes: number): void {
    if (this.at + bytes <= this.buffer.length) return;
    const grown = rooms.take(Math.max(this.at + bytes, 2 * this.buffer.length));
    grown.set(this.written());
    rooms.give(this.buffer);
    this.buffer = grown;
    this.view = viewOf(grown);
  }
}

class Reader {
  constructor(
    private readonly buffer: Buffer,
    private at: number,
  ) {}

  double(): number {
    return this.buffer.readDoubleLE((this.at += 8) - 8);
  }

  u16(): number {
    return this.buffer.readUInt16LE((this.at += 2) - 2);
  }

  private u32(): number {
    return this.buffer.readUInt32LE((this.at += 4) - 4);
  }

  bytes(): Buffer | undefined {
    const length = this.u32();
    return length === ABSENT ? undefined : this.buffer.subarray(this.at, (this.at += length));
  }

  text(): string | undefined {
    return this.bytes()?.toString();
  }

  record(mediaType: string, configuration: Uint8Array | undefined): Stored {
    return {
      measuredUs: this.double(),
      createdUs: this.double(),
      sizeBytes: this.u32(),
      quality: this.buffer.readUInt8(this.at++),
      name: this.text(),
      creator: this.text(),
      attributes: this.text(),
      mediaType,
      configuration,
      content: this.bytes() ?? NOTHING,
    };
  }
}
