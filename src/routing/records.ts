/**
 * The names of a measurement's numbers, which are those of its SenML records: `pmu-61/frequency`, `pmu-61/VA/magnitude`. They are a
 * contract: docs/formats.md. Conditions and rules name a number the same way, whatever format it is delivered in.
 */
import type { Measurement, PmuDescriptor } from './measurement.js';

export interface RecordName {
  /** Relative to the base name. */
  readonly name: string;
  readonly unit?: 'Hz' | 'V' | 'A' | 'rad';
}

/** `pmu-61/`: unique within the stream that carries the PMU. */
export const baseName = ({ idCode }: PmuDescriptor): string => `pmu-${idCode}/`;

/** In the order in which a pack has them. The first has a value in every pack: it carries the base fields. */
export function recordsOf({ phasors, analogs, digitals }: PmuDescriptor): readonly RecordName[] {
  const phasorNames = recordNames(phasors, 'phasor');
  return [
    { name: 'stat' },
    { name: 'time-quality' },
    { name: 'frequency', unit: 'Hz' },
    // Hz/s is not in the registry of units [RFC8428-12.1]; a record without a unit is allowed, an invented unit is not.
    { name: 'rocof' },
    ...phasors.flatMap(({ unit }, index): RecordName[] => [
      { name: `${phasorNames[index]}/magnitude`, unit },
      { name: `${phasorNames[index]}/angle`, unit: 'rad' },
    ]),
    ...recordNames(analogs, 'analog').map((name) => ({ name: `${name}/value` })),
    ...Array.from({ length: Math.ceil(digitals.length / POINTS_PER_WORD) }, (_, word) => ({ name: `digital/${word}` })),
  ];
}
const POINTS_PER_WORD = 16;

/** Channel names as SenML allows them [RFC8428-4.5.1] and without `/`, each once: an empty or repeated one gets its number, from 1. */
function recordNames(channels: readonly { readonly name: string }[], kind: string): readonly string[] {
  const taken = new Set<string>();
  return channels.map(({ name }, index) => {
    const allowed = name.trim().replace(/[^A-Za-z0-9._:-]+/g, '_');
    let unique = allowed === '' ? `${kind}-${index + 1}` : allowed;
    while (taken.has(unique)) unique += `-${index + 1}`;
    taken.add(unique);
    return unique;
  });
}

/** Reads one number of a measurement; NaN where it is absent. */
export type NumberReader = (measurement: Measurement) => number;

/**
 * How to read the number that `field` names: a record, with or without its base name; a channel, whose magnitude or value is meant;
 * a digital point, 0 or 1. Undefined: this PMU has none of that name.
 */
export function readerOf(descriptor: PmuDescriptor, field: string): NumberReader | undefined {
  const base = baseName(descriptor);
  const name = field.startsWith(base) ? field.slice(base.length) : field;
  const record = recordsOf(descriptor).findIndex((each) => each.name === name);
  if (record >= 0) return recordReader(descriptor, record);
  const isNamed = (channel: { readonly name: string }): boolean => channel.name.trim() === name;
  const phasor = descriptor.phasors.findIndex(isNamed);
  if (phasor >= 0) return ({ phasors }) => phasors[phasor]?.magnitude ?? NaN;
  const analog = descriptor.analogs.findIndex(isNamed);
  if (analog >= 0) return ({ analogs }) => analogs[analog] ?? NaN;
  const point = descriptor.digitals.findIndex((digital) => digital.trim() === name);
  if (name === '' || point < 0) return undefined;
  const [word, bit] = [Math.floor(point / POINTS_PER_WORD), point % POINTS_PER_WORD];
  return ({ digitals }) => ((digitals[word] ?? 0) >> bit) & 1;
}

export const FIRST_PHASOR = 4;

function recordReader({ phasors, analogs }: PmuDescriptor, record: number): NumberReader {
  switch (record) {
    case 0:
      return ({ stat }) => stat;
    case 1:
      return ({ timeQuality }) => timeQuality;
    case 2:
      return ({ frequencyHz }) => frequencyHz;
    case 3:
      return ({ rocofHzPerS }) => rocofHzPerS;
  }
  const part = record - FIRST_PHASOR;
  const phasor = part >> 1;
  const firstAnalog = FIRST_PHASOR + 2 * phasors.length;
  if (record < firstAnalog)
    return part % 2 === 0
      ? (measurement) => measurement.phasors[phasor]?.magnitude ?? NaN
      : (measurement) => measurement.phasors[phasor]?.angle ?? NaN;
  const analog = record - firstAnalog;
  if (analog < analogs.length) return (measurement) => measurement.analogs[analog] ?? NaN;
  const word = analog - analogs.length;
  return ({ digitals }) => digitals[word] ?? NaN;
}
