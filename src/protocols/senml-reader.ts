/**
 * Reads SenML packs [RFC8428] in JSON and CBOR and resolves them: base fields are added in, so that each record stands for
 * itself. Strict, because publishers' mistakes are cheapest where they are made: a pack that breaks the standard is refused
 * as a whole, with the record's number and the rule.
 */
import { isRefusal, refuse, type Refusal } from '../errors.js';
import { bareMediaType, FORMATS } from '../routing/format.js';
import { readCborMaps, readValue } from './codec.js';
import { SENML_ABSOLUTE_S, SENML_LABELS } from './senml.js';

/** One resolved record [RFC8428-4.6]. */
export interface SenmlRecord {
  /** Base name and name, joined. */
  readonly name: string;
  readonly unit?: string;
  /** Bytes for a data value; absent in a record that has only a sum. */
  readonly value?: number | string | boolean | Uint8Array;
  readonly sum?: number;
  /** Seconds: since 1970 UTC when 2^28 or more, otherwise relative to when the pack was received. */
  readonly time: number;
}

const VERSION = 10;
const NAME = /^[A-Za-z0-9][A-Za-z0-9\-:._/]*$/;

/** Resolves a pack; refused with 415 for a type that is not SenML, 400 for a pack that breaks RFC 8428. */
export function readSenml(mediaType: string, bytes: Uint8Array): readonly SenmlRecord[] | Refusal {
  const pack = readPack(mediaType, bytes);
  if (isRefusal(pack)) return pack;
  const records: SenmlRecord[] = [];
  let base: Base = { name: '', time: 0, unit: undefined, value: undefined, sum: undefined };
  for (const item of pack) {
    const fields = fieldsOf(item);
    if (typeof fields !== 'string') base = baseFrom(base, fields);
    const record = typeof fields === 'string' ? fields : resolve(base, fields);
    if (typeof record === 'string')
      return refuse('STATUS_BAD_REQUEST', `Record ${records.length + 1} of the SenML pack: ${record}.`);
    records.push(record);
  }
  return records;
}

/**
 * When the first record of a publisher's pack was measured: whole microseconds since the epoch, UTC. `undefined` when the
 * pack is no SenML, cannot be read, or has relative times.
 */
export function measuredTimeOf(mediaType: string, bytes: Uint8Array): number | undefined {
  if (!isSenml(mediaType) || isUntimed(mediaType, bytes)) return undefined;
  const records = readSenml(mediaType, bytes);
  return isRefusal(records) || !records[0] ? undefined : absoluteUs(records[0]);
}

const isSenml = (mediaType: string): boolean =>
  [FORMATS.senmlJson.mediaType, FORMATS.senmlCbor.mediaType].includes(bareMediaType(mediaType));

/** JSON in which no record has a time, however it is spelt: it need not be read to know that. A meter's readings are dated by their arrival. */
const isUntimed = (mediaType: string, bytes: Uint8Array): boolean =>
  mediaType === FORMATS.senmlJson.mediaType &&
  !TIME_NAMED.test(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1'));
const TIME_NAMED = /"b?t"|\\/;

/** The absolute time of a record, rounded to the microsecond that a double of today resolves; `undefined` if it is relative. */
export const absoluteUs = ({ time }: SenmlRecord): number | undefined =>
  time >= SENML_ABSOLUTE_S ? Math.round(time * 1e6) : undefined;

interface Base {
  readonly name: string;
  readonly time: number;
  readonly unit: string | undefined;
  readonly value: number | undefined;
  readonly sum: number | undefined;
}

function readPack(mediaType: string, bytes: Uint8Array): readonly unknown[] | Refusal {
  const type = bareMediaType(mediaType);
  let pack: unknown;
  if (type === FORMATS.senmlJson.mediaType) {
    const read = readValue(FORMATS.json.mediaType, bytes);
    if (isRefusal(read)) return read;
    pack = read.parsed;
  } else if (type === FORMATS.senmlCbor.mediaType) {
    pack = readCborMaps(bytes);
    if (isRefusal(pack)) return pack;
  } else {
    return refuse(
      'STATUS_UNSUPPORTED_MEDIA_TYPE',
      `${JSON.stringify(type)} is not SenML; expected ${FORMATS.senmlJson.mediaType} or ${FORMATS.senmlCbor.mediaType}.`,
    );
  }
  if (!Array.isArray(pack)) return refuse('STATUS_BAD_REQUEST', 'A SenML pack is an array of records.');
  return pack as unknown[];
}

type NumberField = 'bver' | 'bt' | 'bv' | 'bs' | 'v' | 's' | 't' | 'ut';
type TextField = 'bn' | 'bu' | 'n' | 'u' | 'vs';
/** Those fields of a record that this reader knows, by the names of the JSON form. */
type Fields = Readonly<Partial<Record<NumberField, number> & Record<TextField, string>>> & {
  readonly vb?: boolean;
  readonly vd?: string | Uint8Array;
};

const NUMBERS: readonly NumberField[] = ['bver', 'bt', 'bv', 'bs', 'v', 's', 't', 'ut'];
const TEXTS: readonly TextField[] = ['bn', 'bu', 'n', 'u', 'vs'];
const TYPES: ReadonlyMap<string, 'number' | 'string' | 'boolean' | 'bytes'> = new Map([
  ...NUMBERS.map((name) => [name, 'number'] as const),
  ...TEXTS.map((name) => [name, 'string'] as const),
  ['vb', 'boolean'] as const,
  ['vd', 'bytes'] as const,
]);
const NAME_OF_LABEL = new Map<unknown, string>(Object.entries(SENML_LABELS).map(([name, label]) => [label, name]));
const VALUE_FIELDS = ['v', 'vs', 'vb', 'vd'] as const;

/** A record of a pack, or what is wrong with its fields for themselves. Whoever listens reads a thousand of them a second: no list of pairs is made. */
function fieldsOf(item: unknown): Fields | string {
  const fields: Record<string, unknown> = {};
  if (item instanceof Map) {
    for (const [label, value] of item as Map<unknown, unknown>) {
      const fault = put(fields, NAME_OF_LABEL.get(label) ?? String(label), value);
      if (fault !== undefined) return fault;
    }
  } else if (typeof item === 'object' && item !== null && !Array.isArray(item)) {
    for (const name in item) {
      const fault = put(fields, name, (item as Readonly<Record<string, unknown>>)[name]);
      if (fault !== undefined) return fault;
    }
  } else return 'it is not a map';
  const { bver } = fields as Fields;
  return bver === undefined || bver === VERSION ? fields : `"bver" is ${bver}, and only ${VERSION} is known`;
}

/** Puts a field that is known; what is wrong with it. */
function put(fields: Record<string, unknown>, name: string, value: unknown): string | undefined {
  const type = TYPES.get(name);
  if (type === undefined)
    return name.endsWith('_') ? `the field "${name}" must be understood, and is not [RFC8428-4.4]` : undefined;
  if (type === 'bytes') {
    if (typeof value !== 'string' && !(value instanceof Uint8Array))
      return '"vd" must be a byte string, in JSON as base64url';
  } else if (typeof value !== type) return `"${name}" must be a ${type}`;
  if (type === 'number' && !Number.isFinite(value)) return `"${name}" must be finite`;
  fields[name] = value;
  return undefined;
}

/** The base fields that hold from this record on. */
function baseFrom(before: Base, { bn, bt, bu, bv, bs }: Fields): Base {
  if (bn === undefined && bt === undefined && bu === undefined && bv === undefined && bs === undefined) return before;
  return {
    name: bn ?? before.name,
    time: bt ?? before.time,
    unit: bu ?? before.unit,
    value: bv ?? before.value,
    sum: bs ?? before.sum,
  };
}

function resolve(base: Base, fields: Fields): SenmlRecord | string {
  const { n = '', u, v, vs, vb, vd, s, t = 0 } = fields;
  const name = base.name + n;
  if (!NAME.test(name))
    return `the name ${JSON.stringify(name)} must begin with a letter or digit and hold only letters, digits and - : . / _`;
  let given = 0;
  for (const field of VALUE_FIELDS) if (fields[field] !== undefined) given++;
  if (given > 1)
    return `${VALUE_FIELDS.filter((field) => fields[field] !== undefined).join(' and ')} exclude each other`;
  const number = v === undefined ? base.value : (base.value ?? 0) + v;
  const value = vs ?? vb ?? (typeof vd === 'string' ? Buffer.from(vd, 'base64url') : vd) ?? number;
  const sum = s === undefined ? base.sum : (base.sum ?? 0) + s;
  if (value === undefined && sum === undefined) return `one of ${VALUE_FIELDS.join(', ')} and s is needed`;
  const unit = u ?? base.unit;
  const time = base.time + t;
  if (unit !== undefined && value !== undefined && sum === undefined) return { name, unit, value, time };
  return {
    name,
    ...(unit !== undefined && { unit }),
    ...(value !== undefined && { value }),
    ...(sum !== undefined && { sum }),
    time,
  };
}
