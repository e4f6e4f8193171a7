/**
 * The canary: once a second something goes the way of every alarm, so that whoever waits for alarms can tell silence from a broken
 * wire [14 August 2003: the alarm processor stood still for an hour, and nobody could see it].
 *
 *     every second ──> intake, priority 1 ──> behind what the journal owes ──> the subscribers of `canary`
 *
 * It is not journalled: it is worth nothing a second later. But it waits for the alarms before it that are, so that a disk which
 * hangs silences it.
 */
import { every, formatTime, type Cancel } from '../clock.js';
import type { Supervised } from '../kernel/supervisor.js';
import { CANARY_PERIOD_MS } from '../routing/alarm.js';
import { jsonInstance } from './alarm-record.js';
import type { Alarms, AlarmsOptions } from './alarms.js';

export class Canary implements Supervised {
  readonly name = 'canary';
  private number = 0;
  private cancel: Cancel = () => {};

  constructor(
    private readonly alarms: Alarms,
    private readonly options: Pick<AlarmsOptions, 'clock' | 'encoder'>,
  ) {}

  start(): void {
    this.cancel = every(this.options.clock, CANARY_PERIOD_MS, () => this.sing());
  }

  stop(): void {
    this.cancel();
  }

  private sing(): void {
    const { intake, journal } = this.alarms;
    intake.put(1, () => journal.afterAll(() => this.tell()));
  }

  private tell(): void {
    const { canary } = this.alarms.places;
    if (!canary) return;
    const { clock, encoder } = this.options;
    const nowUs = clock.wallUs();
    const document = { canary: ++this.number, at: formatTime(nowUs) };
    const instance = jsonInstance(`canary-${document.at}`, document, nowUs, clock.monotonicUs(), encoder);
    canary.contentInstances.history?.append(instance);
    canary.outlet.tell({ id: 'canary', priority: 1, document, sample: instance.value });
  }
}
