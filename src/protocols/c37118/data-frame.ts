/**
 * Data frames. A frame can be read only with its stream's configuration: from it a `StreamLayout` is computed once, which
 * says where in a frame every value of every PMU stands.
 *
 *     head | PMU 1: STAT  PHASORS  FREQ  DFREQ  ANALOG  DIGITAL | PMU 2: ... | CHK
 *
 * FRAMESIZE must be exactly the layout's; with any other the configuration is stale, and guessing is worse than losing.
 */
import type { Measurement } from '../../routing/measurement.js';
import { FORMAT, type Configuration, type PmuConfiguration } from './configuration.js';
import {
  CHK_BYTES,
  HEAD_BYTES,
  makeFrame,
  malformed,
  readHead,
  viewOf,
  type FrameHead,
  type Malformed,
} from './frame.js';
import { rawAnalog, rawFrequency, rawPhasorOf, rawRocof, type RawPhasor } from './units.js';

/** One PMU's values as they stand on the wire: 16-bit integers or floats by FORMAT. A NaN is written as 0x7FC00000. */
export interface PmuBlock {
  readonly stat: number;
  readonly phasors: readonly RawPhasor[];
  readonly frequency: number;
  readonly rocof: number;
  readonly analogs: readonly number[];
  readonly digitals: readonly number[];
}

export interface DataFrame extends FrameHead {
  readonly kind: 'data';
  /** In the configuration's order. */
  readonly blocks: readonly PmuBlock[];
}

/** Offsets from the frame's first byte. */
export interface BlockLayout {
  readonly pmu: PmuConfiguration;
  readonly statAt: number;
  readonly phasorsAt: number;
  readonly phasorBytes: number;
  readonly frequencyAt: number;
  readonly rocofAt: number;
  readonly analogsAt: number;
  readonly analogBytes: number;
  readonly digitalsAt: number;
  readonly end: number;
}

export interface StreamLayout {
  readonly configuration: Configuration;
  readonly frameBytes: number;
  readonly blocks: readonly BlockLayout[];
}

const STAT_BYTES = 2;
const WORD_BYTES = 2;

export function layoutOf(configuration: Configuration): StreamLayout {
  let end = HEAD_BYTES;
  const blocks = configuration.pmus.map((pmu) => {
    const block = blockAt(end, pmu);
    end = block.end;
    return block;
  });
  return { configuration, frameBytes: end + CHK_BYTES, blocks };
}

function blockAt(statAt: number, pmu: PmuConfiguration): BlockLayout {
  const { format, phasors, analogs, digitals } = pmu;
  const phasorBytes = format & FORMAT.phasorsFloat ? 8 : 4;
  const frequencyBytes = format & FORMAT.frequencyFloat ? 4 : 2;
  const analogBytes = format & FORMAT.analogsFloat ? 4 : 2;
  const phasorsAt = statAt + STAT_BYTES;
  const frequencyAt = phasorsAt + phasors.length * phasorBytes;
  const rocofAt = frequencyAt + frequencyBytes;
  const analogsAt = rocofAt + frequencyBytes;
  const digitalsAt = analogsAt + analogs.length * analogBytes;
  const end = digitalsAt + digitals.length * WORD_BYTES;
  return { pmu, statAt, phasorsAt, phasorBytes, frequencyAt, rocofAt, analogsAt, analogBytes, digitalsAt, end };
}

/** Whether a checked data frame has the layout's size: `undefined`, or that it has not. */
export function checkLength(bytes: Uint8Array, layout: StreamLayout): Malformed | undefined {
  if (bytes.length === layout.frameBytes) return undefined;
  return malformed('length', `a data frame of ${bytes.length} bytes; its configuration makes ${layout.frameBytes}`);
}

/** @param bytes a checked frame of type data */
export function decodeData(bytes: Uint8Array, layout: StreamLayout): DataFrame | Malformed {
  const wrong = checkLength(bytes, layout);
  if (wrong) return wrong;
  const view = viewOf(bytes);
  const blocks = layout.blocks.map((block) => ({
    stat: view.getUint16(block.statAt),
    phasors: block.pmu.phasors.map(
      (_, index) => [readFirst(view, block, index), readSecond(view, block, index)] as const,
    ),
    frequency: readFrequency(view, block),
    rocof: readRocof(view, block),
    analogs: block.pmu.analogs.map((_, index) => readAnalog(view, block, index)),
    digitals: block.pmu.digitals.map((_, index) => readDigital(view, block, index)),
  }));
  return { kind: 'data', ...readHead(view), blocks };
}

/** Writes one frame; values that a block lacks are 0, as many as the configuration has are written. */
export function encodeData(frame: DataFrame, layout: StreamLayout): Uint8Array {
  return makeFrame('data', frame, layout.frameBytes - HEAD_BYTES - CHK_BYTES, (view) => {
    layout.blocks.forEach((block, index) => {
      const values = frame.blocks[index];
      if (values) writeBlock(view, block, values);
    });
  });
}

function writeBlock(view: DataView, block: BlockLayout, values: PmuBlock): void {
  const { pmu, statAt, phasorsAt, phasorBytes, frequencyAt, rocofAt, analogsAt, analogBytes, digitalsAt } = block;
  const frequency = pmu.format & FORMAT.frequencyFloat ? putF32 : putI16;
  const analog = pmu.format & FORMAT.analogsFloat ? putF32 : putI16;
  // A polar magnitude is unsigned; its 16 bits are written the same.
  const phasor = pmu.format & FORMAT.phasorsFloat ? putF32 : putI16;
  view.setUint16(statAt, values.stat);
  pmu.phasors.forEach((_, index) => {
    const [first, second] = values.phasors[index] ?? [0, 0];
    phasor(view, phasorsAt + index * phasorBytes, first);
    phasor(view, phasorsAt + index * phasorBytes + phasorBytes / 2, second);
  });
  frequency(view, frequencyAt, values.frequency);
  frequency(view, rocofAt, values.rocof);
  pmu.analogs.forEach((_, index) => analog(view, analogsAt + index * analogBytes, values.analogs[index] ?? 0));
  pmu.digitals.forEach((_, index) => view.setUint16(digitalsAt + index * WORD_BYTES, values.digitals[index] ?? 0));
}

const putI16 = (view: DataView, at: number, value: number): void => view.setInt16(at, value);
const CANONICAL_NAN = 0x7fc0_0000;
const putF32 = (view: DataView, at: number, value: number): void =>
  Number.isNaN(value) ? view.setUint32(at, CANONICAL_NAN) : view.setFloat32(at, value);

/** The first of a phasor's two raw numbers: real part, or magnitude, which is unsigned: 50000 must not come out negative. */
export function readFirst(view: DataView, { pmu, phasorsAt, phasorBytes }: BlockLayout, index: number): number {
  const at = phasorsAt + index * phasorBytes;
  if (pmu.format & FORMAT.phasorsFloat) return view.getFloat32(at);
  return pmu.format & FORMAT.polar ? view.getUint16(at) : view.getInt16(at);
}

/** The second: imaginary part, or angle. */
export function readSecond(view: DataView, { pmu, phasorsAt, phasorBytes }: BlockLayout, index: number): number {
  const at = phasorsAt + index * phasorBytes;
  return pmu.format & FORMAT.phasorsFloat ? view.getFloat32(at + 4) : view.getInt16(at + 2);
}

export const readFrequency = (view: DataView, { pmu, frequencyAt }: BlockLayout): number =>
  pmu.format & FORMAT.frequencyFloat ? view.getFloat32(frequencyAt) : view.getInt16(frequencyAt);

export const readRocof = (view: DataView, { pmu, rocofAt }: BlockLayout): number =>
  pmu.format & FORMAT.frequencyFloat ? view.getFloat32(rocofAt) : view.getInt16(rocofAt);

export function readAnalog(view: DataView, { pmu, analogsAt, analogBytes }: BlockLayout, index: number): number {
  const at = analogsAt + index * analogBytes;
  return pmu.format & FORMAT.analogsFloat ? view.getFloat32(at) : view.getInt16(at);
}

export const readDigital = (view: DataView, { digitalsAt }: BlockLayout, index: number): number =>
  view.getUint16(digitalsAt + index * WORD_BYTES);

/** A PMU's values in engineering units: what simulators compute. */
export type PmuValues = Pick<Measurement, 'stat' | 'frequencyHz' | 'rocofHzPerS' | 'phasors' | 'analogs' | 'digitals'>;

/** The block that says `values` as nearly as the PMU's FORMAT can. */
export function blockOf(values: PmuValues, pmu: PmuConfiguration): PmuBlock {
  const absent = { magnitude: NaN, angle: NaN };
  return {
    stat: values.stat,
    phasors: pmu.phasors.map((channel, index) => rawPhasorOf(values.phasors[index] ?? absent, channel, pmu.format)),
    frequency: rawFrequency(values.frequencyHz, pmu),
    rocof: rawRocof(values.rocofHzPerS, pmu),
    analogs: pmu.analogs.map((_, index) => rawAnalog(values.analogs[index] ?? NaN, pmu)),
    digitals: pmu.digitals.map((_, index) => values.digitals[index] ?? 0),
  };
}
