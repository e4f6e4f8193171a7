/**
 * Load control: what an operator asks of groups of gateways, told to each by long polling, as the paper's demand response has it.
 *
 *     operator ── POST ──> demand-response/containers/group-3 ──> subscriptions ──> channels ──> held polls of the listeners
 *
 * Each listener has a channel and a poll of its own; an event is heard when its poll is answered with it.
 */
import { HttpClient } from '../client/http-client.js';
import { GridcastError } from '../client/error.js';
import { jsonOf, member } from '../client/client.js';
import { parseTarget } from '../client/target.js';
import { every, type Cancel, type Clock } from '../clock.js';
import type { JsonObject } from '../json.js';
import { AnswerTimes } from './answer-times.js';

const APPLICATION = 'demand-response';
const CONTAINERS = `/m2m/applications/${APPLICATION}/containers`;
/** Events that a gateway which comes late can read. */
const KEPT_EVENTS = 10;
/** The broker holds a poll for 60 s. */
const POLL_PATIENCE_MS = 90_000;
/** Listeners that are begun at the same time. */
const AT_ONCE = 16;

export interface LoadControlOptions {
  /** `http://HOST:PORT`. */
  readonly broker: string;
  readonly groups: number;
  readonly listeners: number;
  readonly everyMs: number;
  readonly clock: Clock;
}

export interface LoadControlCounts {
  /** Listeners whose subscription stands. */
  listening: number;
  events: number;
  /** One for each listener of the group. */
  due: number;
  heard: number;
  /** Listeners that ended before they were to. */
  ended: number;
}

export class LoadControl {
  readonly counters: LoadControlCounts = { listening: 0, events: 0, due: 0, heard: 0, ended: 0 };
  readonly hearingTimes = new AnswerTimes();
  private readonly operator: HttpClient;
  private readonly listeners: HttpClient[] = [];
  private readonly sentUs = new Map<number, number>();
  private cancel: Cancel = () => {};
  private isClosed = false;

  constructor(private readonly options: LoadControlOptions) {
    this.operator = this.client();
  }

  /** Makes the groups and lets their listeners listen; then there is an event every so often, for one group after the other. */
  async start(): Promise<void> {
    const { groups, listeners, everyMs, clock } = this.options;
    await this.make('/m2m/applications', { application: { appId: APPLICATION } });
    for (let group = 0; group < groups; group++)
      await this.make(CONTAINERS, { container: { id: nameOf(group), maxNrOfInstances: KEPT_EVENTS } });
    for (let first = 0; first < listeners && !this.isClosed; first += AT_ONCE) {
      const batch = Array.from({ length: Math.min(AT_ONCE, listeners - first) }, (_, n) => first + n);
      await Promise.all(batch.map((listener) => this.listen(listener % groups)));
    }
    this.cancel = every(clock, everyMs, () => void this.tell(this.counters.events % groups));
  }

  /** Publishes an event for a group. */
  async tell(group: number): Promise<void> {
    const event = ++this.counters.events;
    const { groups, listeners, clock } = this.options;
    this.counters.due += Math.floor(listeners / groups) + (group < listeners % groups ? 1 : 0);
    this.sentUs.set(event, clock.monotonicUs());
    // Only the last few are still on their way.
    this.sentUs.delete(event - KEPT_EVENTS * groups);
    const body = { event, reduceW: 500, minutes: 15 };
    await this.operator.request({ op: 'create', to: `${CONTAINERS}/${nameOf(group)}/contentInstances`, body });
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.cancel();
    await Promise.all([this.operator, ...this.listeners].map((client) => client.close()));
  }

  private client(): HttpClient {
    const { broker, clock } = this.options;
    return new HttpClient(parseTarget(broker), { clock });
  }

  private async make(to: string, body: JsonObject): Promise<void> {
    try {
      await this.operator.request({ op: 'create', to, body });
    } catch (error) {
      // An earlier run has made it.
      if (!(error instanceof GridcastError && error.status === 'STATUS_CONFLICT')) throw error;
    }
  }

  /** Resolves when the listener's subscription stands; then it polls until it is closed. */
  private async listen(group: number): Promise<void> {
    const client = this.client();
    this.listeners.push(client);
    const created = await client.make({
      to: '/m2m/notificationChannels',
      body: { notificationChannel: { channelType: 'LONG_POLLING' } },
    });
    const channel = member(jsonOf(created.bytes), 'notificationChannel');
    const contact = member(channel, 'contactURI');
    const poll = member(channel, 'channelData', 'longPollingURI');
    if (typeof contact !== 'string' || typeof poll !== 'string') throw new Error('a channel without its URIs');
    const filterCriteria = { attributeAccessor: 'latest/content' };
    const subscription = { contact, filterCriteria, accept: 'application/json' };
    await client.make({ to: `${CONTAINERS}/${nameOf(group)}/contentInstances/subscriptions`, body: { subscription } });
    this.counters.listening++;
    void this.poll(client, poll).catch(() => {
      if (!this.isClosed) this.counters.ended++;
    });
  }

  private async poll(client: HttpClient, to: string): Promise<void> {
    while (!this.isClosed) {
      const { status, bytes } = await client.request({ op: 'retrieve', to, timeoutMs: POLL_PATIENCE_MS });
      if (status !== 'STATUS_OK') continue; // nothing yet
      const content = member(jsonOf(bytes), 'notify', 'representation', 'textContent');
      const event = typeof content === 'string' ? member(jsonOf(Buffer.from(content)), 'event') : undefined;
      const sentUs = typeof event === 'number' ? this.sentUs.get(event) : undefined;
      if (sentUs === undefined) continue;
      this.counters.heard++;
      this.hearingTimes.add(this.options.clock.monotonicUs() - sentUs);
    }
  }
}

const nameOf = (group: number): string => `group-${group}`;
