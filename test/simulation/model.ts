/**
 * The reference model: what was asked, promised, done and told, as seen from outside the broker, and what of it must never
 * be. It imports nothing of src: what it knows of Gridcast is what the documents promise.
 *
 *     operators ──> sent, accepted, refused, told      devices ──> effect      inspection ──> known, missing
 *                        every call checks; the first thing that must not be throws a Violation with its sentence
 */

import { AlarmModel } from './alarm-model.js';

/** Ends the simulation with the sentence of what must not be. */
export type Judge = (sentence: string) => never;

/** An invariant does not hold. The message says which, and of what. */
export class Violation extends Error {}

const STATES_AFTER: Readonly<Record<string, readonly string[]>> = {
  accepted: [
    'selected',
    'dispatched',
    'acknowledged',
    'executed',
    'rejected',
    'cancelled',
    'expired',
    'unknown',
    'executedLate',
  ],
  selected: ['dispatched', 'acknowledged', 'executed', 'rejected', 'cancelled', 'expired', 'unknown', 'executedLate'],
  dispatched: ['acknowledged', 'selected', 'executed', 'rejected', 'cancelled', 'expired', 'unknown', 'executedLate'],
  acknowledged: ['selected', 'executed', 'rejected', 'cancelled', 'unknown', 'executedLate'],
  unknown: ['executedLate', 'rejected'],
  executed: [],
  rejected: [],
  cancelled: [],
  expired: [],
  executedLate: [],
};

/** Its deadline has passed or its device has spoken. */
const OVER = ['executed', 'rejected', 'cancelled', 'expired', 'unknown', 'executedLate'];

/** By how much the clock of a device is behind the broker's at most, and what reading it to the millisecond adds. */
const SKEW_US = 21_000;

/** One command of one issuer, as its issuer and its device see it. */
export interface Command {
  readonly name: string;
  readonly device: string;
  readonly point: string;
  readonly sentUs: number;
  readonly deadlineMs: number;
  /** It selects its point, and is not done before its issuer operates it. */
  readonly isSelect: boolean;
  /** Its issuer has said so. */
  isOperated: boolean;
  /** When its issuer first had the word that it is accepted. */
  acceptedUs: number | undefined;
  /** When he first had the word that it may be done: of a select, that its operate is accepted. */
  grantedUs: number | undefined;
  /** The furthest state that the issuer has been told. */
  told: string | undefined;
  /** The furthest state that the broker has shown when it was looked at. */
  known: string | undefined;
  readonly effectsUs: number[];
}

export class Model {
  readonly commands = new Map<string, Command>();
  readonly alarms = new AlarmModel((sentence) => this.broken(sentence));
  private readonly readings = new Map<string, { readonly reading: number; readonly takenUs: number }[]>();
  /** Nobody has stepped the broker's wall clock: it and the devices' agree within the skew. */
  clocksAgree = true;
  refusals = 0;
  restarts = 0;
  private effects: Command[] = [];
  /** Why the broker would be right to end by itself: none. */
  brokerMayEnd: (reason: string) => boolean = () => false;

  /** @param found told of each violation, as whoever calls may catch it */
  constructor(private readonly found: (violation: Violation) => void) {}

  broken(sentence: string): never {
    const violation = new Violation(sentence);
    this.found(violation);
    throw violation;
  }

  /** An issuer gives a command for the first time. */
  sent(given: Pick<Command, 'name' | 'device' | 'point' | 'deadlineMs' | 'isSelect'>, nowUs: number): void {
    this.commands.set(given.name, {
      ...given,
      sentUs: nowUs,
      isOperated: false,
      acceptedUs: undefined,
      grantedUs: undefined,
      told: undefined,
      known: undefined,
      effectsUs: [],
    });
  }

  /** The broker answered the issuer that the command stands, and in which state. */
  accepted(name: string, state: string, reason: string, nowUs: number): void {
    const command = this.commandOf(name);
    command.acceptedUs ??= nowUs;
    if (!command.isSelect) command.grantedUs ??= nowUs;
    this.told(name, state, reason);
  }

  /** Its issuer operates what he has selected; he may say so again. */
  operated(name: string): void {
    this.commandOf(name).isOperated = true;
  }

  operateAccepted(name: string, state: string, reason: string, nowUs: number): void {
    this.commandOf(name).grantedUs ??= nowUs;
    this.told(name, state, reason);
  }

  operateRefused(name: string, code: number): void {
    const command = this.commandOf(name);
    if (code === 400 || code === 404) this.broken(`${name} was selected, and its operate is refused with ${code}`);
    if (code === 409 && command.grantedUs !== undefined)
      this.broken(`the operate of ${name} was accepted, and the same one again is refused with ${code}`);
  }

  /**
   * The broker refused it, with HTTP's number.
   *
   * @param wasAccepted when it was given this time, its issuer had the word that it is accepted: answers of two sessions overtake each other
   */
  refused(name: string, code: number, wasAccepted: boolean): void {
    this.refusals++;
    const isForNow = code === 503 || code === 429 || code === 500;
    if (wasAccepted && !isForNow)
      this.broken(`${name} was accepted, and the same command again is refused with ${code}`);
  }

  /** Another command under an id that was accepted. */
  forged(name: string, code: number): void {
    if (code < 400 && this.commandOf(name).acceptedUs !== undefined)
      this.broken(`another command under the id of ${name} was taken with ${code}`);
  }

  /** The issuer was told a state: by an answer or by an outcome. */
  told(name: string, state: string, reason = ''): void {
    const command = this.commandOf(name);
    if (STATES_AFTER[state] === undefined) this.broken(`${name} is told to be ${state}, which is no state`);
    if (
      isOver(command.told) &&
      command.told !== state &&
      !isReachable(command.told, state) &&
      !isReachable(state, command.told)
    )
      this.broken(`${name} was told to be ${command.told}, and now ${state}: what is final never changes`);
    if (command.told === undefined || isReachable(command.told, state)) command.told = state;
    if ((state === 'executed' || state === 'executedLate') && command.effectsUs.length !== 1)
      this.broken(`${name} is told to be ${state}, and its device made ${command.effectsUs.length} effects`);
    if (state === 'rejected' && command.effectsUs.length > 0 && !reason.startsWith('interrupted'))
      this.broken(`${name} is told to be rejected (${reason}), and its device has made an effect`);
    if ((state === 'cancelled' || state === 'expired') && command.effectsUs.length > 0)
      this.broken(`${name} is told to be ${state}, and its device has made an effect`);
  }

  /** A device does what a command says. */
  effect(name: string, device: string, point: string, lateUs: number, nowUs: number): void {
    const command = this.commands.get(name);
    if (!command) this.broken(`${device} makes an effect for ${name}, which nobody issued`);
    if (command.device !== device || command.point !== point)
      this.broken(`${name} is for ${command.device} ${command.point}, and ${device} ${point} made its effect`);
    if (command.effectsUs.length > 0) this.broken(`${name} is executed twice`);
    if (lateUs > 0) this.broken(`${name} is executed ${lateUs / 1000} ms after its deadline`);
    if (command.isSelect && !command.isOperated)
      this.broken(`${name} is executed, and was only selected: its issuer has not operated it`);
    if (this.clocksAgree && command.grantedUs !== undefined) {
      const sinceUs = nowUs - command.grantedUs;
      if (sinceUs > command.deadlineMs * 1000 + SKEW_US)
        this.broken(`${name} is executed ${sinceUs / 1000} ms after it was accepted, and had ${command.deadlineMs} ms`);
    }
    if (command.told === 'cancelled' || command.told === 'expired')
      this.broken(`${name} is executed, and its issuer was told that it is ${command.told}`);
    command.effectsUs.push(nowUs);
    for (const holder of command.known === 'unknown' ? [] : this.commands.values())
      if (holder !== command && holder.known === 'selected' && holder.device === device && holder.point === point)
        this.broken(`${name} is executed at a point that is selected by ${holder.name}`);
    // What the broker has given up as unknown leaves its point: a device whose clock is a little behind still does it.
    for (const other of command.known === 'unknown' ? [] : this.effects) {
      const isLaterThan = command.acceptedUs !== undefined && command.acceptedUs < other.sentUs;
      if (isLaterThan && other.device === device && other.point === point)
        this.broken(`${name} is executed after ${other.name}, which was given after it was accepted`);
    }
    this.effects.push(command);
  }

  /** What the broker holds of a command right now; undefined: it does not know it. */
  known(name: string, state: string | undefined): void {
    const command = this.commandOf(name);
    if (state === undefined) {
      if (command.acceptedUs !== undefined) this.broken(`${name} was accepted, and the broker does not know it`);
      return;
    }
    for (const [before, what] of [
      [command.told, 'was told to be'],
      [command.known, 'was'],
    ] as const) {
      if (before !== undefined && before !== state && !isReachable(before, state))
        this.broken(`${name} ${what} ${before}, and the broker holds it as ${state}`);
    }
    command.known = state;
  }

  /** A reading was taken with a 201. */
  published(container: string, reading: number, nowUs: number): void {
    const readings = this.readings.get(container) ?? [];
    readings.push({ reading, takenUs: nowUs });
    this.readings.set(container, readings);
  }

  /**
   * The newest reading that a container holds.
   *
   * @param unsyncedSinceUs what was taken after this instant may be gone: of a container that promises no more, after a crash
   */
  holds(container: string, newest: number, unsyncedSinceUs = Infinity): void {
    const promised = this.readings.get(container)?.findLast(({ takenUs }) => takenUs < unsyncedSinceUs);
    if (promised && promised.reading > newest)
      this.broken(`${container} took reading ${promised.reading}, and the newest that it holds is ${newest}`);
    // What may be gone is gone: from now on it is not expected any more.
    if (unsyncedSinceUs !== Infinity)
      this.readings.set(
        container,
        (this.readings.get(container) ?? []).filter(({ reading }) => reading <= newest),
      );
  }

  /** The audit trail was read: these commands were accepted by it. */
  audited(names: ReadonlySet<string>): void {
    for (const { name, acceptedUs } of this.commands.values())
      if (acceptedUs !== undefined && !names.has(name))
        this.broken(`${name} was accepted, and the audit trail does not say so`);
  }

  brokerEnded(reason: string): void {
    this.restarts++;
    if (!this.brokerMayEnd(reason)) this.broken(`the broker ended by itself: ${reason}`);
  }

  /** Nothing disturbs any more, and there was time enough. */
  settled(): void {
    for (const { name, acceptedUs, told, known } of this.commands.values()) {
      if (acceptedUs === undefined) continue;
      if (!isOver(known)) this.broken(`${name} is still ${known} long after its deadline`);
      if (!isOver(told)) this.broken(`${name} is ${known}, and its issuer was told no more than ${told}`);
    }
  }

  private commandOf(name: string): Command {
    const command = this.commands.get(name);
    if (!command) this.broken(`${name} is spoken of, and nobody issued it`);
    return command;
  }
}

const isOver = (state: string | undefined): boolean => state !== undefined && OVER.includes(state);

export const isFinal = (state: string | undefined): boolean => state !== undefined && STATES_AFTER[state]?.length === 0;

/** Whether a command can become `later` after `earlier`. */
function isReachable(earlier: string | undefined, later: string | undefined): boolean {
  if (earlier === undefined || later === undefined) return false;
  return (STATES_AFTER[earlier] ?? []).includes(later);
}
