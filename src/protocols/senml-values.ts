/** Numbers out of stored content by name, for rules and conditions. A content is read once, however many look into it. */
import { isRefusal } from '../errors.js';
import { bareMediaType, FORMATS } from '../routing/format.js';
import type { ValueReader } from '../routing/field.js';
import { readSenml, type SenmlRecord } from './senml-reader.js';

/** Of a SenML pack a record, by its whole name or what follows its base name; a bare number in text or JSON has no name. */
export function senmlValues(): ValueReader {
  let last: Uint8Array | undefined;
  let records: readonly SenmlRecord[] = [];
  return (mediaType, bytes, field) => {
    if (bytes !== last) {
      records = recordsIn(mediaType, bytes);
      last = bytes;
    }
    const found = records.find(({ name, value }) =>
      field === ''
        ? typeof value === 'number' || typeof value === 'boolean'
        : name === field || name.endsWith(`/${field}`) || name.endsWith(`:${field}`),
    );
    const value = found?.value;
    return typeof value === 'number' || typeof value === 'boolean' ? Number(value) : NaN;
  };
}

const NUMBER = /^\s*-?\d+(\.\d+)?([eE][+-]?\d+)?\s*$/;
const WORDS: Readonly<Record<string, boolean>> = { true: true, false: false };
/** Longer than any number. */
const LONGEST_NUMBER = 64;

function recordsIn(mediaType: string, bytes: Uint8Array): readonly SenmlRecord[] {
  const type = bareMediaType(mediaType);
  if (type !== FORMATS.text.mediaType && type !== FORMATS.json.mediaType) {
    const read = readSenml(mediaType, bytes);
    return isRefusal(read) ? [] : read;
  }
  if (bytes.length > LONGEST_NUMBER) return [];
  const text = Buffer.from(bytes).toString();
  const value = NUMBER.test(text) ? Number(text) : WORDS[text.trim()];
  return value === undefined ? [] : [{ name: '', value, time: 0 }];
}
