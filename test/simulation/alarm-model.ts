/**
 * The reference model of alarms: what devices reported and were told is kept, and what each subscriber has been shown. It
 * imports nothing of src, as the model of commands.
 */
import type { Judge } from './model.js';

/** How an alarm stands, as far as the documents promise it. */
export interface Shown {
  readonly isActive: boolean;
  readonly isAcknowledged: boolean;
  /** Times it became active. */
  readonly count: number;
  /** Out of sight for a time; what it is else is what it is beneath. */
  readonly isShelved: boolean;
}

interface Report {
  readonly isActive: boolean;
}

interface Alarm {
  readonly reports: Report[];
  /** Index of the last report that was acknowledged as kept; all before it are worth nothing any more. */
  kept: number;
  /** Up to which count an operator's acknowledgement was answered as kept. */
  acknowledgedCount: number;
  /** What an operator has last been answered, while nobody has asked for anything else. */
  shelving: { readonly isShelved: boolean; readonly untilUs: number } | undefined;
  /** Acts of shelving that were asked for, and those of them that have no answer yet. */
  asked: number;
  unanswered: number;
  /** Rises with each change of the above. */
  moves: number;
}

export class AlarmModel {
  readonly alarms = new Map<string, Alarm>();
  /** By subscriber: what he has been shown in this session. */
  private readonly views = new Map<string, Map<string, Shown>>();

  constructor(private readonly judge: Judge) {}

  /** A device says what is; the result is told to `kept` when the broker has acknowledged it. */
  reported(id: string, isActive: boolean): number {
    const alarm = this.alarms.get(id) ?? newAlarm();
    this.alarms.set(id, alarm);
    alarm.moves++;
    return alarm.reports.push({ isActive }) - 1;
  }

  kept(id: string, report: number): void {
    const alarm = this.alarms.get(id);
    if (!alarm) return;
    alarm.moves++;
    alarm.kept = Math.max(alarm.kept, report);
  }

  /** An operator's acknowledgement of an alarm with this count was answered. */
  acknowledged(id: string, count: number): void {
    const alarm = this.alarms.get(id);
    if (!alarm) return;
    alarm.moves++;
    alarm.acknowledgedCount = Math.max(alarm.acknowledgedCount, count);
  }

  /**
   * An operator asks for it to be shelved, or shown again: from now on it may be either.
   *
   * @param untilUs when the time of the shelving is over at the earliest
   * @returns what to call with the answer: whether it was done, or why it is as he wanted; undefined: none came, or not now
   */
  asks(id: string, isShelved: boolean, untilUs: number): (isSo: boolean | undefined) => void {
    const alarm = this.alarms.get(id);
    if (!alarm) return () => {};
    const act = ++alarm.asked;
    alarm.unanswered++;
    alarm.shelving = undefined;
    alarm.moves++;
    return (isSo) => {
      alarm.unanswered--;
      // Which of two came first nobody but the broker knows.
      if (isSo === true && alarm.asked === act && alarm.unanswered === 0) alarm.shelving = { isShelved, untilUs };
      alarm.moves++;
    };
  }

  /** A subscriber begins anew: he is shown all that stands. */
  subscribed(who: string): void {
    this.views.set(who, new Map());
  }

  told(who: string, id: string, shown: Shown): void {
    this.views.get(who)?.set(id, shown);
  }

  /**
   * How the broker holds an alarm right now; undefined: not at all.
   *
   * @param isTimed nobody has stepped the wall clock, which shortens a shelving over a restart
   */
  held(id: string, shown: Shown | undefined, nowUs: number, isTimed: boolean): void {
    const alarm = this.alarms.get(id);
    if (!alarm) return;
    const { reports, kept, acknowledgedCount, shelving } = alarm;
    if (shelving?.isShelved === true && isTimed && nowUs < shelving.untilUs && shown?.isShelved !== true)
      this.judge(`${id} was shelved until ${shelving.untilUs / 1e6}, and the broker does not hold it as shelved`);
    if (shelving?.isShelved === false && shown?.isShelved === true)
      this.judge(`${id} was unshelved, and the broker holds it as shelved`);
    const isPossible = reports.slice(Math.max(0, kept)).some(({ isActive }) => isActive === (shown?.isActive ?? false));
    if (kept >= 0 && !isPossible)
      this.judge(
        `${id} was reported ${nameOf(reports[kept])} and that is kept, and the broker holds it as ${nameOf(shown)}`,
      );
    if (shown && acknowledgedCount >= shown.count && shown.count > 0 && !shown.isAcknowledged)
      this.judge(
        `${id} was acknowledged at its count of ${acknowledgedCount}, and the broker holds it as unacknowledged`,
      );
  }

  /** Long after the last report: it stands as last reported, is acknowledged, and every subscriber sees it so. */
  settled(id: string, shown: Shown | undefined): void {
    const last = this.alarms.get(id)?.reports.at(-1);
    const isActive = shown?.isActive ?? false;
    if (last && last.isActive !== isActive)
      this.judge(`${id} was last reported ${nameOf(last)}, and the broker still holds it as ${nameOf(shown)}`);
    if (shown?.isShelved === true) this.judge(`${id} is still shelved, long after its time`);
    if (shown && !shown.isAcknowledged)
      this.judge(`${id} is still unacknowledged, though operators acknowledge what they see`);
    for (const [who, view] of this.views) {
      const seen = view.get(id);
      if ((seen?.isActive ?? false) !== isActive)
        this.judge(
          `${id} is ${nameOf(shown)}, and ${who} was last told that it is ${nameOf(seen)}: an alarm was dropped`,
        );
    }
  }
}

const newAlarm = (): Alarm => ({
  reports: [],
  kept: -1,
  acknowledgedCount: 0,
  shelving: undefined,
  asked: 0,
  unanswered: 0,
  moves: 0,
});

const nameOf = (shown: Report | undefined): string => (shown?.isActive ? 'active' : 'normal');
