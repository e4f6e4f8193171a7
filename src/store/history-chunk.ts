/**
 * A chunk: a second of one container's instances as one entry of the history's log. It stands for itself: whoever has it, and
 * nothing else, knows whose instances these are and can decode them. Pure.
 *
 *     kind 1 │ CRC 4 │ n 8 │ epoch 8 │ count 2 │ reference │ media type │ configuration │ record, record, ...
 *     record   measured 8 │ created 8 │ weight 4 │ quality 1 │ name │ creator │ attributes │ content
 *
 * Little-endian; a text or byte string has its length before it, ABSENT for none. A removal is the same without records.
 */
import { crc32 } from 'node:zlib';

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
const HEAD_BYTES = BODY_AT + 8 + 8 + 2;
const RECORD_BYTES = 8 + 8 + 4 + 1;
const LENGTH_BYTES = 4;
const ABSENT = 0xffff_ffff;
const NOTHING = new Uint8Array(0);

const lengthOf = (text: string | undefined): number =>
  LENGTH_BYTES + (text === undefined ? 0 : Buffer.byteLength(text));

export function encodeChunk({ reference, epoch, n, records }: Chunk): Buffer {
  const { mediaType = '', configuration } = records[0] ?? {};
  let length = HEAD_BYTES + lengthOf(reference) + lengthOf(mediaType) + LENGTH_BYTES + (configuration?.length ?? 0);
  for (const { name, creator, attributes, content } of records)
    length += RECORD_BYTES + lengthOf(name) + lengthOf(creator) + lengthOf(attributes) + LENGTH_BYTES + content.length;
  const writer = new Writer(CHUNK, length, n, epoch, records.length);
  writer.text(reference);
  writer.text(mediaType);
  writer.bytes(configuration);
  for (const record of records) writer.record(record);
  return writer.sealed();
}

export function encodeRemoval({ reference, epoch }: Owner): Buffer {
  const writer = new Writer(REMOVAL, HEAD_BYTES + lengthOf(reference), 0, epoch, 0);
  writer.text(reference);
  return writer.sealed();
}

/** Undefined: these bytes are not what was written. The contents are views on them. */
export function decodeEntry(entry: Uint8Array): Chunk | Removal | undefined {
  const bytes = Buffer.from(entry.buffer, entry.byteOffset, entry.length);
  if (bytes.length < HEAD_BYTES || bytes.readUInt32LE(CRC_AT) !== crc32(bytes.subarray(BODY_AT), bytes[0]))
    return undefined;
  const reader = new Reader(bytes);
  const [n, epoch, count] = [reader.double(), reader.double(), reader.u16()];
  const reference = reader.text() ?? '';
  if (bytes[0] === REMOVAL) return { reference, epoch };
  const mediaType = reader.text() ?? '';
  const configuration = reader.bytes();
  const records = Array.from({ length: count }, () => reader.record(mediaType, configuration));
  return { reference, epoch, n, records };
}

class Writer {
  private readonly buffer: Buffer;
  private at = BODY_AT;

  constructor(kind: number, length: number, n: number, epoch: number, count: number) {
    this.buffer = Buffer.allocUnsafe(length);
    this.buffer[0] = kind;
    this.double(n);
    this.double(epoch);
    this.at = this.buffer.writeUInt16LE(count, this.at);
  }

  private double(value: number): void {
    this.at = this.buffer.writeDoubleLE(value, this.at);
  }

  text(text: string | undefined): void {
    const at = this.at + LENGTH_BYTES;
    const length = text === undefined ? 0 : this.buffer.write(text, at);
    this.buffer.writeUInt32LE(text === undefined ? ABSENT : length, this.at);
    this.at = at + length;
  }

  bytes(bytes: Uint8Array | undefined): void {
    this.at = this.buffer.writeUInt32LE(bytes?.length ?? ABSENT, this.at);
    this.buffer.set(bytes ?? NOTHING, this.at);
    this.at += bytes?.length ?? 0;
  }

  record({ measuredUs, createdUs, sizeBytes, quality, name, creator, attributes, content }: Stored): void {
    this.double(measuredUs);
    this.double(createdUs);
    this.at = this.buffer.writeUInt32LE(sizeBytes, this.at);
    this.at = this.buffer.writeUInt8(quality, this.at);
    this.text(name);
    this.text(creator);
    this.text(attributes);
    this.bytes(content);
  }

  sealed(): Buffer {
    this.buffer.writeUInt32LE(crc32(this.buffer.subarray(BODY_AT), this.buffer[0]), CRC_AT);
    return this.buffer;
  }
}

class Reader {
  private at = BODY_AT;

  constructor(private readonly buffer: Buffer) {}

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
