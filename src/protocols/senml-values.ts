/** Numbers out of SenML packs by name, for rules on containers. A pack is read once, however many rules look into it. */
import { isRefusal } from '../errors.js';
import { readSenml, type SenmlRecord } from './senml-reader.js';

/** @returns what reads the number of a record, by its whole name or what follows its base name; NaN where there is none */
export function senmlValues(): (mediaType: string, bytes: Uint8Array, field: string) => number {
  let last: Uint8Array | undefined;
  let records: readonly SenmlRecord[] = [];
  return (mediaType, bytes, field) => {
    if (bytes !== last) {
      const read = readSenml(mediaType, bytes);
      records = isRefusal(read) ? [] : read;
      last = bytes;
    }
    const found = records.find(
      ({ name }) => name === field || name.endsWith(`/${field}`) || name.endsWith(`:${field}`),
    );
    return typeof found?.value === 'number' ? found.value : NaN;
  };
}
