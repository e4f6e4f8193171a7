/**
 * The subscription actor: the life of one delivery, whichever binding or resource it came by.
 *
 *     opening ── OPEN ──> active <── RESUME, SUSPEND ──> suspended        END, from anywhere ──> ended
 *
 * The machine sets the delivery's integer mode; the router and the port read that and nothing else. A crash of this actor
 * leaves the delivery where it is: the stream goes on, and the next life takes over the state it finds.
 */
import type { Cancel, Clock } from '../clock.js';
import type { Behaviour, Cell, CellKind } from '../kernel/cell.js';
import { lifecyclesOf, setup, type Dispose } from '../kernel/lifecycle.js';
import { MODE, type Delivery, type Mode } from '../routing/delivery.js';
import type { Ending } from '../routing/endings.js';
import type { Account } from '../routing/group.js';
import type { Route, Router } from '../routing/router.js';
import type { Schedule } from './notification-channel.js';
import type { Node } from './resources.js';

export type SubscriptionMessage =
  | { readonly type: 'OPEN' }
  | { readonly type: 'SUSPEND' }
  | { readonly type: 'RESUME' }
  | { readonly type: 'END'; readonly ending: Ending };

const subscriptionMachine = setup({
  types: { events: {} as Exclude<SubscriptionMessage, { type: 'END' }> | Dispose },
}).createMachine({
  id: 'subscription',
  initial: 'opening',
  on: { DISPOSE: '.ended' },
  states: {
    opening: { on: { OPEN: 'active' } },
    active: { on: { SUSPEND: 'suspended' } },
    suspended: { on: { RESUME: 'active', OPEN: 'active' } },
    ended: { type: 'final' },
  },
});

const subscriptionLifecycle = lifecyclesOf(subscriptionMachine);

const MODES: Readonly<Record<string, Mode>> = {
  opening: MODE.opening,
  active: MODE.active,
  suspended: MODE.suspended,
};

const MODE_AFTER = { OPEN: MODE.active, RESUME: MODE.active, SUSPEND: MODE.suspended } as const;
/** The way to the state in which a new life finds its delivery. */
const TAKE_OVER: Readonly<Record<Mode, readonly ('OPEN' | 'SUSPEND')[]>> = {
  [MODE.opening]: [],
  [MODE.active]: ['OPEN'],
  [MODE.suspended]: ['OPEN', 'SUSPEND'],
  [MODE.ended]: [],
};

export interface SubscriptionOptions {
  readonly router: Router;
  readonly clock: Clock;
  readonly schedule: Schedule;
  /** A subscription is over: its balance, for the books. */
  readonly onEnded: (subscription: Subscription, ending: Ending, account: Account) => void;
}

/** What a subscription is, apart from its life: kept while it is restarted. */
export class Subscription implements CellKind<SubscriptionMessage> {
  /**
   * @param options what all of them have in common
   * @param originator who subscribed, and `node` to what: asked for anew when rights change
   * @param ended whoever subscribed hears once that it is over, whoever ended it
   */
  constructor(
    readonly options: SubscriptionOptions,
    readonly id: string,
    readonly delivery: Delivery,
    readonly route: Route,
    readonly originator: string | undefined,
    readonly node: Node,
    readonly ended: (delivery: Delivery) => void,
  ) {}

  start(cell: Cell<SubscriptionMessage>): Behaviour<SubscriptionMessage> {
    const { maxSpacingS } = this.delivery.terms;
    if (maxSpacingS !== undefined) cell.own(repeating(this, maxSpacingS));
    return new SubscriptionBehaviour(this);
  }

  /** What meets a crashed actor must not be lost: the table is data and is put right without it; the next life finds it so. */
  undelivered(message: SubscriptionMessage): void {
    const { delivery, options } = this;
    if (message.type === 'END') options.onEnded(this, message.ending, options.router.unsubscribe(delivery));
    else if (message.type === 'OPEN' || delivery.mode !== MODE.opening) delivery.mode = MODE_AFTER[message.type];
  }
}

class SubscriptionBehaviour implements Behaviour<SubscriptionMessage> {
  private readonly lifecycle = subscriptionLifecycle();

  constructor(private readonly subscription: Subscription) {
    for (const type of TAKE_OVER[subscription.delivery.mode]) this.lifecycle.send({ type });
  }

  receive(message: SubscriptionMessage): void {
    if (message.type === 'END') return this.end(message.ending);
    const before = this.lifecycle.state;
    this.lifecycle.send(message);
    const { state } = this.lifecycle;
    if (state !== before) this.changed(MODES[state] ?? MODE.ended);
  }

  private changed(mode: Mode): void {
    const { delivery } = this.subscription;
    delivery.mode = mode;
    if (mode !== MODE.active) return;
    delivery.port.drain();
    delivery.feeder?.relieved(delivery);
  }

  private end(ending: Ending): void {
    const { options, delivery } = this.subscription;
    const account = options.router.unsubscribe(delivery);
    this.lifecycle.dispose();
    options.onEnded(this.subscription, ending, account);
  }
}

/** c.pmax: the latest value goes again when nothing newer came for so long. */
function repeating({ delivery, route, options }: Subscription, maxSpacingS: number): Cancel {
  const { router, clock, schedule } = options;
  const periodUs = maxSpacingS * 1e6;
  let lastUs = -Infinity;
  let cancel: Cancel;
  const arm = (delayMs: number): void => {
    cancel = schedule(delayMs, () => {
      const nowUs = clock.monotonicUs();
      const quietUs = nowUs - Math.max(lastUs, route.latest?.arrivedUs ?? nowUs);
      if (quietUs >= periodUs) {
        lastUs = nowUs;
        router.repeat(route, delivery);
      }
      arm(Math.max(10, (periodUs - (quietUs >= periodUs ? 0 : quietUs)) / 1000));
    });
  };
  arm(periodUs / 1000);
  return () => cancel();
}
