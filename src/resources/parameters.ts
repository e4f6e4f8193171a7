/** Reads the parameters of a query; each refusal names the parameter, what it is and what it must be. */
import { parseTime } from '../clock.js';
import { isRefusal, refuse, type Refusal } from '../errors.js';
import { shown } from './values.js';

export const bad = (detail: string): Refusal => refuse('STATUS_BAD_REQUEST', detail);

/** Terms of an observation, which may stand in the same query. */
const TERMS: readonly string[] = ['rate', 'class', 'method', 'field'];
const isTerm = (name: string): boolean => TERMS.includes(name) || name.startsWith('c.');
export function withoutTerms(parameters: URLSearchParams): URLSearchParams {
  return new URLSearchParams([...parameters].filter(([name]) => !isTerm(name)));
}
const REPEATABLE: readonly string[] = ['contentType', 'searchString', 'ifMatch', 'ifNoneMatch'];

export const namesOf = (parameters: URLSearchParams): readonly string[] =>
  [...new Set(parameters.keys())].filter((name) => !isTerm(name));

/** Why there is a parameter that is not known, or one too often. */
export function checkNames(parameters: URLSearchParams, known: readonly string[]): Refusal | undefined {
  for (const name of namesOf(parameters)) {
    if (!known.includes(name))
      return bad(`The parameter ${shown(name)} is not known here; a query takes ${known.join(', ')}.`);
    const times = parameters.getAll(name).length;
    if (!REPEATABLE.includes(name) && times > 1)
      return bad(`The parameter ${name} is there ${times} times; once is right.`);
  }
  return undefined;
}

export interface Span {
  /** Microseconds since the epoch; both ends belong to it. */
  readonly fromUs: number;
  readonly toUs: number;
}

export const isWithin = ({ fromUs, toUs }: Span, us: number): boolean => us >= fromUs && us <= toUs;

/** createdSince and createdUntil do not belong to the span [resources reference 2.8: strict comparison]. */
export const isOpen = { since: 1, until: 1 } as const;
/** A span of measurements joins the next without doubling: from since on, up to but not with until. */
export const isHalfOpen = { since: 0, until: 1 } as const;

export function span(
  parameters: URLSearchParams,
  since: readonly string[],
  until: readonly string[],
  left: { readonly since: 0 | 1; readonly until: 0 | 1 },
): Span | Refusal {
  const from = instant(parameters, since);
  if (isRefusal(from)) return from;
  const to = instant(parameters, until);
  if (isRefusal(to)) return to;
  return {
    fromUs: from === undefined ? -Infinity : from + left.since,
    toUs: to === undefined ? Infinity : to - left.until,
  };
}

export function instant(parameters: URLSearchParams, spellings: readonly string[]): number | undefined | Refusal {
  const given = spellings.filter((name) => parameters.has(name));
  const [name, other] = given;
  if (name === undefined) return undefined;
  if (other !== undefined) return bad(`${given.join(' and ')} are two spellings of one parameter; give one.`);
  const text = parameters.get(name) ?? '';
  const us = parseTime(text);
  return us ?? bad(`${name} is ${shown(text)}; it must be a date and time with zone, such as 2026-11-23T08:15:00Z.`);
}

export function whole(
  parameters: URLSearchParams,
  name: string,
  least: number,
  most: number,
  fallback: number,
): number | Refusal {
  const text = parameters.get(name);
  if (text === null) return fallback;
  const number = Number(text);
  if (/^\d{1,16}$/.test(text) && number >= least && number <= most) return number;
  const upTo = most === Number.MAX_SAFE_INTEGER ? `of ${least} or more` : `from ${least} to ${most}`;
  return bad(`${name} is ${shown(text)}; it must be a whole number ${upTo}.`);
}
