/**
 * A supervisor of a few named children in a stated order.
 *
 *     start: first to last        stop: last to first, each within its time
 *     a child fails:  one_for_one    that one is stopped and started again
 *                     rest_for_one   it and all that were started after it, in order
 *     more failures than the intensity allows: everything below is stopped and the failure goes to whoever is above;
 *     above the root stands main, which ends the process with code 70
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

/** Anything that can stand in the tree. It may be started again after it was stopped. */
export interface Supervised {
  readonly name: string;
  /** `fail` is for this start: a child that breaks, now or later, calls it once. */
  start(fail: (error: unknown) => void): void | Promise<void>;
  /** Disposes whatever is open; called also after a start or a life that failed. */
  stop(): void | Promise<void>;
  tree?(): Branch;
}

export interface Intensity {
  readonly failures: number;
  readonly withinMs: number;
}

/** How long one child may take to stop before the next one's turn comes. */
const STOP_LIMIT_MS = 2_000;
/** How long one child may take to start before that counts as a failure. */
const START_LIMIT_MS = 10_000;

type Run = 'down' | 'starting' | 'up' | 'stopping' | 'failed';

/** One child's place. */
interface Post {
  readonly child: Supervised;
  readonly index: number;
  state: Run;
  restarts: number;
  /** Rises with each start and stop: what an earlier life says is not heard. */
  life: number;
}

export class Supervisor implements Supervised {
  private readonly posts: readonly Post[];
  private state: Run = 'down';
  private failedAtUs: number[] = [];
  private escalate: (error: unknown) => void = () => {};
  /** Starts and stops happen one after the other, whatever order the failures come in. */
  private turn: Promise<void> = Promise.resolve();

  constructor(
    readonly name: string,
    private readonly strategy: 'one_for_one' | 'rest_for_one',
    private readonly intensity: Intensity,
    children: readonly Supervised[],
    private readonly clock: Clock,
    private readonly log: Log,
  ) {
    this.posts = children.map((child, index) => ({ child, index, state: 'down', restarts: 0, life: 0 }));
  }

  /** Rejects with the first child's error when it cannot start; those before it are stopped again. */
  async start(fail: (error: unknown) => void): Promise<void> {
    this.escalate = fail;
    this.failedAtUs = [];
    this.state = 'starting';
    try {
      await this.inTurn(async () => {
        for (const post of this.posts) if (this.isRunning()) await this.startChild(post);
      });
    } catch (error) {
      await this.stop();
      throw error;
    }
    if (this.isRunning()) this.state = 'up';
  }

  async stop(): Promise<void> {
    this.state = 'stopping';
    await this.inTurn(() => this.stopChildren(this.posts));
    this.state = 'down';
  }

  tree(): Branch {
    const children = this.posts.map(({ child, state, restarts }): Branch => {
      const { name } = child;
      return child.tree ? { ...child.tree(), name, state, restarts } : { name, state, restarts };
    });
    return { name: this.name, state: this.state, restarts: 0, children };
  }

  private isRunning(): boolean {
    return this.state === 'up' || this.state === 'starting';
  }

  private inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.turn.then(work);
    this.turn = done.catch(() => {});
    return done;
  }

  private async startChild(post: Post): Promise<void> {
    post.state = 'starting';
    const life = ++post.life;
    await this.within(START_LIMIT_MS, `${post.child.name} did not start`, () =>
      post.child.start((error) => this.failed(post, life, error)),
    );
    if (stateOf(post) === 'starting') post.state = 'up';
  }

  /** Last to first. */
  private async stopChildren(posts: readonly Post[]): Promise<void> {
    for (const post of [...posts].reverse()) {
      if (post.state === 'down') continue;
      post.state = 'stopping';
      post.life++;
      try {
        await this.within(STOP_LIMIT_MS, `${post.child.name} did not stop`, () => post.child.stop());
      } catch (error) {
        this.log.error({ child: this.pathOf(post), err: error }, 'going on without it');
      }
      post.state = 'down';
    }
  }

  private failed(post: Post, life: number, error: unknown): void {
    if (!this.isRunning() || post.life !== life || post.state === 'failed') return;
    post.state = 'failed';
    this.log.error({ child: this.pathOf(post), err: error }, 'a child failed');
    const nowUs = this.clock.monotonicUs();
    this.failedAtUs = [...this.failedAtUs.filter((atUs) => nowUs - atUs <= this.intensity.withinMs * 1000), nowUs];
    if (this.failedAtUs.length > this.intensity.failures) this.giveUp(error);
    else void this.inTurn(() => this.restart(post, life));
  }

  private async restart(post: Post, life: number): Promise<void> {
    // Another's restart may have taken this one with it.
    if (!this.isRunning() || post.life !== life) return;
    const posts = this.strategy === 'rest_for_one' ? this.posts.slice(post.index) : [post];
    await this.stopChildren(posts);
    for (const next of posts) {
      // A stop may have been called for meanwhile.
      if (!this.isRunning()) return;
      next.restarts++;
      try {
        await this.startChild(next);
      } catch (error) {
        this.failed(next, next.life, error);
        return;
      }
    }
  }

  private giveUp(error: unknown): void {
    this.state = 'failed';
    const { failures, withinMs } = this.intensity;
    this.log.error({ supervisor: this.name, err: error }, `more than ${failures} failures within ${withinMs} ms`);
    void this.inTurn(() => this.stopChildren(this.posts)).then(() => this.escalate(error));
  }

  /** Rejects when the work does, or when it takes too long. */
  private within(limitMs: number, overdue: string, work: () => void | Promise<void>): Promise<void> {
    return new Promise((done, fail) => {
      const cancel = this.clock.after(limitMs, () => fail(new Error(`${overdue} within ${limitMs} ms`)));
      Promise.resolve().then(work).finally(cancel).then(done, fail);
    });
  }

  private pathOf({ child }: Post): string {
    return `${this.name}/${child.name}`;
  }
}

/** A child may have failed while its start was awaited, which the compiler can not see. */
const stateOf = (post: Post): Run => post.state;
