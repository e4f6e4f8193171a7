/**
 * A snapshot as a SenML pack [RFC8428]: a head that says how many of how many are there, each member's own pack, and a record
 * for each that is missing. All records have the slot's time.
 *
 *     [{"bn":"west/","bt":1387808155.02,"n":"members","v":3},{"n":"present","v":2},
 *      {"bn":"pmu-61/","bt":1387808155.02,"n":"stat","v":0}, ..., {"bn":"pmu-62/", ...}, ...,
 *      {"bn":"pmu-63/","bt":1387808155.02,"n":"missing","vb":true}]
 *
 * The members' packs are those that their own subscribers get: written once, joined here.
 */
import { FORMATS } from '../routing/format.js';
import type { SnapshotContent, SnapshotMember, SnapshotSizes } from '../routing/snapshot-content.js';
import { writeCbor } from './codec.js';
import { arrayHead, longestSenmlCbor } from './senml-cbor.js';
import { isAbsolute, secondsText, SENML_LABELS, US_PER_SECOND } from './senml.js';

type Field = string | number | boolean;

export function writeSnapshotJson({ group, members }: SnapshotContent, slotUs: number): Uint8Array | undefined {
  const time = isAbsolute(slotUs) ? `"bt":${secondsText(slotUs)},` : '';
  const base = (name: string): string => `{"bn":${JSON.stringify(`${name}/`)},${time}`;
  const packs = [
    `${base(group)}"n":"members","v":${members.length}},{"n":"present","v":${presentOf(members)}}`,
    ...members.map(({ name, sample }) => {
      if (!sample) return `${base(name)}"n":"missing","vb":true}`;
      const pack = sample.body('content', FORMATS.senmlJson);
      // Without the brackets of its array.
      return pack && Buffer.from(pack.buffer, pack.byteOffset + 1, pack.length - 2).toString();
    }),
  ];
  return Buffer.from(`[${packs.join(',')}]`);
}

export function writeSnapshotCbor({ group, members }: SnapshotContent, slotUs: number): Uint8Array {
  const records: Uint8Array[] = [...headRecords(group, members.length, presentOf(members), slotUs)];
  let count = records.length;
  for (const { name, sample } of members) {
    const pack = sample?.body('content', FORMATS.senmlCbor);
    if (!pack) {
      records.push(missingRecord(name, slotUs));
      count++;
      continue;
    }
    const array = arrayOf(pack);
    records.push(pack.subarray(array.headBytes));
    count += array.count;
  }
  return Buffer.concat([arrayHead(count), ...records]);
}

const LATEST_US = 2 ** 32 * US_PER_SECOND;

export const snapshotSizes: SnapshotSizes = {
  head: (group) =>
    LONGEST_ARRAY_HEAD + headRecords(group, 0xffff, 0xffff, LATEST_US).reduce((sum, { length }) => sum + length, 0),
  member: (name, descriptor) =>
    Math.max(missingRecord(name, LATEST_US).length, descriptor ? longestSenmlCbor(descriptor) : 0),
};

const presentOf = (members: readonly SnapshotMember[]): number =>
  members.reduce((count, { sample }) => count + (sample ? 1 : 0), 0);

const record = (...fields: readonly (readonly [number, Field])[]): Uint8Array => writeCbor(new Map(fields));

function baseFields(name: string, slotUs: number): readonly (readonly [number, Field])[] {
  const base = [SENML_LABELS.bn, `${name}/`] as const;
  return isAbsolute(slotUs) ? [base, [SENML_LABELS.bt, slotUs / US_PER_SECOND]] : [base];
}

const headRecords = (group: string, members: number, present: number, slotUs: number): readonly Uint8Array[] => [
  record(...baseFields(group, slotUs), [SENML_LABELS.n, 'members'], [SENML_LABELS.v, members]),
  record([SENML_LABELS.n, 'present'], [SENML_LABELS.v, present]),
];

const missingRecord = (name: string, slotUs: number): Uint8Array =>
  record(...baseFields(name, slotUs), [SENML_LABELS.n, 'missing'], [SENML_LABELS.vb, true]);

const CBOR_ARRAY = 0x80;
const CBOR_ARRAY_8 = 0x98;
const CBOR_ARRAY_16 = 0x99;
const LONGEST_ARRAY_HEAD = 3;

/** Of a pack that `senml-cbor.ts` wrote: how many records follow how many bytes. */
function arrayOf(pack: Uint8Array): { readonly count: number; readonly headBytes: number } {
  const [first = 0, second = 0, third = 0] = pack;
  if (first === CBOR_ARRAY_8) return { count: second, headBytes: 2 };
  if (first === CBOR_ARRAY_16) return { count: (second << 8) | third, headBytes: 3 };
  return { count: first - CBOR_ARRAY, headBytes: 1 };
}
