/**
 * What a rule makes of samples: whether its condition holds. Pure: no clock, no timers; time is that of measurement.
 *
 *     sample ── valueOf(field) ──> beyond the limit? ── for delayS ──> active ── back inside by the hysteresis ──> normal
 *
 * A limit with hysteresis is two limits: the alarm comes beyond the outer and goes inside the inner one, so a value that lies on
 * either does not chatter. A sample without the field, or with one that is no number, changes nothing.
 */
import type { AlarmRule } from '../resources/alarm-rules.js';
import type { Measurement, PmuDescriptor } from './measurement.js';
import type { Sample } from './sample.js';

const US_PER_SECOND = 1_000_000;

/** Reads a number by its name out of stored content; NaN where there is none. */
export type ValueReader = (mediaType: string, bytes: Uint8Array, field: string) => number;

/** One rule and what it remembers from sample to sample. */
export class RuleCheck {
  /** Since when it has been beyond without a break, microseconds of measurement; undefined while it is not. */
  private sinceUs: number | undefined;
  private lastValue = NaN;
  private lastUs = NaN;
  /** The value that decided. */
  value = NaN;
  private readonly channel: ChannelReader | undefined;

  /** @param isActive as an earlier life left it */
  constructor(
    readonly rule: AlarmRule,
    public isActive: boolean,
    private readonly valueOf: ValueReader,
  ) {
    this.channel = rule.field === undefined ? undefined : new ChannelReader(rule.field);
  }

  /** Takes a sample in. @returns whether the condition came or went */
  see(sample: Sample): boolean {
    const { kind } = this.rule;
    const { measuredUs } = sample;
    if (kind === 'quality') return this.decide(sample.quality, sample.quality !== 0, sample.quality === 0, measuredUs);
    const value = this.read(sample);
    if (!Number.isFinite(value)) return false;
    return kind === 'limit' ? this.seeLimit(value, measuredUs) : this.seeRate(value, measuredUs);
  }

  private seeLimit(value: number, measuredUs: number): boolean {
    const { high = Infinity, low = -Infinity, hysteresis = 0 } = this.rule;
    const isBeyond = value > high || value < low;
    const isWellInside = value <= high - hysteresis && value >= low + hysteresis;
    return this.decide(value, isBeyond, isWellInside, measuredUs);
  }

  private seeRate(value: number, measuredUs: number): boolean {
    const { perSecond = Infinity, hysteresis = 0 } = this.rule;
    const spanS = (measuredUs - this.lastUs) / US_PER_SECOND;
    const rate = Math.abs(value - this.lastValue) / spanS;
    // A tag that comes again or steps back tells no rate; counting goes on from it.
    this.lastValue = value;
    this.lastUs = measuredUs;
    if (!(spanS > 0)) return false;
    return this.decide(rate, rate > perSecond, rate <= perSecond - hysteresis, measuredUs);
  }

  private decide(value: number, isBeyond: boolean, isWellInside: boolean, measuredUs: number): boolean {
    this.value = value;
    if (this.isActive) {
      if (!isWellInside) return false;
      this.sinceUs = undefined;
      this.isActive = false;
      return true;
    }
    if (!isBeyond) {
      this.sinceUs = undefined;
      return false;
    }
    this.sinceUs = Math.min(this.sinceUs ?? measuredUs, measuredUs);
    if (measuredUs - this.sinceUs < (this.rule.delayS ?? 0) * US_PER_SECOND) return false;
    this.isActive = true;
    return true;
  }

  private read({ content }: Sample): number {
    if (content.kind === 'measurement') return this.channel?.read(content.measurement) ?? NaN;
    if (content.kind === 'snapshot') return NaN;
    return this.valueOf(content.mediaType, content.bytes, this.rule.field ?? '');
  }
}

/** Finds a PMU's number by name; a channel is looked up once per configuration. */
class ChannelReader {
  private descriptor: PmuDescriptor | undefined;
  private phasor = -1;
  private analog = -1;

  constructor(private readonly field: string) {}

  read(measurement: Measurement): number {
    if (this.field === 'frequency') return measurement.frequencyHz;
    if (this.field === 'rocof') return measurement.rocofHzPerS;
    const { descriptor } = measurement;
    if (descriptor !== this.descriptor) {
      this.descriptor = descriptor;
      // As SenML spells them: `VA/magnitude`, `power/value`; the bare name of the channel says as much.
      const isNamed = (part: string) => (channel: { readonly name: string }) => {
        const name = channel.name.trim();
        return this.field === name || this.field === `${name}/${part}`;
      };
      this.phasor = descriptor.phasors.findIndex(isNamed('magnitude'));
      this.analog = descriptor.analogs.findIndex(isNamed('value'));
    }
    return measurement.phasors[this.phasor]?.magnitude ?? measurement.analogs[this.analog] ?? NaN;
  }
}
