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
  let base: Base = { name: '', time: 0 };
  for (const [index, item] of pack.entries()) {
    const fault = faultOfTypes(item);
    if (fault === undefined) base = baseFrom(base, item);
    const record = fault ?? resolve(base, item);
    if (typeof record === 'string')
      return refuse('STATUS_BAD_REQUEST', `Record ${index + 1} of the SenML pack: ${record}.`);
    records.push(record);
  }
  return records;
}

/**
 * When the first record of a publisher's pack was measured: whole microseconds since the epoch, UTC. `undefined` when the
 * pack is no SenML, cannot be read, or has relative times.
 */
export function measuredTimeOf(mediaType: string, bytes: Uint8Array): number | undefined {
  if (isUntimed(mediaType, bytes)) return undefined;
  const records = readSenml(mediaType, bytes);
  return isRefusal(records) || !records[0] ? undefined : absoluteUs(records[0]);
}

/** JSON in which no record has a time, however it is spelt: it need not be read to know that. A meter's readings are dated by their arrival. */
const isUntimed = (mediaType: string, bytes: Uint8Array): boolean =>
  mediaType === FORMATS.senmlJson.mediaType &&
  !TIME_NAMED.test(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1'));
const TIME_NAMED = /"b?t"|\\/;

/** The absolute time of a record, rounded to the microsecond that a double of today resolves; `undefined` if it is relative. */
export const absoluteUs = ({ time }: SenmlRecord): number | undefined =>
  time >= SENML_ABSOLUTE_S ? Math.round(time * 1e6) : undefined;

/** A record as it is in the pack, by the names of the JSON form. */
type Fields = Readonly<Record<string, unknown>>;

interface Base {
  readonly name: string;
  readonly time: number;
  readonly unit?: string;
  readonly value?: number;
  readonly sum?: number;
}

function readPack(mediaType: string, bytes: Uint8Array): readonly Fields[] | Refusal {
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
  const items = pack.map(fieldsOf);
  const wrong = items.indexOf(undefined);
  if (wrong >= 0) return refuse('STATUS_BAD_REQUEST', `Record ${wrong + 1} of the SenML pack is not a map.`);
  return items.filter((item) => item !== undefined);
}

const NAME_OF_LABEL = new Map<unknown, string>(Object.entries(SENML_LABELS).map(([name, label]) => [label, name]));

function fieldsOf(item: unknown): Fields | undefined {
  if (item instanceof Map)
    return Object.fromEntries([...item].map(([label, value]) => [NAME_OF_LABEL.get(label) ?? String(label), value]));
  return typeof item === 'object' && item !== null && !Array.isArray(item) ? (item as Fields) : undefined;
}

type NumberField = 'bver' | 'bt' | 'bv' | 'bs' | 'v' | 's' | 't' | 'ut';
type TextField = 'bn' | 'bu' | 'n' | 'u' | 'vs';
type TypedFields = Readonly<Partial<Record<NumberField, number> & Record<TextField, string>>> & {
  readonly vb?: boolean;
  readonly vd?: string | Uint8Array;
};

const TYPES: Readonly<Record<string, 'number' | 'string' | 'boolean'>> = {
  ...({
    bver: 'number',
    bt: 'number',
    bv: 'number',
    bs: 'number',
    v: 'number',
    s: 'number',
    t: 'number',
    ut: 'number',
  } satisfies Record<NumberField, 'number'>),
  ...({ bn: 'string', bu: 'string', n: 'string', u: 'string', vs: 'string' } satisfies Record<TextField, 'string'>),
  vb: 'boolean',
};
const VALUE_FIELDS = ['v', 'vs', 'vb', 'vd'] as const;

/** What is wrong with the fields for themselves; after it their types are those of `TypedFields`. */
function faultOfTypes(item: Fields): string | undefined {
  for (const [name, value] of Object.entries(item)) {
    if (name.endsWith('_')) return `the field "${name}" must be understood, and is not [RFC8428-4.4]`;
    const type = TYPES[name];
    if (type !== undefined && typeof value !== type) return `"${name}" must be a ${type}`;
    if (type === 'number' && !Number.isFinite(value)) return `"${name}" must be finite`;
    if (name === 'vd' && typeof value !== 'string' && !(value instanceof Uint8Array))
      return '"vd" must be a byte string, in JSON as base64url';
  }
  const { bver } = item as TypedFields;
  return bver === undefined || bver === VERSION ? undefined : `"bver" is ${bver}, and only ${VERSION} is known`;
}

/** The base fields that hold from this record on. */
function baseFrom(before: Base, item: Fields): Base {
  const { bn, bt, bu, bv, bs } = item as TypedFields;
  const unit = bu ?? before.unit;
  const value = bv ?? before.value;
  const sum = bs ?? before.sum;
  return {
    name: bn ?? before.name,
    time: bt ?? before.time,
    ...(unit !== undefined && { unit }),
    ...(value !== undefined && { value }),
    ...(sum !== undefined && { sum }),
  };
}

function resolve(base: Base, item: Fields): SenmlRecord | string {
  const fields = item as TypedFields;
  const name = base.name + (fields.n ?? '');
  if (!NAME.test(name))
    return `the name ${JSON.stringify(name)} must begin with a letter or digit and hold only letters, digits and - : . / _`;
  const given = VALUE_FIELDS.filter((field) => fields[field] !== undefined);
  if (given.length > 1) return `${given.join(' and ')} exclude each other`;
  const { v, vs, vb, vd } = fields;
  const number = v === undefined ? base.value : (base.value ?? 0) + v;
  const value = vs ?? vb ?? (typeof vd === 'string' ? Buffer.from(vd, 'base64url') : vd) ?? number;
  const sum = fields.s === undefined ? base.sum : (base.sum ?? 0) + fields.s;
  if (value === undefined && sum === undefined) return `one of ${VALUE_FIELDS.join(', ')} and s is needed`;
  const unit = fields.u ?? base.unit;
  return {
    name,
    ...(unit !== undefined && { unit }),
    ...(value !== undefined && { value }),
    ...(sum !== undefined && { sum }),
    time: base.time + (fields.t ?? 0),
  };
}
