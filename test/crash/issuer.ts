/**
 * An issuer of commands over a WebSocket, and its log: what it was answered, and told, of each command. It behaves as a careful
 * client does: one command under way per point, and after a lost connection what had no answer is issued again under its id.
 *
 *     issue ──> sent ── 201 ──> accepted ── outcomes ──> acknowledged ──> executed | ...      the point is free again
 *                 └── connection lost: issued again
 */
import {
  GridcastError,
  isOutcome,
  open,
  type ClientRequest,
  type CommandNews,
  WsClient,
} from '../../src/client/index.js';
import { wait } from './broker-process.js';

const RECONNECT_MS = 20;
/** The broker may be starting: an unanswered one is issued again after it. */
const ANSWER_LIMIT_MS = 5_000;
const LOOK_MS = 10;

export interface Point {
  readonly application: string;
  readonly point: string;
}

/** One command as its issuer knows it; instants are `performance.now()`. */
export interface IssuedCommand {
  readonly commandId: string;
  readonly issuer: string;
  readonly at: Point;
  readonly deadlineMs: number;
  readonly sentMs: number;
  acceptedMs: number | undefined;
  acknowledgedMs: number | undefined;
  outcomeMs: number | undefined;
  /** Of the 201, and of all outcomes since; `sent` until then, `refused` for good. */
  state: CommandNews['state'] | 'sent' | 'refused';
  refusal: string | undefined;
}

/** The same each time: a command that is issued again. */
export const creationOf = ({ commandId, at, deadlineMs }: IssuedCommand): ClientRequest => ({
  op: 'create',
  to: `/m2m/applications/${at.application}/containers/commands/contentInstances`,
  body: { commandId, point: at.point, value: 1, deadlineMs },
});

export interface IssuerOptions {
  /** `ws://127.0.0.1:8080` */
  readonly broker: string;
  readonly originator: string;
  readonly points: readonly Point[];
  readonly deadlineMs: number;
}

export class Issuer {
  /** In the order of issue. */
  readonly log = new Map<string, IssuedCommand>();
  /** Of these, answered with 201. */
  accepted = 0;
  private readonly free: Point[];
  private readonly unanswered = new Set<IssuedCommand>();
  private client: WsClient | undefined;
  private isClosed = false;
  private issued = 0;

  constructor(private readonly options: IssuerOptions) {
    this.free = [...options.points];
    void this.stayConnected();
  }

  /** Issues one more; false when there is no connection, or no point without a command under way. */
  issue(): boolean {
    const { client } = this;
    const at = client && this.free.shift();
    if (!at) return false;
    const command: IssuedCommand = {
      commandId: `${this.options.originator}-${this.issued++}`,
      issuer: this.options.originator,
      at,
      deadlineMs: this.options.deadlineMs,
      sentMs: performance.now(),
      acceptedMs: undefined,
      acknowledgedMs: undefined,
      outcomeMs: undefined,
      state: 'sent',
      refusal: undefined,
    };
    this.log.set(command.commandId, command);
    void this.send(client, command);
    return true;
  }

  /** Those that were neither refused nor have an outcome. */
  get underWay(): readonly IssuedCommand[] {
    return [...this.log.values()].filter(({ outcomeMs, state }) => outcomeMs === undefined && state !== 'refused');
  }

  /** Waits until nothing is under way, or the time is over. */
  async settle(limitMs: number): Promise<void> {
    const until = performance.now() + limitMs;
    while (this.free.length < this.options.points.length && performance.now() < until) await wait(LOOK_MS);
  }

  async connected(limitMs: number): Promise<void> {
    const until = performance.now() + limitMs;
    while (!this.client) {
      if (performance.now() > until) throw new Error(`${this.options.originator} finds no broker`);
      await wait(LOOK_MS);
    }
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await this.client?.close();
  }

  private async stayConnected(): Promise<void> {
    const { broker, originator } = this.options;
    while (!this.isClosed) {
      try {
        const client = await open(broker, {
          originator,
          received: (kind, body) => {
            if (kind === 'outcome') this.told(body as unknown as CommandNews);
          },
        });
        if (!(client instanceof WsClient)) throw new Error(`${broker} is no WebSocket`);
        this.client = client;
        for (const command of [...this.unanswered]) void this.send(client, command);
        await client.closed;
      } catch (error) {
        if (!(error instanceof GridcastError)) throw error;
      }
      this.client = undefined;
      await wait(RECONNECT_MS);
    }
  }

  private async send(client: WsClient, command: IssuedCommand): Promise<void> {
    this.unanswered.delete(command);
    try {
      const { bytes } = await client.request({ ...creationOf(command), timeoutMs: ANSWER_LIMIT_MS });
      if (command.acceptedMs === undefined) this.accepted++;
      command.acceptedMs ??= performance.now();
      // A command that is issued again is answered with what has become of it.
      this.told(JSON.parse(Buffer.from(bytes).toString()) as CommandNews);
    } catch (error) {
      if (!(error instanceof GridcastError)) throw error;
      const isOver = (await Promise.race([client.closed, Promise.resolve(undefined)])) === error;
      if (error.kind === 'refused' && !isOver) {
        command.state = 'refused';
        command.refusal = error.message;
        this.free.push(command.at);
        return;
      }
      this.unanswered.add(command);
      // The connection stands: no reconnecting will send it again.
      if (error.kind === 'timed-out') void this.send(client, command);
    }
  }

  private told(news: CommandNews): void {
    const command = this.log.get(news.commandId);
    if (!command || command.outcomeMs !== undefined) return;
    command.state = news.state;
    if (news.state === 'acknowledged') command.acknowledgedMs ??= performance.now();
    if (!isOutcome(news)) return;
    command.outcomeMs = performance.now();
    this.free.push(command.at);
  }
}
