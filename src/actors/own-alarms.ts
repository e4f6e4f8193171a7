/** The broker's alarms about itself and its peers: what others notice is put into an alarm's words here. */
import type { Cancel } from '../clock.js';
import type { Trouble } from '../store/store.js';
import { isActive, type AlarmReport } from '../routing/alarm.js';
import type { Alarms } from './alarms.js';
import type { Schedule } from './notification-channel.js';
import type { ClosedEndpoint } from './sessions.js';
import type { SourceState } from './source.js';

/** A stream that is back within this was never lost to a person. */
const SOURCE_PATIENCE_MS = 1_000;
/** What happens and is over has no end of its own: its alarm clears when it has not happened again for so long. */
const QUIET_MS = 60_000;

/** Conditions that happen and are over. */
const HAPPENINGS: readonly string[] = ['slow-consumer', 'alarm-flood', 'command-late'];

export class OwnAlarms {
  private readonly lost = new Map<string, Cancel>();
  private readonly quiet = new Map<string, Cancel>();

  constructor(
    private readonly alarms: () => Alarms,
    private readonly schedule: Schedule,
  ) {}

  /** What an earlier run left active and nothing would clear. */
  start(): void {
    for (const { alarm } of this.alarms().all())
      if (HAPPENINGS.includes(alarm.condition) && isActive(alarm)) this.awaitQuiet(alarm.source, alarm.condition);
    for (const kind of ['full', 'failed'] as const) this.own({ condition: `store-${kind}`, state: 'normal' });
  }

  endpointEnded({ ending, address, binding, originator }: ClosedEndpoint): void {
    if (ending !== 'SLOW_CONSUMER') return;
    const text = `${originator} (${binding}, ${address}) did not take what it must not lose, and was closed.`;
    this.happened(this.alarms().places.own, { condition: 'slow-consumer', state: 'active', priority: 2, text });
  }

  /** @param state undefined when the stream is detached */
  sourceState(application: string, state: SourceState | undefined): void {
    const report = (said: Omit<AlarmReport, 'condition'>): void =>
      this.say(application, { condition: 'source-lost', ...said });
    if (state === undefined || state === 'streaming' || state === 'closed') {
      this.lost.get(application)?.();
      this.lost.delete(application);
      // One that is closed is being restarted, or the broker stops.
      if (state !== 'closed') report({ state: 'normal' });
    } else if (!this.lost.has(application)) {
      const text = 'The PMU stream brings no data; it is being connected to.';
      const raise = (): void => report({ state: 'active', priority: 2, text });
      this.lost.set(application, this.schedule(SOURCE_PATIENCE_MS, raise));
    }
  }

  storeTrouble(trouble: Trouble | undefined): void {
    for (const kind of ['full', 'failed'] as const) {
      const condition = `store-${kind}`;
      if (trouble?.kind === kind) this.own({ condition, state: 'active', priority: 1, text: trouble.detail });
      else this.own({ condition, state: 'normal' });
    }
  }

  /** A command was executed after its deadline: the alarm is its application's. */
  executedLate(application: string, commandId: string): void {
    const text = `The command ${commandId} was executed after its deadline.`;
    this.happened(application, { condition: 'command-late', state: 'active', priority: 2, text });
  }

  /** The table of alarms is full. */
  flood(): void {
    const text = 'More alarms stand than can be kept; new ones are refused.';
    this.happened(this.alarms().places.own, { condition: 'alarm-flood', state: 'active', priority: 1, text });
  }

  stop(): void {
    for (const cancel of [...this.lost.values(), ...this.quiet.values()]) cancel();
  }

  private own(report: AlarmReport): void {
    this.say(this.alarms().places.own, report);
  }

  private say(source: string, report: AlarmReport): void {
    this.alarms().report(source, report, undefined, true);
  }

  private happened(source: string, report: AlarmReport): void {
    this.say(source, report);
    this.awaitQuiet(source, report.condition);
  }

  private awaitQuiet(source: string, condition: string): void {
    const key = `${source} ${condition}`;
    this.quiet.get(key)?.();
    const clear = (): void => {
      this.quiet.delete(key);
      this.say(source, { condition, state: 'normal' });
    };
    this.quiet.set(key, this.schedule(QUIET_MS, clear));
  }
}
