/**
 * Bodies: representations as JSON or CBOR, and which of them an answer takes. The one import site of cborg and
 * secure-json-parse. Every reader is bounded: depth, no `__proto__`, no duplicate CBOR keys, errors as values.
 */
import { decode as decodeCbor, encode as encodeCbor } from 'cborg';
import secureJson from 'secure-json-parse';
import { isRefusal, reasonOf, refuse, STATUSES, type Refusal } from '../errors.js';
import { bareMediaType, FORMATS } from '../routing/format.js';
import { isSuccess, type Body, type Content, type Json, type JsonObject, type Response } from '../routing/primitive.js';

/** Deeper than any representation; a reader that recurses stays far from the end of its stack. */
const MAX_DEPTH = 32;

const JSON_TYPE = FORMATS.json.mediaType;
const CBOR_TYPE = FORMATS.cbor.mediaType;

/** A body as it came over the wire. */
export function bodyOfBytes(mediaType: string, bytes: Uint8Array): Body {
  let value: Parsed | Refusal | undefined;
  const read = (): Parsed | Refusal => (value ??= readValue(mediaType, bytes));
  return { mediaType, bytes, value: read, document: () => documentOf(read()) };
}

/** A body that came as a value inside a JSON frame. */
export function bodyOfValue(value: Json): Body {
  return bodyOfBytes(JSON_TYPE, Buffer.from(JSON.stringify(value)));
}

function documentOf(value: Parsed | Refusal): JsonObject | Refusal {
  if (!isParsed(value)) return value;
  const { parsed } = value;
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed as JsonObject;
  return refuse(
    'STATUS_BAD_REQUEST',
    'The body must be an object with one root key named after the type, such as {"container":{...}}.',
  );
}

interface Parsed {
  readonly parsed: Json;
}
const isParsed = (value: Parsed | Refusal): value is Parsed => !isRefusal(value);

/** Reads JSON or CBOR into plain values; byte strings of CBOR become base64 text. */
export function readValue(mediaType: string, bytes: Uint8Array): Parsed | Refusal {
  const type = bareMediaType(mediaType);
  if (type !== JSON_TYPE && type !== CBOR_TYPE) {
    return refuse(
      'STATUS_UNSUPPORTED_MEDIA_TYPE',
      `A representation is taken as ${JSON_TYPE} or ${CBOR_TYPE}, not as ${JSON.stringify(type)}.`,
    );
  }
  let value: unknown;
  try {
    value =
      type === JSON_TYPE
        ? secureJson.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
        : decodeCbor(bytes, { rejectDuplicateMapKeys: true });
  } catch (error) {
    return refuse('STATUS_BAD_REQUEST', `The body is not well-formed ${type}: ${reasonOf(error)}.`);
  }
  // What was JSON is plain already: nothing of it is made anew.
  const plain = type === CBOR_TYPE ? plainValue(value, 0) : isBounded(value, 0) ? (value as Json) : undefined;
  return plain === undefined
    ? refuse('STATUS_BAD_REQUEST', `The body nests deeper than ${MAX_DEPTH} levels or holds what JSON has no form for.`)
    : { parsed: plain };
}

/** Of what was parsed as JSON: numbers that JSON can say again, and a depth that a reader can follow. */
function isBounded(value: unknown, depth: number): boolean {
  if (depth > MAX_DEPTH) return false;
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value !== 'object' || value === null) return true;
  if (Array.isArray(value)) return value.every((item) => isBounded(item, depth + 1));
  for (const name in value) if (!isBounded((value as Record<string, unknown>)[name], depth + 1)) return false;
  return true;
}

function plainValue(value: unknown, depth: number): Json | undefined {
  if (depth > MAX_DEPTH) return undefined;
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) {
    const items = value.map((item) => plainValue(item, depth + 1));
    return items.every((item) => item !== undefined) ? items : undefined;
  }
  if (typeof value !== 'object') return undefined;
  const entries: [string, Json][] = [];
  for (const [name, member] of Object.entries(value)) {
    const plain = plainValue(member, depth + 1);
    if (plain === undefined || name === '__proto__') return undefined;
    entries.push([name, plain]);
  }
  return Object.fromEntries(entries);
}

/** An answer's body as bytes. */
export interface Written {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}

/**
 * Writes what a response carries: its content, or an errorInfo for a refusal, in the first of `accept` that it can be
 * written as. Content of a single form is given as it is (whoever made it has seen `accept`).
 */
export function writeContent(response: Response, accept: readonly string[]): Written | undefined {
  const content = response.content ?? errorContent(response);
  if (!content) return undefined;
  return content.kind === 'bytes' ? content : writeDocument(content.document, accept);
}

/** Writes a representation as CBOR if that is what is asked for first, as JSON otherwise. */
function writeDocument(document: JsonObject, accept: readonly string[]): Written {
  for (const type of accept.map(bareMediaType)) {
    if (type === JSON_TYPE) break;
    if (type === CBOR_TYPE)
      return { mediaType: CBOR_TYPE, bytes: encodeCbor(document, { ignoreUndefinedProperties: true }) };
  }
  return { mediaType: JSON_TYPE, bytes: Buffer.from(JSON.stringify(document)) };
}

/** Reads CBOR whose maps have labels that are not text (SenML); every map becomes a Map. Errors are values. */
export function readCborMaps(bytes: Uint8Array): unknown {
  try {
    return decodeCbor(bytes, { useMaps: true, rejectDuplicateMapKeys: true });
  } catch (error) {
    return refuse('STATUS_BAD_REQUEST', `The body is not well-formed ${CBOR_TYPE}: ${reasonOf(error)}.`);
  }
}

export const writeCbor = (value: unknown): Uint8Array => encodeCbor(value);

function errorContent(response: Response): Content | undefined {
  if (isSuccess(response)) return undefined;
  const additionalInfo = response.detail ?? STATUSES[response.status].sentence;
  return { kind: 'document', document: { errorInfo: { statusCode: response.status, additionalInfo } } };
}

/** The media types of an Accept header by falling quality; those with q=0 are left out. */
export function readAccept(header: string | undefined): readonly string[] {
  if (!header) return [];
  return header
    .split(',')
    .map((part) => {
      const [type = '', ...parameters] = part.split(';').map((text) => text.trim());
      const quality = parameters.find((parameter) => parameter.startsWith('q='));
      return { type: type.toLowerCase(), quality: quality === undefined ? 1 : Number(quality.slice(2)) };
    })
    .filter(({ type, quality }) => type !== '' && quality > 0)
    .sort((a, b) => b.quality - a.quality)
    .map(({ type }) => type);
}
