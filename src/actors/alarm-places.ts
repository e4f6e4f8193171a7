/**
 * Where alarms are in the tree: the alarms container of the application they are about, and that of the broker's own, which has
 * them all. What one reads and subscribes to there is the alarms themselves; no contentInstance is stored.
 */
import { ALARMS_CONTAINER, BROKER_APPLICATION, CANARY_CONTAINER, PRIORITIES, type Alarm } from '../routing/alarm.js';
import { AlarmOutlet, AlarmPump, type Tellable } from './alarm-feed.js';
import { AlarmHistory, AlarmShelf } from './alarm-history.js';
import type { AlarmRecord } from './alarm-record.js';
import type { AlarmsOptions } from './alarms.js';
import type { Node } from './resources.js';

/** Whether what is created in a container is a report of an alarm, or an act on one. */
export const isAlarmsContainer = (container: Node | undefined): boolean =>
  container?.id === ALARMS_CONTAINER && container.parent?.parent?.type === 'application';

export class AlarmPlaces {
  readonly pump: AlarmPump;
  /** Path text of the broker's own application. */
  readonly own: string;
  /** By application; the broker's own has all. */
  private readonly shelves = new Map<string, AlarmShelf<AlarmRecord>>();
  private readonly outlets = new Map<string, AlarmOutlet>();
  /** The canary's container, where somebody has not deleted it. */
  canary: { readonly contentInstances: Node; readonly outlet: AlarmOutlet } | undefined;

  constructor(private readonly options: AlarmsOptions) {
    const { clock, router, resources } = options;
    this.pump = new AlarmPump(clock, router);
    this.own = `${resources.tree.root.reference}/applications/${BROKER_APPLICATION}`;
  }

  /** All alarms that have been told, by id. */
  get all(): ReadonlyMap<string, AlarmRecord> {
    return this.shelf(this.own).alarms;
  }

  ofApplication(application: string): ReadonlyMap<string, AlarmRecord> {
    return this.shelves.get(application)?.alarms ?? NONE;
  }

  /** A container was created: if it is for alarms, they are in it from now on. */
  adopt(container: Node): void {
    const application = container.parent?.parent;
    const isCanary = container.id === CANARY_CONTAINER && application?.reference === this.own;
    if (!isAlarmsContainer(container) && !isCanary) return;
    const { resources } = this.options;
    const contentInstances = container.child('contentInstances');
    const route = contentInstances && resources.routeOf(contentInstances);
    if (!route || !application) return;
    if (isCanary) {
      this.canary = { contentInstances, outlet: new AlarmOutlet(route, this.pump, () => []) };
      return;
    }
    const { reference } = application;
    const shelf = this.shelf(reference);
    contentInstances.history = new AlarmHistory(resources.tree.revisions, shelf);
    this.outlets.set(reference, new AlarmOutlet(route, this.pump, () => standing(shelf)));
  }

  /** A container is gone. Its alarms are still in that of the broker. */
  leave(container: Node): void {
    const application = container.parent?.parent?.reference ?? '';
    if (isAlarmsContainer(container)) {
      this.outlets.delete(application);
      this.tidy(application);
    }
    if (this.canary?.contentInstances.parent === container) this.canary = undefined;
  }

  /** Shows an alarm as it is now to whoever reads. */
  put(record: AlarmRecord, alarm: Alarm): void {
    const { resources, clock } = this.options;
    const revision = resources.tree.revisions.next();
    record.tell(alarm, revision);
    for (const application of this.placesOf(record)) this.shelf(application).put(record, revision, clock.wallUs());
  }

  /** The same, and to all who have subscribed. */
  tell(record: AlarmRecord, alarm: Alarm): void {
    this.put(record, alarm);
    for (const application of this.placesOf(record)) this.outlets.get(application)?.tell(record);
  }

  remove(record: AlarmRecord): void {
    const { resources, clock } = this.options;
    const revision = resources.tree.revisions.next();
    for (const application of this.placesOf(record)) {
      this.shelf(application).remove(record, revision, clock.wallUs());
      this.tidy(application);
    }
  }

  /** Waiting for subscribers, by priority from 1 on. */
  get pending(): readonly number[] {
    const all = [...this.outlets.values(), ...(this.canary ? [this.canary.outlet] : [])].map(({ pending }) => pending);
    return PRIORITIES.map((_, index) => all.reduce((sum, pending) => sum + (pending[index] ?? 0), 0));
  }

  private placesOf({ application }: AlarmRecord): readonly string[] {
    return application === this.own ? [this.own] : [this.own, application];
  }

  private shelf(application: string): AlarmShelf<AlarmRecord> {
    let shelf = this.shelves.get(application);
    if (!shelf) this.shelves.set(application, (shelf = new AlarmShelf()));
    return shelf;
  }

  /** Applications come and go: one without alarms, and without a place to show them, leaves no shelf behind. */
  private tidy(application: string): void {
    if (!this.outlets.has(application) && this.shelves.get(application)?.alarms.size === 0)
      this.shelves.delete(application);
  }
}

const NONE: ReadonlyMap<string, AlarmRecord> = new Map();

function* standing({ alarms }: AlarmShelf<AlarmRecord>): Iterable<Tellable> {
  for (const record of alarms.values()) if (record.told?.state !== 'normal') yield record;
}
