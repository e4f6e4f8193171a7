/**
 * Configuration frames CFG-1 (what a device can do) and CFG-2 (what it sends now): the same layout [C37.118.2 6.4].
 * Nothing in a data frame tells its own lengths, so a CFG-2 is what makes a stream readable.
 *
 * Per PMU the wire has all names, then all units; here they are put together by channel.
 */
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

/** Bits of FORMAT; 15-4 are unused and kept. */
export const FORMAT = { polar: 1, phasorsFloat: 2, analogsFloat: 4, frequencyFloat: 8 } as const;

/** Bit 0 of FNOM: set for 50 Hz, clear for 60 Hz. */
const FNOM_50 = 1;
const UNIT_AMPERE = 1;
/** PHUNIT counts 10 microvolts or microamperes a bit. */
const PHASOR_UNIT = 1e-5;
export const POINTS_PER_WORD = 16;

/** A phasor or analog channel. */
export interface ChannelConfiguration {
  /** Up to 16 characters, one a byte; the padding of spaces is taken off, NULs and 8-bit bytes are kept. */
  readonly name: string;
  /** PHUNIT or ANUNIT, 32 bits as sent. */
  readonly unit: number;
}

export interface DigitalConfiguration {
  /** 16 names, bit 0 first. */
  readonly names: readonly string[];
  /** XOR with this gives 0 where a point is normal. */
  readonly normalState: number;
  /** Bits that are inputs at all. */
  readonly validInputs: number;
}

/** What every configuration frame says of a PMU; its channels are told of in another way by each. */
export interface PmuIdentity {
  readonly stationName: string;
  /** The data source's id, which may differ from the stream's. */
  readonly idCode: number;
  /** Bits of FORMAT, 16 bits as sent. */
  readonly format: number;
  /** One a digital word. */
  readonly digitals: readonly DigitalConfiguration[];
  /** FNOM, 16 bits as sent; see `nominalHz`. */
  readonly nominalFrequency: number;
  /** CFGCNT: counts changes of the configuration. */
  readonly configurationCount: number;
}

export interface PmuConfiguration extends PmuIdentity {
  readonly phasors: readonly ChannelConfiguration[];
  readonly analogs: readonly ChannelConfiguration[];
}

/** What every configuration frame says of the stream. */
export interface StreamConfiguration extends FrameHead {
  /** Ticks per second, 1 .. 2^24-1. */
  readonly timeBase: number;
  /** The high byte of TIME_BASE, reserved for flags. */
  readonly timeBaseFlags: number;
  /** DATA_RATE, never 0: above 0 frames a second, below 0 seconds a frame. */
  readonly dataRate: number;
}

export interface Configuration extends StreamConfiguration {
  readonly kind: 'configuration1' | 'configuration2';
  readonly pmus: readonly PmuConfiguration[];
}

export const nominalHz = ({ nominalFrequency }: PmuIdentity): 50 | 60 => (nominalFrequency & FNOM_50 ? 50 : 60);

/** Frames per second; 1/5 for one frame in five seconds. */
export const reportingRate = ({ dataRate }: StreamConfiguration): number => (dataRate > 0 ? dataRate : -1 / dataRate);

export const isCurrent = (channel: ChannelConfiguration): boolean => channel.unit >>> 24 === UNIT_AMPERE;

/** TIME_BASE and DATA_RATE as they stand on the wire, or why they can't be. */
export function streamRates(
  timeBase: number,
  dataRate: number,
): Pick<StreamConfiguration, 'timeBase' | 'timeBaseFlags' | 'dataRate'> | Malformed {
  if ((timeBase & 0xff_ffff) === 0) return malformed('body', 'TIME_BASE is 0');
  if (dataRate === 0) return malformed('body', 'DATA_RATE is 0');
  return { timeBase: timeBase & 0xff_ffff, timeBaseFlags: timeBase >>> 24, dataRate };
}

/** Volts or amperes a bit of a 16-bit phasor. */
export const phasorScale = (channel: ChannelConfiguration): number => (channel.unit & 0xff_ffff) * PHASOR_UNIT;
/** PHUNIT of a channel; `perBit` in V or A, kept to 10 micro. */
export const phasorUnit = (kind: 'V' | 'A', perBit: number): number =>
  ((kind === 'A' ? UNIT_AMPERE << 24 : 0) | Math.min(Math.round(perBit / PHASOR_UNIT), 0xff_ffff)) >>> 0;

const STREAM_BYTES = 8;
const NAME_BYTES = 16;
const UNIT_BYTES = 4;
/** STN, IDCODE, FORMAT, PHNMR, ANNMR, DGNMR in front of the names, FNOM and CFGCNT behind the units. */
const FIXED_FRONT_BYTES = NAME_BYTES + 10;
const FIXED_BACK_BYTES = 4;
const CHANNEL_BYTES = NAME_BYTES + UNIT_BYTES;
const WORD_BYTES = POINTS_PER_WORD * NAME_BYTES + UNIT_BYTES;

const channelBytes = (phasors: number, analogs: number, digitals: number): number =>
  (phasors + analogs) * CHANNEL_BYTES + digitals * WORD_BYTES;

const pmuBytes = ({ phasors, analogs, digitals }: PmuConfiguration): number =>
  FIXED_FRONT_BYTES + channelBytes(phasors.length, analogs.length, digitals.length) + FIXED_BACK_BYTES;

/** Size of the frame that `encodeConfiguration` makes; above LARGEST_FRAME it cannot be sent. */
export const configurationBytes = ({ pmus }: Configuration): number =>
  HEAD_BYTES + STREAM_BYTES + pmus.reduce((bytes, pmu) => bytes + pmuBytes(pmu), 0) + CHK_BYTES;

export function encodeConfiguration(configuration: Configuration): Uint8Array {
  const bodyBytes = configurationBytes(configuration) - HEAD_BYTES - CHK_BYTES;
  return makeFrame(configuration.kind, configuration, bodyBytes, (view) => {
    let at = HEAD_BYTES;
    const u16 = (value: number): void => void (view.setUint16(at, value), (at += 2));
    const u32 = (value: number): void => void (view.setUint32(at, value), (at += 4));
    const name = (text: string): void => {
      for (let i = 0; i < NAME_BYTES; i++) view.setUint8(at++, i < text.length ? byteOf(text.charCodeAt(i)) : SPACE);
    };
    u32(configuration.timeBaseFlags * 2 ** 24 + configuration.timeBase);
    u16(configuration.pmus.length);
    for (const pmu of configuration.pmus) {
      name(pmu.stationName);
      u16(pmu.idCode);
      u16(pmu.format);
      u16(pmu.phasors.length);
      u16(pmu.analogs.length);
      u16(pmu.digitals.length);
      for (const channel of pmu.phasors) name(channel.name);
      for (const channel of pmu.analogs) name(channel.name);
      for (const word of pmu.digitals) for (let bit = 0; bit < POINTS_PER_WORD; bit++) name(word.names[bit] ?? '');
      for (const channel of pmu.phasors) u32(channel.unit);
      for (const channel of pmu.analogs) u32(channel.unit);
      for (const word of pmu.digitals) {
        u16(word.normalState);
        u16(word.validInputs);
      }
      u16(pmu.nominalFrequency);
      u16(pmu.configurationCount);
    }
    view.setInt16(at, configuration.dataRate);
  });
}

/** @param bytes a checked frame of type `kind` */
export function decodeConfiguration(bytes: Uint8Array, kind: Configuration['kind']): Configuration | Malformed {
  const view = viewOf(bytes);
  /** Where the PMUs end: DATA_RATE and CHK follow. */
  const end = bytes.length - CHK_BYTES - 2;
  if (end < HEAD_BYTES + 6) return malformed('body', `a configuration of ${bytes.length} bytes`);
  let at = HEAD_BYTES;
  const u16 = (): number => view.getUint16((at += 2) - 2);
  const u32 = (): number => view.getUint32((at += 4) - 4);
  const name = (): string => nameAt(bytes, (at += NAME_BYTES) - NAME_BYTES);
  // Counts are believed only once the bytes they stand for are known to be there.
  const list = <Item>(length: number, read: (index: number) => Item): Item[] =>
    Array.from({ length }, (_, i) => read(i));

  const timeBase = u32();
  const pmuCount = u16();
  const rates = streamRates(timeBase, view.getInt16(end));
  if ('fault' in rates) return rates;
  const pmus: PmuConfiguration[] = [];
  for (let index = 0; index < pmuCount; index++) {
    const cut = (): Malformed => malformed('body', `PMU ${index + 1} of ${pmuCount} does not fit into FRAMESIZE`);
    if (at + FIXED_FRONT_BYTES > end) return cut();
    const stationName = name();
    const idCode = u16();
    const format = u16();
    const [phasorCount, analogCount, wordCount] = [u16(), u16(), u16()];
    if (at + channelBytes(phasorCount, analogCount, wordCount) + FIXED_BACK_BYTES > end) return cut();
    const phasorNames = list(phasorCount, name);
    const analogNames = list(analogCount, name);
    const pointNames = list(wordCount, () => list(POINTS_PER_WORD, name));
    pmus.push({
      stationName,
      idCode,
      format,
      phasors: phasorNames.map((text) => ({ name: text, unit: u32() })),
      analogs: analogNames.map((text) => ({ name: text, unit: u32() })),
      digitals: pointNames.map((names) => ({ names, normalState: u16(), validInputs: u16() })),
      nominalFrequency: u16(),
      configurationCount: u16(),
    });
  }
  if (at !== end) return malformed('body', `${end - at} bytes after the last PMU`);
  return { kind, ...readHead(view), ...rates, pmus };
}

const SPACE = 0x20;
/** One character a byte: what a name out of a CFG-3 has beyond that is not to be said here. */
const byteOf = (code: number): number => (code > 0xff ? QUESTION_MARK : code);
const QUESTION_MARK = 0x3f;

function nameAt(bytes: Uint8Array, start: number): string {
  let end = start + NAME_BYTES;
  while (end > start && bytes[end - 1] === SPACE) end--;
  return String.fromCharCode(...bytes.subarray(start, end));
}
