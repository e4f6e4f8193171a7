/**
 * A cell: one actor. A stable path, two bounded mailboxes, a behaviour that handles one message at a time to completion, and
 * a fault boundary around it.
 *
 *     tell ── idle ──────> behaviour.receive          on the caller's stack, nothing allocated
 *       ├──── busy ──────> mailbox, taken in turn
 *       └──── down ──────> kind.undelivered('down')   answered at once
 *     receive throws ────> kind.undelivered('crashed') for that message; what the behaviour owned is disposed;
 *                          the owner decides when it starts again; what waits in the mailboxes is kept
 */
import { Mailbox } from './mailbox.js';

/** What handles a cell's messages; made anew at each start. */
export interface Behaviour<Message> {
  receive(message: Message): void;
}

/** Why a message was not handled. */
export type Fault =
  /** It made the behaviour throw. */
  | 'crashed'
  /** The cell waits for its restart, is quarantined or has stopped. */
  | 'down'
  /** The mailbox was full. */
  | 'full';

/** What all cells of one population have in common. */
export interface CellKind<Message> {
  /** Starts a behaviour. What it opens it gives to `cell.own`. */
  start(cell: Cell<Message>): Behaviour<Message>;
  /** Tells a message's sender that it was not handled: 500, 503. Must not throw. */
  undelivered(message: Message, fault: Fault): void;
  /** Which messages may give way to newer ones while the cell is busy; all others are refused when it is full. */
  isConflatable?(message: Message): boolean;
}

/** Measurements waiting for a busy cell; a second's worth at 60/s. */
const CONFLATABLE_CAPACITY = 64;
const REQUEST_CAPACITY = 256;

export type CellState = 'up' | 'restarting' | 'quarantined' | 'stopped';

/** Whoever restarts or drops a cell that crashed. */
export interface CellOwner<Message> {
  crashed(cell: Cell<Message>, error: unknown): void;
}

export class Cell<Message> {
  state: CellState = 'restarting';
  /** Rises with each start: what was begun before belongs to another life. */
  generation = 0;
  readonly conflatable: Mailbox<Message>;
  readonly requests: Mailbox<Message>;
  private behaviour: Behaviour<Message> | undefined;
  private owned: (() => void)[] = [];
  private isBusy = false;

  constructor(
    readonly path: string,
    private readonly kind: CellKind<Message>,
    private readonly owner: CellOwner<Message>,
  ) {
    this.conflatable = new Mailbox(CONFLATABLE_CAPACITY, 'drop-oldest');
    this.requests = new Mailbox(REQUEST_CAPACITY, 'refuse');
  }

  /** Begins a life: a fresh behaviour, then what waited. A start that throws is a crash. */
  start(): void {
    this.generation++;
    this.state = 'up';
    try {
      this.behaviour = this.kind.start(this);
    } catch (error) {
      this.fail(error);
      return;
    }
    this.takeWaiting();
  }

  tell(message: Message): void {
    if (this.state !== 'up') this.kind.undelivered(message, 'down');
    else if (this.isBusy) this.enqueue(message);
    else {
      this.handle(message);
      if (this.waiting > 0) this.takeWaiting();
    }
  }

  /** Messages that wait. */
  get waiting(): number {
    return this.requests.length + this.conflatable.length;
  }

  /** Something opened by this life: disposed when it ends, in reverse order. Returns a function that disposes it earlier. */
  own(dispose: () => void): () => void {
    this.owned.push(dispose);
    return () => {
      const index = this.owned.lastIndexOf(dispose);
      if (index < 0) return;
      this.owned.splice(index, 1);
      dispose();
    };
  }

  /** Brings the result of asynchronous work back as a message, unless this life has ended meanwhile. */
  pipe<Result>(work: Promise<Result>, toMessage: (result: Result) => Message, toFailure: (error: unknown) => Message): void {
    const { generation } = this;
    const tell = (message: Message): void => {
      if (this.generation === generation && this.state === 'up') this.tell(message);
    };
    work.then(
      (result) => tell(toMessage(result)),
      (error: unknown) => tell(toFailure(error)),
    );
  }

  /** Ends for good. What waits is answered `down`. */
  stop(): void {
    if (this.state === 'stopped') return;
    this.state = 'stopped';
    this.endLife();
    for (const mailbox of [this.requests, this.conflatable]) {
      for (let message = mailbox.take(); message !== undefined; message = mailbox.take()) this.kind.undelivered(message, 'down');
    }
  }

  private handle(message: Message): void {
    this.isBusy = true;
    try {
      this.behaviour?.receive(message);
    } catch (error) {
      this.kind.undelivered(message, 'crashed');
      this.fail(error);
    } finally {
      this.isBusy = false;
    }
  }

  private takeWaiting(): void {
    while (this.state === 'up' && !this.isBusy) {
      const message = this.requests.take() ?? this.conflatable.take();
      if (message === undefined) return;
      this.handle(message);
    }
  }

  private enqueue(message: Message): void {
    const mailbox = this.kind.isConflatable?.(message) ? this.conflatable : this.requests;
    const loser = mailbox.put(message);
    if (loser !== undefined) this.kind.undelivered(loser, 'full');
  }

  private fail(error: unknown): void {
    // A message may have stopped the cell before it threw.
    if (this.state === 'up') this.state = 'restarting';
    this.endLife();
    if (this.state === 'restarting') this.owner.crashed(this, error);
  }

  private endLife(): void {
    this.behaviour = undefined;
    for (const dispose of this.owned.splice(0).reverse()) {
      try {
        dispose();
      } catch {
        // One thing that does not close must not keep the others open.
      }
    }
  }
}
