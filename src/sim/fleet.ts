/**
 * A fleet: gateways of homes that report their load, as the paper's demand response has them, by the hundred thousand.
 *
 *     register   an application each, with a container `load`     all lanes at once
 *     run        each posts so often a minute, its turn in the period by its number; who comes when within a hundredth of the
 *                period is drawn anew each time
 *     account    due = skipped + sent            skipped: its lane had too much under way
 *                sent = acknowledged + refused + lost + under way
 *
 * Each reading has its gateway's sequence number, so that whoever reads the broker can tell which was the last that came.
 */
import type { Clock } from '../clock.js';
import type { Random } from '../random.js';
import { AnswerTimes } from './answer-times.js';
import { LANE_DEPTH, NO_ANSWER, type Lane } from './lane.js';
import { Pacer } from './pacer.js';

export const LOAD = 'load';
const MEDIA_TYPE = 'application/senml+json';
const APPLICATIONS = '/m2m/applications';
const CREATED = 201;
const CONFLICT = 409;
/** The turns of a period are drawn in so many lots. */
const LOTS = 100;
const TICK_US = 2_000;
const ID_DIGITS = 7;

export interface FleetOptions {
  readonly gateways: number;
  readonly ratePerMinute: number;
  /** Gateway n goes by the lane n, and round again. */
  readonly lanes: readonly Lane[];
  readonly clock: Clock;
  readonly random: Random;
}

export interface FleetCounts {
  registered: number;
  /** Registrations that were answered otherwise, or not at all. */
  unregistered: number;
  due: number;
  skipped: number;
  sent: number;
  acknowledged: number;
  refused: number;
  lost: number;
}

export class Fleet {
  readonly counters: FleetCounts = {
    registered: 0,
    unregistered: 0,
    due: 0,
    skipped: 0,
    sent: 0,
    acknowledged: 0,
    refused: 0,
    lost: 0,
  };
  /** Of `refused`, how many with which status. */
  readonly refusals = new Map<number, number>();
  readonly answerTimes = new AnswerTimes();
  /** By gateway, the last reading sent, and the last acknowledged; 0 for none. */
  readonly sent: Uint32Array;
  readonly acknowledged: Uint32Array;
  private readonly pacer: Pacer;
  private readonly lot: Uint32Array;
  private startUs = 0;
  private tick = 0;
  private turn = 0;

  constructor(private readonly options: FleetOptions) {
    const { gateways, clock } = options;
    this.sent = new Uint32Array(gateways);
    this.acknowledged = new Uint32Array(gateways);
    this.lot = new Uint32Array(Math.ceil(gateways / LOTS));
    this.pacer = new Pacer(
      clock,
      () => clock.monotonicUs(),
      () => this.startUs + this.tick * TICK_US,
      () => this.postDue(),
    );
  }

  get underWay(): number {
    const { sent, acknowledged, refused, lost } = this.counters;
    return sent - acknowledged - refused - lost;
  }

  /** Messages that its lanes sent again. */
  get resent(): number {
    return [...new Set(this.options.lanes)].reduce((sum, { resent }) => sum + resent, 0);
  }

  /** Registers all gateways; one that is there already is registered. */
  async register(isStopped = () => false): Promise<void> {
    let next = 0;
    const one = async (lane: Lane): Promise<void> => {
      while (next < this.options.gateways && !isStopped()) {
        const isIn = await this.registerOne(lane, next++);
        this.counters[isIn ? 'registered' : 'unregistered']++;
      }
    };
    await Promise.all(Array.from(new Set(this.options.lanes), one));
  }

  /** Begins to post. */
  start(): void {
    this.startUs = this.options.clock.monotonicUs();
    this.pacer.wake();
  }

  stop(): void {
    this.pacer.stop();
  }

  private async registerOne(lane: Lane, gateway: number): Promise<boolean> {
    const application = { application: { appId: idOf(gateway) } };
    const container = { container: { id: LOAD, maxNrOfInstances: 1, durability: 'grouped' } };
    return (
      (await create(lane, APPLICATIONS, application)) &&
      create(lane, `${APPLICATIONS}/${idOf(gateway)}/containers`, container)
    );
  }

  /** Posts for all whose turn has come by this tick. */
  private postDue(): void {
    const { gateways, ratePerMinute } = this.options;
    this.tick++;
    const due = Math.floor((this.tick * TICK_US * ratePerMinute * gateways) / 60e6);
    for (; this.turn < due; this.turn++) this.post(this.gatewayAt(this.turn));
  }

  /** Whose turn it is: lot by lot, drawn when the lot begins. */
  private gatewayAt(turn: number): number {
    const { gateways, random } = this.options;
    const { lot } = this;
    const place = turn % gateways;
    const within = place % lot.length;
    const first = place - within;
    const size = Math.min(lot.length, gateways - first);
    if (within === 0)
      for (let n = 0; n < size; n++) {
        const other = random.below(n + 1);
        lot[n] = lot[other] ?? 0;
        lot[other] = first + n;
      }
    return lot[within] ?? 0;
  }

  private post(gateway: number): void {
    const { lanes, clock } = this.options;
    const lane = lanes[gateway % lanes.length];
    this.counters.due++;
    if (!lane || lane.underWay >= LANE_DEPTH) {
      this.counters.skipped++;
      return;
    }
    const sequence = (this.sent[gateway] ?? 0) + 1;
    this.sent[gateway] = sequence;
    this.counters.sent++;
    const watts = 200 + ((gateway * 37 + sequence * 11) % 3000);
    const body = `[{"n":"load","u":"W","v":${watts}},{"n":"seq","v":${sequence}}]`;
    const sentUs = clock.monotonicUs();
    lane.post(`${APPLICATIONS}/${idOf(gateway)}/containers/${LOAD}/contentInstances`, MEDIA_TYPE, body, (status) => {
      if (status === CREATED) {
        this.counters.acknowledged++;
        this.acknowledged[gateway] = Math.max(this.acknowledged[gateway] ?? 0, sequence);
        this.answerTimes.add(clock.monotonicUs() - sentUs);
      } else if (status === NO_ANSWER) this.counters.lost++;
      else {
        this.counters.refused++;
        this.refusals.set(status, (this.refusals.get(status) ?? 0) + 1);
      }
    });
  }
}

export const idOf = (gateway: number): string => `gateway-${String(gateway).padStart(ID_DIGITS, '0')}`;

const create = (lane: Lane, path: string, document: object): Promise<boolean> =>
  new Promise((created) =>
    lane.post(path, 'application/json', JSON.stringify(document), (status) =>
      created(status === CREATED || status === CONFLICT),
    ),
  );
