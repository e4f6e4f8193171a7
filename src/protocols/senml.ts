/**
 * A PMU's measurement as a SenML pack [RFC8428], in JSON and in CBOR:
 *
 *     [{"bn":"pmu-61/","bt":1387808155.02,"n":"stat","v":0},
 *      {"n":"time-quality","v":0},{"n":"frequency","u":"Hz","v":50.01},{"n":"rocof","v":0.02},
 *      {"n":"VA/magnitude","u":"V","v":100.07758331298828},{"n":"VA/angle","u":"rad","v":-1.567345}, ...]
 *
 * Runs once per sample and format, 30,000 times a second with 1,000 PMUs: everything but the numbers is written once per
 * descriptor. A number is the double it is in memory, in both formats, so that all subscribers of a tag compare equal; what
 * is absent (NaN, infinite) has no record. What was done to a measurement on its way follows. The names are a contract:
 * docs/formats.md.
 */
import type { Measurement, PmuDescriptor, Processing } from '../routing/measurement.js';
import { baseName, recordsOf } from '../routing/records.js';
import { writeCbor } from './codec.js';

/** Labels of the CBOR form [RFC8428-6, table 4]. */
export const SENML_LABELS = {
  bver: -1,
  bn: -2,
  bt: -3,
  bu: -4,
  bv: -5,
  bs: -6,
  n: 0,
  u: 1,
  v: 2,
  vs: 3,
  vb: 4,
  s: 5,
  t: 6,
  ut: 7,
  vd: 8,
} as const;

/** Times below are relative to now, and so an older instant has no absolute form [RFC8428-4.5.3]. */
export const SENML_ABSOLUTE_S = 2 ** 28;
export const US_PER_SECOND = 1_000_000;

/** A pack of one descriptor with the numbers left open. */
interface Template {
  readonly jsonBase: string;
  /** What stands before each number. */
  readonly json: readonly string[];
  readonly cborBase: Uint8Array;
  readonly cbor: readonly Uint8Array[];
  /** No pack of this descriptor is longer in CBOR. */
  readonly cborLimit: number;
}

/** A configuration that changes is a new descriptor; the old template goes with the old one. */
const templates = new WeakMap<PmuDescriptor, Template>();

function templateOf(descriptor: PmuDescriptor): Template {
  let template = templates.get(descriptor);
  if (!template) templates.set(descriptor, (template = makeTemplate(descriptor)));
  return template;
}

/** The numbers of the measurement that is being written. */
let numbers = new Float64Array(64);

function readNumbers(measurement: Measurement, records: number): void {
  if (numbers.length < records) numbers = new Float64Array(2 * records);
  if (measurement.writeNumbers) measurement.writeNumbers(numbers);
  else numbers.set(numbersOf(measurement));
}

function numbersOf({ stat, timeQuality, frequencyHz, rocofHzPerS, phasors, analogs, digitals }: Measurement): number[] {
  const ofPhasors = phasors.flatMap(({ magnitude, angle }) => [magnitude, angle]);
  return [stat, timeQuality, frequencyHz, rocofHzPerS, ...ofPhasors, ...analogs, ...digitals];
}

function makeTemplate(descriptor: PmuDescriptor): Template {
  const base = baseName(descriptor);
  const channels = recordsOf(descriptor);
  const cbor = channels.map(({ name, unit }, index) => {
    const fields = new Map<number, string | number>([[SENML_LABELS.n, name]]);
    if (unit !== undefined) fields.set(SENML_LABELS.u, unit);
    fields.set(SENML_LABELS.v, 0);
    // The value 0 is the last byte; without the map's head, the first record continues where the base ends.
    return writeCbor(fields).subarray(index === 0 ? 1 : 0, -1);
  });
  const cborBase = Buffer.concat([writeCbor(SENML_LABELS.bn), writeCbor(base)]);
  return {
    jsonBase: `[{"bn":${JSON.stringify(base)},`,
    json: channels.map(
      ({ name, unit }) => `"n":${JSON.stringify(name)},${unit === undefined ? '' : `"u":"${unit}",`}"v":`,
    ),
    cborBase,
    cbor,
    cborLimit:
      CBOR_HEAD_BYTES + cborBase.length + cbor.reduce((sum, { length }) => sum + length + CBOR_NUMBER_BYTES, 0),
  };
}

/** No pack of this descriptor is longer as application/senml+cbor. */
export const longestSenmlCbor = (descriptor: PmuDescriptor): number => templateOf(descriptor).cborLimit;

/** The pack as application/senml+json. `measuredUs`: UTC, microseconds since the epoch. */
export function writeSenmlJson(measurement: Measurement, measuredUs: number): Uint8Array {
  const { jsonBase, json } = templateOf(measurement.descriptor);
  readNumbers(measurement, json.length);
  let text = jsonBase;
  if (isAbsolute(measuredUs)) text += `"bt":${secondsText(measuredUs)},`;
  for (let index = 0; index < json.length; index++) {
    const number = numbers[index]!; // both come from one descriptor
    if (!Number.isFinite(number)) continue;
    text += `${index === 0 ? '' : ',{'}${json[index]}${number}}`;
  }
  const { json: done = '' } = processingTail(measurement.processing) ?? {};
  return Buffer.from(`${text}${done}]`, 'latin1'); // names and numbers are ASCII
}

/** `1387808155.020000`: all six decimals, exact, which a double of the seconds is to a quarter of a microsecond. */
export function secondsText(us: number): string {
  const microseconds = us % US_PER_SECOND;
  return `${(us - microseconds) / US_PER_SECOND}.${String(microseconds).padStart(6, '0')}`;
}

export const isAbsolute = (measuredUs: number): boolean => measuredUs >= SENML_ABSOLUTE_S * US_PER_SECOND;

const CBOR_ARRAY_HEAD_BYTES = 3;
/** The array's head, the first map's head, the label of the base time and its float64. */
const CBOR_HEAD_BYTES = CBOR_ARRAY_HEAD_BYTES + 1 + 1 + 9;
const CBOR_NUMBER_BYTES = 9;
const CBOR_MAP = 0xa0;
const CBOR_ARRAY_8 = 0x98;
const CBOR_ARRAY_16 = 0x99;
const CBOR_FLOAT_32 = 0xfa;
const CBOR_FLOAT_64 = 0xfb;
const CBOR_LABEL_BT = writeCbor(SENML_LABELS.bt);

/** The pack as application/senml+cbor. `measuredUs`: UTC, microseconds since the epoch. */
export function writeSenmlCbor(measurement: Measurement, measuredUs: number): Uint8Array {
  const { cborBase, cbor, cborLimit } = templateOf(measurement.descriptor);
  readNumbers(measurement, cbor.length);
  const bytes = Buffer.allocUnsafe(cborLimit);
  const hasTime = isAbsolute(measuredUs);
  let at = CBOR_ARRAY_HEAD_BYTES;
  bytes[at++] = CBOR_MAP + (hasTime ? 4 : 3);
  bytes.set(cborBase, at);
  at += cborBase.length;
  if (hasTime) {
    bytes.set(CBOR_LABEL_BT, at);
    at = writeNumber(bytes, at + CBOR_LABEL_BT.length, measuredUs / US_PER_SECOND);
  }
  let count = 0;
  for (let index = 0; index < cbor.length; index++) {
    const number = numbers[index]!; // both come from one descriptor
    if (!Number.isFinite(number)) continue;
    const before = cbor[index]!;
    bytes.set(before, at);
    at = writeNumber(bytes, at + before.length, number);
    count++;
  }
  const done = processingTail(measurement.processing);
  const pack = bytes.subarray(writeArrayHead(bytes, count + (done?.records ?? 0)), at);
  return done ? Buffer.concat([pack, done.cbor]) : pack;
}

/** The records that name a processing: written once, it is the same object in all that it was done to. */
interface Tail {
  readonly records: number;
  readonly json: string;
  readonly cbor: Uint8Array;
}
const tails = new WeakMap<Processing, Tail>();

function processingTail(processing: Processing | undefined): Tail | undefined {
  if (!processing) return undefined;
  let tail = tails.get(processing);
  if (!tail) tails.set(processing, (tail = makeTail(processing)));
  return tail;
}

function makeTail({ method, inputRate, outputRate, groupDelayS }: Processing): Tail {
  const records: readonly Readonly<Partial<Record<keyof typeof SENML_LABELS, string | number>>>[] = [
    { n: 'method', vs: method },
    { n: 'input-rate', v: inputRate },
    { n: 'output-rate', v: outputRate },
    { n: 'group-delay', u: 's', v: groupDelayS },
  ];
  const labelled = records.map((record) =>
    writeCbor(
      new Map(Object.entries(record).map(([name, value]) => [SENML_LABELS[name as keyof typeof SENML_LABELS], value])),
    ),
  );
  return {
    records: records.length,
    json: records.map((record) => `,${JSON.stringify(record)}`).join(''),
    cbor: Buffer.concat(labelled),
  };
}

/** Writes the head so that it ends where the records begin; returns where it begins. */
function writeArrayHead(bytes: Buffer, count: number): number {
  if (count < 24) return bytes.writeUInt8(0x80 + count, 2) - 1;
  if (count < 256) return bytes.writeUInt16BE((CBOR_ARRAY_8 << 8) | count, 1) - 2;
  bytes[0] = CBOR_ARRAY_16;
  return bytes.writeUInt16BE(count, 1) - 3;
}

/** The shortest of uint8, uint16, float32 and float64 that holds the number; returns where it ends. */
function writeNumber(bytes: Buffer, at: number, number: number): number {
  if (number >= 0 && number <= 0xffff && Number.isInteger(number)) {
    if (number < 24) return bytes.writeUInt8(number, at);
    if (number < 256) return bytes.writeUInt16BE(0x1800 | number, at);
    bytes[at] = 0x19;
    return bytes.writeUInt16BE(number, at + 1);
  }
  if (Math.fround(number) === number) {
    bytes[at] = CBOR_FLOAT_32;
    return bytes.writeFloatBE(number, at + 1);
  }
  bytes[at] = CBOR_FLOAT_64;
  return bytes.writeDoubleBE(number, at + 1);
}
