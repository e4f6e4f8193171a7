/**
 * One keep-alive HTTP connection [RFC9112], a request at a time: what 33,000 posts a second of one simulator have to spare. A client that
 * can do more is client/http-client.ts.
 *
 *     post ──> waiting ──> connection ──> status line, fields, Content-Length bytes ──> answered
 *                             └─ closed: a request on a connection that had served before goes again, once [RFC9112-9.3.1]
 */
import type { Address, Network, TcpConnection } from '../network.js';
import { NO_ANSWER, type Lane } from './lane.js';

const CONNECT_MS = 10_000;
/** An answer has a head and, where it is refused, a sentence. */
const MOST_ANSWER_BYTES = 64 * 1024;
const HEAD_END = '\r\n\r\n';
const STATUS_AT = 'HTTP/1.1 '.length;
const CONTENT_LENGTH = /\r\ncontent-length: *(\d+)/i;

interface Posting {
  readonly bytes: Buffer;
  readonly answered: (status: number) => void;
  isAgain: boolean;
}

export class HttpLane implements Lane {
  private readonly waiting: Posting[] = [];
  private current: Posting | undefined;
  private connection: TcpConnection | undefined;
  private isConnecting = false;
  private hasServed = false;
  private isClosed = false;
  private received: Buffer = Buffer.alloc(0);
  resent = 0;

  constructor(
    private readonly network: Network,
    private readonly to: Address,
    /** Of the Host field. */
    private readonly host: string,
  ) {}

  get underWay(): number {
    return this.waiting.length + (this.current ? 1 : 0);
  }

  post(path: string, mediaType: string, body: string, answered: (status: number) => void): void {
    if (this.isClosed) return answered(NO_ANSWER);
    const head = `POST ${path} HTTP/1.1\r\nHost: ${this.host}\r\nContent-Type: ${mediaType}\r\n`;
    const bytes = Buffer.from(`${head}Content-Length: ${Buffer.byteLength(body)}${HEAD_END}${body}`);
    this.waiting.push({ bytes, answered, isAgain: false });
    this.next();
  }

  close(): void {
    this.isClosed = true;
    this.connection?.close();
    this.failAll();
  }

  private next(): void {
    if (this.current || this.waiting.length === 0) return;
    if (!this.connection) return this.connect();
    this.current = this.waiting.shift();
    if (this.current) this.connection.write(this.current.bytes);
  }

  private connect(): void {
    if (this.isConnecting) return;
    this.isConnecting = true;
    this.network.connectTcp(this.to, CONNECT_MS).then(
      (connection) => this.connected(connection),
      () => {
        this.isConnecting = false;
        this.failAll();
      },
    );
  }

  private connected(connection: TcpConnection): void {
    this.isConnecting = false;
    if (this.isClosed) return connection.close();
    this.connection = connection;
    this.hasServed = false;
    connection.onBytes((bytes) => this.take(bytes));
    connection.onClose(() => this.lost(connection));
    this.next();
  }

  private take(bytes: Buffer): void {
    this.received = this.received.length === 0 ? bytes : Buffer.concat([this.received, bytes]);
    const end = this.received.indexOf(HEAD_END);
    if (end < 0) return this.limit();
    const head = this.received.toString('latin1', 0, end);
    const length = Number(CONTENT_LENGTH.exec(head)?.[1] ?? 0);
    if (this.received.length < end + HEAD_END.length + length) return this.limit();
    // One request at a time: there is nothing behind its answer.
    this.received = Buffer.alloc(0);
    this.hasServed = true;
    const { current } = this;
    this.current = undefined;
    current?.answered(Number(head.slice(STATUS_AT, STATUS_AT + 3)));
    this.next();
  }

  private limit(): void {
    if (this.received.length > MOST_ANSWER_BYTES) this.connection?.close();
  }

  private lost(connection: TcpConnection): void {
    if (this.connection !== connection) return;
    const { current } = this;
    const isAnswered = this.received.length > 0;
    this.connection = this.current = undefined;
    this.received = Buffer.alloc(0);
    if (current && this.hasServed && !isAnswered && !current.isAgain && !this.isClosed) {
      current.isAgain = true;
      this.resent++;
      this.waiting.unshift(current);
    } else current?.answered(NO_ANSWER);
    this.next();
  }

  private failAll(): void {
    const { current } = this;
    this.current = undefined;
    current?.answered(NO_ANSWER);
    for (const { answered } of this.waiting.splice(0)) answered(NO_ANSWER);
  }
}
