/**
 * The store's contract and nothing else: rows in memory that outlive the process, made durable some time after they are
 * written. What the real one should be like; and where a bug is put into a store, to see that the simulation finds it.
 */
import { refuse } from '../../src/errors.js';
import {
  TABLES,
  type Row,
  type Rows,
  type Store,
  type Table,
  type Trouble,
  type Writing,
} from '../../src/store/store.js';
import type { StoreMaker } from './broker-host.js';
import type { Life } from './timeline.js';
import type { Chance } from './world.js';

/** A sync takes so long, milliseconds. */
const SYNC_MS = [1, 12] as const;
const GROUP_MS = 100;

interface Pending {
  readonly writing: Writing;
  readonly done: () => void;
}

export interface IdealStoreFlaws {
  /** `synced` is answered before it is. */
  readonly answersEarly?: boolean;
}

export class IdealStores implements StoreMaker {
  private readonly tables = new Map<Table, Map<string, Row>>(TABLES.map((table) => [table, new Map()]));
  private pending: Pending[] = [];
  isFull = false;

  constructor(
    private readonly chance: Chance,
    private readonly flaws: IdealStoreFlaws = {},
  ) {}

  reliableUntilUs(nowUs: number): number {
    return nowUs;
  }

  cutPower(): void {
    this.pending = [];
  }

  /** What the process had handed to the kernel stays: all that came before some point. */
  killed(): void {
    for (const { writing } of this.pending.splice(0, this.chance.between(0, this.pending.length + 1)))
      this.apply(writing);
    this.pending = [];
  }

  make(life: Life): Store {
    let isSyncing = false;
    const sync = (): void => {
      if (isSyncing || this.pending.length === 0) return;
      isSyncing = true;
      const group = [...this.pending];
      life.after(this.chance.between(...SYNC_MS), () => {
        isSyncing = false;
        this.pending.splice(0, group.length);
        for (const { writing } of group) this.apply(writing);
        for (const { done } of group) done();
        sync();
      });
    };
    const trouble = (): Trouble | undefined => (this.isFull ? FULL : undefined);
    return {
      get trouble() {
        return trouble();
      },
      write: (writing, done) => {
        const isAtOnce = writing.durability === 'grouped' || this.flaws.answersEarly === true;
        if (this.isFull && writing.isVital !== true)
          return life.atTurnEnd(() => done(refuse('STATUS_SERVICE_UNAVAILABLE', FULL.detail)));
        this.pending.push({ writing, done: isAtOnce ? () => {} : () => done() });
        if (isAtOnce) done();
        if (writing.durability === 'synced' && !this.flaws.answersEarly) sync();
        else life.after(GROUP_MS, sync);
      },
      open: () => {
        const copy = (table: Table): Rows => new Map(this.tables.get(table));
        return Promise.resolve({
          resource: copy('resource'),
          instance: copy('instance'),
          command: copy('command'),
          alarm: copy('alarm'),
        });
      },
      provide: () => {},
      onTrouble: () => {},
      close: () => Promise.resolve(),
    };
  }

  private apply({ changes = [] }: Writing): void {
    for (const { table, key, row } of changes) {
      const rows = this.tables.get(table);
      rows?.delete(key);
      if (row) rows?.set(key, row);
    }
  }
}

const FULL: Trouble = { kind: 'full', detail: 'The disk is full.' };
