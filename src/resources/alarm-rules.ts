/**
 * The rules of a container: what of its samples is an alarm. The value of its attribute `alarmRules`, checked here when it is
 * written; what they make of samples is routing's (alarm-rule.ts).
 */
import {
  isObject,
  listOf,
  oneOf,
  record,
  shown,
  simple,
  string,
  type Json,
  type JsonObject,
  type ValueType,
} from './values.js';

export const RULE_KINDS = ['limit', 'rateOfChange', 'stale', 'quality'] as const;
export type RuleKind = (typeof RULE_KINDS)[number];

export interface AlarmRule {
  readonly condition: string;
  readonly kind: RuleKind;
  /** What of a sample is looked at: a SenML record's name, or a PMU's `frequency`, `rocof` or channel. */
  readonly field?: string;
  /** A value above or below is an alarm. */
  readonly high?: number;
  readonly low?: number;
  /** How far back inside the limit a value must be before the alarm clears. */
  readonly hysteresis?: number;
  /** Of a rate of change: the limit, in the field's unit per second. */
  readonly perSecond?: number;
  readonly staleAfterS?: number;
  /** How long it must last before it is an alarm, in time of measurement. */
  readonly delayS?: number;
  readonly priority?: 1 | 2 | 3 | 4;
  readonly text?: string;
}

/** Rules of one container; each costs every sample of it. */
const MOST_RULES = 16;
const CONDITION = /^[A-Za-z0-9._:-]{1,64}$/;

const number = simple('a number', (value) => typeof value === 'number', { type: 'number' });
const notNegative = simple('a number of 0 or more', (value) => typeof value === 'number' && value >= 0, {
  type: 'number',
  minimum: 0,
});
const positive = simple('a number above 0', (value) => typeof value === 'number' && value > 0, {
  type: 'number',
  exclusiveMinimum: 0,
});
const rules = listOf(
  record(
    {
      condition: simple(
        '1 to 64 letters, digits, ".", "_", ":" or "-"',
        (value) => typeof value === 'string' && CONDITION.test(value),
        { type: 'string', pattern: CONDITION.source },
      ),
      kind: oneOf(...RULE_KINDS),
      field: string,
      high: number,
      low: number,
      hysteresis: notNegative,
      perSecond: positive,
      staleAfterS: positive,
      delayS: notNegative,
      priority: simple('1, the most urgent, to 4', (value) => [1, 2, 3, 4].includes(value as number), {
        type: 'integer',
        minimum: 1,
        maximum: 4,
      }),
      text: string,
    },
    ['condition', 'kind'],
  ),
  1,
);

/** What each kind needs, and may have, beside what all may have. */
const NEEDS: Readonly<Record<RuleKind, { readonly must: readonly string[]; readonly may: readonly string[] }>> = {
  limit: { must: ['field'], may: ['high', 'low', 'hysteresis', 'delayS'] },
  rateOfChange: { must: ['field', 'perSecond'], may: ['hysteresis', 'delayS'] },
  stale: { must: ['staleAfterS'], may: [] },
  quality: { must: [], may: ['delayS'] },
};
const OF_ALL = ['condition', 'kind', 'priority', 'text'];

export const alarmRules: ValueType = {
  expected: rules.expected,
  schema: { ...rules.schema, maxItems: MOST_RULES },
  check(value, at) {
    const complaint = rules.check(value, at);
    if (complaint !== undefined) return complaint;
    const list = value as readonly JsonObject[];
    if (list.length > MOST_RULES) return `${at} has ${list.length} rules; a container may have ${MOST_RULES}.`;
    const conditions = list.map(({ condition }) => condition);
    const twice = conditions.find((condition, index) => conditions.indexOf(condition) !== index);
    if (twice !== undefined) return `${at} has the condition ${shown(twice)} twice; each may be there once.`;
    for (const [index, rule] of list.entries()) {
      const wrong = complaintOf(rule);
      if (wrong !== undefined) return `${at}[${index}] ${wrong}`;
    }
    return undefined;
  },
};

/** What of one rule does not fit its kind, to follow its place. */
function complaintOf(rule: JsonObject): string | undefined {
  const { must, may } = NEEDS[rule.kind as RuleKind];
  const missing = must.find((name) => rule[name] === undefined);
  if (missing !== undefined) return `is of kind ${rule.kind as string} and needs ${missing}.`;
  const strange = Object.keys(rule).find((name) => ![...OF_ALL, ...must, ...may].includes(name));
  if (strange !== undefined) return `is of kind ${rule.kind as string}, which has no ${strange}.`;
  const { high, low, hysteresis = 0, perSecond = Infinity } = rule as unknown as AlarmRule;
  if (rule.kind === 'limit' && high === undefined && low === undefined) return 'needs high, low or both.';
  if (high !== undefined && low !== undefined && high - hysteresis < low + hysteresis)
    return `clears at no value: high ${high} and low ${low} are closer than twice the hysteresis ${hysteresis}.`;
  return hysteresis > perSecond ? `clears at no value: the hysteresis ${hysteresis} is above ${perSecond}.` : undefined;
}

/** The rules in a container's attribute, which has been checked. */
export const rulesOf = (value: Json | undefined): readonly AlarmRule[] =>
  Array.isArray(value) ? (value as readonly Json[]).filter(isObject).map((rule) => rule as unknown as AlarmRule) : [];
