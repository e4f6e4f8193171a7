/**
 * Commands an application's device and tells what becomes of it.
 *
 *     CREATE .../containers/commands/contentInstances ──> accepted ──> acknowledged ──> executed | rejected | ...
 *
 * Over WebSocket the broker tells each state on the reliable lane; over HTTP and CoAP what was created is read again until its
 * state is final. A WebSocket client that reconnects waits on: where the answer to the CREATE was lost it is given again under
 * its commandId, and in a new session, which nothing was promised to, the state is read.
 */
import { systemClock, type Clock } from '../clock.js';
import { randomId, systemRandom } from '../random.js';
import {
  COMMAND_STATES,
  COMMANDS_CONTAINER,
  DEFAULT_DEADLINE_MS,
  isCommandState,
  type CommandState,
} from '../routing/command.js';
import type { Json } from '../routing/primitive.js';
import { jsonOf, member, type Client, type ClientOptions, type ClientRequest } from './client.js';
import { GridcastError } from './error.js';
import { Inbox } from './inbox.js';
import { WsClient } from './ws-client.js';

export interface CommandRequest {
  /** Needed but to operate what is selected, or cancel, under a `commandId`. */
  readonly point?: string;
  readonly value?: Json;
  /** From acceptance to execution. Default: the broker's. */
  readonly deadlineMs?: number;
  /** Unique for its issuer; the same again gives the outcome of the first. Default: random. */
  readonly commandId?: string;
  /** `select` ends with the state `selected`; `operate` with the same `commandId` follows it. */
  readonly action?: 'operate' | 'select' | 'cancel';
  /** Of a select: how long it waits for the operate. Default: the broker's. */
  readonly leaseMs?: number;
  /** When it was issued, as 2026-11-23T08:15:00Z: one that is too old to be known any more is refused. */
  readonly issuedAt?: string;
  readonly signal?: AbortSignal;
}

/** One state of a command. The first is `accepted`; the last one is its outcome. */
export interface CommandNews {
  readonly commandId: string;
  readonly state: CommandState;
  readonly reason?: string;
}

const OUTCOMES: readonly CommandState[] = ['executed', 'rejected', 'cancelled', 'expired', 'unknown', 'executedLate'];

const POLL_INTERVAL_MS = 100;
/** At the deadline the broker decides by itself; this much later nobody has decided. */
const GRACE_MS = 5_000;

/**
 * Yields the states of one command, each once, and ends after the final one.
 *
 * @param application path of the application, or a URI with it
 * @throws GridcastError `refused` when the broker does not accept it, `timed-out` when no outcome came within the deadline
 */
export async function* command(
  client: Client,
  application: string,
  request: CommandRequest,
  { clock = systemClock }: Pick<ClientOptions, 'clock'> = {},
): AsyncGenerator<CommandNews, void, undefined> {
  const { signal, commandId = randomId(systemRandom), ...rest } = request;
  const { deadlineMs, action } = rest;
  const isLast = (news: CommandNews): boolean => isOutcome(news) || (action === 'select' && news.state === 'selected');
  const inbox = new Inbox<CommandNews>();
  const over = new AbortController();
  const leave = (): void => inbox.fail(signal?.reason);
  signal?.addEventListener('abort', leave);
  const patienceMs = (deadlineMs ?? DEFAULT_DEADLINE_MS) + GRACE_MS;
  const cancel = clock.after(patienceMs, () =>
    inbox.fail(new GridcastError('timed-out', `No outcome of command ${commandId} has come in time.`)),
  );
  // Of a request while the broker is away; where nobody reconnects the usual will do.
  const patience = client instanceof WsClient && client.reconnects ? { timeoutMs: patienceMs } : {};
  let location: string | undefined;
  let isHeard = client instanceof WsClient;
  const read = (): void => {
    if (location === undefined)
      inbox.fail(new GridcastError('protocol', 'The broker did not say where the command is.'));
    else void poll(client, { to: `${location}/content`, ...patience }, inbox, clock, over.signal);
  };
  const stopHearing =
    client instanceof WsClient &&
    hear(client, commandId, inbox, () => {
      isHeard = false;
      if (location !== undefined) read();
    });
  try {
    const created = await persistently(client, () =>
      client.request({
        op: 'create',
        to: `${application.replace(/\/$/, '')}/containers/${COMMANDS_CONTAINER}/contentInstances`,
        body: { commandId, ...rest },
        ...patience,
        ...(signal && { signal }),
      }),
    );
    location = created.location;
    // A command that was given before is answered with what became of it.
    let last = newsOf(jsonOf(created.bytes)) ?? { commandId, state: 'accepted' };
    yield last;
    if (!isHeard && !isLast(last)) read();
    while (!isLast(last)) {
      const news = await inbox.take();
      // What is read may be older than what was told; that it was selected is no news of its operate.
      if (COMMAND_STATES.indexOf(news.state) <= COMMAND_STATES.indexOf(last.state)) continue;
      if (news.state === 'selected' && action !== 'select') continue;
      last = news;
      yield news;
    }
  } finally {
    over.abort();
    cancel();
    if (stopHearing) stopHearing();
    signal?.removeEventListener('abort', leave);
  }
}

export const isOutcome = ({ state }: CommandNews): boolean => OUTCOMES.includes(state);

/** @param forgotten called when another session stands than the one that hears of the command */
function hear(client: WsClient, commandId: string, inbox: Inbox<CommandNews>, forgotten: () => void): () => void {
  void client.closed.then((reason) => inbox.fail(reason));
  const stopHearing = client.hear((kind, body) => {
    const news = kind === 'outcome' ? newsOf(body) : undefined;
    if (news?.commandId === commandId) inbox.push(news);
  });
  const stopWatching = client.watch((news) => {
    if (news.state !== 'connected' || news.isResumed) return;
    stopWatching();
    forgotten();
  });
  return () => {
    stopWatching();
    stopHearing();
  };
}

/** Asks again when the connection breaks, where another one will come. For what may be asked twice. */
async function persistently<Result>(client: Client, ask: () => Promise<Result>): Promise<Result> {
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!(client instanceof WsClient && client.isPassing(error))) throw error;
    }
  }
}

/** Reads the state that stands in the created contentInstance, until it is final or nobody wants it any more. */
async function poll(
  client: Client,
  where: Pick<ClientRequest, 'to' | 'timeoutMs'>,
  inbox: Inbox<CommandNews>,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  try {
    for (let news: CommandNews | undefined; !signal.aborted && !(news && isOutcome(news));) {
      await new Promise<void>((resolve) => clock.after(POLL_INTERVAL_MS, resolve));
      const { bytes } = await persistently(client, () =>
        client.request({ op: 'retrieve', accept: 'application/json', ...where, signal }),
      );
      news = newsOf(jsonOf(bytes));
      if (news) inbox.push(news);
    }
  } catch (error) {
    // Evicted from its container: over WebSocket the issuer is still told, in whichever session.
    if (client instanceof WsClient && error instanceof GridcastError && error.code === 404) return;
    inbox.fail(error);
  }
}

/** Reads `{"commandId","state","reason"}`, as the broker tells and stores it. */
function newsOf(document: Json | undefined): CommandNews | undefined {
  const [commandId, state, reason] = ['commandId', 'state', 'reason'].map((name) => member(document, name));
  if (typeof commandId !== 'string' || !isCommandState(state)) return undefined;
  return { commandId, state, ...(typeof reason === 'string' && { reason }) };
}
