/**
 * A supervisor of a few named children in a stated order.
 *
 *     start: first to last        stop: last to first, each within its time
 *     a child fails:  one_for_one    that one is restarted
 *                     rest_for_one   it and all that were started after it, in order
 *     more failures than the intensity allows: everything below is stopped and the failure goes to whoever is above
 */
import type { Clock } from '../clock.js';
import type { Log } from '../log.js';

/** A node of `gridcast tree`. */
export interface Branch {
  readonly name: string;
  readonly state: string;
  readonly restarts: number;
  /** Messages that wait. */
  readonly waiting?: number;
  /** Members of a population, of which `children` may name only some. */
  readonly size?: number;
  readonly children?: readonly Branch[];
}

/** Anything that can stand in the tree. `fail` is given at start: a child that breaks later calls it. */
export interface Supervised {
  readonly name: string;
  start(fail: (error: unknown) => void): void | Promise<void>;
  stop(): void | Promise<void>;
  tree?(): Branch;
}

export interface Intensity {
  readonly failures: number;
  readonly withinMs: number;
}

/** How long one child may take to stop before the next one's turn comes. */
const STOP_LIMIT_MS = 2_000;

type Run = 'down' | 'starting' | 'up' | 'stopping' | 'failed';

export class Supervisor implements Supervised {
  private readonly states: Run[];
  private readonly restartCounts: number[];
  private failedAtUs: number[] = [];
  private isStopping = false;
  private escalate: (error: unknown) => void = () => {};
  /** Starts and stops happen one after the other, whatever order the failures come in. */
  private turn: Promise<void> = Promise.resolve();

  constructor(
    readonly name: string,
    private readonly strategy: 'one_for_one' | 'rest_for_one',
    private readonly intensity: Intensity,
    private readonly children: readonly Supervised[],
    private readonly clock: Clock,
    private readonly log: Log,
  ) {
    this.states = children.map(() => 'down');
    this.restartCounts = children.map(() => 0);
  }

  /** Rejects with the first child's error when it cannot start; those before it are stopped again. */
  async start(fail: (error: unknown) => void): Promise<void> {
    this.escalate = fail;
    this.isStopping = false;
    this.failedAtUs = [];
    try {
      await this.startFrom(0, this.children.length);
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.isStopping = true;
    await this.turn;
    await this.stopDownTo(0, this.children.length);
  }

  tree(): Branch {
    const children = this.children.map((child, index): Branch => {
      const own = { name: child.name, state: this.states[index] ?? 'down', restarts: this.restartCounts[index] ?? 0 };
      return child.tree ? { ...child.tree(), ...own } : own;
    });
    return { name: this.name, state: this.isStopping ? 'stopping' : 'up', restarts: 0, children };
  }

  private async startFrom(first: number, end: number): Promise<void> {
    for (let index = first; index < end; index++) {
      this.states[index] = 'starting';
      await this.children[index]?.start((error) => this.failed(index, error));
      this.states[index] = 'up';
    }
  }

  private async stopDownTo(first: number, end: number): Promise<void> {
    for (let index = end - 1; index >= first; index--) {
      if (this.states[index] === 'down') continue;
      this.states[index] = 'stopping';
      await this.stopChild(index);
      this.states[index] = 'down';
    }
  }

  private stopChild(index: number): Promise<void> {
    const child = this.children[index];
    return new Promise((done) => {
      const cancel = this.clock.after(STOP_LIMIT_MS, () => {
        this.log.warn({ child: child?.name }, `did not stop within ${STOP_LIMIT_MS} ms; going on without it`);
        done();
      });
      const stopped = (): void => {
        cancel();
        done();
      };
      Promise.resolve()
        .then(() => child?.stop())
        .then(stopped, (error: unknown) => {
          this.log.error({ child: child?.name, err: error }, 'a child failed while stopping');
          stopped();
        });
    });
  }

  private failed(index: number, error: unknown): void {
    if (this.isStopping || this.states[index] !== 'up') return;
    this.states[index] = 'failed';
    this.log.error({ child: `${this.name}/${this.children[index]?.name ?? index}`, err: error }, 'a child failed');
    const nowUs = this.clock.monotonicUs();
    this.failedAtUs = [...this.failedAtUs.filter((atUs) => nowUs - atUs <= this.intensity.withinMs * 1000), nowUs];
    if (this.failedAtUs.length > this.intensity.failures) {
      this.giveUp(error);
      return;
    }
    this.turn = this.turn.then(() => this.restart(index)).catch((again: unknown) => this.giveUp(again));
  }

  private async restart(index: number): Promise<void> {
    if (this.isStopping) return;
    const end = this.strategy === 'rest_for_one' ? this.children.length : index + 1;
    await this.stopDownTo(index, end);
    for (let child = index; child < end; child++) this.restartCounts[child] = (this.restartCounts[child] ?? 0) + 1;
    await this.startFrom(index, end);
  }

  private giveUp(error: unknown): void {
    if (this.isStopping) return;
    this.isStopping = true;
    void this.turn.then(() => this.stopDownTo(0, this.children.length)).then(() => this.escalate(error));
  }
}
