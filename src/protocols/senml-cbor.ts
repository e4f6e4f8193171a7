/**
 * A PMU's measurement as application/senml+cbor [RFC8428-6]: the records of senml.ts with numbers of fixed width.
 *
 *     98 n | map, bn "pmu-61/", bt fb ........, n "stat", v 19 .... | map, n "frequency", u "Hz", v fa ........ | ...
 *                              └ time                └ word                                  └ float
 *
 * What is not a number is the same in sample after sample, and so it is written once: a sample's numbers are put into the form and
 * the form is copied. Widths follow the values, so that a pack depends on its sample alone: float32 for what that holds exactly,
 * float64 for the rest, two bytes for STAT, time quality and digital words. Packs of one PMU are hence equally long, mostly.
 */
import type { Measurement, PmuDescriptor, Processing } from '../routing/measurement.js';
import { baseName, FIRST_PHASOR, recordsOf } from '../routing/records.js';
import { writeCbor } from './codec.js';
import { isAbsolute, processingTail, readNumbers, SENML_LABELS, US_PER_SECOND } from './senml.js';

/** How a number is written; of one that is absent there is no record. */
const [ABSENT, WORD, FLOAT, DOUBLE] = [0, 1, 2, 3] as const;
type Width = typeof ABSENT | typeof WORD | typeof FLOAT | typeof DOUBLE;
const NUMBER_BYTES = [0, 2, 4, 8] as const;
/** The byte before a number [RFC8949-3]. */
const NUMBER_HEADS = [0, 0x19, 0xfa, 0xfb] as const;
const LARGEST_WORD = 0xffff;
const LONGEST_ARRAY_HEAD_BYTES = 3;
const MAP = 0xa0;
const LABEL_TIME = Buffer.concat([writeCbor(SENML_LABELS.bt), Buffer.of(NUMBER_HEADS[DOUBLE])]);
/** The longest array head, the first map's head, the time and its label. */
const MOST_HEAD_BYTES = LONGEST_ARRAY_HEAD_BYTES + 1 + LABEL_TIME.length + 8;

/** What a descriptor's packs have in common. */
interface Template {
  readonly base: Uint8Array;
  /** What stands before each number and its head. */
  readonly records: readonly Uint8Array[];
  /** By record: it is a word of bits, not a quantity. */
  readonly isWord: readonly boolean[];
  /** No pack is longer. */
  readonly limit: number;
  /** That of the sample before. */
  form: Form | undefined;
}

/** A pack with its numbers left open, for samples whose numbers have these widths. */
interface Form {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly widths: Uint8Array;
  /** By record; where its number goes. */
  readonly numberAt: Int32Array;
  /** Where the time goes; undefined for one that has none. */
  readonly timeAt: number | undefined;
  readonly processing: Processing | undefined;
}

const templates = new WeakMap<PmuDescriptor, Template>();

function templateOf(descriptor: PmuDescriptor): Template {
  let template = templates.get(descriptor);
  if (!template) templates.set(descriptor, (template = makeTemplate(descriptor)));
  return template;
}

function makeTemplate(descriptor: PmuDescriptor): Template {
  const names = recordsOf(descriptor);
  const firstWord = FIRST_PHASOR + 2 * descriptor.phasors.length + descriptor.analogs.length;
  const records = names.map(({ name, unit }, index) => {
    const fields = new Map<number, string | number>([[SENML_LABELS.n, name]]);
    if (unit !== undefined) fields.set(SENML_LABELS.u, unit);
    fields.set(SENML_LABELS.v, 0);
    // The value 0 is the last byte; without the map's head, the first record continues where the base ends.
    return writeCbor(fields).subarray(index === 0 ? 1 : 0, -1);
  });
  const base = Buffer.concat([writeCbor(SENML_LABELS.bn), writeCbor(baseName(descriptor))]);
  return {
    base,
    records,
    isWord: names.map((_, index) => index < 2 || index >= firstWord),
    limit: MOST_HEAD_BYTES + base.length + records.reduce((sum, { length }) => sum + length + 1 + 8, 0),
    form: undefined,
  };
}

/** No pack of this descriptor is longer as application/senml+cbor. */
export const longestSenmlCbor = (descriptor: PmuDescriptor): number => templateOf(descriptor).limit;

/** The pack as application/senml+cbor. `measuredUs`: UTC, microseconds since the epoch. */
export function writeSenmlCbor(measurement: Measurement, measuredUs: number): Uint8Array {
  const template = templateOf(measurement.descriptor);
  const { processing } = measurement;
  const numbers = readNumbers(measurement, template.records.length);
  const hasTime = isAbsolute(measuredUs);
  let { form } = template;
  if (
    !form ||
    form.processing !== processing ||
    hasTime !== (form.timeAt !== undefined) ||
    !fill(form, template, numbers)
  ) {
    template.form = form = makeForm(template, numbers, hasTime, processing);
    fill(form, template, numbers);
  }
  if (form.timeAt !== undefined) form.view.setFloat64(form.timeAt, measuredUs / US_PER_SECOND);
  const pack = Buffer.allocUnsafe(form.bytes.length);
  pack.set(form.bytes);
  return pack;
}

function widthOf(number: number, isWord: boolean): Width {
  if (isWord && number >= 0 && number <= LARGEST_WORD && Number.isInteger(number)) return WORD;
  if (Math.fround(number) === number) return Number.isFinite(number) ? FLOAT : ABSENT;
  return Number.isFinite(number) ? DOUBLE : ABSENT;
}

/** Puts the numbers into a form. False: they have other widths. */
function fill({ view, widths, numberAt }: Form, { isWord }: Template, numbers: Float64Array): boolean {
  for (let index = 0; index < widths.length; index++) {
    const number = numbers[index]!; // all come from one descriptor
    const width = widthOf(number, isWord[index]!); // as above
    if (width !== widths[index]) return false;
    const at = numberAt[index]!; // one a record, as widths
    if (width === WORD) view.setUint16(at, number);
    // Without the sign of a zero, which JSON has not.
    else if (width === FLOAT) view.setFloat32(at, number + 0);
    else if (width === DOUBLE) view.setFloat64(at, number);
  }
  return true;
}

function makeForm(
  { base, records, isWord }: Template,
  numbers: Float64Array,
  hasTime: boolean,
  processing: Processing | undefined,
): Form {
  const widths = Uint8Array.from(records, (_, index) => widthOf(numbers[index]!, isWord[index]!)); // one a record, all three
  const numberAt = new Int32Array(records.length);
  const tail = processingTail(processing);
  const count = widths.filter((width) => width !== ABSENT).length + (tail?.records ?? 0);
  const parts: Uint8Array[] = [arrayHead(count), Buffer.of(MAP + (hasTime ? 4 : 3)), base];
  let length = parts.reduce((sum, part) => sum + part.length, 0);
  const add = (...added: readonly Uint8Array[]): number => {
    parts.push(...added);
    length += added.reduce((sum, part) => sum + part.length, 0);
    return length;
  };
  let timeAt: number | undefined;
  if (hasTime) {
    timeAt = add(LABEL_TIME);
    add(new Uint8Array(8));
  }
  for (const [index, width] of widths.entries()) {
    if (width === ABSENT) continue;
    const before = records[index]!; // widths were made of them
    numberAt[index] = add(before, Buffer.of(NUMBER_HEADS[width as Width]));
    add(new Uint8Array(NUMBER_BYTES[width as Width]));
  }
  if (tail) add(tail.cbor);
  const bytes = new Uint8Array(Buffer.concat(parts));
  return { bytes, view: new DataView(bytes.buffer), widths, numberAt, timeAt, processing };
}

/** The head of a CBOR array [RFC8949-3] of up to 65,535 items. */
export function arrayHead(count: number): Uint8Array {
  if (count < 24) return Buffer.of(0x80 + count);
  return count < 256 ? Buffer.of(0x98, count) : Buffer.of(0x99, count >>> 8, count & 0xff);
}
