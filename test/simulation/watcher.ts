/** An operator's alarm list: subscribes to all alarms of the broker, sees them come and go, and acknowledges what is new. */
import type { JsonObject } from '../../src/json.js';
import type { Shown } from './alarm-model.js';
import type { BrokerHost } from './broker-host.js';
import { Peer } from './peer.js';
import { HostClock, Life } from './timeline.js';
import type { Chance, World } from './world.js';

const ALARMS = '/m2m/applications/gridcast/containers/alarms/contentInstances';
/** Before a new alarm is acknowledged: somebody has to look at it. */
const LOOKING_MS = [100, 5_000] as const;
const RETRY_MS = [100, 700] as const;

export class Watcher {
  readonly peer: Peer;

  constructor(
    private readonly world: World,
    private readonly chance: Chance,
    broker: BrokerHost,
    readonly name: string,
  ) {
    const life = new Life(world.timeline, new HostClock(), 0);
    this.peer = new Peer(world, chance.fork('peer'), life, broker, {
      name,
      originator: name,
      hear: (kind, body) => {
        if (kind === 'alarm') this.hear(body);
      },
      welcomed: (isResumed) => {
        if (!isResumed) this.subscribe();
      },
    });
  }

  private subscribe(): void {
    this.world.model.alarms.subscribed(this.name);
    this.peer.subscribe(`${ALARMS}/latest/content`, (answer) => {
      // Where the connection is lost the next welcome subscribes, or the session goes on with this one.
      if (answer && answer.code >= 400) this.soon(() => this.subscribe());
    });
  }

  private hear(body: JsonObject): void {
    const id = String(body.alarmId);
    const shown = shownOf(body);
    this.world.note(this.name, `is told ${id} ${String(body.state)} ${shown.count}`);
    this.world.model.alarms.told(this.name, id, shown);
    if (!shown.isAcknowledged)
      this.peer.life.after(this.chance.between(...LOOKING_MS), () => this.acknowledge(id, shown.count));
  }

  private acknowledge(id: string, count: number): void {
    this.peer.request('create', ALARMS, { alarmId: id, action: 'acknowledge' }, (answer) => {
      this.world.note(this.name, `acknowledges ${id}: ${answer?.code ?? 'no answer'}`);
      if (answer && answer.code < 300) this.world.model.alarms.acknowledged(id, count);
      else if (!answer || answer.code >= 500) this.soon(() => this.acknowledge(id, count));
    });
  }

  private soon(run: () => void): void {
    this.peer.life.after(this.chance.between(...RETRY_MS), run);
  }
}

export function shownOf({
  state,
  under,
  count,
}: JsonObject | { readonly state: string; readonly under?: string; readonly count: number }): Shown {
  const open = String(under ?? state);
  return {
    isActive: open.endsWith('Active'),
    isAcknowledged: !open.startsWith('unacknowledged'),
    count: Number(count),
  };
}
