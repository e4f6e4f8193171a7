/**
 * Between what stands on the wire and engineering units: Hz, Hz/s, V or A RMS, radians. NaN is absent, both ways.
 *
 *     | value              | 16 bits                                        | 32-bit float          |
 *     | phasor rectangular | real, imaginary i16, times PHUNIT              | V or A                |
 *     | phasor polar       | magnitude u16 times PHUNIT; angle i16, 0.1 mrad | V or A; rad           |
 *     | FREQ               | i16, mHz off nominal                           | Hz, the actual        |
 *     | DFREQ              | i16, Hz/s x 100                                | Hz/s                  |
 *     | ANALOG             | i16, scale by agreement (ANUNIT)               | value                 |
 *
 * The titles of the standard's text say otherwise of the float FREQ and DFREQ; its value definition, other decoders and
 * real captures say this.
 */
import type { Phasor } from '../../routing/measurement.js';
import { FORMAT, nominalHz, phasorScale, type ChannelConfiguration, type PmuConfiguration } from './configuration.js';

/** Two numbers as on the wire: real and imaginary part, or magnitude and angle. */
export type RawPhasor = readonly [first: number, second: number];

/** Filler of absent 16-bit values. The text defines it for phasors; for FREQ, DFREQ and ANALOG it is custom (GSF). */
const ABSENT = -0x8000;
const LARGEST_I16 = 0x7fff;
const LARGEST_U16 = 0xffff;
const ANGLES_PER_RADIAN = 1e4;
const MILLIHERTZ = 1000;
const ROCOF_PER_UNIT = 100;

const present = (raw: number): number => (raw === ABSENT ? NaN : raw);
const toI16 = (value: number): number =>
  Number.isNaN(value) ? ABSENT : Math.max(-LARGEST_I16, Math.min(LARGEST_I16, Math.round(value)));

/** V or A RMS of the two raw numbers. */
export function magnitudeOf(first: number, second: number, channel: ChannelConfiguration, format: number): number {
  if (isAbsent(first, second, format)) return NaN;
  const magnitude = format & FORMAT.polar ? first : Math.hypot(first, second);
  return format & FORMAT.phasorsFloat ? magnitude : magnitude * phasorScale(channel);
}

/** Radians. */
export function angleOf(first: number, second: number, format: number): number {
  if (isAbsent(first, second, format)) return NaN;
  if (!(format & FORMAT.polar)) return Math.atan2(second, first);
  return format & FORMAT.phasorsFloat ? second : second / ANGLES_PER_RADIAN;
}

const isAbsent = (first: number, second: number, format: number): boolean =>
  (format & FORMAT.phasorsFloat) === 0 && (second === ABSENT || (first === ABSENT && (format & FORMAT.polar) === 0));

/** The nearest the wire can say; beyond its range the largest. */
export function rawPhasorOf({ magnitude, angle }: Phasor, channel: ChannelConfiguration, format: number): RawPhasor {
  const isFloat = (format & FORMAT.phasorsFloat) !== 0;
  const isAbsent = Number.isNaN(magnitude) || Number.isNaN(angle);
  if (isFloat && isAbsent) return [NaN, NaN];
  const scaled = isFloat ? magnitude : magnitude / phasorScale(channel);
  if (format & FORMAT.polar) {
    if (isFloat) return [scaled, angle];
    if (isAbsent) return [0, ABSENT];
    const wrapped = angle - 2 * Math.PI * Math.round(angle / (2 * Math.PI));
    return [Math.max(0, Math.min(LARGEST_U16, Math.round(scaled))), toI16(wrapped * ANGLES_PER_RADIAN)];
  }
  const parts = [scaled * Math.cos(angle), scaled * Math.sin(angle)] as const;
  return isFloat ? parts : [toI16(parts[0]), toI16(parts[1])];
}

export const frequencyHz = (raw: number, pmu: PmuConfiguration): number =>
  pmu.format & FORMAT.frequencyFloat ? raw : nominalHz(pmu) + present(raw) / MILLIHERTZ;

export const rawFrequency = (hz: number, pmu: PmuConfiguration): number =>
  pmu.format & FORMAT.frequencyFloat ? hz : toI16((hz - nominalHz(pmu)) * MILLIHERTZ);

export const rocofHzPerS = (raw: number, { format }: PmuConfiguration): number =>
  format & FORMAT.frequencyFloat ? raw : present(raw) / ROCOF_PER_UNIT;

export const rawRocof = (hzPerS: number, { format }: PmuConfiguration): number =>
  format & FORMAT.frequencyFloat ? hzPerS : toI16(hzPerS * ROCOF_PER_UNIT);

/** The value as sent: the scale of 16-bit analogs is the user's own. */
export const analogOf = (raw: number, { format }: PmuConfiguration): number =>
  format & FORMAT.analogsFloat ? raw : present(raw);

export const rawAnalog = (value: number, { format }: PmuConfiguration): number =>
  format & FORMAT.analogsFloat ? value : toI16(value);
