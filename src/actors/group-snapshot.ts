/**
 * The snapshots of one group: takes its members' samples as any subscriber does, and publishes the set of each slot, whole and in
 * parts of a datagram.
 *
 *     member's route ── delivery at the group's rate ──> Intake ──> Aligner ──> set ──> route of group/snapshot
 *     member's route ── delivery ───────────────────────────┘                    └────> routes of group/snapshot/0, /1, ...
 *
 * Which members are in which part is fixed while they and their configurations stay.
 */
import type { Cancel, Clock } from '../clock.js';
import { isRefusal, refuse, type Refusal } from '../errors.js';
import { membersOf } from '../resources/group.js';
import { Cadence } from '../routing/cadence.js';
import { Delivery, MODE, Port } from '../routing/delivery.js';
import { FORMATS } from '../routing/format.js';
import type { Framed, Measurement, PmuDescriptor } from '../routing/measurement.js';
import { parsePath } from '../routing/primitive.js';
import type { Route, Router } from '../routing/router.js';
import { QUALITY, Sample, type SampleEncoder } from '../routing/sample.js';
import { Aligner, noSnapshotFigures, type AlignedSet, type SnapshotTerms } from '../routing/snapshot.js';
import type { Concentrate, ConcentratorOf, SnapshotMember, SnapshotSizes } from '../routing/snapshot-content.js';
import { numberOf, type Node, type Resources } from './resources.js';

export interface SnapshotOptions {
  readonly resources: Resources;
  readonly router: Router;
  readonly clock: Clock;
  readonly encoder: SampleEncoder;
  readonly sizes: SnapshotSizes;
  readonly mayRead: (originator: string, node: Node) => boolean;
  readonly concentratorOf: ConcentratorOf;
}

/** What one CoAP message carries without being cut into blocks [RFC7252-4.6]. */
const PART_BYTES = 1_024;
/** The reference's proposal for control: half the devices of a switch are together by then, and nearly all. */
const DEFAULT_WAIT_MS = 50;

interface Member {
  readonly name: string;
  readonly contentInstances: Node | undefined;
  readonly delivery: Delivery | undefined;
  /** Of its newest sample. */
  descriptor: PmuDescriptor | undefined;
}

export class GroupSnapshot {
  readonly figures = { ...noSnapshotFigures(), excluded: 0 };
  readonly whole: Route;
  private readonly parts: Route[] = [];
  private members: Member[] = [];
  /** By part, indexes of members. */
  private layout: readonly (readonly number[])[] = [];
  private aligner: Aligner<Sample>;
  private readonly intake: Intake;
  private readonly terms: SnapshotTerms;
  private readonly concentrate: Concentrate | undefined;
  private armedUs = Infinity;
  private cancel: Cancel = () => {};

  /** @param rate the group's snapshotRate */
  constructor(
    private readonly group: Node,
    rate: number,
    private readonly options: SnapshotOptions,
  ) {
    const idCode = numberOf(group, 'idCode');
    this.terms = {
      rate,
      waitUs: (numberOf(group, 'snapshotWait') ?? DEFAULT_WAIT_MS) * 1000,
      mode: group.attributes.get('snapshotWaitMode') === 'absolute' ? 'absolute' : 'relative',
      isPreemptive: true,
    };
    this.concentrate = idCode === undefined ? undefined : options.concentratorOf(idCode, rate);
    this.whole = this.openRoute('');
    this.intake = new Intake(
      (member, sample) => this.take(member, sample),
      () => this.settle(),
    );
    this.aligner = this.gather();
  }

  get rate(): number {
    return this.terms.rate;
  }

  /** The newest as a C37.118 stream; undefined before the first set, and without an IDCODE. */
  get newest(): Framed | undefined {
    const content = this.whole.latest?.content;
    return content?.kind === 'snapshot' ? content.snapshot.framed : undefined;
  }

  get routes(): readonly Route[] {
    return [this.whole, ...this.parts];
  }

  /** The route of the whole, or of one part. */
  routeOf(rest: readonly string[]): Route | Refusal {
    const [part, ...more] = rest;
    const route = part === undefined ? this.whole : /^\d{1,4}$/.test(part) ? this.parts[Number(part)] : undefined;
    if (route && more.length === 0) return route;
    const last = this.layout.length - 1;
    const there = last < 0 ? 'no part yet' : `the parts 0 to ${last}`;
    return refuse('STATUS_NOT_FOUND', `${this.group.reference}/snapshot has ${there}, not ${rest.join('/')}.`);
  }

  /** Whether what happens at a resource may change who is heard. */
  concerns(node: Node): boolean {
    const references = membersOf(this.group);
    const application = node.parent?.parent;
    return (
      references.includes(node.reference) || (application !== undefined && references.includes(application.reference))
    );
  }

  /** Listens to the members as they are now. */
  regather(): void {
    this.leave();
    this.aligner = this.gather();
  }

  /** Ends listening; the routes are the caller's to end. */
  close(): void {
    this.leave();
    for (const route of this.routes) this.options.router.close(route);
  }

  private leave(): void {
    this.cancel();
    this.armedUs = Infinity;
    for (const { delivery } of this.members) if (delivery) this.options.router.unsubscribe(delivery);
  }

  private gather(): Aligner<Sample> {
    this.intake.members.clear();
    const before = new Map(this.members.map(({ contentInstances, descriptor }) => [contentInstances, descriptor]));
    this.members = membersOf(this.group).map((reference, index) => {
      const { name, contentInstances } = this.sourceAt(reference);
      const delivery = contentInstances && this.listen(contentInstances, index);
      return { name, contentInstances, delivery, descriptor: before.get(contentInstances) };
    });
    this.cut();
    return new Aligner(this.members.length, this.terms, (set) => this.publish(set), this.figures);
  }

  /** An application's measurements, or a container itself. */
  private sourceAt(reference: string): Pick<Member, 'name' | 'contentInstances'> {
    const { resources, clock } = this.options;
    const path = parsePath(reference);
    const target = isRefusal(path) ? undefined : resources.tree.resolve(path, clock.wallUs());
    const node = target?.kind === 'resource' ? target.node : undefined;
    const name = node?.id ?? reference.split('/').at(-1) ?? reference;
    const container = node?.type === 'application' ? node.child('containers')?.child('measurements') : node;
    return { name, contentInstances: container?.child('contentInstances') };
  }

  /** Nothing of a source that declares no rate which the group's divides: its samples belong to no slot. */
  private listen(contentInstances: Node, index: number): Delivery | undefined {
    const { resources, router, mayRead } = this.options;
    // A group shows its readers no more than whoever made it may read himself.
    const { creator } = this.group;
    if (creator.kind === 'originator' && !mayRead(creator.id, contentInstances)) return undefined;
    const route = resources.routeOf(contentInstances);
    const cadence = route && route.sourceRate >= 1 ? Cadence.of(route.sourceRate, this.terms) : undefined;
    if (!route || !cadence || isRefusal(cadence)) return undefined;
    const delivery = new Delivery(this.intake, 'content', FORMATS.senmlCbor, { rate: this.terms.rate });
    delivery.mode = MODE.active;
    this.intake.members.set(delivery, index);
    router.subscribe(route, delivery, cadence);
    return delivery;
  }

  private take(index: number, sample: Sample): void {
    // A tag that nobody believes would open slots of its own, and close others with them.
    if (sample.content.kind !== 'measurement' || (sample.quality & QUALITY.timeUnreasonable) !== 0) {
      this.figures.excluded++;
      return;
    }
    const { clock } = this.options;
    const now = { monotonicUs: clock.monotonicUs(), wallUs: clock.wallUs() };
    this.aligner.take(index, sample, sample.measuredUs, now);
  }

  /** At the end of a turn that brought samples, and when a set is due. */
  private settle(): void {
    const { clock } = this.options;
    this.aligner.advance(clock.monotonicUs());
    const dueUs = this.aligner.dueUs ?? Infinity;
    if (dueUs === this.armedUs) return;
    this.cancel();
    this.armedUs = dueUs;
    if (dueUs === Infinity) return;
    this.cancel = clock.after(Math.ceil((dueUs - clock.monotonicUs()) / 1000), () => {
      this.armedUs = Infinity;
      this.settle();
    });
  }

  private publish({ slotUs, items }: AlignedSet<Sample>): void {
    const { router, clock, encoder } = this.options;
    const measurements = items.map((sample) => sample && measurementOf(sample));
    const isKnown = this.members.every(
      ({ descriptor }, index) => measurements[index] === undefined || measurements[index].descriptor === descriptor,
    );
    if (!isKnown) {
      this.members.forEach(
        (member, index) => (member.descriptor = measurements[index]?.descriptor ?? member.descriptor),
      );
      this.cut();
    }
    const framed = this.concentrate?.(measurements, slotUs);
    const arrivedUs = clock.monotonicUs();
    const members = items.map((sample, index): SnapshotMember => ({ name: this.members[index]!.name, sample })); // as above
    const sampleOf = (of: readonly SnapshotMember[], stream?: Framed): Sample => {
      const quality = of.reduce((bits, { sample }) => bits | (sample?.quality ?? 0), 0);
      const snapshot = { group: this.group.id, members: of, ...(stream && { framed: stream }) };
      return new Sample({ kind: 'snapshot', snapshot }, slotUs, arrivedUs, quality, encoder);
    };
    router.publish(this.whole, sampleOf(members, framed));
    this.layout.forEach(
      (indexes, part) => router.publish(this.parts[part]!, sampleOf(indexes.map((index) => members[index]!))), // `cut` has opened them
    );
  }

  /** Puts the members into parts, in their order, each as full as it can be; one that is too large has a part to itself. */
  private cut(): void {
    const { sizes } = this.options;
    const layout: number[][] = [];
    let left = 0;
    for (const [index, { name, descriptor }] of this.members.entries()) {
      const bytes = sizes.member(name, descriptor);
      if (bytes > left) {
        layout.push([]);
        left = PART_BYTES - sizes.head(this.group.id);
      }
      layout.at(-1)?.push(index);
      left -= bytes;
    }
    while (this.parts.length < layout.length) this.parts.push(this.openRoute(`/${this.parts.length}`));
    this.layout = layout;
  }

  private openRoute(part: string): Route {
    const { rate } = this.terms;
    return this.options.router.open(`${this.group.reference}/snapshot${part}`, rate >= 1 ? rate : 0);
  }
}

const measurementOf = ({ content }: Sample): Measurement | undefined =>
  content.kind === 'measurement' ? content.measurement : undefined;

/** The members' end of the router: nothing is held or written here. */
class Intake extends Port {
  /** By delivery, the member's index. */
  readonly members = new Map<Delivery, number>();

  constructor(
    private readonly take: (member: number, sample: Sample) => void,
    private readonly settle: () => void,
  ) {
    super();
  }

  override offer(delivery: Delivery, sample: Sample): void {
    const member = this.members.get(delivery);
    if (member === undefined || delivery.mode !== MODE.active) return;
    delivery.delivered++;
    this.take(member, sample);
  }

  override flush(): void {
    this.settle();
  }

  /** A member has gone, or reports at another rate: who owns the group's snapshots gathers anew. */
  end(): void {}

  protected transmit(): boolean {
    return true;
  }
}
