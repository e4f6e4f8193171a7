/** Samples and answers as lines: for a person, and as JSON for programs. */
import { formatTime } from '../clock.js';
import { textOf, type Notification } from '../client/client.js';
import { frequencyOf, readSample, type Reading } from '../client/reading.js';
import { parseTarget } from '../client/target.js';
import { isRefusal } from '../errors.js';
import { readValue } from '../protocols/codec.js';
import type { SenmlRecord } from '../protocols/senml-reader.js';
import { bareMediaType, FORMATS } from '../routing/format.js';
import type { BindingName, Json } from '../routing/primitive.js';

/** `pmu-61` of `.../applications/pmu-61/...`; the whole path of what belongs to no application. */
export const nameOf = (uri: string): string => nameIn(parseTarget(uri).path);
const nameIn = (path: string): string => /\/applications\/([^/]+)/.exec(path)?.[1] ?? path;

/** `coap pmu-1 2026-11-24T08:15:00.033333Z 60.0012 Hz`. */
export function sampleLine(binding: BindingName, uri: string, notification: Notification): string {
  const { mediaType, body, missed, timeUs, from } = notification;
  const reading = readSample(mediaType, body);
  const parts = [binding, from === undefined ? nameOf(uri) : nameIn(from)];
  if (timeUs !== undefined) parts.push(formatTime(timeUs));
  parts.push(reading ? figuresOf(reading) : bodyText(mediaType, body));
  if (missed > 0) parts.push(`(${missed} missed)`);
  return parts.join(' ');
}

/** A PMU by its frequency; any other pack by all its records. */
function figuresOf(reading: Reading): string {
  const frequency = frequencyOf(reading);
  return frequency === undefined ? reading.records.map(recordText).join(', ') : `${frequency.toFixed(4)} Hz`;
}

const recordText = ({ name, value, unit }: SenmlRecord): string =>
  `${name} ${plainValue(value)}${unit === undefined ? '' : ` ${unit}`}`;

/** `{"binding","uri","from","time","timeUs","missed","records":[...]}`, `from` for a path with `*` alone; `mediaType` and content instead of records for what is no sample. */
export function sampleJson(binding: BindingName, uri: string, notification: Notification): string {
  const { timeUs, missed, sequence, mediaType, body, from } = notification;
  const reading = readSample(mediaType, body);
  return JSON.stringify({
    binding,
    uri,
    ...(from !== undefined && { from }),
    ...(timeUs !== undefined && { time: formatTime(timeUs), timeUs }),
    missed,
    ...(sequence !== undefined && { sequence }),
    ...(reading ? { records: reading.records.map(recordJson) } : contentJson(mediaType, body)),
  });
}

/** A resolved record with the names of RFC 8428. */
function recordJson({ name, unit, value, sum, time }: SenmlRecord): Json {
  return {
    n: name,
    ...(unit !== undefined && { u: unit }),
    ...(typeof value === 'number' && { v: value }),
    ...(typeof value === 'string' && { vs: value }),
    ...(typeof value === 'boolean' && { vb: value }),
    ...(value instanceof Uint8Array && { vd: Buffer.from(value).toString('base64url') }),
    ...(sum !== undefined && { s: sum }),
    t: time,
  };
}

const plainValue = (value: SenmlRecord['value']): string =>
  value instanceof Uint8Array ? Buffer.from(value).toString('base64url') : String(value);

/** A body inside a line of JSON: its value where it is JSON or CBOR, its text, or base64. */
export function contentJson(mediaType: string, bytes: Uint8Array): { mediaType: string; [form: string]: Json } {
  const value = valueOf(mediaType, bytes);
  if (value !== undefined) return { mediaType, document: value };
  return isText(mediaType)
    ? { mediaType, textContent: textOf(bytes) }
    : { mediaType, binaryContent: Buffer.from(bytes).toString('base64') };
}

/** A body for a person: JSON laid out, records one a line, text as it is, of anything else the size. */
export function bodyText(mediaType: string, bytes: Uint8Array): string {
  const reading = readSample(mediaType, bytes);
  if (reading) return reading.records.map(recordText).join('\n');
  const value = valueOf(mediaType, bytes);
  if (value !== undefined) return JSON.stringify(value, undefined, 2);
  return isText(mediaType) ? textOf(bytes) : `${bytes.length} bytes of ${mediaType}`;
}

function valueOf(mediaType: string, bytes: Uint8Array): Json | undefined {
  const type = bareMediaType(mediaType);
  const value = readValue(type.endsWith('+json') ? FORMATS.json.mediaType : type, bytes);
  return isRefusal(value) ? undefined : value.parsed;
}

const isText = (mediaType: string): boolean => /^text\/|[/+](xml|link-format)$/.test(bareMediaType(mediaType));
