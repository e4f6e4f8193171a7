/**
 * Commands an application's device and waits for what becomes of it.
 *
 *     CREATE .../containers/commands/contentInstances ──> 201 accepted ──> acknowledged ──> executed | rejected | ...
 *
 * Over WebSocket the broker tells each state on the reliable lane; over HTTP and CoAP what was created is read again until its
 * state is final.
 */
import { systemClock, type Clock } from '../clock.js';
import { randomId, systemRandom } from '../random.js';
import type { CommandState } from '../routing/command.js';
import type { Json } from '../routing/primitive.js';
import { jsonOf, member, type Client, type ClientOptions } from './client.js';
import { GridcastError } from './error.js';
import { WsClient } from './ws-client.js';

export interface CommandRequest {
  readonly point: string;
  readonly value?: Json;
  /** From acceptance to execution. Default: the broker's. */
  readonly deadlineMs?: number;
  /** Unique for its issuer; the same again gives the outcome of the first. Default: random. */
  readonly commandId?: string;
  readonly action?: 'operate' | 'cancel';
  readonly signal?: AbortSignal;
}

/** One state of a command. The first is `accepted`; the last one is its outcome. */
export interface CommandNews {
  readonly commandId: string;
  readonly state: CommandState;
  readonly reason?: string;
}

const FINAL: readonly CommandState[] = ['executed', 'rejected', 'cancelled', 'expired', 'unknown', 'executedLate'];
export const isFinal = ({ state }: CommandNews): boolean => FINAL.includes(state);
const STATES: readonly string[] = ['accepted', 'dispatched', 'acknowledged', ...FINAL];

const POLL_INTERVAL_MS = 100;
/** Beyond the deadline the broker decides by itself; this much later nobody has decided. */
const GRACE_MS = 5_000;
const DEFAULT_DEADLINE_MS = 10_000;

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
  const { point, value, deadlineMs, action, signal, commandId = randomId(systemRandom) } = request;
  const untilUs = clock.monotonicUs() + ((deadlineMs ?? DEFAULT_DEADLINE_MS) + GRACE_MS) * 1000;
  const outcomes = client instanceof WsClient ? client.outcomesOf(commandId) : undefined;
  try {
    const content = {
      commandId,
      point,
      ...(value !== undefined && { value }),
      ...(deadlineMs !== undefined && { deadlineMs }),
      ...(action && { action }),
    };
    const { location } = await client.request({
      op: 'create',
      to: `${application.replace(/\/$/, '')}/containers/commands/contentInstances`,
      body: content,
      ...(signal && { signal }),
    });
    let last: CommandNews = { commandId, state: 'accepted' };
    yield last;
    while (!isFinal(last)) {
      const leftMs = (untilUs - clock.monotonicUs()) / 1000;
      if (leftMs <= 0)
        throw new GridcastError(
          'timed-out',
          `No outcome of command ${commandId} has come; its last state is ${last.state}.`,
        );
      const news = outcomes
        ? await outcomes.next(leftMs, signal)
        : await polled(client, location, Math.min(leftMs, POLL_INTERVAL_MS), clock, signal);
      if (!news || news.state === last.state) continue;
      last = news;
      yield news;
    }
  } finally {
    outcomes?.close();
  }
}

/** The state that stands in the created contentInstance, after a pause. */
async function polled(
  client: Client,
  location: string | undefined,
  pauseMs: number,
  clock: Clock,
  signal: AbortSignal | undefined,
): Promise<CommandNews | undefined> {
  if (location === undefined) throw new GridcastError('protocol', 'The broker did not say where the command is.');
  await new Promise<void>((resolve) => clock.after(pauseMs, resolve));
  signal?.throwIfAborted();
  const { bytes } = await client.request({ op: 'retrieve', to: `${location}/content`, ...(signal && { signal }) });
  return newsOf(jsonOf(bytes));
}

/** Reads `{"commandId","state","reason"}`, as the broker tells and stores it. */
export function newsOf(document: Json | undefined): CommandNews | undefined {
  const [commandId, state, reason] = ['commandId', 'state', 'reason'].map((name) => member(document, name));
  if (typeof commandId !== 'string' || typeof state !== 'string' || !STATES.includes(state)) return undefined;
  return { commandId, state: state as CommandState, ...(typeof reason === 'string' && { reason }) };
}
