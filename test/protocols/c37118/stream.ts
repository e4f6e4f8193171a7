/** A small stream for tests of framing, measurements and sessions: one or two PMUs at 50/s, and its frames. */
import type { Configuration, PmuConfiguration } from '../../../src/protocols/c37118/configuration.js';
import { blockOf, encodeData, layoutOf } from '../../../src/protocols/c37118/data-frame.js';
import { slotTag, usTag } from '../../../src/protocols/c37118/time.js';

export const RATE = 50;
const TIME_BASE = 1_000_000;
/** PHUNIT: 0.01 V a bit. */
const UNIT = 1000;

export const pmu = (idCode: number, overrides: Partial<PmuConfiguration> = {}): PmuConfiguration => ({
  stationName: `Station ${idCode}`,
  idCode,
  format: 0,
  phasors: [
    { name: 'VA', unit: UNIT },
    { name: 'IA', unit: (1 << 24) | UNIT },
  ],
  analogs: [],
  digitals: [],
  nominalFrequency: 1,
  configurationCount: 1,
  ...overrides,
});

export const stream = (
  pmus: readonly PmuConfiguration[] = [pmu(61)],
  overrides: Partial<Configuration> = {},
): Configuration => ({
  kind: 'configuration2',
  version: 1,
  streamId: 60,
  soc: 1_700_000_000,
  fraction: 0,
  timeQuality: 0,
  timeBase: TIME_BASE,
  timeBaseFlags: 0,
  dataRate: RATE,
  pmus,
  ...overrides,
});

export interface FrameOptions {
  readonly stat?: number;
  readonly timeQuality?: number;
  readonly frequencyHz?: number;
  readonly volts?: number;
}

/** The stream's data frame of an instant in microseconds UTC. */
export function frameAt(configuration: Configuration, us: number, options: FrameOptions = {}): Uint8Array {
  const { stat = 0, timeQuality = 0, frequencyHz = 50.012, volts = 230 } = options;
  const phasors = [
    { magnitude: volts, angle: 0.5 },
    { magnitude: 5, angle: -0.25 },
  ];
  const values = { stat, frequencyHz, rocofHzPerS: 0.01, phasors, analogs: [], digitals: [] };
  const blocks = configuration.pmus.map((one) => blockOf(values, one));
  const tag = usTag(us, configuration.timeBase);
  const head = { version: 1, streamId: configuration.streamId, timeQuality, ...tag };
  return encodeData({ kind: 'data', ...head, blocks }, layoutOf(configuration));
}

/** As many consecutive frames from a second's first slot on. */
export function frames(configuration: Configuration, count: number, soc = 1_700_000_000): Uint8Array[] {
  return Array.from({ length: count }, (_, slot) => {
    const tag = slotTag({ soc: soc + Math.floor(slot / RATE), slot: slot % RATE }, configuration.timeBase, RATE);
    return frameAt(configuration, tag.soc * 1_000_000 + tag.fraction);
  });
}
