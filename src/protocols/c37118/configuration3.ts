/**
 * CFG-3, the newer configuration frame [C37.118.2 6.5]: names of any length in UTF-8, the scale of every channel as a number,
 * where the PMU stands and how it filters.
 *
 *     head | CONT_IDX | TIME_BASE NUM_PMU | PMU: STN IDCODE G_PMU_ID FORMAT counts, names, scales, place, class | ... | DATA_RATE | CHK
 *                                              names: u8 count of bytes + UTF-8
 */
import {
  FORMAT,
  isCurrent,
  phasorScale,
  phasorUnit,
  POINTS_PER_WORD,
  streamRates,
  type ChannelConfiguration,
  type Configuration,
  type PmuConfiguration,
  type PmuIdentity,
  type StreamConfiguration,
} from './configuration.js';
import { Reader, Writer } from './cursor.js';
import { malformed, VERSION, type FrameHead, type Malformed } from './frame.js';

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

export interface PmuConfiguration3 extends PmuIdentity {
  /** G_PMU_ID, 16 bytes. */
  readonly globalId: Uint8Array;
  readonly phasors: readonly PhasorScale[];
  readonly analogs: readonly AnalogScale[];
  /** Degrees; infinite where unknown, as the elevation. */
  readonly latitude: number;
  readonly longitude: number;
  readonly elevationM: number;
  /** `M` or `P`: one character. */
  readonly serviceClass: string;
  readonly windowUs: number;
  /** Already compensated in the tag. */
  readonly groupDelayUs: number;
}

export interface Configuration3 extends StreamConfiguration {
  readonly kind: 'configuration3';
  readonly pmus: readonly PmuConfiguration3[];
}

/** CFG-3 alone is version 2 in the 2011 text. */
const VERSION_3 = 2;
const GLOBAL_ID_BYTES = 16;
/** What is there at least: names may be empty, but each has its count. */
const LEAST_PHASOR_BYTES = 1 + 12;
const LEAST_ANALOG_BYTES = 1 + 8;
const LEAST_WORD_BYTES = POINTS_PER_WORD + 4;

/**
 * What follows CONT_IDX.
 *
 * @throws RangeError for a name above 255 bytes
 */
export function writeConfiguration3(configuration: Configuration3): Uint8Array {
  const body = new Writer();
  body.u32(configuration.timeBaseFlags * 2 ** 24 + configuration.timeBase);
  body.u16(configuration.pmus.length);
  for (const pmu of configuration.pmus) writePmu(body, pmu);
  body.i16(configuration.dataRate);
  return body.bytes();
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

/**
 * @param head of its first frame
 * @param bytes what follows CONT_IDX, of all its frames
 */
export function readConfiguration3(head: FrameHead, bytes: Uint8Array): Configuration3 | Malformed {
  const body = new Reader(bytes);
  const timeBase = body.u32();
  const pmuCount = body.u16();
  const pmus: PmuConfiguration3[] = [];
  while (pmus.length < pmuCount && !body.isCut) pmus.push(readPmu(body));
  const dataRate = body.i16();
  if (body.isCut) return malformed('body', `PMU ${pmus.length} of ${pmuCount} does not fit into what has come`);
  if (body.isIllegible) return malformed('body', 'a name is not UTF-8');
  if (body.left > 0) return malformed('body', `${body.left} bytes after DATA_RATE`);
  const rates = streamRates(timeBase, dataRate);
  const { version, streamId, soc, fraction, timeQuality } = head;
  if ('fault' in rates) return rates;
  return { kind: 'configuration3', version, streamId, soc, fraction, timeQuality, ...rates, pmus };
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

/**
 * A CFG-3 as the CFG-2 that decodes the same data, or why there is none: what turns a phasor or scales a float, CFG-2 has no word
 * for. A 16-bit scale is kept to PHUNIT's 10 microvolts or microamperes a bit.
 */
export function configuration2Of(configuration: Configuration3): Configuration | Malformed {
  const pmus: PmuConfiguration[] = [];
  for (const {
    stationName,
    idCode,
    format,
    digitals,
    nominalFrequency,
    configurationCount,
    ...pmu
  } of configuration.pmus) {
    const unsaid = pmu.phasors.find(({ scale, angle }) => angle !== 0 || (isFloat(format) && scale !== 1));
    if (unsaid)
      return malformed('body', `the phasor ${unsaid.name} of PMU ${idCode} is scaled or turned as no CFG-2 can say`);
    const phasors = pmu.phasors.map(({ name, type, scale }): ChannelConfiguration => {
      return { name, unit: phasorUnit((type & CURRENT) !== 0 ? 'A' : 'V', isFloat(format) ? 0 : scale) };
    });
    const analogs = pmu.analogs.map(({ name }): ChannelConfiguration => ({ name, unit: 0 }));
    pmus.push({ stationName, idCode, format, phasors, analogs, digitals, nominalFrequency, configurationCount });
  }
  return { ...configuration, kind: 'configuration2', version: VERSION, pmus };
}

const isFloat = (format: number): boolean => (format & FORMAT.phasorsFloat) !== 0;
