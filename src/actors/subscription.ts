/**
 * The subscription actor: the life of one delivery, whichever binding or resource it came by.
 *
 *     opening ── OPEN ──> active <── RESUME, SUSPEND ──> suspended        END, from anywhere ──> ended
 *
 * The machine sets the delivery's integer mode; the router and the port read that and nothing else. A crash of this actor
 * leaves the delivery where it is: the stream goes on, and the next life takes over the state it finds.
 */
import type { Clock } from '../clock.js';
import type { Behaviour, CellKind } from '../kernel/cell.js';
import { createLifecycle, setup, type Dispose } from '../kernel/lifecycle.js';
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

/** What a subscription is, apart from its life: kept while it is restarted. */
export interface SubscriptionRecord {
  readonly delivery: Delivery;
  readonly route: Route;
  /** Who subscribed, and to what: asked for anew when rights change. */
  readonly originator: string | undefined;
  readonly node: Node;
  /** Whoever subscribed hears once that it is over, whoever ended it. */
  readonly ended: (delivery: Delivery) => void;
}

export interface SubscriptionOptions {
  readonly router: Router;
  readonly clock: Clock;
  readonly schedule: Schedule;
  /** The subscription is over: its balance, for the books. */
  readonly onEnded: (ending: Ending, account: Account) => void;
}

export function subscriptionKind(
  record: SubscriptionRecord,
  options: SubscriptionOptions,
): CellKind<SubscriptionMessage> {
  return {
    start(cell) {
      const behaviour = new SubscriptionBehaviour(record, options);
      cell.own(() => behaviour.dispose());
      return behaviour;
    },
    // What meets a crashed actor must not be lost: the table is data and is put right without it; the next life finds it so.
    undelivered(message) {
      if (message.type === 'END') options.onEnded(message.ending, options.router.unsubscribe(record.delivery));
      else if (message.type === 'OPEN' || record.delivery.mode !== MODE.opening)
        record.delivery.mode = MODE_AFTER[message.type];
    },
  };
}

class SubscriptionBehaviour implements Behaviour<SubscriptionMessage> {
  private readonly lifecycle;
  private cancelRepeat: (() => void) | undefined;
  private lastRepeatUs = -Infinity;

  constructor(
    private readonly record: SubscriptionRecord,
    private readonly options: SubscriptionOptions,
  ) {
    const { delivery } = record;
    let isTakingOver = true;
    this.lifecycle = createLifecycle(subscriptionMachine, undefined, (state) => {
      // The end of this life is not the end of the delivery: that is the router's to say.
      if (isTakingOver || state === 'ended') return;
      delivery.mode = MODES[state] ?? MODE.ended;
      if (delivery.mode !== MODE.active) return;
      delivery.port.drain();
      delivery.feeder?.relieved(delivery);
    });
    for (const type of TAKE_OVER[delivery.mode]) this.lifecycle.send({ type });
    isTakingOver = false;
    if (delivery.terms.maxSpacingS !== undefined) this.armRepeat(delivery.terms.maxSpacingS * 1000);
  }

  receive(message: SubscriptionMessage): void {
    if (message.type !== 'END') {
      this.lifecycle.send(message);
      return;
    }
    const account = this.options.router.unsubscribe(this.record.delivery);
    this.dispose();
    this.options.onEnded(message.ending, account);
  }

  dispose(): void {
    this.cancelRepeat?.();
    this.cancelRepeat = undefined;
    this.lifecycle.dispose();
  }

  /** c.pmax: the latest value goes again when nothing newer came for so long. */
  private armRepeat(delayMs: number): void {
    this.cancelRepeat = this.options.schedule(delayMs, () => {
      const { route, delivery } = this.record;
      const periodUs = (delivery.terms.maxSpacingS ?? 0) * 1e6;
      const nowUs = this.options.clock.monotonicUs();
      const quietUs = nowUs - Math.max(this.lastRepeatUs, route.latest?.arrivedUs ?? nowUs);
      if (quietUs >= periodUs) {
        this.lastRepeatUs = nowUs;
        this.options.router.repeat(route, delivery);
      }
      this.armRepeat(Math.max(10, (periodUs - (quietUs >= periodUs ? 0 : quietUs)) / 1000));
    });
  }
}
