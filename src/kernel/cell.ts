/**
 * A cell: one actor. A stable path, two bounded mailboxes, a behaviour that handles one message at a time to completion, and
 * a fault boundary around it.
 *
 *     tell ── idle ──────> behaviour.receive          on the caller's stack, nothing allocated
 *       ├──── busy ──────> mailbox, taken in turn: requests first, then what is conflatable
 *       ├──── down ──────> kind.undelivered('down')   answered at once; while restarting, conflatable ones wait instead
 *     receive throws ────> kind.undelivered('crashed') for that message; what the behaviour owned is disposed;
 *                          the owner decides when it starts again; what waits in the mailboxes is kept
 *
 * Each message ends in exactly one of `receive` returning and `undelivered`. One whose answer comes after `receive` has
 * returned is owed (`cell.owe`), so that its sender is answered even if this life ends first.
 */
import { Mailbox } from './mailbox.js';

/** What handles a cell's messages; made anew at each start. */
export interface Behaviour<Message> {
  receive(message: Message): void;
}

/** Why a message was not handled. */
export type Fault =
  /** It made the behaviour throw, or was owed an answer when another one did. */
  | 'crashed'
  /** The cell waits for its restart, is quarantined or has stopped. */
  | 'down'
  /** The mailbox was full. */
  | 'full';

/** What all cells of one population have in common. */
export interface CellKind<Message> {
  /** Starts a behaviour. What it opens it gives to `cell.own`. */
  start(cell: Cell<Message>): Behaviour<Message>;
  /**
   * Tells a message's sender that it was not handled: 500, 503. An answer given before the throw stands: a reply counts
   * once. Must not throw.
   */
  undelivered(message: Message, fault: Fault): void;
  /** Which messages may give way to newer ones while the cell is busy; all others are refused when it is full. */
  isConflatable?(message: Message): boolean;
}

/** Measurements waiting for a busy cell; a second's worth at 60/s. */
const CONFLATABLE_CAPACITY = 64;
/** Requests waiting for a busy cell, and as many again that are owed an answer. */
const REQUEST_CAPACITY = 256;

export type CellState = 'up' | 'restarting' | 'quarantined' | 'stopped';

/** Whoever restarts or drops a cell that crashed. */
export interface CellOwner<Message> {
  /** Messages that were not handled, by reason: counted by the cells, read at scrape time. */
  readonly undelivered: Record<Fault, number>;
  /** A life has ended in a throw: the cell is `restarting` until its owner starts it, quarantines it or stops it. */
  crashed(cell: Cell<Message>, error: unknown): void;
  /** A bug that ended nothing, such as a throw while something was disposed: to be logged. */
  report(cell: Cell<Message>, error: unknown): void;
}

export class Cell<Message> {
  /** Rises with each start: what was begun before belongs to another life. */
  generation = 0;
  private currentState: CellState = 'restarting';
  private behaviour: Behaviour<Message> | undefined;
  private isBusy = false;
  /** What is being handled, until it is known to be undelivered. */
  private handling: Message | undefined;
  // Made when first needed: of a million cells most are idle, and an idle one is 245 bytes [test/kernel/heap.test.ts].
  private conflatable: Mailbox<Message> | undefined;
  private requests: Mailbox<Message> | undefined;
  private owned: Set<() => void> | undefined;
  private owed: Set<Message> | undefined;

  constructor(
    readonly path: string,
    private readonly kind: CellKind<Message>,
    private readonly owner: CellOwner<Message>,
  ) {}

  get state(): CellState {
    return this.currentState;
  }

  /** It is up, and nothing waits for it or is owed an answer by it. */
  get isIdle(): boolean {
    return this.currentState === 'up' && !this.isBusy && this.waiting === 0 && (this.owed?.size ?? 0) === 0;
  }

  /** Messages that wait. */
  get waiting(): number {
    return (this.requests?.length ?? 0) + (this.conflatable?.length ?? 0);
  }

  tell(message: Message): void {
    if (this.currentState !== 'up') this.tellDown(message);
    else if (this.isBusy) this.enqueue(message);
    else {
      this.handle(message);
      if (this.waiting > 0) this.takeWaiting();
    }
  }

  /**
   * Something opened by this life: disposed when it ends, in reverse order; at once if it has ended already. Returns a
   * function that disposes it earlier.
   */
  own(dispose: () => void): () => void {
    const entry = (): void => dispose();
    (this.owned ??= new Set()).add(entry);
    const release = (): void => {
      if (this.owned?.delete(entry)) dispose();
    };
    if (this.currentState !== 'up') release();
    return release;
  }

  /**
   * Keeps a message whose answer comes later: if this life ends before `settle`, it is `undelivered`. False if too many are
   * owed already; the message has then been answered `full` and is not to be worked on.
   */
  owe(message: Message): boolean {
    this.owed ??= new Set();
    if (this.owed.size < REQUEST_CAPACITY) {
      this.owed.add(message);
      return true;
    }
    this.undelivered(message, 'full');
    return false;
  }

  /** Ends what `owe` began: whether the answer is still to be given, which is so once. */
  settle(message: Message): boolean {
    return this.owed?.delete(message) ?? false;
  }

  /** Brings the result of asynchronous work back as a message, unless this life has ended meanwhile. */
  pipe<Result>(
    work: Promise<Result>,
    toMessage: (result: Result) => Message,
    toFailure: (error: unknown) => Message,
  ): void {
    const { generation } = this;
    // A promise's reaction runs on an empty stack, so it finds the cell idle: results never wait and are never refused.
    const arrive = (make: () => Message): void => {
      if (this.generation !== generation || this.currentState !== 'up') return;
      try {
        this.tell(make());
      } catch (error) {
        this.fail(error);
      }
    };
    work.then(
      (result) => arrive(() => toMessage(result)),
      (error: unknown) => arrive(() => toFailure(error)),
    );
  }

  /** Ends this life as a throw of `receive` does: for what breaks outside a message, such as a socket or a child process. */
  fail(error: unknown): void {
    // A message may have stopped the cell before it threw.
    if (this.currentState !== 'up') {
      this.owner.report(this, error);
      return;
    }
    this.currentState = 'restarting';
    this.endLife('crashed');
    // What was disposed may have stopped the cell: then there is nothing to restart.
    if (this.state === 'restarting') this.owner.crashed(this, error);
    else this.owner.report(this, error);
  }

  /** For the owner: begins a life: a fresh behaviour, then what waited. A start that throws is a crash. */
  start(): void {
    if (this.currentState === 'up' || this.currentState === 'stopped') return;
    this.generation++;
    this.currentState = 'up';
    // What it is told while it starts waits until it stands.
    this.isBusy = true;
    try {
      const behaviour = this.kind.start(this);
      if (this.state === 'up') this.behaviour = behaviour;
    } catch (error) {
      this.fail(error);
    } finally {
      this.isBusy = false;
    }
    this.takeWaiting();
  }

  /** For the owner: no life until the next start, and nothing waits for it. */
  quarantine(): void {
    if (this.currentState !== 'restarting') return;
    this.currentState = 'quarantined';
    this.turnAway();
  }

  /** For the owner: ends for good. What waits is answered `down`. */
  stop(): void {
    if (this.currentState === 'stopped') return;
    this.currentState = 'stopped';
    this.endLife('down');
    this.turnAway();
  }

  private handle(message: Message): void {
    this.isBusy = true;
    this.handling = message;
    try {
      this.behaviour?.receive(message);
    } catch (error) {
      this.owed?.delete(message);
      if (this.handling !== undefined) this.undelivered(message, 'crashed');
      this.fail(error);
    } finally {
      this.isBusy = false;
      this.handling = undefined;
    }
  }

  private takeWaiting(): void {
    while (this.currentState === 'up' && !this.isBusy) {
      const message = this.requests?.take() ?? this.conflatable?.take();
      if (message === undefined) return;
      this.handle(message);
    }
  }

  private tellDown(message: Message): void {
    if (this.currentState === 'restarting' && this.kind.isConflatable?.(message)) this.enqueue(message);
    else this.undelivered(message, 'down');
  }

  private enqueue(message: Message): void {
    const mailbox = this.kind.isConflatable?.(message)
      ? (this.conflatable ??= new Mailbox(CONFLATABLE_CAPACITY, 'drop-oldest'))
      : (this.requests ??= new Mailbox(REQUEST_CAPACITY, 'refuse'));
    const loser = mailbox.put(message);
    if (loser !== undefined) this.undelivered(loser, 'full');
  }

  private turnAway(): void {
    for (const mailbox of [this.requests, this.conflatable]) {
      for (let message = mailbox?.take(); message !== undefined; message = mailbox?.take())
        this.undelivered(message, 'down');
    }
  }

  private undelivered(message: Message, fault: Fault): void {
    if (message === this.handling) this.handling = undefined;
    this.owner.undelivered[fault]++;
    try {
      this.kind.undelivered(message, fault);
    } catch (error) {
      this.owner.report(this, error);
    }
  }

  private endLife(fault: Fault): void {
    this.behaviour = undefined;
    for (const entry of [...(this.owned ?? [])].reverse()) {
      // One thing that does not close must not keep the others open; one may release another.
      try {
        if (this.owned?.delete(entry)) entry();
      } catch (error) {
        this.owner.report(this, error);
      }
    }
    for (const message of this.owed ?? []) {
      this.owed?.delete(message);
      this.undelivered(message, fault);
    }
  }
}
