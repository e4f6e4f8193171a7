/**
 * A population: a keyed supervisor of many cells of one kind. Its cost does not grow with the number of siblings, and a
 * crash touches one cell only.
 *
 *     crash ──> restarting ── 50 ms, 100 ms, ... 5 s, ±20 % ──> up
 *       └── the fifth within 60 s ──> quarantined for 30 s ──> up
 *     temporary populations (endpoints): a crash ends the cell; its peer comes again
 */
import type { Cancel, Clock } from '../clock.js';
import type { Log } from '../log.js';
import type { Random } from '../random.js';
import { Cell, type CellKind, type CellOwner } from './cell.js';
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
  /** Never restarted: what a crash ends is told here. */
  readonly isTemporary?: boolean;
  readonly onCrash?: (key: string, error: unknown) => void;
}

interface Failures {
  /** Instants of the last failures, monotonic, newest last. */
  readonly atUs: number[];
  cancel: Cancel | undefined;
}

export class Population<Message> implements CellOwner<Message>, Supervised {
  readonly name: string;
  private readonly cells = new Map<string, Cell<Message>>();
  /** Only of cells that failed lately: a healthy one costs nothing here. */
  private readonly failures = new Map<Cell<Message>, Failures>();
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

  /** The cell of this key, started if it was not there. */
  activate(key: string): Cell<Message> {
    const standing = this.cells.get(key);
    if (standing) return standing;
    const cell = new Cell(key, this.options.kind(key), this);
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
    const { name, log, clock, isTemporary = false, onCrash } = this.options;
    this.crashes++;
    log.error({ actor: `${name}/${cell.path}`, err: error }, 'an actor crashed; its supervisor takes over');
    if (isTemporary) this.end(cell.path);
    else this.scheduleRestart(cell, clock.monotonicUs());
    onCrash?.(cell.path, error);
  }

  start(): void {}

  stop(): void {
    for (const key of [...this.cells.keys()]) this.end(key);
  }

  tree(): Branch {
    const children: Branch[] = [];
    for (const [key, { state, waiting, generation }] of this.cells) {
      if (children.length === TREE_MEMBERS) break;
      children.push({ name: key, state, restarts: generation - 1, waiting });
    }
    return { name: this.name, state: 'up', restarts: this.restarts, size: this.cells.size, children };
  }

  private scheduleRestart(cell: Cell<Message>, nowUs: number): void {
    const failures = this.failures.get(cell) ?? { atUs: [], cancel: undefined };
    this.failures.set(cell, failures);
    while (failures.atUs[0] !== undefined && nowUs - failures.atUs[0] > FAILURE_WINDOW_US) failures.atUs.shift();
    failures.atUs.push(nowUs);
    failures.cancel?.();
    const count = failures.atUs.length;
    if (count > FAILURES_BEFORE_QUARANTINE) {
      this.quarantines++;
      cell.state = 'quarantined';
      failures.atUs.length = 0;
      failures.cancel = this.options.clock.after(QUARANTINE_MS, () => this.restart(cell));
      return;
    }
    const spread = 1 + (this.options.random.below(2001) / 1000 - 1) * JITTER;
    const delayMs = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (count - 1)) * spread;
    failures.cancel = this.options.clock.after(delayMs, () => this.restart(cell));
  }

  private restart(cell: Cell<Message>): void {
    const failures = this.failures.get(cell);
    if (failures) failures.cancel = this.options.clock.after(FAILURE_WINDOW_US / 1000, () => this.forgetFailures(cell));
    this.restarts++;
    cell.start();
  }

  private forgetFailures(cell: Cell<Message>): void {
    this.failures.get(cell)?.cancel?.();
    this.failures.delete(cell);
  }
}
