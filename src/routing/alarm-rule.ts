/**
 * What a rule makes of samples: whether its condition holds. Pure: no clock, no timers; time is that of measurement.
 *
 *     sample ── valueOf(field) ──> beyond the limit? ── for delayS ──> active ── back inside by the hysteresis ──> normal
 *
 * A limit with hysteresis is two limits: the alarm comes beyond the outer and goes inside the inner one, so a value that lies on
 * either does not chatter. A sample without the field, or with one that is no number, changes nothing.
 */
import type { AlarmRule } from '../resources/alarm-rules.js';
import { Field, type ValueReader } from './field.js';
import type { Sample } from './sample.js';

const US_PER_SECOND = 1_000_000;

/** One rule and what it remembers from sample to sample. */
export class RuleCheck {
  /** Since when it has been beyond without a break, microseconds of measurement; undefined while it is not. */
  private sinceUs: number | undefined;
  private lastValue = NaN;
  private lastUs = NaN;
  /** The value that decided. */
  value = NaN;
  private readonly field: Field;

  /** @param isActive as an earlier life left it */
  constructor(
    readonly rule: AlarmRule,
    public isActive: boolean,
    valueOf: ValueReader,
  ) {
    this.field = new Field(rule.field ?? '', valueOf);
  }

  /** Takes a sample in. @returns whether the condition came or went */
  see(sample: Sample): boolean {
    const { kind } = this.rule;
    const { measuredUs } = sample;
    if (kind === 'quality') return this.decide(sample.quality, sample.quality !== 0, sample.quality === 0, measuredUs);
    const value = this.field.read(sample);
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
}
