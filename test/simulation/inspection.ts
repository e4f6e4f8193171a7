/** The broker looked at from inside, between two events: what it holds is held against the model, and its counters must add up. */
import type { Broker } from '../../src/broker.js';
import type { Model } from './model.js';
import { containerOf } from './publisher.js';

/** `grouped` promises an fsync at most 100 ms after the answer; it takes a while to come, and the answer to arrive. */
const GROUPED_WITHIN_US = 200_000;

/** The part of the broker's books that is not public: a record of each command. */
interface CommandBooks {
  readonly issued: ReadonlyMap<string, { readonly states: readonly { readonly state: string }[] }>;
}

/** Every command that was accepted is there, in a state that follows from what was said of it. */
export function inspectCommands(broker: Broker, model: Model): void {
  const { issued } = broker.commands as unknown as CommandBooks;
  for (const { name } of model.commands.values()) model.known(name, issued.get(name)?.states.at(-1)?.state);
}

/** @param crashedUs when the life before ended, where this is the first look at a new one */
export function inspectReadings(broker: Broker, model: Model, crashedUs?: number): void {
  for (const durability of ['grouped', 'synced'] as const) {
    const path = `${containerOf(durability)}/contentInstances`.slice(1).split('/');
    const target = broker.resources.tree.resolve(path, 0);
    const content = target.kind === 'resource' ? target.node.history?.latest?.value.content : undefined;
    const bytes = content?.kind === 'stored' ? content.bytes : undefined;
    const newest = bytes ? (JSON.parse(Buffer.from(bytes).toString()) as { readonly reading: number }).reading : 0;
    const mayBeGoneUs = durability === 'grouped' && crashedUs !== undefined ? crashedUs - GROUPED_WITHIN_US : undefined;
    model.holds(durability, newest, mayBeGoneUs);
  }
}

/** For every subscription: received = delivered + decimated + dropped + held. */
export function inspectAccounts(broker: Broker, model: Model): void {
  const { subscriptions } = broker;
  for (const { received, delivered, decimated, dropped, held } of subscriptions.accounts()) {
    let left = delivered + decimated + held;
    for (const count of Object.values(dropped)) left += count;
    if (received !== left) model.broken(`a subscription received ${received} samples and accounts for ${left}`);
  }
  const { ended } = subscriptions;
  let left = ended.delivered + ended.decimated;
  for (const count of ended.dropped.values()) left += count;
  if (ended.received !== left)
    model.broken(`ended subscriptions received ${ended.received} samples and account for ${left}`);
}
