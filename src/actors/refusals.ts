/**
 * Requests refused for want of rights, on their way to the audit trail: all are counted, and of each originator so many a minute are
 * written one by one; how many more there were is written when the minute is over. Whoever knocks at every door must not fill the
 * trail, and drown in it who else knocks.
 */
import type { Cancel } from '../clock.js';
import type { Status } from '../errors.js';
import type { AuditEvent } from '../store/store.js';
import type { Schedule } from './notification-channel.js';

const WINDOW_MS = 60_000;
/** Of one originator in a window. */
export const WRITTEN_EACH = 20;
/** Originators told apart in a window; a peer that takes a new name for each request is one of the others. */
const MOST_ORIGINATORS = 500;
const OTHERS = 'others';

export class Refusals {
  /** Since the start, by what was answered. */
  readonly counts = new Map<Status, number>();
  /** Since the start: those that were counted and not written one by one. */
  summed = 0;
  private readonly ofWindow = new Map<string, number>();
  private cancelWindow: Cancel | undefined;

  constructor(
    private readonly schedule: Schedule,
    private readonly write: (event: AuditEvent) => void,
  ) {}

  note(event: AuditEvent, status: Status): void {
    this.counts.set(status, (this.counts.get(status) ?? 0) + 1);
    this.cancelWindow ??= this.schedule(WINDOW_MS, () => this.closeWindow());
    const { ofWindow } = this;
    const isKnown = ofWindow.has(event.originator) || ofWindow.size < MOST_ORIGINATORS;
    const name = isKnown ? event.originator : OTHERS;
    const count = (ofWindow.get(name) ?? 0) + 1;
    ofWindow.set(name, count);
    if (count <= WRITTEN_EACH) this.write(event);
    else this.summed++;
  }

  /** Writes what of the window is still to be told. */
  closeWindow(): void {
    this.cancelWindow?.();
    this.cancelWindow = undefined;
    for (const [originator, count] of this.ofWindow) {
      const more = count - WRITTEN_EACH;
      if (more > 0) this.write({ event: 'requests-refused', originator, target: '/', details: { more } });
    }
    this.ofWindow.clear();
  }
}
