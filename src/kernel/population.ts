/**
 * A population: a keyed supervisor of many cells of one kind. Its cost does not grow with the number of siblings, and a
 * crash touches one cell only.
 *
 *     crash ──> restarting ── 50 ms, 100 ms, ... 5 s, ±20 % ──> up ── 60 s without a crash ──> 50 ms again
 *       └── the fifth within 60 s ──> quarantined for 30 s ──> up
 *     temporary populations (endpoints): a crash ends the cell; its peer comes again
 */
import type { Cancel, Clock } from '../clock.js';
import type { Log } from '../log.js';
import type { Random } from '../random.js';
import { Cell, type CellKind, type CellOwner, type Fault } from './cell.js';
import type { Branch, Supervised } from './supervisor.js';

const FIRST_DELAY_MS = 50;
const LONGEST_DELAY_MS = 5_000;
/** Cells that fell together must not rise together. */
const JITTER = 0.2;
const FAILURE_WINDOW_US = 60_000_000;
const FAILURES_BEFORE_QUARANTINE = 4;
const QUARANTINE_MS = 30_000;
/** Members that `tree` names; a million would help nobody. */
const TREE_MEMBERS = 100;

export interface PopulationOptions<Message> {
  readonly name: string;
  readonly kind: (key: string) => CellKind<Message>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Whose cells stand again when the population itself is started again; nobody's where absent. */
  readonly members?: () => Iterable<string>;
  /** Never restarted: a crash is a cell's end. */
  readonly isTemporary?: boolean;
}

interface Failures {
  /** Instants of the failures that count towards a quarantine, monotonic, newest last. */
  atUs: number[];
  /** Failures since it last stayed up for the whole window: they set the back-off, and a quarantine does not clear them. */
  inARow: number;
  /** Ends what it waits for: its restart, or that its failures are forgotten. */
  cancel: Cancel | undefined;
}

export class Population<Message> implements CellOwner<Message>, Supervised {
  readonly name: string;
  private readonly cells = new Map<string, Cell<Message>>();
  /** Only of cells that failed lately: a healthy one costs nothing here. */
  private readonly failures = new Map<Cell<Message>, Failures>();
  private isStopped = false;
  readonly undelivered: Record<Fault, number> = { crashed: 0, down: 0, full: 0 };
  crashes = 0;
  restarts = 0;
  quarantines = 0;

  constructor(private readonly options: PopulationOptions<Message>) {
    this.name = options.name;
  }

  get size(): number {
    return this.cells.size;
  }

  get(key: string): Cell<Message> | undefined {
    return this.cells.get(key);
  }

  /** The cell of this key, started if it was not there. Of a population that has stopped it is one that is down. */
  activate(key: string): Cell<Message> {
    const standing = this.cells.get(key);
    if (standing) return standing;
    const cell = new Cell(key, this.options.kind(key), this);
    if (this.isStopped) {
      cell.stop();
      return cell;
    }
    this.cells.set(key, cell);
    cell.start();
    return cell;
  }

  /** Ends a cell and forgets it. */
  end(key: string): void {
    const cell = this.cells.get(key);
    if (!cell) return;
    this.cells.delete(key);
    this.forgetFailures(cell);
    cell.stop();
  }

  crashed(cell: Cell<Message>, error: unknown): void {
    const { name, log, clock, isTemporary = false } = this.options;
    this.crashes++;
    log.error({ actor: `${name}/${cell.path}`, err: error }, 'an actor crashed; its supervisor takes over');
    if (isTemporary) this.end(cell.path);
    else this.scheduleRestart(cell, clock.monotonicUs());
  }

  report(cell: Cell<Message>, error: unknown): void {
    this.options.log.error({ actor: `${this.name}/${cell.path}`, err: error }, 'an actor threw where nothing can end');
  }

  start(): void {
    this.isStopped = false;
    for (const key of this.options.members?.() ?? []) this.activate(key);
  }

  /** Ends every cell; until the next start none is activated. */
  stop(): void {
    this.isStopped = true;
    for (const key of [...this.cells.keys()]) this.end(key);
  }

  /** Those that crashed lately come first: they are what one looks for. */
  tree(): Branch {
    const named = new Set(this.failures.keys());
    for (const cell of this.cells.values()) {
      if (named.size >= TREE_MEMBERS) break;
      named.add(cell);
    }
    const children = [...named].slice(0, TREE_MEMBERS).map(({ path, state, generation, waiting }): Branch => {
      return { name: path, state, restarts: generation - 1, waiting };
    });
    return {
      name: this.name,
      state: this.isStopped ? 'down' : 'up',
      restarts: this.restarts,
      size: this.size,
      children,
    };
  }

  private scheduleRestart(cell: Cell<Message>, nowUs: number): void {
    const failures = this.failures.get(cell) ?? { atUs: [], inARow: 0, cancel: undefined };
    this.failures.set(cell, failures);
    failures.cancel?.();
    failures.inARow++;
    failures.atUs = [...failures.atUs.filter((atUs) => nowUs - atUs <= FAILURE_WINDOW_US), nowUs];
    let delayMs = this.backOffMs(failures.inARow);
    if (failures.atUs.length > FAILURES_BEFORE_QUARANTINE) {
      this.quarantines++;
      failures.atUs = [];
      delayMs = QUARANTINE_MS;
      cell.quarantine();
    }
    failures.cancel = this.options.clock.after(delayMs, () => this.restart(cell, failures));
  }

  private backOffMs(inARow: number): number {
    const spread = 1 + (this.options.random.below(2001) / 1000 - 1) * JITTER;
    return Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (inARow - 1)) * spread;
  }

  private restart(cell: Cell<Message>, failures: Failures): void {
    failures.cancel = this.options.clock.after(FAILURE_WINDOW_US / 1000, () => this.forgetFailures(cell));
    this.restarts++;
    cell.start();
  }

  private forgetFailures(cell: Cell<Message>): void {
    this.failures.get(cell)?.cancel?.();
    this.failures.delete(cell);
  }
}
