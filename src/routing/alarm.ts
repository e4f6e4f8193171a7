/**
 * What an alarm says [ISA-18.2], in every binding the same: a report that something is wrong or well again, an operator's act on
 * it, and the alarm as everybody is told it. Pure: reading and checking only.
 */
import { parseTime } from '../clock.js';
import { refuse, type Refusal } from '../errors.js';
import { pathText, type Json, type JsonObject } from './primitive.js';

/** The container below an application whose contentInstances are its alarms. */
export const ALARMS_CONTAINER = 'alarms';
/** The broker's own application: its alarms container has all alarms of this SCL. */
export const BROKER_APPLICATION = 'gridcast';
export const CANARY_CONTAINER = 'canary';
export const AUDIT_CONTAINER = 'audit';
/** How often the canary sings, and after which silence what a subscriber sees is stale. */
export const CANARY_PERIOD_MS = 1_000;
export const CANARY_PATIENCE_MS = 3_000;

/** 1 is the most urgent. */
export const PRIORITIES = [1, 2, 3, 4] as const;
export type Priority = (typeof PRIORITIES)[number];
export const DEFAULT_PRIORITY: Priority = 3;

/** States of an alarm that nobody has set aside. */
export const OPEN_STATES = ['normal', 'unacknowledgedActive', 'acknowledgedActive', 'unacknowledgedCleared'] as const;
export type OpenState = (typeof OPEN_STATES)[number];
/** By an operator, for a time; by design or because it is out of service, until taken back. */
export const ASIDE_STATES = ['shelved', 'suppressed'] as const;
export type AsideState = (typeof ASIDE_STATES)[number];
export type AlarmState = OpenState | AsideState;

const CONDITION = /^[A-Za-z0-9._:-]{1,64}$/;
const LONGEST_TEXT = 512;
const LONGEST_SOURCE = 1_024;
/** A shift and its handover. */
const DEFAULT_SHELVED_S = 8 * 3600;
const LONGEST_SHELVED_S = 30 * 86_400;

export interface AlarmReport {
  /** What is wrong, in one word: `over-frequency`. With its source it is the alarm. */
  readonly condition: string;
  readonly state: 'active' | 'normal';
  readonly priority?: Priority;
  readonly text?: string;
  readonly value?: string | number | boolean;
}

export const ALARM_ACTIONS = ['acknowledge', 'shelve', 'unshelve', 'suppress', 'unsuppress'] as const;
export type AlarmActionName = (typeof ALARM_ACTIONS)[number];

export interface AlarmAction {
  readonly alarmId: string;
  readonly action: AlarmActionName;
  /** Of a shelving. */
  readonly forS: number;
  readonly comment?: string;
}

/** Who did it, and when. */
export type Act = {
  readonly by: string;
  readonly at: string;
  readonly comment?: string;
};

/** An alarm as it is told, stored and read. */
export type Alarm = {
  readonly alarmId: string;
  /** Path of what it is about. */
  readonly source: string;
  readonly condition: string;
  readonly state: AlarmState;
  /** While it is set aside: the state it would have otherwise. */
  readonly under?: OpenState;
  readonly priority: Priority;
  readonly text?: string;
  readonly value?: string | number | boolean;
  /** When it last became active, and when normal again. */
  readonly raised?: string;
  readonly cleared?: string;
  /** When any of this last changed. */
  readonly changed: string;
  /** Times it became active. */
  readonly count: number;
  readonly acknowledged?: Act;
  readonly shelved?: Act & { readonly until: string };
  readonly suppressed?: Act;
};

const bad = (detail: string): Refusal => refuse('STATUS_BAD_REQUEST', detail);

export function readAlarmReport(document: JsonObject): AlarmReport | Refusal {
  const { condition, state, priority, text, value } = document;
  if (typeof condition !== 'string' || !CONDITION.test(condition))
    return bad(
      'An alarm needs a "condition" of 1 to 64 letters, digits, ".", "_", ":" or "-", such as "over-frequency".',
    );
  if (state !== 'active' && state !== 'normal')
    return bad(`"state" is ${JSON.stringify(state)}; an alarm is reported "active" or "normal".`);
  if (priority !== undefined && !isPriority(priority))
    return bad(`"priority" is ${JSON.stringify(priority)}; it must be 1, the most urgent, to ${PRIORITIES.length}.`);
  if (text !== undefined && !isText(text)) return bad(`"text" must be text of at most ${LONGEST_TEXT} characters.`);
  if (value !== undefined && typeof value !== 'number' && typeof value !== 'boolean' && !isText(value))
    return bad(`"value" must be a number, true, false or text of at most ${LONGEST_TEXT} characters.`);
  return {
    condition,
    state,
    ...(priority !== undefined && { priority }),
    ...(text !== undefined && { text }),
    ...(value !== undefined && { value }),
  };
}

/** Whether a document acts on an alarm; it reports one otherwise. */
export const isAlarmAction = ({ action }: JsonObject): boolean => action !== undefined;

export function readAlarmAction(document: JsonObject): AlarmAction | Refusal {
  const { alarmId, condition, source, action, forS = DEFAULT_SHELVED_S, comment } = document;
  const name = ALARM_ACTIONS.find((each) => each === action);
  if (!name) return bad(`"action" is ${JSON.stringify(action)}; it must be one of ${ALARM_ACTIONS.join(', ')}.`);
  const id =
    typeof condition === 'string' && typeof source === 'string' && alarmId === undefined
      ? alarmIdOf(source, condition)
      : alarmId;
  if (typeof id !== 'string') return bad('An action needs the "alarmId", or the alarm\'s "source" and "condition".');
  if (typeof forS !== 'number' || !(forS > 0 && forS <= LONGEST_SHELVED_S))
    return bad(`"forS" is ${JSON.stringify(forS)}; it must be above 0 and at most ${LONGEST_SHELVED_S} seconds.`);
  if (comment !== undefined && !isText(comment))
    return bad(`"comment" must be text of at most ${LONGEST_TEXT} characters.`);
  return { alarmId: id, action: name, forS, ...(comment !== undefined && { comment }) };
}

/** A stored alarm; undefined for what this version cannot have written. */
export function readAlarm(document: JsonObject): Alarm | undefined {
  const { alarmId, source, condition, state, under, priority, changed, count } = document;
  if (![alarmId, source, condition, changed].every((each) => typeof each === 'string')) return undefined;
  if (!isPriority(priority) || typeof count !== 'number') return undefined;
  const isAside = ASIDE_STATES.some((each) => each === state);
  if (!OPEN_STATES.some((each) => each === (isAside ? under : state))) return undefined;
  if (state === 'shelved' && parseTime(shelvedUntil(document)) === undefined) return undefined;
  return document as unknown as Alarm;
}

function shelvedUntil({ shelved }: JsonObject): string {
  const until = typeof shelved === 'object' && shelved !== null && 'until' in shelved ? shelved.until : undefined;
  return typeof until === 'string' ? until : '';
}

/** What an alarm is once the setting aside is taken away. */
export const openStateOf = ({ state, under }: Pick<Alarm, 'state' | 'under'>): OpenState =>
  state === 'shelved' || state === 'suppressed' ? (under ?? 'normal') : state;

export const isActive = (alarm: Pick<Alarm, 'state' | 'under'>): boolean => openStateOf(alarm).endsWith('Active');

/**
 * The id of an alarm, which is one path segment: `pmu-61~over-frequency`, `pmu-61~measurements~over-frequency` where a
 * container is its source, `~load~high` for one that stands below the sclBase.
 *
 * @param source path text
 */
export function alarmIdOf(source: string, condition: string): string {
  const [, , collection, owner = '', , container] = source.split('/');
  const place = collection === 'applications' ? [owner, container] : ['', owner];
  const names = place.filter((name) => name !== undefined).map((name) => name.replaceAll('~', '%7E'));
  return [...names, condition].join('~');
}

/** Path text of the application that a source belongs to; empty for a container below the sclBase. */
export function applicationOfSource(source: string): string {
  const segments = source.split('/');
  return segments[2] === 'applications' ? segments.slice(0, 4).join('/') : '';
}

/**
 * Which of the applications that a session speaks for an alarm is about: the one its `source` names, or the only one.
 *
 * @param attached decoded paths
 */
export function sourceAmong(attached: readonly (readonly string[])[], { source }: JsonObject): string | Refusal {
  const paths = attached.map(pathText);
  const [only] = paths;
  if (only === undefined)
    return refuse('STATUS_PERMISSION_DENIED', 'Only a session that is attached to an application reports its alarms.');
  if (source === undefined && paths.length === 1) return only;
  const named = paths.find((path) => path === source);
  return named ?? bad(`"source" must be one of the applications this session is attached to: ${paths.join(', ')}.`);
}

/** Whether a source's path leaves room for the rest of the key. */
export const isSourceTooLong = (source: string): boolean => Buffer.byteLength(source) > LONGEST_SOURCE;

export const isPriority = (value: Json | undefined): value is Priority => PRIORITIES.some((each) => each === value);
const isText = (value: Json): value is string => typeof value === 'string' && value.length <= LONGEST_TEXT;
