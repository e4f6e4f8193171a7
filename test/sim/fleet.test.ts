/** A fleet against a broker: every gateway registered, every reading accounted for, every event heard by those it is for. */
import { isRefusal } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { systemNetwork } from '../../src/network.js';
import { seededRandom } from '../../src/random.js';
import { AnswerTimes } from '../../src/sim/answer-times.js';
import { Fleet, idOf, LOAD } from '../../src/sim/fleet.js';
import { openFleet, type FleetRunOptions } from '../../src/sim/fleet-run.js';
import { LANE_DEPTH, NO_ANSWER, type Lane } from '../../src/sim/lane.js';
import { systemClock } from '../../src/clock.js';
import { closeStage, http, startBroker, until, whenStageCloses, type RunningBroker } from '../broker/stage.js';
import { EAGER_ROWS } from '../support/broker.js';
import { ManualClock } from '../support/manual-clock.js';

afterEach(closeStage);

const GATEWAYS = 200;

async function fleetOn(running: Pick<RunningBroker, 'http' | 'coap'>, options: Partial<FleetRunOptions> = {}) {
  const run = await openFleet(
    {
      broker: running.http,
      coap: running.coap,
      gateways: GATEWAYS,
      // Each gateway twice in a second.
      ratePerMinute: 120,
      httpConnections: 5,
      coapPorts: 5,
      groups: 2,
      listeners: 0,
      eventEveryS: 3600,
      ...options,
    },
    { clock: systemClock, network: systemNetwork, random: seededRandom(1), log: silentLog },
  );
  if (isRefusal(run)) throw new Error(run.detail);
  whenStageCloses(() => run.close());
  return run;
}

const latestOf = async (running: RunningBroker, gateway: number): Promise<unknown> => {
  const path = `/m2m/applications/${idOf(gateway)}/containers/${LOAD}/contentInstances/latest/content`;
  const { bytes } = await http(running, 'GET', path);
  return (JSON.parse(bytes.toString()) as { v: number }[])[1]?.v;
};

test.each([
  ['half over either', {}],
  ['all over HTTP', { coapPorts: 0 }],
  ['all over CoAP', { httpConnections: 0 }],
])('200 gateways %s: what was acknowledged is what the broker has', async (_name, lanes) => {
  const running = await startBroker({}, { passivation: EAGER_ROWS });
  const { fleet, settle } = await fleetOn(running, lanes);
  await fleet.register();
  expect(fleet.counters).toMatchObject({ registered: GATEWAYS, unregistered: 0 });
  fleet.start();
  await until('all have posted twice', () => fleet.counters.sent >= 2 * GATEWAYS);
  await settle(10_000);
  const { due, skipped, sent, acknowledged, refused, lost } = fleet.counters;
  expect({ due, sent, refused, lost }).toEqual({ due: sent + skipped, sent: acknowledged, refused: 0, lost: 0 });
  for (let gateway = 0; gateway < GATEWAYS; gateway++) {
    expect(fleet.acknowledged[gateway]).toBe(fleet.sent[gateway]);
    expect(await latestOf(running, gateway)).toBe(fleet.sent[gateway]);
  }
  // They are rows in between, all but the broker's own application.
  await until('all are idle', () => running.broker.resources.tree.passive.count === GATEWAYS);
  await fleet.register();
  expect(fleet.counters).toMatchObject({ registered: 2 * GATEWAYS, unregistered: 0 });
});

test('an event for a group is heard by all of its listeners, and by no others', async () => {
  const running = await startBroker();
  const { loadControl, fleet } = await fleetOn(running, { listeners: 5 });
  await fleet.register();
  await loadControl?.start();
  expect(loadControl?.counters).toMatchObject({ listening: 5, events: 0 });
  await loadControl?.tell(0);
  await until('the first group has heard', () => loadControl?.counters.heard === 3);
  await loadControl?.tell(1);
  await until('both have heard', () => loadControl?.counters.heard === 5);
  expect(loadControl?.counters).toEqual({ listening: 5, events: 2, due: 5, heard: 5, ended: 0 });
});

test('a broker that is not there: every reading is lost, and counted', async () => {
  const running = await startBroker();
  const { http: broker, coap } = running;
  await running.close();
  const { fleet, settle } = await fleetOn({ http: broker, coap }, { coapPorts: 0 });
  fleet.start();
  await until('all have posted', () => fleet.counters.due >= GATEWAYS);
  await settle(10_000);
  const { due, skipped, lost, acknowledged } = fleet.counters;
  expect({ due, acknowledged }).toEqual({ due: skipped + lost, acknowledged: 0 });
});

test('without any way to the broker it is refused', async () => {
  const running = await startBroker();
  await expect(fleetOn(running, { httpConnections: 0, coapPorts: 0 })).rejects.toThrow('--http-connections');
});

/** A lane that answers when it is told to. */
class SlowLane implements Lane {
  readonly posted: string[] = [];
  readonly resent = 0;
  private readonly waiting: ((status: number) => void)[] = [];
  get underWay(): number {
    return this.waiting.length;
  }
  post(path: string, _mediaType: string, _body: string, answered: (status: number) => void): void {
    this.posted.push(path.split('/')[3] ?? '');
    this.waiting.push(answered);
  }
  answer(status: number): void {
    for (const answered of this.waiting.splice(0)) answered(status);
  }
  close(): void {
    this.answer(NO_ANSWER);
  }
}

describe('its turns', () => {
  test('come to each gateway once in a period, in another order each time', () => {
    const [clock, lane] = [new ManualClock(), new SlowLane()];
    const fleet = new Fleet({ gateways: 1000, ratePerMinute: 4, lanes: [lane], clock, random: seededRandom(1) });
    fleet.start();
    for (let ms = 0; ms < 30_000; ms += 100) {
      clock.advance(100);
      lane.answer(201);
    }
    const all = Array.from({ length: 1000 }, (_, n) => idOf(n));
    const [first, second] = [lane.posted.slice(0, 1000), lane.posted.slice(1000, 2000)];
    expect([[...first].sort(), [...second].sort()]).toEqual([all, all]);
    expect(first).not.toEqual(second);
    fleet.stop();
    expect(clock.pending).toBe(0);
  });

  test('pass where too much is under way, and are counted', () => {
    const [clock, lane] = [new ManualClock(), new SlowLane()];
    const fleet = new Fleet({ gateways: 1000, ratePerMinute: 60, lanes: [lane], clock, random: seededRandom(1) });
    fleet.start();
    clock.advance(1000);
    lane.answer(503);
    const { due, skipped, sent, refused } = fleet.counters;
    expect({ sent, skipped, refused }).toEqual({ sent: LANE_DEPTH, skipped: due - LANE_DEPTH, refused: LANE_DEPTH });
    expect(fleet.refusals).toEqual(new Map([[503, LANE_DEPTH]]));
    fleet.stop();
  });
});

test('percentiles of answers are within 5 %', () => {
  const times = new AnswerTimes();
  for (let us = 1; us <= 100_000; us++) times.add(us);
  for (const share of [0.5, 0.99]) expect(times.percentile(share) / (share * 100_000)).toBeCloseTo(1.025, 1);
  times.clear();
  expect(times.percentile(0.5)).toBe(0);
});
