/** An operator's alarm list: subscribes to all alarms of the broker, sees them come and go, and acknowledges what is new, or shelves it for a while. */
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

/** Share of new alarms that are shelved instead, for how long, and of those that are taken back before. */
const SHELVED = 0.2;
const SHELVED_S = [1, 3, 8];
const UNSHELVED = 0.3;

export class Watcher {
  readonly peer: Peer;
  /** Of each alarm, what he was told last: a broker that was killed may know of fewer than before. */
  private readonly counts = new Map<string, number>();

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
    this.counts.set(id, shown.count);
    // What is out of sight is shown again, and told.
    if (shown.isAcknowledged || shown.isShelved) return;
    const { chance, world } = this;
    const isShelving = chance.is(SHELVED);
    this.peer.life.after(chance.between(...LOOKING_MS), () => {
      if (isShelving && !world.isCalm) this.shelve(id);
      else this.acknowledge(id);
    });
  }

  private shelve(id: string): void {
    const { world, chance } = this;
    const forS = chance.of(SHELVED_S);
    const answered = world.model.alarms.asks(id, true, world.timeline.nowUs + forS * 1e6);
    this.peer.request('create', ALARMS, { alarmId: id, action: 'shelve', forS }, (answer) => {
      world.note(this.name, `shelves ${id} for ${forS} s: ${answer?.code ?? 'no answer'}`);
      answered(answer && answer.code < 300);
      if (answer && answer.code < 300 && chance.is(UNSHELVED)) this.soon(() => this.unshelve(id));
    });
  }

  private unshelve(id: string): void {
    const { world } = this;
    const answered = world.model.alarms.asks(id, false, Infinity);
    this.peer.request('create', ALARMS, { alarmId: id, action: 'unshelve' }, (answer) => {
      world.note(this.name, `unshelves ${id}: ${answer?.code ?? 'no answer'}`);
      // A conflict: its time was over.
      answered(answer && (answer.code < 300 || answer.code === 409));
    });
  }

  private acknowledge(id: string): void {
    const count = this.counts.get(id) ?? 0;
    this.peer.request('create', ALARMS, { alarmId: id, action: 'acknowledge' }, (answer) => {
      this.world.note(this.name, `acknowledges ${id}: ${answer?.code ?? 'no answer'}`);
      if (answer && answer.code < 300)
        this.world.model.alarms.acknowledged(id, Math.min(count, this.counts.get(id) ?? 0));
      else if (!answer || answer.code >= 500) this.soon(() => this.acknowledge(id));
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
    isShelved: state === 'shelved',
  };
}
