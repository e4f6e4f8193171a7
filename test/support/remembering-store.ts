/** A store that lasts as long as the test: what was written to it is there for the next broker that opens it, and it can refuse. */
import { refuse } from '../../src/errors.js';
import { TABLES, type Row, type Store, type Table, type Trouble } from '../../src/store/store.js';

export class RememberingStore implements Store {
  readonly tables = Object.fromEntries(TABLES.map((table) => [table, new Map<string, Row>()])) as Record<
    Table,
    Map<string, Row>
  >;
  trouble: Trouble | undefined;
  /** Writes of which `done` has not been called. */
  readonly waiting: (() => void)[] = [];
  isHeld = false;
  private listeners: ((trouble: Trouble | undefined) => void)[] = [];

  write({ changes = [], durability }: Parameters<Store['write']>[0], done: Parameters<Store['write']>[1]): void {
    const settle = (): void => {
      const { trouble } = this;
      if (trouble) return done(refuse('STATUS_SERVICE_UNAVAILABLE', trouble.detail));
      for (const { table, key, row } of changes) {
        this.tables[table].delete(key);
        // As the journal does: what was written does not change with what it was made of.
        if (row) this.tables[table].set(key, structuredClone(row));
      }
      done();
    };
    if (durability === 'grouped') settle();
    else if (this.isHeld) this.waiting.push(settle);
    else void Promise.resolve().then(settle);
  }

  set(trouble: Trouble | undefined): void {
    this.trouble = trouble;
    for (const listener of this.listeners) listener(trouble);
  }

  open(): ReturnType<Store['open']> {
    return Promise.resolve(
      Object.fromEntries(TABLES.map((table) => [table, new Map(this.tables[table])])) as Record<
        Table,
        Map<string, Row>
      >,
    );
  }

  provide(): void {}

  onTrouble(listener: (trouble: Trouble | undefined) => void): void {
    this.listeners.push(listener);
  }

  close(): Promise<void> {
    this.listeners = [];
    return Promise.resolve();
  }
}
