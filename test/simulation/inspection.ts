/** The broker looked at from inside, between two events: what it holds is held against the model, and its counters must add up. */
import type { Broker } from '../../src/broker.js';
import type { Model } from './model.js';

/** The part of the broker's books that is not public: a record of each command. */
interface CommandBooks {
  readonly issued: ReadonlyMap<string, { readonly states: readonly { readonly state: string }[] }>;
}

/** Every command that was accepted is there, in a state that follows from what was said of it. */
export function inspectCommands(broker: Broker, model: Model): void {
  const { issued } = broker.commands as unknown as CommandBooks;
  for (const { name } of model.commands.values()) model.known(name, issued.get(name)?.states.at(-1)?.state);
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
