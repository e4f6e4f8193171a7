/**
 * `method=first|last|mean|min|max`: what is made of the samples of one interval, which ends with the sample that the cadence admits
 * and bears its time tag.
 *
 *     30/s -> 5/s     slots  1  2  3  4  5 [6]      first: slot 1, at once     last: slot 6
 *                            └──── mean ────┘       mean, min, max: of all that came of these six, with slot 6
 *
 * Of each number by itself; of a phasor the magnitude, with the mean angle (mean) or that of the sample it was taken from (min, max).
 * Digital points are on that were on at any time. An interval whose last sample is missing has no value: nothing is moved to another
 * instant. A mean is a weak filter: what is near half the new rate comes through at a half [synchrophasor reference, aliasing];
 * `method=fir` is for analysis, this for displays. What holds no numbers is given as it is.
 */
import type { Filter, FilterKind } from './filter.js';
import type { Measurement, Phasor, Processed, Processing } from './measurement.js';
import { QUALITY, type Sample } from './sample.js';
import type { Aggregation } from './terms.js';

/** One record of a publisher's pack; what is no number is kept of the last one. */
export interface PackRecord {
  readonly name: string;
  readonly unit?: string;
  readonly value?: number | string | boolean | Uint8Array;
  readonly sum?: number;
}

/** Reads and writes packs of records; undefined where a content is none. */
export interface PackCodec {
  read(mediaType: string, bytes: Uint8Array): readonly PackRecord[] | undefined;
  /** @param measuredUs of all records, microseconds since the epoch */
  write(mediaType: string, records: readonly PackRecord[], measuredUs: number): Uint8Array;
}

export function aggregateKind(method: Aggregation, packs: PackCodec): FilterKind {
  return {
    key: `method=${method}`,
    start(cadence, sourceRate) {
      const interval = new Interval(cadence.stride);
      if (method === 'first') return new First(interval);
      if (method === 'last') return { pass: (sample, _slot, isDue) => (isDue ? sample : undefined) };
      const outputRate = cadence.periodS > 0 ? 1 / cadence.periodS : 0;
      const processing = { method, inputRate: sourceRate, outputRate, groupDelayS: 0 };
      return new Aggregate(method, interval, processing, packs);
    },
  };
}

/** Which interval a sample belongs to: the slots after one of the cadence, up to and with the next. */
class Interval {
  private current = NaN;
  private hasEnded = true;

  /** @param stride slots of one interval; 0 where the source declares no rate: an interval ends with a sample that is due */
  constructor(private readonly stride: number) {}

  /** @returns whether the sample begins another one than the one before */
  enter(slot: number, isDue: boolean): boolean {
    const interval = this.stride > 0 ? Math.ceil(slot / this.stride) : 0;
    const isNew = interval !== this.current || (this.stride === 0 && this.hasEnded);
    this.current = interval;
    this.hasEnded = isDue;
    return isNew;
  }
}

class First implements Filter {
  constructor(private readonly interval: Interval) {}

  pass(sample: Sample, slot: number, isDue: boolean): Sample | undefined {
    return this.interval.enter(slot, isDue) ? sample : undefined;
  }
}

class Aggregate implements Filter {
  private samples: Sample[] = [];

  constructor(
    private readonly method: 'mean' | 'min' | 'max',
    private readonly interval: Interval,
    private readonly processing: Processing,
    private readonly packs: PackCodec,
  ) {}

  pass(sample: Sample, slot: number, isDue: boolean): Sample | undefined {
    if (this.interval.enter(slot, isDue)) this.samples = [];
    // What is known to be wrong is in no mean.
    if ((sample.quality & QUALITY.dataInvalid) === 0) this.samples.push(sample);
    if (!isDue) return undefined;
    return this.samples.length === 0 ? sample : this.make(sample, this.samples);
  }

  private make(last: Sample, samples: readonly Sample[]): Sample {
    const { content, measuredUs } = last;
    const quality = samples.reduce((bits, each) => bits | each.quality, last.quality);
    if (content.kind === 'measurement') {
      const { measurement } = content;
      const from = samples
        .flatMap((each) => (each.content.kind === 'measurement' ? each.content.measurement : []))
        .filter(({ descriptor }) => descriptor === measurement.descriptor);
      if (from.length === 0) return last;
      const values = this.measured(measurement, from);
      return last.with(
        { kind: 'measurement', measurement: measurement.remade(values, from, this.processing) },
        quality,
      );
    }
    if (content.kind !== 'stored') return last;
    const { mediaType, bytes } = content;
    const records = this.packs.read(mediaType, bytes);
    if (!records) return last;
    const written = this.packs.write(mediaType, this.packed(records, samples), measuredUs);
    return last.with({ kind: 'stored', mediaType, bytes: written }, quality);
  }

  private measured(last: Measurement, from: readonly Measurement[]): Processed {
    return {
      frequencyHz: this.of(from.map(({ frequencyHz }) => frequencyHz)),
      rocofHzPerS: this.of(from.map(({ rocofHzPerS }) => rocofHzPerS)),
      phasors: last.phasors.map((_, index) => this.phasor(from.flatMap(({ phasors }) => phasors[index] ?? []))),
      analogs: last.analogs.map((_, index) => this.of(from.map(({ analogs }) => analogs[index] ?? NaN))),
      digitals: last.digitals.map((_, index) => from.reduce((bits, { digitals }) => bits | (digitals[index] ?? 0), 0)),
    };
  }

  private phasor(phasors: readonly Phasor[]): Phasor {
    const there = phasors.filter(({ magnitude }) => Number.isFinite(magnitude));
    const magnitude = this.of(there.map((each) => each.magnitude));
    if (this.method !== 'mean') return there.find((each) => each.magnitude === magnitude) ?? ABSENT;
    const [re, im] = [Math.cos, Math.sin].map((part) => there.reduce((sum, { angle }) => sum + part(angle), 0));
    return { magnitude, angle: Math.atan2(im ?? NaN, re ?? NaN) };
  }

  private packed(records: readonly PackRecord[], samples: readonly Sample[]): PackRecord[] {
    const numbers = new Map<string, number[]>();
    for (const { content } of samples) {
      const pack = content.kind === 'stored' ? this.packs.read(content.mediaType, content.bytes) : undefined;
      for (const { name, value } of pack ?? [])
        if (typeof value === 'number') numbers.set(name, [...(numbers.get(name) ?? []), value]);
    }
    return records.map((record) =>
      typeof record.value === 'number'
        ? { ...record, value: this.of(numbers.get(record.name) ?? [record.value]) }
        : record,
    );
  }

  /** Of those that are there; NaN where none is. */
  private of(numbers: readonly number[]): number {
    const there = numbers.filter(Number.isFinite);
    if (there.length === 0) return NaN;
    if (this.method === 'mean') return there.reduce((sum, number) => sum + number, 0) / there.length;
    return this.method === 'min' ? Math.min(...there) : Math.max(...there);
  }
}

const ABSENT: Phasor = { magnitude: NaN, angle: NaN };
