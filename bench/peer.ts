/** A broker that is killed while it takes messages for a receiver who is away, and what it gives him when both are back. */

/** Numbers of messages, as text, and how often each came. */
export type Received = ReadonlyMap<string, number>;

export interface Peer {
  /** Starts it on the folder it was made with. Returns milliseconds from the spawn to its first answer. */
  start(): Promise<number>;
  /** What must be there before messages are published: a stream, a durable session, a tree. */
  furnish(): Promise<void>;
  /** Connects the publisher: `publish` sends a number, `acknowledged` is called with each that the broker has answered for. */
  publisher(acknowledged: (number: string) => void): Promise<Publisher>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** The receiver is back: what he gets until all of `expected` have come, or nothing more comes. */
  receive(expected: ReadonlySet<string>): Promise<Received>;
  close(): Promise<void>;
}

export interface Publisher {
  publish(number: string): void;
  /** Once the broker is dead: what is on its way to this side has arrived when it resolves. */
  close(): Promise<void>;
}

export interface PeerKind {
  readonly name: string;
  /** As it is started, for the table; FOLDER stands for the round's own. */
  readonly command: string;
  /** Debian's package; undefined for ours. */
  readonly tool?: string;
  open(folder: string): Peer;
}

const QUIET_MS = 1_000;
/** The first of many messages may take its time: sessions are restored, devices start. */
const FIRST_MS = 10_000;
const LOOK_MS = 10;

/** Collects until all expected numbers are there, or none has come for a while. */
export async function collect(
  expected: ReadonlySet<string>,
  begin: (arrived: (number: string) => void) => void,
): Promise<Received> {
  const received = new Map<string, number>();
  let lastMs = performance.now() + FIRST_MS;
  let left = expected.size;
  begin((number) => {
    lastMs = performance.now();
    const count = received.get(number) ?? 0;
    received.set(number, count + 1);
    if (count === 0 && expected.has(number)) left--;
  });
  // A second copy may follow the first: waited for in any case.
  while (performance.now() - lastMs < (left === 0 ? QUIET_MS / 2 : QUIET_MS))
    await new Promise((done) => setTimeout(done, LOOK_MS));
  return received;
}
