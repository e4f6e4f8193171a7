/** Measurements out of what was stored of them: a data frame of one PMU, and the CFG-2 that decodes it. */
import type { Measurement } from '../../routing/measurement.js';
import { decodeConfiguration } from './configuration.js';
import { checkLength } from './data-frame.js';
import { readHead, seal, viewOf } from './frame.js';
import { FrameMeasurement, streamOf, type PmuStream } from './measurement.js';

/** One per PMU and configuration that is read from; a reader of more goes on, slower. */
const MOST_KNOWN = 256;

export type MeasurementReader = (configuration: Uint8Array, frame: Uint8Array) => Measurement | undefined;

/** Both were checked when they came, and the frame may lack its CHK; undefined for what are no such frames all the same. */
export function measurementReader(): MeasurementReader {
  const known = new Map<string, PmuStream>();
  const streamBehind = (configuration: Uint8Array): PmuStream | undefined => {
    const key = Buffer.from(configuration.buffer, configuration.byteOffset, configuration.length).toString('latin1');
    const standing = known.get(key);
    if (standing) return standing;
    const decoded = decodeConfiguration(configuration, 'configuration2');
    if (decoded.kind === 'malformed') return undefined;
    const stream = streamOf(decoded);
    if (known.size >= MOST_KNOWN) known.clear();
    known.set(key, stream);
    return stream;
  };
  return (configuration, frame) => {
    const stream = streamBehind(configuration);
    const [pmu, another] = stream?.pmus ?? [];
    if (!stream || !pmu || another || checkLength(frame, stream.layout)) return undefined;
    // A copy: these bytes may be on their way to the disk.
    const whole = Uint8Array.from(frame);
    seal(whole);
    const view = viewOf(whole);
    return new FrameMeasurement(view, readHead(view).timeQuality, stream.layout, pmu);
  };
}
