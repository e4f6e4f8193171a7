/**
 * How a PMU looks in the tree, and the way its measurements take into it.
 *
 *     configuration ──> application pmu-61 ──> containers descriptor, measurements, alarms, commands, health
 *     measurement ────> Sample ──> container's actor (latest, ring)
 *                          └─────> router (deliveries)          neither waits for the other
 */
import type { Clock } from '../clock.js';
import { isRefusal } from '../errors.js';
import type { Cell } from '../kernel/cell.js';
import type { Population } from '../kernel/population.js';
import type { Log } from '../log.js';
import { INTERNAL } from '../resources/node.js';
import type { Measurement, PmuDescriptor } from '../routing/measurement.js';
import type { JsonObject } from '../routing/primitive.js';
import type { Route, Router } from '../routing/router.js';
import { Sample, type SampleEncoder } from '../routing/sample.js';
import type { ResourceMessage } from './resource.js';
import { numberOf, type Node, type Resources } from './resources.js';

/** Frames kept per PMU: what a late reader or a snapshot looks back on; a chart of more asks the history of a later reader. */
const KEPT_S = 10;
/** Ten seconds of the fastest PMUs there are, 120/s; a rate that a broken configuration claims must not set our memory. */
const MOST_KEPT = 1_200;
/** Descriptors, health reports: the last few. */
const KEPT_REPORTS = 20;
/** Of each container: a frame is gone with a crash; nobody waits for a report. */
const DURABILITIES: Readonly<Record<string, string>> = { measurements: 'latest', health: 'grouped' };

export interface PmusOptions {
  readonly resources: Resources;
  readonly population: Population<ResourceMessage>;
  readonly router: Router;
  readonly clock: Clock;
  readonly log: Log;
  readonly encoder: SampleEncoder;
  /** Seconds that measurements are kept on disk, of streams that do not say; 0 for none. */
  readonly historyS: number;
}

/** What a stream's address asks for. */
export interface StreamWishes {
  /** In place of `pmu-<IDCODE>`. */
  readonly name: string | undefined;
  /** In place of the broker's. */
  readonly historyS: number | undefined;
}

/** One PMU's rooms in the tree, found once per configuration: the cached route of its samples. */
interface Place {
  readonly application: Node;
  readonly container: Node;
  readonly key: string;
  readonly route: Route;
  /** The container's actor; made with the first frame, and looked up anew when it has stopped. */
  cell: Cell<ResourceMessage> | undefined;
}

/** PMUs that have left a stream and keep their applications; a device that sends nonsense must not fill the tree. */
const MOST_ABSENT = 16;

/** The PMUs of one stream. */
export class StreamPmus {
  /** By index in the configuration that holds. */
  private places: (Place | undefined)[] = [];
  private descriptors: readonly PmuDescriptor[] = [];
  /** All that ever were, by whom they are of: a PMU that left the stream comes back to its own place, wherever it stands then. */
  private readonly known = new Map<string, Place>();
  /** Measurements of PMUs that have no place: their application was deleted. */
  unplaced = 0;

  /**
   * @param stream the application that has the stream's address as its point of contact
   */
  constructor(
    private readonly stream: Node,
    private wishes: StreamWishes,
    private readonly options: PmusOptions,
  ) {
    // What an earlier run of the broker made for this stream.
    for (const [key, application] of options.resources.takeMade(stream)) {
      const place = this.placeIn(application);
      if (place) this.known.set(key, place);
    }
  }

  /** Its address says something else of the history now. */
  wish(wishes: StreamWishes): void {
    this.wishes = wishes;
    if (this.descriptors.length > 0) this.configure(this.descriptors);
  }

  /** A configuration holds: each PMU gets its application, or keeps the one it has. */
  configure(descriptors: readonly PmuDescriptor[]): void {
    this.descriptors = descriptors;
    const ids = descriptors.map(({ idCode }) => idCode);
    this.places = descriptors.map((descriptor, index) => {
      // Names of the address go by index; otherwise the IDCODE says who it is, and of equal ones their order.
      const earlier = ids.slice(0, index).filter((id) => id === descriptor.idCode).length;
      const key = this.wishes.name === undefined ? `${descriptor.idCode} ${earlier}` : String(index);
      const place = this.settle(descriptor, key, index, descriptors.length, this.known.get(key));
      this.known.delete(key);
      if (place) this.known.set(key, place);
      return place;
    });
    const absent = [...this.known].filter(([, place]) => !this.places.includes(place));
    // The longest absent stand first.
    for (const [key, place] of absent.slice(0, Math.max(0, absent.length - MOST_ABSENT))) {
      this.known.delete(key);
      this.removeApplication(place);
    }
  }

  measure(index: number, measurement: Measurement, measuredUs: number, arrivedUs: number, quality: number): void {
    const place = this.place(index);
    if (!place) {
      this.unplaced++;
      return;
    }
    const sample = new Sample(
      { kind: 'measurement', measurement },
      measuredUs,
      arrivedUs,
      quality,
      this.options.encoder,
    );
    this.cellOf(place).tell(sample);
    this.options.router.publish(place.route, sample);
  }

  /** Writes one report into each PMU's `health`. */
  report(health: JsonObject): void {
    for (const place of this.places) if (place) this.write(place.application, 'health', health);
  }

  /** The stream is detached: the applications that it brought go with it. */
  remove(): void {
    for (const place of this.known.values()) this.removeApplication(place);
    this.known.clear();
    this.places = [];
  }

  private removeApplication({ route, application }: Place): void {
    if (route.isOpen && application !== this.stream) this.options.resources.remove(application);
  }

  private cellOf(place: Place): Cell<ResourceMessage> {
    if (!place.cell || place.cell.state === 'stopped') place.cell = this.options.population.activate(place.key);
    return place.cell;
  }

  /** A deleted application comes back with the next configuration, not with the next frame. */
  private place(index: number): Place | undefined {
    const place = this.places[index];
    return place?.route.isOpen ? place : undefined;
  }

  private settle(
    descriptor: PmuDescriptor,
    key: string,
    index: number,
    count: number,
    standing: Place | undefined,
  ): Place | undefined {
    const application =
      (standing?.route.isOpen ? standing.application : undefined) ?? this.application(descriptor, key, index, count);
    if (!application) return undefined;
    this.container(
      application,
      'measurements',
      Math.min(MOST_KEPT, Math.max(KEPT_REPORTS, Math.round(descriptor.reportingRate * KEPT_S))),
      descriptor.reportingRate,
    );
    for (const name of ['descriptor', 'alarms', 'commands', 'health']) this.container(application, name, KEPT_REPORTS);
    this.write(application, 'descriptor', descriptorDocument(descriptor));
    const place = this.placeIn(application);
    const contentInstances = place?.container.child('contentInstances');
    if (!place || !contentInstances) return undefined;
    const rate = descriptor.reportingRate >= 1 ? descriptor.reportingRate : 0;
    this.options.resources.rate(contentInstances, place.route, rate);
    return place;
  }

  private placeIn(application: Node): Place | undefined {
    const container = application.child('containers')?.child('measurements');
    const contentInstances = container?.child('contentInstances');
    const route = contentInstances && this.options.resources.routeOf(contentInstances);
    return container && route && { application, container, key: container.reference, route, cell: undefined };
  }

  /** `pmu-<IDCODE>`, or `pmu-<stream>-<IDCODE>` where that is somebody else's. */
  private application(descriptor: PmuDescriptor, key: string, index: number, count: number): Node | undefined {
    const { resources, log } = this.options;
    const applications = this.stream.parent;
    if (!applications) return undefined;
    const { name } = this.wishes;
    const wanted = name === undefined ? `pmu-${descriptor.idCode}` : count === 1 ? name : `${name}-${index + 1}`;
    const fallback = `pmu-${descriptor.streamId}-${descriptor.idCode}`;
    for (const appId of [wanted, fallback]) {
      const standing = applications.child(appId);
      if (standing === this.stream) return standing;
      if (standing) continue;
      const document = { application: { appId, searchStrings: { searchString: ['pmu', descriptor.stationName] } } };
      const creator = { kind: 'internal', source: `${this.stream.reference} ${key}` } as const;
      const written = resources.create(applications, document, creator);
      if (!isRefusal(written)) return written.node;
      log.warn({ appId, detail: written.detail }, 'a PMU’s application could not be created');
    }
    log.error(
      { idCode: descriptor.idCode, streamId: descriptor.streamId },
      `both ${wanted} and ${fallback} are taken; this PMU’s measurements are dropped`,
    );
    return undefined;
  }

  private container(application: Node, id: string, maxNrOfInstances: number, reportingRate?: number): Node | undefined {
    const containers = application.child('containers');
    if (!containers) return undefined;
    const isMeasurements = id === 'measurements';
    const { resources } = this.options;
    const { historyS = this.options.historyS } = this.wishes;
    const isOnDisk = isMeasurements && historyS > 0;
    const standing = containers.child(id);
    if (standing && isOnDisk && standing.attributes.get('storage') !== 'disk') resources.remove(standing);
    else if (standing) {
      this.redeclare(
        standing,
        'reportingRate',
        reportingRate !== undefined && reportingRate >= 1 ? reportingRate : undefined,
      );
      // A history on disk outlives the setting: it is not deleted because somebody left out a word.
      this.redeclare(standing, 'maxInstanceAge', isOnDisk ? historyS : undefined);
      return standing;
    }
    const document = {
      container: {
        id,
        ...(isOnDisk ? { storage: 'disk', maxInstanceAge: historyS } : { maxNrOfInstances }),
        durability: DURABILITIES[id] ?? 'synced',
        ...(reportingRate !== undefined && reportingRate >= 1 && { reportingRate }),
      },
    };
    const written = this.options.resources.create(containers, document, INTERNAL);
    return isRefusal(written) ? undefined : written.node;
  }

  /** A container shows what holds now: the rate that its frames come at, how long they are kept. */
  private redeclare(container: Node, name: 'reportingRate' | 'maxInstanceAge', value: number | undefined): void {
    if (value === undefined || numberOf(container, name) === value) return;
    const target = { kind: 'attribute', node: container, name, rest: [] } as const;
    this.options.resources.update(target, { [name]: value }, INTERNAL);
  }

  private write(application: Node, container: string, document: JsonObject): void {
    const contentInstances = application.child('containers')?.child(container)?.child('contentInstances');
    if (!contentInstances) return;
    const { clock, resources } = this.options;
    resources.tell(contentInstances, `${container}-${clock.wallUs()}`, document);
  }
}

function descriptorDocument(descriptor: PmuDescriptor): JsonObject {
  const { phasors, analogs, digitals, ...rest } = descriptor;
  return {
    ...rest,
    phasors: phasors.map(({ name, unit }) => ({ name, unit })),
    analogs: analogs.map(({ name, kind }) => ({ name, kind })),
    digitals,
  };
}
