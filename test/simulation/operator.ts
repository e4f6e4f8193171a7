/**
 * A simulated operator: gives commands in two sessions under one name, asks again when no answer comes, and does what people
 * and broken scripts do: the same command twice, an old one again, another one under an old id, a change of mind. Now and then
 * they select a point first, look once more, and operate it, let go of it, or forget it.
 */
import type { ResponseFrame } from '../../src/protocols/ws/frames.js';
import type { BrokerHost } from './broker-host.js';
import type { Device } from './device.js';
import { Peer } from './peer.js';
import { HostClock, Life } from './timeline.js';
import type { Chance, World } from './world.js';

/** Between two commands of one operator, seconds on the average. */
const PACE_S = 7;
const DEADLINES_MS = [300, 1_000, 3_000, 10_000];
/** Before it asks again where no answer came; some people wait for nothing. */
const PATIENCE_MS = [5, 1_500] as const;
/** Between two questions what became of a command that nobody spoke of any more. */
const TRIES = 40;

/** Share of commands that select their point first, and how long a lease they ask for. */
const SELECTS = 0.3;
const LEASES_MS = [1_000, 4_000, 8_000];
/** From hearing that it is selected to what becomes of it. */
const LOOKING_MS = [50, 3_000] as const;

/** Mostly a new command. */
const WHIMS = [...Array<'give'>(17).fill('give'), 'repeat', 'forge', 'cancel'] as const;

interface Given {
  readonly id: string;
  readonly name: string;
  readonly device: Device;
  readonly point: string;
  readonly deadlineMs: number;
  /** It selects its point first. */
  readonly leaseMs: number | undefined;
  isAnswered: boolean;
  isAccepted: boolean;
  /** It has been heard that it is selected. */
  isSelected: boolean;
}

export class Operator {
  private readonly sessions: readonly Peer[];
  private readonly life: Life;
  private readonly given: Given[] = [];
  private next = 0;

  constructor(
    private readonly world: World,
    private readonly chance: Chance,
    broker: BrokerHost,
    private readonly devices: readonly Device[],
    readonly originator: string,
  ) {
    this.life = new Life(world.timeline, new HostClock(), 0);
    this.sessions = ['a', 'b'].map((which) => {
      const name = `${originator}${which}`;
      return new Peer(world, chance.fork(name), this.life, broker, {
        name,
        originator,
        hear: (kind, body) => {
          if (kind === 'outcome') this.hear(name, String(body.commandId), String(body.state), body.reason);
        },
      });
    });
    this.plan();
  }

  get peers(): readonly Peer[] {
    return this.sessions;
  }

  private plan(): void {
    this.life.after(this.chance.spanUs(PACE_S) / 1000, () => {
      if (this.world.isCalm) return;
      this.act();
      this.plan();
    });
  }

  private act(): void {
    const { chance } = this;
    const latest = this.given.at(-1);
    const whim = chance.of(WHIMS);
    if (!latest || whim === 'give') this.give();
    else if (whim === 'repeat') this.ask(chance.of(this.given), 1);
    else if (whim === 'forge') this.forge(chance.of(this.given));
    else this.cancel(latest);
  }

  private give(): void {
    const { chance } = this;
    const id = `${this.originator}-${++this.next}`;
    const device = chance.of(this.devices);
    const given: Given = {
      id,
      name: `${this.originator} ${id}`,
      device,
      point: chance.of(device.points),
      deadlineMs: chance.of(DEADLINES_MS),
      leaseMs: chance.is(SELECTS) ? chance.of(LEASES_MS) : undefined,
      isAnswered: false,
      isAccepted: false,
      isSelected: false,
    };
    this.given.push(given);
    const { name, point, deadlineMs } = given;
    const isSelect = given.leaseMs !== undefined;
    this.world.model.sent({ name, device: device.name, point, deadlineMs, isSelect }, this.world.timeline.nowUs);
    this.ask(given, TRIES);
    // The same at once by the other session, as two screens of one control room would.
    if (chance.is(0.1)) this.ask(given, 1);
  }

  /** Asks until an answer comes: the broker takes the same id once. */
  private ask(given: Given, tries: number): void {
    const { world, chance, life } = this;
    const peer = chance.of(this.sessions);
    world.note(this.originator, `gives ${given.name}`);
    const again = (): void => {
      if (!given.isAnswered && tries > 1) this.ask(given, tries - 1);
    };
    let isOver = false;
    const wasAccepted = given.isAccepted;
    const cancelPatience = life.after(chance.between(...PATIENCE_MS), () => {
      isOver = true;
      again();
    });
    peer.request('create', this.commandsOf(given), this.bodyOf(given, given.name), (answer) => {
      if (answer) this.answered(given, answer, wasAccepted);
      if (isOver) return;
      cancelPatience();
      if (!given.isAnswered) life.after(chance.between(20, 500), again);
    });
  }

  private answered(given: Given, answer: ResponseFrame, wasAccepted: boolean): void {
    const { world } = this;
    world.note(this.originator, `${given.name} is answered ${answer.code}`);
    if (answer.code >= 400) {
      world.model.refused(given.name, answer.code, wasAccepted);
      // Anything but "not now" is the last word.
      if (answer.code !== 503 && answer.code !== 429 && answer.code !== 500) given.isAnswered = true;
      return;
    }
    given.isAnswered = given.isAccepted = true;
    const { state, reason } = stateIn(answer);
    world.model.accepted(given.name, state, reason, world.timeline.nowUs);
    this.look(given, state);
  }

  /** What was selected is operated, let go of, or forgotten, once. */
  private look(given: Given, state: string): void {
    if (state !== 'selected' || given.isSelected) return;
    given.isSelected = true;
    const { chance, life } = this;
    const whim = chance.of(['operate', 'operate', 'operate', 'cancel', 'forget'] as const);
    if (whim === 'forget') return;
    life.after(chance.between(...LOOKING_MS), () => {
      if (whim === 'cancel') this.cancel(given);
      else this.operate(given, TRIES);
    });
  }

  /** Says it until it is answered: the same operate twice acts once. */
  private operate(given: Given, tries: number): void {
    const { world, chance, life } = this;
    const { id, name, deadlineMs } = given;
    world.note(this.originator, `operates ${name}`);
    world.model.operated(name);
    const body = { commandId: id, action: 'operate', deadlineMs };
    chance.of(this.sessions).request('create', this.commandsOf(given), body, (answer) => {
      const isForNow = !answer || answer.code === 503 || answer.code === 429 || answer.code === 500;
      if (isForNow && tries > 1) life.after(chance.between(20, 500), () => this.operate(given, tries - 1));
      if (!answer) return;
      world.note(this.originator, `the operate of ${name} is answered ${answer.code}`);
      if (answer.code >= 400) world.model.operateRefused(name, answer.code);
      else world.model.operateAccepted(name, stateIn(answer).state, stateIn(answer).reason, world.timeline.nowUs);
    });
  }

  /** Another command under the id of one that was accepted. */
  private forge(old: Given): void {
    if (!old.isAccepted) return;
    this.world.note(this.originator, `forges ${old.name}`);
    this.chance.of(this.sessions).request('create', this.commandsOf(old), this.bodyOf(old, 'forged'), (answer) => {
      if (answer) this.world.model.forged(old.name, answer.code);
    });
  }

  private cancel({ id, name, device }: Given): void {
    this.world.note(this.originator, `cancels ${name}`);
    const body = { commandId: id, action: 'cancel' };
    const to = `${device.path}/containers/commands/contentInstances`;
    this.chance.of(this.sessions).request('create', to, body, (answer) => {
      if (answer && answer.code < 300) this.world.model.told(name, stateIn(answer).state, stateIn(answer).reason);
    });
  }

  private hear(session: string, id: string, state: string, reason: unknown): void {
    const name = `${this.originator} ${id}`;
    this.world.note(session, `is told ${name} ${state}`);
    this.world.model.told(name, state, typeof reason === 'string' ? reason : '');
    const given = this.given.find((each) => each.id === id);
    if (given) this.look(given, state);
  }

  private commandsOf({ device }: Given): string {
    return `${device.path}/containers/commands/contentInstances`;
  }

  private bodyOf({ id, point, deadlineMs, leaseMs }: Given, value: string) {
    return { commandId: id, point, value, deadlineMs, ...(leaseMs !== undefined && { action: 'select', leaseMs }) };
  }
}

function stateIn({ payload }: ResponseFrame): { readonly state: string; readonly reason: string } {
  const text = Buffer.from(payload?.bytes ?? '{}').toString();
  const { state = 'accepted', reason = '' } = JSON.parse(text) as { readonly state?: string; readonly reason?: string };
  return { state, reason };
}
