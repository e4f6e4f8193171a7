/**
 * What stands in the store's journal and snapshots: rows put and deleted, audit events, and the end of a snapshot. Pure.
 *
 *     put      1, or 2 with bytes │ table 1 │ key length 2 │ document length 4 │ key │ document as JSON │ bytes
 *     delete   3                  │ table 1 │ key length 2 │ key
 *     audit    4                  │ event (audit-chain.ts)
 *     end      5                  │ JSON (snapshot.ts)
 */
import type { JsonObject } from '../json.js';
import { TABLES, type Change, type Row, type Table } from './store.js';

const [PUT, PUT_WITH_BYTES, DELETE, AUDIT, END] = [1, 2, 3, 4, 5];
const [PUT_KEY_AT, DELETE_KEY_AT] = [8, 4];

export type RowEntry =
  | { readonly kind: 'put'; readonly table: Table; readonly key: string; readonly row: Row }
  | { readonly kind: 'delete'; readonly table: Table; readonly key: string };
export type StoreEntry =
  RowEntry | { readonly kind: 'audit'; readonly event: Buffer } | { readonly kind: 'end'; readonly end: JsonObject };

/** Where an entry is written before its length is known: to count the bytes of its texts first costs as much as writing them. */
const draft = Buffer.allocUnsafeSlow(64 * 1024);
const MOST_BYTES_PER_CHARACTER = 3;

/** A table is written as its place in TABLES, which therefore only ever grows at its end. */
export function encodeChange({ table, key, row }: Change): Buffer {
  const document = row ? JSON.stringify(row.document) : '';
  const content = row?.bytes?.length ?? 0;
  const most = PUT_KEY_AT + (key.length + document.length) * MOST_BYTES_PER_CHARACTER + content;
  const bytes = most <= draft.length ? draft : Buffer.allocUnsafe(most);
  bytes[0] = !row ? DELETE : row.bytes ? PUT_WITH_BYTES : PUT;
  bytes[1] = TABLES.indexOf(table);
  let at = row ? PUT_KEY_AT : DELETE_KEY_AT;
  const keyBytes = bytes.write(key, at);
  bytes.writeUInt16LE(keyBytes, 2);
  at += keyBytes;
  if (row) {
    const documentBytes = bytes.write(document, at);
    bytes.writeUInt32LE(documentBytes, 4);
    at += documentBytes;
    if (row.bytes) bytes.set(row.bytes, at);
  }
  const entry = Buffer.allocUnsafe(at + content);
  bytes.copy(entry, 0, 0, entry.length);
  return entry;
}

export const encodeAudit = (event: Buffer): Buffer => Buffer.concat([Buffer.of(AUDIT), event]);
export const eventOf = (entry: Buffer): Buffer => entry.subarray(1);
/** Of an entry that is an audit event, the event; the others are not looked into. */
export const auditEventOf = (entry: Uint8Array): Buffer | undefined =>
  entry[0] === AUDIT ? eventOf(bufferOf(entry)) : undefined;
export const encodeEnd = (end: JsonObject): Buffer => Buffer.concat([Buffer.of(END), Buffer.from(JSON.stringify(end))]);

/** An entry whose checksum held and that is none of these was written by a program that is newer, or broken: that throws. */
export function decodeEntry(entry: Uint8Array): StoreEntry {
  const bytes = bufferOf(entry);
  const kind = bytes[0];
  if (kind === AUDIT) return { kind: 'audit', event: eventOf(bytes) };
  if (kind === END) return { kind: 'end', end: JSON.parse(bytes.toString('utf8', 1)) as JsonObject };
  const table = TABLES[bytes[1] ?? TABLES.length];
  if (table === undefined) throw new Error(`there is no table ${bytes[1]}`);
  const keyBytes = bytes.readUInt16LE(2);
  if (kind === DELETE)
    return { kind: 'delete', table, key: bytes.toString('utf8', DELETE_KEY_AT, DELETE_KEY_AT + keyBytes) };
  if (kind !== PUT && kind !== PUT_WITH_BYTES) throw new Error(`there is no entry of kind ${kind}`);
  const key = bytes.toString('utf8', PUT_KEY_AT, PUT_KEY_AT + keyBytes);
  const documentAt = bytes.byteOffset + PUT_KEY_AT + keyBytes;
  const bytesAt = documentAt + bytes.readUInt32LE(4);
  const Stored = kind === PUT ? StoredRow : StoredContent;
  const row = new Stored(fileOf(bytes), documentAt, bytesAt, bytes.byteOffset + bytes.length);
  return { kind: 'put', table, key, row };
}

/**
 * A row as a view on what was read: its document is parsed each time it is asked for. It
 * holds places in the file rather than a Buffer of its own: a million of those cost a second of garbage collection.
 */
class StoredRow implements Row {
  constructor(
    protected readonly file: Buffer,
    private readonly documentAt: number,
    protected readonly bytesAt: number,
    protected readonly end: number,
  ) {}

  get document(): JsonObject {
    return JSON.parse(this.file.toString('utf8', this.documentAt, this.bytesAt)) as JsonObject;
  }

  lastNumber(name: string): number | undefined {
    const { file, bytesAt } = this;
    // In front of the brace that ends the document.
    const last = bytesAt - 2;
    let at = last;
    let number = 0;
    for (let factor = 1; isDigit(file[at]); factor *= 10) number += factor * (file[at--]! - DIGIT_0); // a digit is there
    const label = `"${name}":`;
    const labelAt = at + 1 - label.length;
    for (let n = 0; n < label.length; n++) if (file[labelAt + n] !== label.charCodeAt(n)) return undefined;
    return at < last ? number : undefined;
  }
}

const DIGIT_0 = 0x30;
const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= DIGIT_0 && byte <= DIGIT_0 + 9;

class StoredContent extends StoredRow {
  get bytes(): Uint8Array {
    return this.file.subarray(this.bytesAt, this.end);
  }
}

/** The whole of what an entry is a view on: made once for each file, and gone with it. */
function fileOf({ buffer }: Uint8Array): Buffer {
  let file = files.get(buffer);
  if (!file) files.set(buffer, (file = Buffer.from(buffer)));
  return file;
}
const files = new WeakMap<ArrayBufferLike, Buffer>();

/** Most are Buffers already; a second view on each of a million rows is felt. */
const bufferOf = (entry: Uint8Array): Buffer =>
  Buffer.isBuffer(entry) ? entry : Buffer.from(entry.buffer, entry.byteOffset, entry.length);
