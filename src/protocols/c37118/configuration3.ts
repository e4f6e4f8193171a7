/**
 * CFG-3, the newer configuration frame [C37.118.2 6.5]: names of any length in UTF-8, the scale of every channel as a number,
 * where the PMU stands and how it filters. Nothing here decodes data by it; it is written for those who ask for it.
 *
 *     head | CONT_IDX TIME_BASE NUM_PMU | PMU: STN IDCODE G_PMU_ID FORMAT counts, names, scales, place, class | ... | DATA_RATE | CHK
 *                                              names: u8 count of bytes + UTF-8
 */
import {
  FORMAT,
  isCurrent,
  phasorScale,
  POINTS_PER_WORD,
  type Configuration,
  type DigitalConfiguration,
} from './configuration.js';
import { Reader, Writer } from './cursor.js';
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

/** PHSCALE: X' = scale x X x exp(-j angle). */
export interface PhasorScale {
  readonly name: string;
  /** 16 bits: what processing has done to the channel. */
  readonly modification: number;
  /** Bit 3: current; bits 2-0: 0 zero, 1 positive, 2 negative sequence, 4 A, 5 B, 6 C. */
  readonly type: number;
  readonly user: number;
  readonly scale: number;
  /** Radians. */
  readonly angle: number;
}

/** ANSCALE: X' = scale x X + offset. */
export interface AnalogScale {
  readonly name: string;
  readonly scale: number;
  readonly offset: number;
}

export interface PmuConfiguration3 {
  readonly stationName: string;
  readonly idCode: number;
  /** G_PMU_ID, 16 bytes. */
  readonly globalId: Uint8Array;
  /** Bits of FORMAT, 16 bits as sent. */
  readonly format: number;
  readonly phasors: readonly PhasorScale[];
  readonly analogs: readonly AnalogScale[];
  readonly digitals: readonly DigitalConfiguration[];
  /** Degrees; infinite where unknown, as the elevation. */
  readonly latitude: number;
  readonly longitude: number;
  readonly elevationM: number;
  /** `M` or `P`: one character. */
  readonly serviceClass: string;
  readonly windowUs: number;
  /** Already compensated in the tag. */
  readonly groupDelayUs: number;
  readonly nominalFrequency: number;
  readonly configurationCount: number;
}

export interface Configuration3 extends FrameHead {
  readonly kind: 'configuration3';
  readonly timeBase: number;
  readonly timeBaseFlags: number;
  readonly pmus: readonly PmuConfiguration3[];
  readonly dataRate: number;
}

/** CFG-3 alone is version 2 in the 2011 text. */
const VERSION_3 = 2;
/** CONT_IDX of a configuration in one frame; 1, 2, ... and 0xFFFF are those of one in several. */
const ONLY_FRAME = 0;
const GLOBAL_ID_BYTES = 16;
/** What is there at least: names may be empty, but each has its count. */
const LEAST_PHASOR_BYTES = 1 + 12;
const LEAST_ANALOG_BYTES = 1 + 8;
const LEAST_WORD_BYTES = POINTS_PER_WORD + 4;

/** Whether a checked CFG-3 is one part of several; where such may be cut the standard does not say, so none is read. */
export const isPart = (bytes: Uint8Array): boolean =>
  bytes.length >= HEAD_BYTES + 2 + CHK_BYTES && viewOf(bytes).getUint16(HEAD_BYTES) !== ONLY_FRAME;

/** @throws RangeError for a name above 255 bytes, or more than fits into a frame */
export function encodeConfiguration3(configuration: Configuration3): Uint8Array {
  const body = new Writer();
  body.u16(ONLY_FRAME);
  body.u32(configuration.timeBaseFlags * 2 ** 24 + configuration.timeBase);
  body.u16(configuration.pmus.length);
  for (const pmu of configuration.pmus) writePmu(body, pmu);
  body.i16(configuration.dataRate);
  const bytes = body.bytes();
  return makeFrame('configuration3', configuration, bytes.length, (view) =>
    new Uint8Array(view.buffer).set(bytes, HEAD_BYTES),
  );
}

function writePmu(body: Writer, pmu: PmuConfiguration3): void {
  body.name(pmu.stationName);
  body.u16(pmu.idCode);
  body.put(pmu.globalId);
  body.u16(pmu.format);
  body.u16(pmu.phasors.length);
  body.u16(pmu.analogs.length);
  body.u16(pmu.digitals.length);
  for (const { name } of [...pmu.phasors, ...pmu.analogs]) body.name(name);
  for (const { names } of pmu.digitals) for (let bit = 0; bit < POINTS_PER_WORD; bit++) body.name(names[bit] ?? '');
  for (const { modification, type, user, scale, angle } of pmu.phasors) {
    body.u16(modification);
    body.u8(type);
    body.u8(user);
    body.f32(scale);
    body.f32(angle);
  }
  for (const { scale, offset } of pmu.analogs) {
    body.f32(scale);
    body.f32(offset);
  }
  for (const { normalState, validInputs } of pmu.digitals) {
    body.u16(normalState);
    body.u16(validInputs);
  }
  for (const place of [pmu.latitude, pmu.longitude, pmu.elevationM]) body.f32(place);
  body.u8(pmu.serviceClass.charCodeAt(0));
  body.i32(pmu.windowUs);
  body.i32(pmu.groupDelayUs);
  body.u16(pmu.nominalFrequency);
  body.u16(pmu.configurationCount);
}

/** @param bytes a checked frame of type configuration3, not a part */
export function decodeConfiguration3(bytes: Uint8Array): Configuration3 | Malformed {
  const body = new Reader(bytes.subarray(HEAD_BYTES, bytes.length - CHK_BYTES));
  body.u16();
  const timeBase = body.u32();
  const pmuCount = body.u16();
  const pmus: PmuConfiguration3[] = [];
  while (pmus.length < pmuCount && !body.isCut) pmus.push(readPmu(body));
  const dataRate = body.i16();
  if (body.isCut) return malformed('body', `PMU ${pmus.length} of ${pmuCount} does not fit into FRAMESIZE`);
  if (body.isIllegible) return malformed('body', 'a name is not UTF-8');
  if (body.left > 0) return malformed('body', `${body.left} bytes after DATA_RATE`);
  if ((timeBase & 0xff_ffff) === 0) return malformed('body', 'TIME_BASE is 0');
  if (dataRate === 0) return malformed('body', 'DATA_RATE is 0');
  const head = readHead(viewOf(bytes));
  return {
    kind: 'configuration3',
    ...head,
    timeBase: timeBase & 0xff_ffff,
    timeBaseFlags: timeBase >>> 24,
    pmus,
    dataRate,
  };
}

function readPmu(body: Reader): PmuConfiguration3 {
  const stationName = body.name();
  const idCode = body.u16();
  const globalId = body.take(GLOBAL_ID_BYTES);
  const format = body.u16();
  const [phasorCount, analogCount, wordCount] = [body.u16(), body.u16(), body.u16()];
  // Counts are believed only once the bytes they stand for can be there.
  body.expect(phasorCount * LEAST_PHASOR_BYTES + analogCount * LEAST_ANALOG_BYTES + wordCount * LEAST_WORD_BYTES);
  const list = <Item>(length: number, read: (index: number) => Item): Item[] =>
    Array.from({ length: body.isCut ? 0 : length }, (_, index) => read(index));
  const name = (): string => body.name();
  const phasorNames = list(phasorCount, name);
  const analogNames = list(analogCount, name);
  const pointNames = list(wordCount, () => list(POINTS_PER_WORD, name));
  return {
    stationName,
    idCode,
    globalId,
    format,
    phasors: phasorNames.map((text) => ({
      name: text,
      modification: body.u16(),
      type: body.u8(),
      user: body.u8(),
      scale: body.f32(),
      angle: body.f32(),
    })),
    analogs: analogNames.map((text) => ({ name: text, scale: body.f32(), offset: body.f32() })),
    digitals: pointNames.map((names) => ({ names, normalState: body.u16(), validInputs: body.u16() })),
    latitude: body.f32(),
    longitude: body.f32(),
    elevationM: body.f32(),
    serviceClass: String.fromCharCode(body.u8()),
    windowUs: body.i32(),
    groupDelayUs: body.i32(),
    nominalFrequency: body.u16(),
    configurationCount: body.u16(),
  };
}

const CURRENT = 8;
const UNKNOWN_PLACE = { latitude: Infinity, longitude: Infinity, elevationM: Infinity };

/**
 * A CFG-2 as the CFG-3 that says as much. What a CFG-2 does not tell is given as unknown where CFG-3 has a word for that
 * (place), and as 0 where it has none (phase, window, delay); the class is given as M, which promises less than P.
 */
export function configuration3Of(configuration: Configuration): Configuration3 {
  return {
    ...configuration,
    kind: 'configuration3',
    version: VERSION_3,
    pmus: configuration.pmus.map((pmu) => ({
      ...pmu,
      stationName: shown(pmu.stationName),
      globalId: new Uint8Array(GLOBAL_ID_BYTES),
      phasors: pmu.phasors.map((channel) => ({
        name: shown(channel.name),
        modification: 0,
        type: isCurrent(channel) ? CURRENT : 0,
        user: 0,
        scale: pmu.format & FORMAT.phasorsFloat ? 1 : phasorScale(channel),
        angle: 0,
      })),
      // The scale of ANUNIT is by agreement: the value is as sent.
      analogs: pmu.analogs.map(({ name }) => ({ name: shown(name), scale: 1, offset: 0 })),
      digitals: pmu.digitals.map((word) => ({ ...word, names: word.names.map(shown) })),
      ...UNKNOWN_PLACE,
      serviceClass: 'M',
      windowUs: 0,
      groupDelayUs: 0,
    })),
  };
}

/** Names of a CFG-2 may be padded with NULs. */
const shown = (name: string): string => name.replaceAll('\0', ' ').trim();
