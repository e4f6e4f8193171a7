/**
 * The commands that are remembered, so that the same one again is answered with what became of the first: at most 10,000, and for
 * a day. Within it (issuer, commandId) is one command; what says when it was issued, and is older than the window, is refused.
 */
import { refuse, type Refusal } from '../errors.js';
import { acceptedUsOf, isOver, stateOf, type CommandRecord } from './command-record.js';
import { formatTime } from '../clock.js';

/** The oldest that is over gives way to the next. */
export const REMEMBERED = 10_000;
/** From acceptance. Longer than any deadline and lease together, and than a shift. */
const REMEMBERED_S = 86_400;
/** How far an issuer's clock may be ahead of ours. */
const LEAD_S = 60;
const US_PER_S = 1_000_000;

export class CommandWindow {
  /** By issuer and id, in order of acceptance. */
  private readonly records = new Map<string, CommandRecord>();
  /** By application and id: what a device's word is about. */
  private readonly heard = new Map<string, CommandRecord>();
  private newestForgottenUs = -Infinity;

  [Symbol.iterator](): Iterator<CommandRecord> {
    return this.records.values();
  }

  /** When the newest was accepted that has given way for want of room: no older one can be told from a new one any more. */
  get forgottenUs(): number {
    return this.newestForgottenUs;
  }

  get(key: string): CommandRecord | undefined {
    return this.records.get(key);
  }

  /** What a device of this application knows under this id. */
  heardAs(application: string, commandId: string): CommandRecord | undefined {
    return this.heard.get(`${application} ${commandId}`);
  }

  add(record: CommandRecord): void {
    this.records.set(record.key, record);
    this.heard.set(`${record.application} ${record.command.commandId}`, record);
  }

  /** Those of an earlier run, in order of acceptance. */
  restore(records: readonly CommandRecord[]): void {
    for (const record of records) {
      this.add(record);
      this.newestForgottenUs = Math.max(this.newestForgottenUs, record.forgottenUs);
    }
  }

  forget(record: CommandRecord): void {
    this.records.delete(record.key);
    this.heard.delete(`${record.application} ${record.command.commandId}`);
  }

  get hasRoom(): boolean {
    return this.records.size < REMEMBERED;
  }

  /** Forgets those that are too old. */
  sweep(nowUs: number): readonly CommandRecord[] {
    const gone: CommandRecord[] = [];
    for (const record of this.records.values()) {
      if (acceptedUsOf(record) >= nowUs - REMEMBERED_S * US_PER_S || !mayGo(record)) break;
      gone.push(record);
    }
    for (const record of gone) this.forget(record);
    return gone;
  }

  /** Forgets, where there is no room, the oldest that is over, be it unknown how. */
  makeRoom(): readonly CommandRecord[] {
    if (this.hasRoom) return [];
    for (const record of this.records.values()) {
      if (!mayGo(record)) continue;
      this.newestForgottenUs = Math.max(this.newestForgottenUs, acceptedUsOf(record));
      this.forget(record);
      return [record];
    }
    return [];
  }

  /** Why a command that says when it was issued can not be taken for a new one. */
  refusalOf(issuedUs: number, nowUs: number): Refusal | undefined {
    if (issuedUs > nowUs + LEAD_S * US_PER_S)
      return refuse(
        'STATUS_CONFLICT',
        `"issuedAt" is ${formatTime(issuedUs)}, and it is ${formatTime(nowUs)}: at most ${LEAD_S} s ahead is taken.`,
      );
    const sinceUs = Math.max(nowUs - REMEMBERED_S * US_PER_S, this.forgottenUs);
    return issuedUs > sinceUs
      ? undefined
      : refuse(
          'STATUS_CONFLICT',
          `"issuedAt" is ${formatTime(issuedUs)}: what was issued before ${formatTime(sinceUs)} may have been executed already; issue a new command.`,
        );
  }
}

const mayGo = (record: CommandRecord): boolean => isOver(stateOf(record)) && !record.isWriting;
