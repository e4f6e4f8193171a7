/**
 * A PMU's measurement as a SenML pack [RFC8428], in JSON here, in CBOR beside (senml-cbor.ts):
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
}

/** A configuration that changes is a new descriptor; the old template goes with the old one. */
const templates = new WeakMap<PmuDescriptor, Template>();

function templateOf(descriptor: PmuDescriptor): Template {
  let template = templates.get(descriptor);
  if (!template) templates.set(descriptor, (template = makeTemplate(descriptor)));
  return template;
}

let numbers = new Float64Array(64);

/** The numbers of a measurement, one a record and perhaps more behind; they hold until the next one is read. */
export function readNumbers(measurement: Measurement, records: number): Float64Array {
  if (numbers.length < records) numbers = new Float64Array(2 * records);
  if (measurement.writeNumbers) measurement.writeNumbers(numbers);
  else numbers.set(numbersOf(measurement));
  return numbers;
}

function numbersOf({ stat, timeQuality, frequencyHz, rocofHzPerS, phasors, analogs, digitals }: Measurement): number[] {
  const ofPhasors = phasors.flatMap(({ magnitude, angle }) => [magnitude, angle]);
  return [stat, timeQuality, frequencyHz, rocofHzPerS, ...ofPhasors, ...analogs, ...digitals];
}

function makeTemplate(descriptor: PmuDescriptor): Template {
  return {
    jsonBase: `[{"bn":${JSON.stringify(baseName(descriptor))},`,
    json: recordsOf(descriptor).map(
      ({ name, unit }) => `"n":${JSON.stringify(name)},${unit === undefined ? '' : `"u":"${unit}",`}"v":`,
    ),
  };
}

/** The pack as application/senml+json. `measuredUs`: UTC, microseconds since the epoch. */
export function writeSenmlJson(measurement: Measurement, measuredUs: number): Uint8Array {
  const { jsonBase, json } = templateOf(measurement.descriptor);
  const values = readNumbers(measurement, json.length);
  let text = jsonBase;
  if (isAbsolute(measuredUs)) text += `"bt":${secondsText(measuredUs)},`;
  for (let index = 0; index < json.length; index++) {
    const number = values[index]!; // both come from one descriptor
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

/** The records that name a processing: written once, it is the same object in all that it was done to. */
export interface ProcessingTail {
  readonly records: number;
  readonly json: string;
  readonly cbor: Uint8Array;
}
const tails = new WeakMap<Processing, ProcessingTail>();

export function processingTail(processing: Processing | undefined): ProcessingTail | undefined {
  if (!processing) return undefined;
  let tail = tails.get(processing);
  if (!tail) tails.set(processing, (tail = makeTail(processing)));
  return tail;
}

function makeTail({ method, inputRate, outputRate, groupDelayS }: Processing): ProcessingTail {
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
