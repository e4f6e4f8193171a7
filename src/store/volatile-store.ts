/** A store that remembers nothing: for tests of what is not about memory. A synced write is done after the caller's turn, in order. */
import type { Store } from './store.js';

export function volatileStore(): Store {
  return {
    trouble: undefined,
    write: ({ durability }, done) => {
      if (durability === 'grouped') done();
      else void Promise.resolve().then(() => done());
    },
    open: () => Promise.resolve({ resource: new Map(), instance: new Map(), command: new Map(), alarm: new Map() }),
    provide: () => {},
    onTrouble: () => {},
    close: () => Promise.resolve(),
  };
}
