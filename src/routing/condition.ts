/**
 * Conditions: a subscriber is told of a sample only where its number says something new [draft-ietf-core-conditional-attributes-12].
 *
 *     sample ── of the cadence? ── c.epmin since it was last judged? ──> judge ──┬── any condition met ── c.pmin since reported? ──> passes
 *                                                                                └── c.pmax since reported ──────────────────────> passes
 *
 * All spacings are of measured time. `c.pmin` beside a condition does not thin the stream, as it does alone: what meets a condition
 * goes at once, unless one went less than that before; and if it still holds when that time has passed, then. One judgement serves
 * all who ask the same, "last reported" being what they were told last. Who subscribes is told what is there at once, and that is
 * where a new group starts from.
 */
import { refuse, type Refusal } from '../errors.js';
import { Field, type ValueReader } from './field.js';
import type { Filter, FilterKind } from './filter.js';
import type { Sample } from './sample.js';

export interface Condition {
  /** Name of the number that is judged; empty: a PMU's frequency, or the one number that there is. */
  readonly field: string;
  /** It crosses this, either way. */
  readonly gt?: number;
  readonly lt?: number;
  /** It is at least so far from what was last reported. */
  readonly st?: number;
  /** With gt and lt: it lies in the band, not: it crosses. gt below lt: between them; above: outside. With one alone: on the side that bounds it. */
  readonly isBand?: boolean;
  /** Of what is true or false, or 1 or 0. */
  readonly edge?: 'rising' | 'falling';
  /** Smallest spacing of what is judged, seconds. */
  readonly epminS?: number;
  /** Largest; what comes is judged when it comes, so this is the source's to keep. */
  readonly epmaxS?: number;
}

/** Parameters of a query that make a condition. */
export const CONDITION_NAMES = ['field', 'c.gt', 'c.lt', 'c.st', 'c.band', 'c.edge', 'c.epmin', 'c.epmax'] as const;
type ConditionName = (typeof CONDITION_NAMES)[number];

const bad = (detail: string): Refusal => refuse('STATUS_BAD_REQUEST', detail);
const SIGNED = /^-?\d{1,12}(\.\d{1,12})?$/;
const LONGEST_NAME = 128;

/** Reads the condition out of a query; undefined where it has none of its parameters. */
export function conditionOf(query: URLSearchParams): Condition | undefined | Refusal {
  if (!CONDITION_NAMES.some((name) => query.has(name))) return undefined;
  const numbers: Partial<Record<'gt' | 'lt' | 'st' | 'epmin' | 'epmax', number>> = {};
  for (const name of ['gt', 'lt', 'st', 'epmin', 'epmax'] as const) {
    const text = query.get(`c.${name}`);
    if (text === null) continue;
    if (!SIGNED.test(text))
      return bad(`c.${name} is ${JSON.stringify(text)}; it must be a decimal number, such as 49.8.`);
    numbers[name] = Number(text);
  }
  const band = query.get('c.band');
  if (band !== null && band !== '') return bad(`c.band is ${JSON.stringify(band)}; it takes no value.`);
  const edge = query.get('c.edge');
  if (edge !== null && edge !== '0' && edge !== '1')
    return bad(`c.edge is ${JSON.stringify(edge)}; it must be 1 for rising or 0 for falling.`);
  const { gt, lt, st, epmin, epmax } = numbers;
  const condition: Condition = {
    field: query.get('field') ?? '',
    ...(gt !== undefined && { gt }),
    ...(lt !== undefined && { lt }),
    ...(st !== undefined && { st }),
    ...(band !== null && { isBand: true }),
    ...(edge !== null && { edge: edge === '1' ? 'rising' : 'falling' }),
    ...(epmin !== undefined && { epminS: epmin }),
    ...(epmax !== undefined && { epmaxS: epmax }),
  };
  return checkCondition(condition);
}

/** The rules that hold however it was spelt. */
function checkCondition(condition: Condition): Condition | Refusal {
  const { field, gt, lt, st, isBand, edge, epminS, epmaxS } = condition;
  if (field.length > LONGEST_NAME)
    return bad(`field is longer than the ${LONGEST_NAME} characters that a name may have.`);
  if (gt === undefined && lt === undefined && st === undefined && edge === undefined)
    return bad(
      isBand
        ? 'c.band needs c.gt, c.lt or both: the ends of the band.'
        : 'field, c.epmin and c.epmax say what is judged and when; give a condition with them: c.gt, c.lt, c.st or c.edge.',
    );
  if (isBand && gt === undefined && lt === undefined)
    return bad('c.band needs c.gt, c.lt or both: the ends of the band.');
  if (isBand && gt === lt) return bad(`c.gt and c.lt are both ${gt}; with c.band they must differ.`);
  if (st !== undefined && !(st > 0)) return bad(`c.st is ${st}; it must be above 0.`);
  if (epminS !== undefined && !(epminS > 0)) return bad(`c.epmin is ${epminS} s; it must be above 0.`);
  if (epmaxS !== undefined && !(epmaxS > 0)) return bad(`c.epmax is ${epmaxS} s; it must be above 0.`);
  if (epminS !== undefined && epmaxS !== undefined && epmaxS <= epminS)
    return bad(`c.epmax ${epmaxS} s must be above c.epmin ${epminS} s.`);
  return condition;
}

/** As a query spells it, always the same for the same: equal texts are equal conditions. */
export function conditionText({ field, gt, lt, st, isBand, edge, epminS, epmaxS }: Condition): string {
  const values: Readonly<Record<ConditionName, number | string | undefined>> = {
    field: field === '' ? undefined : encodeURIComponent(field),
    'c.gt': gt,
    'c.lt': lt,
    'c.st': st,
    'c.band': isBand ? '' : undefined,
    'c.edge': edge && (edge === 'rising' ? 1 : 0),
    'c.epmin': epminS,
    'c.epmax': epmaxS,
  };
  return CONDITION_NAMES.filter((name) => values[name] !== undefined)
    .map((name) => (values[name] === '' ? name : `${name}=${values[name]}`))
    .join('&');
}

/** Smallest and largest spacing of notifications, seconds. */
export interface Spacing {
  readonly minSpacingS?: number;
  readonly maxSpacingS?: number;
}

export function conditionKind(condition: Condition, spacing: Spacing, valueOf: ValueReader): FilterKind {
  return {
    key: `${conditionText(condition)} ${spacing.minSpacingS ?? ''} ${spacing.maxSpacingS ?? ''}`,
    start: (_cadence, _sourceRate, latest) => new ConditionFilter(condition, spacing, valueOf, latest),
  };
}

/** Devices stamp in milliseconds at times: a spacing that is short by less than that has passed. */
const SLACK_US = 1_000;
const NEVER = -Infinity;

class ConditionFilter implements Filter {
  private readonly field: Field;
  private readonly pminUs: number;
  private readonly pmaxUs: number;
  private readonly epminUs: number;
  private judgedUs = NEVER;
  private reportedUs = NEVER;
  /** The same, or when who subscribed was told what there was. */
  private toldUs: number | undefined;
  /** NaN: nothing has been reported yet, and the first number is news. */
  private reported = NaN;
  /** It has been seen on the other side of the edge since it was last reported. */
  private isArmed = false;

  constructor(
    private readonly condition: Condition,
    { minSpacingS = 0, maxSpacingS = Infinity }: Spacing,
    valueOf: ValueReader,
    latest: Sample | undefined,
  ) {
    this.field = new Field(condition.field, valueOf);
    this.pminUs = minSpacingS * 1e6;
    this.pmaxUs = maxSpacingS * 1e6;
    this.epminUs = (condition.epminS ?? 0) * 1e6;
    if (latest) this.report(this.field.read(latest), latest.measuredUs);
    // What was told at once is no notification: the first may follow it as soon as it likes.
    this.reportedUs = NEVER;
    this.toldUs = latest?.measuredUs;
  }

  pass(sample: Sample, _slot: number, isDue: boolean): Sample | undefined {
    const { measuredUs } = sample;
    if (!isDue || !hasPassed(this.epminUs, this.judgedUs, measuredUs)) return undefined;
    this.judgedUs = measuredUs;
    const value = this.field.read(sample);
    const isNews = this.isMet(value) && hasPassed(this.pminUs, this.reportedUs, measuredUs);
    this.toldUs ??= measuredUs;
    const isOverdue = this.pmaxUs !== Infinity && hasPassed(this.pmaxUs, this.toldUs, measuredUs);
    if (!isNews && !isOverdue) return undefined;
    this.report(value, measuredUs);
    return sample;
  }

  private report(value: number, measuredUs: number): void {
    this.reportedUs = this.toldUs = measuredUs;
    if (Number.isNaN(value)) return;
    this.reported = value;
    this.isArmed = this.isOpposite(value);
  }

  private isMet(value: number): boolean {
    if (Number.isNaN(value)) return false;
    const { isBand, edge, st } = this.condition;
    const isRight = edge !== undefined && !this.isOpposite(value);
    const isEdge = isRight && this.isArmed;
    if (edge !== undefined && !isRight) this.isArmed = true;
    if (isEdge || (isBand ? this.isInBand(value) : this.isAcross(value))) return true;
    return st !== undefined && !(this.distance(value) < st);
  }

  /** Below, where a rising edge is waited for; above, where a falling one is. */
  private isOpposite(value: number): boolean {
    return (value !== 0) !== (this.condition.edge === 'rising');
  }

  private isAcross(value: number): boolean {
    const { gt, lt } = this.condition;
    if (gt === undefined && lt === undefined) return false;
    if (Number.isNaN(this.reported)) return true;
    return (
      (gt !== undefined && value > gt !== this.reported > gt) || (lt !== undefined && value < lt !== this.reported < lt)
    );
  }

  private isInBand(value: number): boolean {
    const { gt, lt } = this.condition;
    if (gt === undefined) return lt !== undefined && value >= lt;
    if (lt === undefined) return value <= gt;
    return gt < lt ? value >= gt && value <= lt : value > gt || value < lt;
  }

  /** From what was reported last; NaN where nothing was. */
  private distance(value: number): number {
    const distance = Math.abs(value - this.reported);
    return this.field.isAngle && distance > Math.PI ? Math.abs(2 * Math.PI - distance) : distance;
  }
}

/** A clock that stepped back starts a spacing anew; waiting for it to catch up could take hours. */
function hasPassed(spacingUs: number, sinceUs: number, nowUs: number): boolean {
  return nowUs < sinceUs || nowUs - sinceUs >= spacingUs - SLACK_US;
}
