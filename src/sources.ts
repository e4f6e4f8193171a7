/**
 * Sources: the PMU streams that are attached, each the point of contact (aPoC) of an application. Joins the C37.118 client to the
 * source actor and to the PMUs' places in the tree.
 */
import { sourceKind, type SourceMessage, type SourceState } from './actors/source.js';
import type { ResourceMessage } from './actors/resource.js';
import { StreamPmus, type PmusOptions } from './actors/pmus.js';
import type { Node, Resources } from './actors/resources.js';
import type { Schedule } from './actors/notification-channel.js';
import type { Surroundings } from './broker.js';
import { every } from './clock.js';
import type { Config } from './config.js';
import { isRefusal, refuse, type Refusal } from './errors.js';
import type { Cell } from './kernel/cell.js';
import { Population } from './kernel/population.js';
import type { Leases, Wheel } from './kernel/wheel.js';
import { parseStreamAddress, streamIdentity, streamsOf, type StreamAddress } from './protocols/c37118/address.js';
import { DEFAULT_TIMING, StreamClient } from './protocols/c37118/client.js';
import type { HealthFigures } from './protocols/c37118/health.js';
import { Links } from './protocols/c37118/link.js';
import { INTERNAL } from './resources/node.js';
import type { JsonObject } from './routing/primitive.js';
import type { Router } from './routing/router.js';
import type { SampleEncoder } from './routing/sample.js';

/** How often a PMU's `health` gets a new report: each stream at its own instants, as a thousand at once are 200 ms of nothing else. */
const REPORT_MS = 10_000;

export interface SourcesOptions extends Surroundings {
  readonly config: Config;
  readonly resources: Resources;
  readonly population: Population<ResourceMessage>;
  readonly router: Router;
  readonly schedule: Schedule;
  readonly leases: Wheel['leases'];
  readonly encoder: SampleEncoder;
  /** @param state undefined when the stream is detached */
  readonly stateChanged: (application: string, state: SourceState | undefined) => void;
}

interface Attached {
  readonly application: Node;
  contact: string;
  address: StreamAddress;
  readonly pmus: StreamPmus;
  client: StreamClient | undefined;
  state: string;
}

export class Sources {
  readonly population: Population<SourceMessage>;
  private readonly attached = new Map<string, Attached>();
  private readonly links: Links;
  private readonly looks: Leases<StreamClient>;
  /** One object for all: a thousand copies look different to V8 at every sample. */
  private readonly pmusOptions: PmusOptions;

  constructor(private readonly options: SourcesOptions) {
    const { clock, random, log } = options;
    this.links = new Links(options.network);
    this.looks = options.leases((client) => client.lookForSilence());
    this.pmusOptions = { ...options, historyS: options.config.pmuHistoryS };
    this.population = new Population({
      name: 'sources',
      kind: (key) => this.kindOf(key),
      members: () => this.attached.keys(),
      clock,
      random,
      log,
    });
  }

  /** An application was created: if its aPoC is a PMU stream, that is connected to. */
  attach(application: Node): Refusal | undefined {
    const contact = application.attributes.get('aPoC');
    if (typeof contact !== 'string' || !contact.startsWith('c37118+')) return undefined;
    const address = parseStreamAddress(contact);
    if (isRefusal(address)) return address;
    const pmus = new StreamPmus(application, address, this.pmusOptions);
    const key = application.reference;
    this.attached.set(key, { application, contact, address, pmus, client: undefined, state: 'idle' });
    this.population.activate(key);
    return undefined;
  }

  /** The streams of the configuration: those that it does not name any more are left, and what stands from an earlier run stays. */
  configure(entries: readonly string[]): Refusal | undefined {
    const { resources } = this.options;
    const uris = entries.flatMap(streamsOf);
    const wanted = new Set<string>();
    for (const uri of uris) {
      if (wanted.has(streamIdentity(uri)))
        return refuse('STATUS_BAD_REQUEST', `The PMU stream ${uri} is named twice; name it once.`);
      wanted.add(streamIdentity(uri));
    }
    const standing = new Map<string, Node>();
    for (const { contact, application } of [...this.attached.values()]) {
      if (application.creator.kind !== 'internal') continue;
      const identity = streamIdentity(contact);
      // Of a stream that was taken twice once, one stays.
      if (wanted.has(identity) && !standing.has(identity)) standing.set(identity, application);
      else resources.remove(application);
    }
    for (const uri of uris) {
      const application = standing.get(streamIdentity(uri));
      standing.delete(streamIdentity(uri));
      const refusal = application ? this.readdress(application, uri) : this.attachByUri(uri);
      if (refusal) return refusal;
    }
    return undefined;
  }

  /** It stands, and may say something else of its history now. */
  private readdress(application: Node, uri: string): Refusal | undefined {
    if (application.attributes.get('aPoC') === uri) return undefined;
    const target = { kind: 'attribute', node: application, name: 'aPoC', rest: [] } as const;
    const written = this.options.resources.update(target, { aPoC: uri }, INTERNAL);
    return isRefusal(written) ? written : undefined;
  }

  /** An application `stream-<IDCODE>` stands for a stream of the configuration. */
  private attachByUri(uri: string): Refusal | undefined {
    const { resources } = this.options;
    const address = parseStreamAddress(uri);
    if (isRefusal(address)) return address;
    const applications = resources.tree.root.child('applications');
    if (!applications) throw new Error('an sclBase without applications');
    const { streamId, at } = address;
    const ids = [`stream-${streamId}`, `stream-${streamId}-${at.host}-${at.port}`.replace(/[^A-Za-z0-9._-]/g, '-')];
    const appId = ids.find((id) => !applications.child(id));
    if (appId === undefined) return refuse('STATUS_CONFLICT', `The PMU stream ${uri} is attached already.`);
    const written = resources.create(applications, { application: { appId, aPoC: uri } }, INTERNAL);
    return isRefusal(written) ? written : undefined;
  }

  /** An application was written anew: another stream may be its point of contact, or none. */
  reattach(application: Node): void {
    const contact = application.attributes.get('aPoC');
    const attached = this.attached.get(application.reference);
    if (attached?.contact === contact) return;
    if (attached && typeof contact === 'string' && streamIdentity(attached.contact) === streamIdentity(contact)) {
      const address = parseStreamAddress(contact);
      if (!isRefusal(address)) {
        attached.contact = contact;
        attached.address = address;
        return attached.pmus.wish(address);
      }
    }
    this.detach(application);
    const refusal = this.attach(application);
    if (refusal) this.options.log.warn({ application: application.reference, detail: refusal.detail }, 'not attached');
  }

  /** The application is removed: the stream is left in order and its PMUs go too. */
  detach(application: Node): void {
    const attached = this.attached.get(application.reference);
    if (!attached) return;
    this.attached.delete(application.reference);
    this.population.end(application.reference);
    this.options.stateChanged(application.reference, undefined);
    attached.pmus.remove();
  }

  /** Name, state and figures of each stream. */
  *figures(): Iterable<{ readonly name: string; readonly state: string; readonly health: HealthFigures | undefined }> {
    for (const [name, { client, state }] of this.attached) yield { name, state, health: client?.figures };
  }

  /** By address and port that PMUs send to unasked: datagrams that found the receive buffer full. */
  unread(): Iterable<readonly [at: string, datagrams: number]> {
    return this.links.unread();
  }

  private kindOf(key: string) {
    const attached = this.attached.get(key);
    if (!attached) throw new Error(`a source ${key} that nobody attached`);
    const { clock, random, schedule, config, log } = this.options;
    const timing = { ...DEFAULT_TIMING, lagMs: config.lagS * 1000, leadMs: config.leadS * 1000 };
    const kind = sourceKind({
      open: (sink) =>
        (attached.client = new StreamClient(attached.address, this.links, clock, this.looks, sink, timing)),
      random,
      schedule,
      owner: {
        onConfiguration: (pmus) => attached.pmus.configure(pmus),
        onMeasurement: (index, measurement, measuredUs, arrivedUs, quality) =>
          attached.pmus.measure(index, measurement, measuredUs, arrivedUs, quality),
        onState: (state) => {
          attached.state = state;
          this.options.stateChanged(key, state);
          log.info({ source: key, state, lastError: attached.client?.figures.lastError }, 'source');
        },
      },
    });
    return {
      ...kind,
      start: (cell: Cell<SourceMessage>) => {
        cell.own(every(clock, REPORT_MS, () => this.report(key), random.below(REPORT_MS)));
        return kind.start(cell);
      },
    };
  }

  private report(key: string): void {
    const attached = this.attached.get(key);
    const health = attached?.client?.figures;
    if (attached && health) attached.pmus.report({ state: attached.state, ...(health as unknown as JsonObject) });
  }
}
