/**
 * A simulated meter whose container has alarm rules: what it measures is too high now and then, and in the end it falls silent.
 * The broker has to see both, and everybody who watches alarms has to be told.
 */
import type { JsonObject } from '../../src/json.js';
import type { BrokerHost } from './broker-host.js';
import { Peer } from './peer.js';
import { HostClock, Life } from './timeline.js';
import type { Chance, World } from './world.js';

/** Between two readings, seconds on the average, and at most: after the last one there is time for its silence to be seen. */
const PACE_S = 3;
const LONGEST_MS = 12_000;
const RETRY_MS = [50, 500] as const;

const [TOO_HIGH, SILENT] = ['too-high', 'silent'];
/** Above 100 it is an alarm, up to 90 it is none, between them it is what it was. */
const READINGS = [20, 60, 95, 105, 150];
const PLAIN_READINGS = [20, 60, 105, 150];
const isHigh = (reading: number): boolean | undefined => (reading > 100 ? true : reading <= 90 ? false : undefined);

/** The container as it is created. */
export const RULED: JsonObject = {
  id: 'ruled',
  durability: 'synced',
  alarmRules: [
    { condition: TOO_HIGH, kind: 'limit', field: 'load', high: 100, hysteresis: 10, priority: 2 },
    { condition: SILENT, kind: 'stale', staleAfterS: 8 },
  ],
};
const CONTENT_INSTANCES = '/m2m/containers/ruled/contentInstances';
const idOf = (condition: string): string => `~ruled~${condition}`;

export class RuledMeter {
  readonly peer: Peer;

  constructor(
    private readonly world: World,
    private readonly chance: Chance,
    broker: BrokerHost,
  ) {
    const life = new Life(world.timeline, new HostClock(), 0);
    const name = 'ruled-meter';
    this.peer = new Peer(world, chance.fork(name), life, broker, { name, originator: name, hear: () => {} });
    this.plan();
  }

  private plan(): void {
    const { peer, chance } = this;
    peer.life.after(Math.min(chance.spanUs(PACE_S) / 1000, LONGEST_MS), () =>
      this.publish(chance.of(this.world.isCalm ? PLAIN_READINGS : READINGS)),
    );
  }

  /** Until it is taken. What was taken in the calm is the last, and silence is what comes after it. */
  private publish(reading: number): void {
    const { world, chance, peer } = this;
    const { alarms } = world.model;
    const { isCalm } = world;
    const pack = { mediaType: 'application/senml+json', body: [{ n: 'load', v: reading }] };
    peer.request('create', CONTENT_INSTANCES, pack, (answer) => {
      if (!answer || answer.code >= 400) {
        peer.life.after(chance.between(...RETRY_MS), () => this.publish(isCalm ? reading : chance.of(PLAIN_READINGS)));
        return;
      }
      world.note('ruled-meter', `${reading} is taken`);
      const high = isHigh(reading);
      if (high !== undefined) alarms.reported(idOf(TOO_HIGH), high);
      alarms.reported(idOf(SILENT), isCalm);
      if (!isCalm) this.plan();
    });
  }
}
