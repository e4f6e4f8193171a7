/**
 * The hash chain of the audit trail. Pure. Each event carries its number, the hash of the event before it, and its own:
 *
 *     hash = SHA-256(previous hash, number, text)         text: JSON of time, event, originator, target, details
 *
 * An event that is changed, left out or put in breaks the chain from there on. Whoever can write the files can also write a
 * whole new chain: keep the last hash elsewhere (`gridcast audit verify` prints it) to notice that.
 */
import { hash } from 'node:crypto';
import { formatTime } from '../clock.js';
import type { JsonObject } from '../json.js';
import type { AuditEvent } from './store.js';

const HASH_BYTES = 32;
const NUMBER_BYTES = 6;
const TEXT_AT = 2 * HASH_BYTES + NUMBER_BYTES;

export interface ChainHead {
  /** Of the last event; they are numbered from 1. */
  readonly number: number;
  readonly hash: Uint8Array;
}

/** Before the first event. */
export const GENESIS: ChainHead = { number: 0, hash: new Uint8Array(HASH_BYTES) };

/** An event without its place in the chain: hash, previous hash, number, text. */
export function encodeEvent({ event, originator, target, details }: AuditEvent, wallUs: number): Buffer {
  const text = JSON.stringify({ time: formatTime(wallUs), event, originator, target, ...(details && { details }) });
  const bytes = Buffer.allocUnsafe(TEXT_AT + Buffer.byteLength(text));
  bytes.fill(0, 0, TEXT_AT);
  bytes.write(text, TEXT_AT);
  return bytes;
}

/** Writes an event's place into it; the new head. */
export function chainEvent(bytes: Buffer, head: ChainHead): ChainHead {
  const number = head.number + 1;
  bytes.set(head.hash, HASH_BYTES);
  bytes.writeUIntLE(number, 2 * HASH_BYTES, NUMBER_BYTES);
  const own = hashOf(bytes);
  bytes.set(own, 0);
  return { number, hash: own };
}

export const numberOfEvent = (bytes: Buffer): number => bytes.readUIntLE(2 * HASH_BYTES, NUMBER_BYTES);
export const textOfEvent = (bytes: Buffer): string => bytes.toString('utf8', TEXT_AT);

/** The head after an event, or what is wrong with it: half a sentence. */
export function followChain(bytes: Buffer, head: ChainHead): ChainHead | string {
  const number = numberOfEvent(bytes);
  if (number !== head.number + 1) return `event ${number} follows event ${head.number}`;
  if (!bytes.subarray(HASH_BYTES, 2 * HASH_BYTES).equals(head.hash))
    return `event ${number} does not continue the chain of event ${head.number}`;
  const own = hashOf(bytes);
  return bytes.subarray(0, HASH_BYTES).equals(own) ? { number, hash: own } : `event ${number} is not what was written`;
}

/** As JSON, with its number and hash in hexadecimal. */
export function describeEvent(bytes: Buffer): JsonObject {
  const event = JSON.parse(textOfEvent(bytes)) as JsonObject;
  return { number: numberOfEvent(bytes), ...event, hash: bytes.toString('hex', 0, HASH_BYTES) };
}

const hashOf = (bytes: Buffer): Buffer => hash('sha256', bytes.subarray(HASH_BYTES), 'buffer');
