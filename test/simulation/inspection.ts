/**
 * One life of the broker looked at from inside, between two events: what it holds is held against the model, and its counters
 * must add up.
 */
import type { AlarmRecord } from '../../src/actors/alarm-record.js';
import type { Alarms } from '../../src/actors/alarms.js';
import type { Node } from '../../src/actors/resources.js';
import type { Broker } from '../../src/broker.js';
import type { Alarm } from '../../src/routing/alarm.js';
import { isFinal, type Model } from './model.js';
import { containerOf } from './publisher.js';
import { shownOf } from './watcher.js';

/** Sums only rise, and what is final stays so or not: after the first event of a life and every sixteenth they are looked at. */
const THOROUGH_EVERY = 16;

/** The part of the broker's books that is not public: a record of each command. */
interface CommandBooks {
  readonly window: { get(key: string): { readonly states: readonly { readonly state: string }[] } | undefined };
}

export class Inspection {
  private readonly nodes = new Map<string, Node>();
  /** Alarms are few here: none of them ever gives way to another. */
  private readonly records = new Map<string, AlarmRecord>();
  private readonly seen = new Map<string, { readonly held: Alarm | undefined; readonly moves: number }>();
  /** What contents say. */
  private readonly read = new WeakMap<Uint8Array, number>();
  private looks = 0;

  /** Reports of alarms that were made, whatever the broker counts. */
  private reports: number;

  constructor(
    private readonly broker: Broker,
    private readonly model: Model,
    private readonly timeline: { readonly nowUs: number },
  ) {
    const { alarms } = broker;
    this.reports = reportsOf(alarms);
    const report = alarms.report.bind(alarms);
    alarms.report = (...given) => {
      this.reports++;
      return report(...given);
    };
  }

  /** @param groupedUntilUs at the first look at a new life: what was answered after it and only grouped may be gone */
  look(groupedUntilUs?: number): void {
    const isThorough = this.looks++ % THOROUGH_EVERY === 0;
    this.commands(isThorough);
    this.alarms();
    this.readings(groupedUntilUs);
    if (isThorough) this.accounts();
  }

  /** After the calm: alarms stand as they were last reported, and everybody has been told. */
  settled(): void {
    this.look();
    for (const id of this.model.alarms.alarms.keys()) {
      const held = this.alarm(id);
      this.model.alarms.settled(id, held && shownOf(held));
    }
    const { trouble } = this.broker.surroundings.store;
    if (trouble) this.model.broken(`the disk is well, and the store says: ${trouble.detail}`);
  }

  /** Every command that was accepted is there, in a state that follows from what was said of it. */
  private commands(isThorough: boolean): void {
    const { window } = this.broker.commands as unknown as CommandBooks;
    for (const { name, known } of this.model.commands.values()) {
      // What is final is looked at less often than what may move.
      if (!isThorough && isFinal(known)) continue;
      const record = window.get(name);
      this.model.known(name, record?.states[record.states.length - 1]?.state);
    }
  }

  private alarms(): void {
    for (const [id, { moves }] of this.model.alarms.alarms) {
      const held = this.alarm(id);
      // What has not changed on either side was right a moment ago.
      const seen = this.seen.get(id);
      if (seen?.held === held && seen?.moves === moves) continue;
      this.seen.set(id, { held, moves });
      this.model.alarms.held(id, held && shownOf(held), this.timeline.nowUs, this.model.clocksAgree);
    }
  }

  private alarm(id: string): Alarm | undefined {
    const record = this.records.get(id);
    if (record) return record.alarm;
    const [device = '', ...rest] = id.split('~');
    const [condition = '', container = ''] = rest.reverse();
    const source = device === '' ? `/m2m/containers/${container}` : `/m2m/applications/${device}`;
    const found = this.broker.alarms.find(source, condition);
    if (found) this.records.set(id, found);
    return found?.alarm;
  }

  private readings(groupedUntilUs: number | undefined): void {
    for (const durability of ['grouped', 'synced'] as const) {
      const content = this.contentInstancesOf(durability)?.history?.latest?.value.content;
      const bytes = content?.kind === 'stored' ? content.bytes : undefined;
      this.model.holds(durability, this.readingIn(bytes), durability === 'grouped' ? groupedUntilUs : undefined);
    }
  }

  private readingIn(bytes: Uint8Array | undefined): number {
    if (!bytes) return 0;
    const known = this.read.get(bytes);
    if (known !== undefined) return known;
    const reading = Number(/\d+/.exec(Buffer.from(bytes).toString())?.[0]);
    this.read.set(bytes, reading);
    return reading;
  }

  private contentInstancesOf(durability: 'grouped' | 'synced'): Node | undefined {
    const known = this.nodes.get(durability);
    if (known) return known;
    const path = `${containerOf(durability)}/contentInstances`.slice(1).split('/');
    const target = this.broker.resources.tree.resolve(path, 0);
    if (target.kind !== 'resource') return undefined;
    this.nodes.set(durability, target.node);
    return target.node;
  }

  /** For every subscription: received = delivered + decimated + dropped + held. */
  private accounts(): void {
    const { subscriptions } = this.broker;
    for (const { received, delivered, decimated, dropped, held } of subscriptions.accounts()) {
      let left = delivered + decimated + held;
      for (const count of Object.values(dropped)) left += count;
      if (received !== left) this.model.broken(`a subscription received ${received} samples and accounts for ${left}`);
    }
    const { ended } = subscriptions;
    let left = ended.delivered + ended.decimated;
    for (const count of ended.dropped.values()) left += count;
    if (ended.received !== left)
      this.model.broken(`ended subscriptions received ${ended.received} samples and account for ${left}`);
    this.alarmAccounts();
  }

  /** Reports = what they came to + waiting; told to subscribers = told + conflated + dropped + pending. */
  private alarmAccounts(): void {
    const { alarms } = this.broker;
    if (this.reports !== reportsOf(alarms))
      this.model.broken(`${this.reports} reports of alarms were made, and ${reportsOf(alarms)} are accounted for`);
    const { offered, told, conflated, dropped } = alarms.places.pump.figures;
    const left = told + conflated + dropped + sumOf(alarms.places.pending);
    if (offered !== left)
      this.model.broken(`subscribers were offered ${offered} changes of alarms, and ${left} are accounted for`);
  }
}

const sumOf = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);
const reportsOf = ({ outcomes, waiting }: Alarms): number => sumOf(Object.values(outcomes)) + sumOf(waiting);
