/** What the tests of a whole broker share: requests over a real socket, simulated PMUs, subscribers that remember, balanced books. */
import { StreamPmus } from '../../src/actors/pmus.js';
import type { Node } from '../../src/actors/resources.js';
import { GridcastError, open as openClient, type Client, type ClientRequest } from '../../src/client/index.js';
import { systemClock } from '../../src/clock.js';
import { isRefusal } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { systemNetwork } from '../../src/network.js';
import { seededRandom } from '../../src/random.js';
import { FORMATS, type ContentFormat } from '../../src/routing/format.js';
import { parsePath, type JsonObject, type Request } from '../../src/routing/primitive.js';
import { INTERNAL } from '../../src/resources/node.js';
import type { Measurement } from '../../src/routing/measurement.js';
import type { ReliableKind, ReliablePort, Session } from '../../src/routing/site.js';
import type { Terms } from '../../src/routing/terms.js';
import { parsePmuServer, startPmuServer, type PmuServerFlags } from '../../src/sim/pmu-server.js';
import type { SourcesOptions } from '../../src/sources.js';
import { closeBrokers, startBroker as start, type RunningBroker } from '../support/broker.js';
import { RecordingPort } from '../support/deliveries.js';
import { DESCRIPTOR, framedMeasurement } from '../support/measurement.js';

export type { RunningBroker };

const running: RunningBroker[] = [];
const open: (() => unknown)[] = [];

export async function startBroker(...options: Parameters<typeof start>): Promise<RunningBroker> {
  const broker = await start(...options);
  running.push(broker);
  return broker;
}

/** To be given to `afterEach`. Whatever a test was about, its books balance at its end, and when everything has stopped. */
export async function closeStage(): Promise<void> {
  const ended = running.splice(0);
  try {
    for (const broker of ended) await expectBalanced(broker);
  } finally {
    await closeBrokers();
    for (const close of open.splice(0).reverse()) await close();
  }
  for (const broker of ended) await expectBalanced(broker);
}

export const whenStageCloses = (close: () => unknown): void => void open.push(close);

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Buffer;
  /** The body as JSON; undefined if it is none. */
  readonly json: JsonObject;
  readonly location: string;
  /** The sentence of an errorInfo. */
  readonly sentence: string;
}

type Body = JsonObject | Uint8Array | string;

/** One HTTP exchange; an object goes as JSON, bytes as octets, unless the headers say otherwise. */
export async function http(
  { http: root }: Pick<RunningBroker, 'http'>,
  method: string,
  path: string,
  body?: Body,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const isBytes = body instanceof Uint8Array;
  const response = await fetch(`${root}${path}`, {
    method,
    headers: {
      ...(body !== undefined && { 'content-type': isBytes ? 'application/octet-stream' : 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && {
      body: isBytes ? Buffer.from(body) : typeof body === 'string' ? body : JSON.stringify(body),
    }),
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  const isJson = (response.headers.get('content-type') ?? '').includes('json');
  const json = (isJson ? JSON.parse(bytes.toString()) : {}) as JsonObject & { errorInfo?: { additionalInfo?: string } };
  return {
    status: response.status,
    headers: response.headers,
    bytes,
    json,
    location: response.headers.get('location') ?? '',
    sentence: json.errorInfo?.additionalInfo ?? '',
  };
}

/** A client of a broker, by any binding; closed with the stage. */
export async function clientOf(running: RunningBroker, binding: 'http' | 'coap' | 'ws'): Promise<Client> {
  const client = await openClient(running[binding]);
  whenStageCloses(() => client.close());
  return client;
}

/** What a client of any binding was answered; a refusal is its status and sentence. */
export interface Said {
  readonly status: string;
  readonly json: JsonObject;
  readonly location: string;
  readonly sentence: string;
}

/** One exchange by a client of any binding. */
export async function ask(
  client: Client,
  op: ClientRequest['op'],
  to: string,
  body?: ClientRequest['body'],
): Promise<Said> {
  try {
    const asked = { op, to, accept: 'application/json', ...(body && { body }) };
    const { status, bytes, location = '' } = await client.request(asked);
    const text = Buffer.from(bytes).toString();
    return { status, json: text === '' ? {} : (JSON.parse(text) as JsonObject), location, sentence: '' };
  } catch (error) {
    if (!(error instanceof GridcastError)) throw error;
    return { status: error.status ?? '', json: {}, location: '', sentence: error.message };
  }
}

/** A container of its own below the sclBase; its path. */
export async function container(running: RunningBroker, attributes: JsonObject = {}): Promise<string> {
  const { status, location, sentence } = await http(running, 'POST', '/m2m/containers', { container: attributes });
  if (status !== 201) throw new Error(`${status} ${sentence}`);
  return location;
}

/** Simulated PMUs on a free port; the URI to attach them by. */
export async function simulate(flags: PmuServerFlags = {}): Promise<{ readonly uri: string; close(): Promise<void> }> {
  const options = parsePmuServer({ listen: 'tcp://127.0.0.1:0', seed: '1', ...flags });
  if (isRefusal(options)) throw new Error(options.detail);
  const context = { clock: systemClock, network: systemNetwork, random: seededRandom(1), log: silentLog };
  const simulator = await startPmuServer(options, context);
  if (isRefusal(simulator)) throw new Error(simulator.detail);
  whenStageCloses(() => simulator.close());
  return { uri: `c37118+${simulator.addresses[0]}?idcode=${options.idCode}`, close: () => simulator.close() };
}

/** Waits until a condition holds: what it awaits comes from sockets and timers. Fails after 10 s. */
export async function until<Result>(
  what: string,
  condition: () => Result | Promise<Result>,
): Promise<NonNullable<Result>> {
  const givenUpUs = systemClock.monotonicUs() + 10_000_000;
  for (;;) {
    const result = await condition();
    if (result) return result;
    if (systemClock.monotonicUs() > givenUpUs) throw new Error(`waited in vain until ${what}`);
    await new Promise<void>((next) => systemClock.after(5, next));
  }
}

/** The node at a path. */
export function nodeAt({ broker }: RunningBroker, path: string): Node | undefined {
  const to = parsePath(path);
  const target = isRefusal(to) ? undefined : broker.resources.tree.resolve(to, systemClock.wallUs());
  return target?.kind === 'resource' ? target.node : undefined;
}

/** A port with a reliable lane that remembers. */
export class StagePort extends RecordingPort implements ReliablePort {
  readonly told: { seq: number; kind: ReliableKind; body: JsonObject }[] = [];
  closedFor: string | undefined;
  /** Thrown by the next transmission, flush or message, where set. */
  fault: { readonly at: 'transmit' | 'flush' | 'reliable'; readonly error: Error } | undefined;

  sendReliable(seq: number, kind: ReliableKind, body: JsonObject): void {
    this.throwAt('reliable');
    this.told.push({ seq, kind, body });
  }
  close(ending: string): void {
    this.closedFor = ending;
  }
  override flush(): void {
    this.throwAt('flush');
    super.flush();
  }
  protected override transmit(...args: Parameters<RecordingPort['transmit']>): boolean {
    this.throwAt('transmit');
    return super.transmit(...args);
  }
  private throwAt(at: string): void {
    if (this.fault?.at === at) throw this.fault.error;
  }
}

export interface Subscriber {
  readonly port: StagePort;
  readonly session: Session;
}

/** A peer connected to the site as a binding connects one. */
export function connect({ broker }: RunningBroker, attach: readonly string[] = []): Subscriber {
  const port = new StagePort();
  const paths = attach.map((path) => path.slice(1).split('/'));
  const session = broker.connect({ binding: 'ws', address: 'stage', originator: 'anonymous', attach: paths }, port);
  if (isRefusal(session)) throw new Error(session.detail);
  return { port, session };
}

let requests = 0;
export function retrieve(path: string, defaultFormat: ContentFormat = FORMATS.senmlJson): Request {
  const to = parsePath(path);
  if (isRefusal(to)) throw new Error(to.detail);
  const requestId = `stage-${++requests}`;
  return {
    op: 'retrieve',
    to,
    query: new URLSearchParams(),
    originator: 'anonymous',
    requestId,
    binding: 'ws',
    accept: [],
    defaultFormat,
  };
}

/** Subscribes a new peer to the content of a container's latest. */
export async function subscribe(running: RunningBroker, containerPath: string, terms: Terms = {}) {
  const { port, session } = connect(running);
  const result = await session.subscribe(retrieve(`${containerPath}/contentInstances/latest/content`), terms);
  if (!('delivery' in result)) throw new Error(result.detail ?? result.status);
  session.open(result.delivery);
  return { port, session, delivery: result.delivery };
}

/** For every subscription: received = delivered + decimated + dropped + held; and the sums that /metrics tells agree. */
export async function expectBalanced(running: RunningBroker): Promise<void> {
  const { subscriptions } = running.broker;
  const total = (dropped: Readonly<Record<string, number>>): number =>
    Object.values(dropped).reduce((sum, count) => sum + count, 0);
  for (const { received, delivered, decimated, dropped, held } of subscriptions.accounts()) {
    expect({ received, ...dropped }).toEqual({ received: delivered + decimated + total(dropped) + held, ...dropped });
  }
  const { ended } = subscriptions;
  expect(ended.received).toBe(ended.delivered + ended.decimated + total(Object.fromEntries(ended.dropped)));
  const { text } = await running.broker.metrics.expose();
  const figure = (line: RegExp): number => [...text.matchAll(line)].reduce((sum, match) => sum + Number(match[1]), 0);
  const outcome = (name: string): number =>
    figure(new RegExp(`^gridcast_deliveries_total\\{outcome="${name}"\\} (\\d+)`, 'gm'));
  expect(outcome('received')).toBe(
    outcome('delivered') + outcome('decimated') + outcome('held') + figure(/^gridcast_dropped_total\{[^}]*\} (\d+)/gm),
  );
}

const SECOND_US = 1_000_000;
/** The whole second in which the frames of a `stream` begin. */
export const START_US = Math.floor(systemClock.wallUs() / SECOND_US) * SECOND_US;
export const measurements = (idCode: number): string => `/m2m/applications/pmu-${idCode}/containers/measurements`;

/** PMUs of a stream as its source hands them in, frame by frame. */
export function stream(running: RunningBroker, idCodes: readonly number[], reportingRate: number) {
  const { resources, router, sources } = running.broker;
  const applications = resources.tree.root.child('applications');
  const written = applications && resources.create(applications, { application: { appId: 'line' } }, INTERNAL);
  if (!written || isRefusal(written)) throw new Error('no application');
  // The population of the resources, which the broker gives to its sources alone.
  const { options } = sources as unknown as { options: SourcesOptions };
  const { population } = options;
  const pmus = new StreamPmus(
    written.node,
    { name: undefined, historyS: undefined },
    {
      ...options,
      ...{ resources, router, population, historyS: options.config.pmuHistoryS },
    },
  );
  const descriptors = idCodes.map((idCode) => ({ ...DESCRIPTOR, idCode, reportingRate }));
  pmus.configure(descriptors);
  let next = 0;
  const frame = (values: Partial<Measurement> = {}): void => {
    const measuredUs = START_US + Math.round((next++ * SECOND_US) / reportingRate);
    descriptors.forEach((descriptor, index) =>
      pmus.measure(index, framedMeasurement({ ...values, descriptor }), measuredUs, systemClock.monotonicUs(), 0),
    );
  };
  return {
    /** The next frame of every PMU. */
    frame,
    /** The source says that it reports so often from now on. */
    reports: (rate: number): void => pmus.configure(descriptors.map((each) => ({ ...each, reportingRate: rate }))),
    /** Frames of whole seconds, those left out that `isLost`. */
    run(seconds: number, isLost: (slot: number) => boolean = () => false): void {
      for (let slot = 0; slot < seconds * reportingRate; slot++) {
        if (isLost(slot)) next++;
        else frame();
      }
    },
  };
}
