/** Publishers' SenML packs as records with one time, read and written: for what is made of several of them. */
import { isRefusal } from '../errors.js';
import type { PackCodec, PackRecord } from '../routing/aggregate.js';
import { bareMediaType, FORMATS } from '../routing/format.js';
import { writeCbor } from './codec.js';
import { readSenml } from './senml-reader.js';
import { isAbsolute, SENML_LABELS, US_PER_SECOND } from './senml.js';

export const senmlPacks: PackCodec = {
  read(mediaType, bytes) {
    const records = readSenml(mediaType, bytes);
    return isRefusal(records) ? undefined : records;
  },
  write(mediaType, records, measuredUs) {
    const isJson = bareMediaType(mediaType) === FORMATS.senmlJson.mediaType;
    const fields = records.map((record, index) => fieldsOf(record, index === 0 ? measuredUs : undefined, isJson));
    if (isJson) return Buffer.from(JSON.stringify(fields));
    const labels: Readonly<Record<string, number>> = SENML_LABELS;
    return writeCbor(fields.map((each) => new Map(Object.entries(each).map(([name, value]) => [labels[name], value]))));
  },
};

/** @param baseUs of the first record: the time of all */
function fieldsOf(
  { name, unit, value, sum }: PackRecord,
  baseUs: number | undefined,
  isJson: boolean,
): Readonly<Record<string, unknown>> {
  return {
    ...(baseUs !== undefined && isAbsolute(baseUs) && { bt: baseUs / US_PER_SECOND }),
    n: name,
    ...(unit !== undefined && { u: unit }),
    ...(value !== undefined && { [VALUE_FIELD[typeof value] ?? 'vd']: isJson ? textOf(value) : value }),
    ...(sum !== undefined && { s: sum }),
  };
}

const VALUE_FIELD: Readonly<Record<string, string>> = { number: 'v', string: 'vs', boolean: 'vb' };
/** JSON has no bytes [RFC8428-5: base64url]. */
const textOf = (value: PackRecord['value']): unknown =>
  value instanceof Uint8Array ? Buffer.from(value).toString('base64url') : value;
