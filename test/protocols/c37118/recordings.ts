/** The recorded sessions and golden vectors of ../shared/pmu-data; tests that need them skip where they are absent. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(process.cwd(), '../shared/pmu-data');
export const hasRecordings = existsSync(ROOT);
/** `describe` where the recordings are, a named skip where not. */
export const describeRecorded: jest.Describe = hasRecordings ? describe : describe.skip;

export const CAPTURES = [
  'C37.118_1PMU_TCP',
  'C37.118_1PMU_UDP',
  'C37.118_2PMUsInSync_TCP',
  'c37_1100_clean_tcp',
] as const;
export type Capture = (typeof CAPTURES)[number];

export interface RecordedFrame {
  /** Microseconds since the epoch. */
  readonly arrivedUs: number;
  readonly source: string;
  readonly type: 'DATA' | 'CFG2' | 'CMD' | 'HDR';
  readonly bytes: Buffer;
}

export const fromHex = (hex: string): Buffer => Buffer.from(hex, 'hex');
const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

export function recordedFrames(capture: Capture): RecordedFrame[] {
  return read(`frames/${capture}.frames.tsv`)
    .trim()
    .split('\n')
    .map((line) => {
      const [arrivedS, source = '', type, hex = ''] = line.split('\t');
      return {
        arrivedUs: Math.round(Number(arrivedS) * 1e6),
        source,
        type: type as RecordedFrame['type'],
        bytes: fromHex(hex),
      };
    });
}

/** A frame and what is expected of it; each vector has the fields that its type of frame has. */
export interface Vector<Expected = unknown> {
  readonly name: string;
  readonly hex: string;
  readonly expect: Expected;
}

export interface AnnexD {
  readonly crc: readonly { readonly ascii: string; readonly crc: string }[];
  readonly annexD: readonly Vector<{
    readonly idcode: number;
    readonly soc: number;
    readonly fracsec: number;
    readonly time_base: number;
    readonly data_rate: number;
    readonly pmus: readonly { readonly names: string[]; readonly phu: number[]; readonly anu: number[] }[];
    readonly phasors_raw: [number, number][];
    readonly phasors_scaled_polar: [number, number][];
  }>[];
}

export interface WireSample {
  readonly pcap: string;
  readonly type: RecordedFrame['type'];
  readonly hex: string;
  readonly decoded: {
    readonly idcode: number;
    readonly cmd: number;
    readonly text: string;
    readonly time: number;
    readonly time_base: number;
    readonly rate: number;
    readonly pmus: readonly {
      readonly stn: string;
      readonly id: number;
      readonly fmt: number;
      readonly ph: number;
      readonly an: number;
      readonly dg: number;
      readonly fnom: number;
      readonly cfgcnt: number;
      readonly stat: string;
      readonly phasors_polar: [number, number][];
      readonly freq_hz: number;
      readonly rocof: number;
      readonly digital: number[];
    }[];
  };
}

export const golden = <Content>(file: string): Content => JSON.parse(read(`golden/${file}.json`)) as Content;

export interface ZeekRow {
  readonly rectangular: readonly (readonly [number, number])[];
  readonly polar: readonly (readonly [number, number])[];
  /** Raw FREQ. */
  readonly deviationMHz: number;
  readonly rocof: number;
  readonly digitals: readonly number[];
  readonly stat: string;
}

/** What an independent decoder printed of the data frames; sorted by text, so in no order of time. */
export function zeekRows(session: '1PMU_TCP' | '1PMU_UDP'): ZeekRow[] {
  const lines = read(`expected-zeek/${session}.synchrophasor_data_detail.log`).trim().split('\n');
  const names =
    lines
      .find((line) => line.startsWith('#fields'))
      ?.split('\t')
      .slice(1) ?? [];
  return lines
    .filter((line) => !line.startsWith('#'))
    .map((line) => {
      const values = line.split('\t');
      const column = (name: string): string => values[names.indexOf(name)] ?? '';
      const numbers = (name: string): number[] =>
        column(name) === '(empty)' ? [] : column(name).split(',').map(Number);
      const pairs = (one: string, other: string): [number, number][] => {
        const seconds = numbers(other);
        return numbers(one).map((first, index) => [first, seconds[index] ?? NaN]);
      };
      return {
        rectangular: pairs('est_rectangular_real', 'est_rectangular_imaginary'),
        polar: pairs('est_polar_magnitude', 'est_polar_angle'),
        deviationMHz: Number(column('freq_dev_mhz')),
        rocof: Number(column('rocof')),
        digitals: numbers('digital'),
        stat: [
          'trigger_reason',
          'unlocked_time',
          'pmu_time_quality',
          'data_modified',
          'config_change',
          'pmu_trigger_pickup',
          'data_sorting_type',
          'pmu_sync_error',
          'data_error_indicator',
        ]
          .map(column)
          .join(' '),
      };
    });
}
