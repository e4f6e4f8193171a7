/**
 * Terms: what a subscriber asks of a stream, in whichever spelling: `rate` and `class` everywhere, the conditional
 * attributes `c.*` of CoAP [draft-ietf-core-conditional-attributes-12], minimalTimeBetweenNotifications of ETSI.
 */
import { isRefusal, refuse, type Refusal } from '../errors.js';
import { CONDITION_NAMES, conditionOf, conditionText, type Condition } from './condition.js';

export const LATENCY_CLASSES = ['protection', 'control', 'monitoring', 'reporting'] as const;
export type LatencyClass = (typeof LATENCY_CLASSES)[number];

/** Of a subscription that names none. */
export const DEFAULT_CLASS: LatencyClass = 'monitoring';
/** How old a sample may be when it is delivered [paper: requirements, quality of service]. */
export const CLASS_DEADLINES_S: Readonly<Record<LatencyClass, number>> = {
  protection: 0.01,
  control: 0.1,
  monitoring: 1,
  reporting: 3600,
};

export interface Terms {
  /** Samples per second; must divide the source's reporting rate. */
  readonly rate?: number;
  /** Smallest spacing in seconds; the fastest dividing rate whose period is not shorter is chosen. */
  readonly minSpacingS?: number;
  /** Largest spacing in seconds: after it the last value is sent again. */
  readonly maxSpacingS?: number;
  /** True: every CoAP notification confirmable. */
  readonly isConfirmable?: boolean;
  readonly latencyClass?: LatencyClass;
  /** Only samples that say something new. */
  readonly condition?: Condition;
  /** What is made of the samples between one of the cadence and the next. */
  readonly method?: Method;
  /** How long a notification may wait for others, to go in one message with them, milliseconds. */
  readonly batchMs?: number;
}

const LONGEST_BATCH_MS = 10_000;

/** Of an interval's samples. */
export const AGGREGATIONS = ['first', 'last', 'mean', 'min', 'max'] as const;
export type Aggregation = (typeof AGGREGATIONS)[number];
export const METHODS = [...AGGREGATIONS, 'fir'] as const;
export type Method = (typeof METHODS)[number];

/** How urgent: 0 is protection. */
export const rankOf = ({ latencyClass = DEFAULT_CLASS }: Terms): number => LATENCY_CLASSES.indexOf(latencyClass);

/** Reads the terms out of a query (CoAP, HTTP); other parameters are not looked at, other `c.*` refused. */
export function termsOfQuery(query: URLSearchParams): Terms | Refusal {
  if (query.size === 0) return NO_TERMS;
  for (const name of query.keys()) {
    if (name.startsWith('c.') && !KNOWN.includes(name)) {
      return refuse('STATUS_BAD_REQUEST', `The parameter ${name} is not offered here; offered: ${KNOWN.join(', ')}.`);
    }
  }
  const texts = (name: string): string | undefined => query.get(name) ?? undefined;
  const rate = decimal('rate', texts('rate'));
  if (isRefusal(rate)) return rate;
  const minSpacingS = decimal('c.pmin', texts('c.pmin'));
  if (isRefusal(minSpacingS)) return minSpacingS;
  const maxSpacingS = decimal('c.pmax', texts('c.pmax'));
  if (isRefusal(maxSpacingS)) return maxSpacingS;
  const condition = conditionOf(query);
  if (condition && isRefusal(condition)) return condition;
  const con = texts('c.con');
  if (con !== undefined && con !== '0' && con !== '1') {
    return refuse('STATUS_BAD_REQUEST', `c.con is ${JSON.stringify(con)}; it must be 0 or 1.`);
  }
  return checkTerms({
    ...(rate !== undefined && { rate }),
    ...(minSpacingS !== undefined && { minSpacingS }),
    ...(maxSpacingS !== undefined && { maxSpacingS }),
    ...(con !== undefined && { isConfirmable: con === '1' }),
    ...(query.has('class') && { latencyClass: query.get('class') as LatencyClass }),
    ...(condition && { condition }),
    ...(query.has('method') && { method: query.get('method') as Method }),
  });
}

/** Reads the text of a `conditions` attribute or member: the `c.*` parameters of a query and `field`, as a query has them. */
export function termsOfConditions(text: string): Terms | Refusal {
  const query = new URLSearchParams(text);
  for (const name of query.keys()) {
    if (name !== 'field' && !name.startsWith('c.'))
      return refuse(
        'STATUS_BAD_REQUEST',
        `conditions has ${JSON.stringify(name)}; it takes field and ${KNOWN.join(', ')}.`,
      );
  }
  return termsOfQuery(query);
}

/** As `termsOfConditions` reads it; undefined where there are none. */
export function conditionsText({ condition, minSpacingS, maxSpacingS, isConfirmable }: Terms): string | undefined {
  if (!condition) return undefined;
  const spacings = { 'c.pmin': minSpacingS, 'c.pmax': maxSpacingS, 'c.con': isConfirmable ? 1 : undefined };
  const given = Object.entries(spacings).flatMap(([name, value]) => (value === undefined ? [] : `${name}=${value}`));
  return [conditionText(condition), ...given].join('&');
}

/** The rules that hold however the terms were spelt. */
export function checkTerms(terms: Terms): Terms | Refusal {
  const { rate, minSpacingS, maxSpacingS, latencyClass, condition, method, batchMs } = terms;
  const bad = (detail: string): Refusal => refuse('STATUS_BAD_REQUEST', detail);
  if (rate !== undefined && !(Number.isFinite(rate) && rate > 0))
    return bad(`rate is ${rate}; it must be a positive number of samples per second.`);
  // Beside a condition a smallest spacing is that of what meets it; the rate says what is judged.
  if (rate !== undefined && minSpacingS !== undefined && !condition)
    return bad('rate and a smallest spacing exclude each other; give one.');
  if (minSpacingS !== undefined && !(minSpacingS > 0))
    return bad(`The smallest spacing is ${minSpacingS} s; it must be above 0.`);
  if (maxSpacingS !== undefined && !(maxSpacingS > 0))
    return bad(`The largest spacing is ${maxSpacingS} s; it must be above 0.`);
  if (minSpacingS !== undefined && maxSpacingS !== undefined && maxSpacingS < minSpacingS) {
    return bad(`The largest spacing ${maxSpacingS} s is below the smallest ${minSpacingS} s.`);
  }
  if (latencyClass !== undefined && !LATENCY_CLASSES.includes(latencyClass)) {
    return bad(`class is ${JSON.stringify(latencyClass)}; it must be one of ${LATENCY_CLASSES.join(', ')}.`);
  }
  if (batchMs !== undefined && !(batchMs > 0 && batchMs <= LONGEST_BATCH_MS))
    return bad(`batchMs is ${batchMs}; it must be 0 for none, or up to ${LONGEST_BATCH_MS} milliseconds.`);
  if (method !== undefined && !METHODS.includes(method))
    return bad(`method is ${JSON.stringify(method)}; it must be one of ${METHODS.join(', ')}.`);
  return terms;
}

/** Of the many that ask for nothing. */
const NO_TERMS: Terms = {};
const KNOWN: readonly string[] = ['c.pmin', 'c.pmax', 'c.con', ...CONDITION_NAMES.filter((name) => name !== 'field')];
const DECIMAL = /^\d{1,9}(\.\d{1,9})?$/;

function decimal(name: string, text: string | undefined): number | undefined | Refusal {
  if (text === undefined) return undefined;
  return DECIMAL.test(text)
    ? Number(text)
    : refuse(
        'STATUS_BAD_REQUEST',
        `${name} is ${JSON.stringify(text)}; it must be a decimal number above 0, such as 0.2.`,
      );
}
