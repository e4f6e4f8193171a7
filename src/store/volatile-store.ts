/** A store that remembers nothing: for tests of what is not about memory. Everything is done at the end of the turn, in order. */
import type { Clock } from '../clock.js';
import type { Store } from './store.js';

export function volatileStore(clock: Pick<Clock, 'atTurnEnd'>): Store {
  return {
    trouble: undefined,
    write: ({ durability }, done) => {
      if (durability === 'grouped') done();
      else clock.atTurnEnd(() => done());
    },
    open: () => Promise.resolve({ resource: new Map(), instance: new Map(), command: new Map(), alarm: new Map() }),
    provide: () => {},
    onTrouble: () => {},
    close: () => Promise.resolve(),
  };
}
