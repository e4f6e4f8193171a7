/**
 * Commands an application's device and tells what becomes of it.
 *
 *     CREATE .../containers/commands/contentInstances ──> accepted ──> acknowledged ──> executed | rejected | ...
 *
 * Over WebSocket the broker tells each state on the reliable lane; over HTTP and CoAP what was created is read again until its
 * state is final.
 */
import { systemClock, type Clock } from '../clock.js';
import { randomId, systemRandom } from '../random.js';
import { COMMANDS_CONTAINER, DEFAULT_DEADLINE_MS, isCommandState, type CommandState } from '../routing/command.js';
import type { Json } from '../routing/primitive.js';
import { jsonOf, member, type Client, type ClientOptions } from './client.js';
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
  const cancel = clock.after((deadlineMs ?? DEFAULT_DEADLINE_MS) + GRACE_MS, () =>
    inbox.fail(new GridcastError('timed-out', `No outcome of command ${commandId} has come in time.`)),
  );
  const stopHearing = client instanceof WsClient ? hear(client, commandId, inbox) : undefined;
  try {
    const { location, bytes } = await client.request({
      op: 'create',
      to: `${application.replace(/\/$/, '')}/containers/${COMMANDS_CONTAINER}/contentInstances`,
      body: { commandId, ...rest },
      ...(signal && { signal }),
    });
    // A command that was given before is answered with what became of it.
    let last = newsOf(jsonOf(bytes)) ?? { commandId, state: 'accepted' };
    yield last;
    if (!stopHearing && !isLast(last)) void poll(client, location, inbox, clock, over.signal);
    while (!isLast(last)) {
      const news = await inbox.take();
      if (news.state === last.state) continue;
      last = news;
      yield news;
    }
  } finally {
    over.abort();
    cancel();
    stopHearing?.();
    signal?.removeEventListener('abort', leave);
  }
}

export const isOutcome = ({ state }: CommandNews): boolean => OUTCOMES.includes(state);

function hear(client: WsClient, commandId: string, inbox: Inbox<CommandNews>): () => void {
  void client.closed.then((reason) => inbox.fail(reason));
  return client.hear((kind, body) => {
    const news = kind === 'outcome' ? newsOf(body) : undefined;
    if (news?.commandId === commandId) inbox.push(news);
  });
}

/** Reads the state that stands in the created contentInstance, until it is final or nobody wants it any more. */
async function poll(
  client: Client,
  location: string | undefined,
  inbox: Inbox<CommandNews>,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  try {
    if (location === undefined) throw new GridcastError('protocol', 'The broker did not say where the command is.');
    for (let news: CommandNews | undefined; !signal.aborted && !(news && isOutcome(news));) {
      await new Promise<void>((resolve) => clock.after(POLL_INTERVAL_MS, resolve));
      const { bytes } = await client.request({
        op: 'retrieve',
        to: `${location}/content`,
        accept: 'application/json',
        signal,
      });
      news = newsOf(jsonOf(bytes));
      if (news) inbox.push(news);
    }
  } catch (error) {
    inbox.fail(error);
  }
}

/** Reads `{"commandId","state","reason"}`, as the broker tells and stores it. */
function newsOf(document: Json | undefined): CommandNews | undefined {
  const [commandId, state, reason] = ['commandId', 'state', 'reason'].map((name) => member(document, name));
  if (typeof commandId !== 'string' || !isCommandState(state)) return undefined;
  return { commandId, state, ...(typeof reason === 'string' && { reason }) };
}
