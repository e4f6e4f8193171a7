/**
 * NATS JetStream: a stream in files, one replica, published to with acknowledgement and read back by a consumer. Its protocol is
 * text, and so the client is a few lines.
 *
 *     PUB crash _INBOX.p.17 2  "17"  ──> nats-server ──> MSG _INBOX.p.17 ... {"stream":"crash","seq":17}
 */
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { join } from 'node:path';
import { Spawned } from '../test/support/program.js';
import { nextPort, wait } from '../test/crash/broker-process.js';
import { collect, type Peer, type PeerKind, type Publisher, type Received } from './peer.js';

const PROBE_MS = 5;
const STREAM = { name: 'crash', subjects: ['crash'], storage: 'file', num_replicas: 1, retention: 'limits' };

type Heard = (subject: string, payload: string) => void;

/** A consumer delivers to nobody whose subscription has a wildcard. */
const DELIVERY = 'taken';
const CONSUMER = { deliver_subject: DELIVERY, deliver_policy: 'all', ack_policy: 'none', replay_policy: 'instant' };

/** One connection; hears what is sent to `_INBOX.>` and what a consumer delivers. */
class Nats {
  private waiting = Buffer.alloc(0);

  private constructor(
    private readonly socket: Socket,
    private readonly heard: Heard,
  ) {
    socket.on('data', (bytes: Buffer) => this.read(bytes));
    socket.on('error', () => {});
    socket.write(`CONNECT {"verbose":false}\r\nSUB _INBOX.> 1\r\nSUB ${DELIVERY} 2\r\n`);
  }

  static async open(port: number, heard: Heard): Promise<Nats> {
    const socket = createConnection(port, '127.0.0.1');
    await once(socket, 'connect');
    return new Nats(socket, heard);
  }

  publish(subject: string, payload: string, reply = ''): void {
    this.socket.write(`PUB ${subject} ${reply} ${Buffer.byteLength(payload)}\r\n${payload}\r\n`);
  }

  async close(): Promise<void> {
    if (this.socket.closed) return;
    const closed = once(this.socket, 'close');
    this.socket.end();
    await closed;
  }

  /** `MSG subject sid [reply-to] bytes` and that many bytes; everything else is one line. */
  private read(bytes: Buffer): void {
    this.waiting = Buffer.concat([this.waiting, bytes]);
    for (;;) {
      const end = this.waiting.indexOf('\r\n');
      if (end < 0) return;
      const words = this.waiting.toString('latin1', 0, end).split(' ');
      let next = end + 2;
      if (words[0] === 'MSG') {
        const from = next;
        next += Number(words.at(-1)) + 2;
        if (this.waiting.length < next) return;
        this.heard(words[1] ?? '', this.waiting.toString('utf8', from, next - 2));
      } else if (words[0] === 'PING') this.socket.write('PONG\r\n');
      this.waiting = this.waiting.subarray(next);
    }
  }
}

class JetStream implements Peer {
  private readonly port = nextPort();
  private server: Spawned | undefined;

  constructor(private readonly folder: string) {}

  async start(): Promise<number> {
    const from = performance.now();
    const words = ['-js', '-sd', join(this.folder, 'store'), '-a', '127.0.0.1', '-p', `${this.port}`];
    this.server = new Spawned('nats-server', words);
    while (!(await this.ask('$JS.API.INFO', '').catch(() => undefined))) await wait(PROBE_MS);
    return performance.now() - from;
  }

  async furnish(): Promise<void> {
    await this.ask('$JS.API.STREAM.CREATE.crash', JSON.stringify(STREAM));
  }

  async publisher(acknowledged: (number: string) => void): Promise<Publisher> {
    const nats = await Nats.open(this.port, (subject, payload) => {
      if (payload.includes('"seq"')) acknowledged(subject.slice('_INBOX.p.'.length));
    });
    return {
      publish: (number) => nats.publish('crash', number, `_INBOX.p.${number}`),
      close: () => nats.close(),
    };
  }

  async kill(): Promise<void> {
    await this.server?.stop('SIGKILL');
  }

  async receive(expected: ReadonlySet<string>): Promise<Received> {
    let hear: (number: string) => void = () => {};
    const nats = await Nats.open(this.port, (subject, payload) => {
      // What the stream kept comes under its own subject, answers under the inbox.
      if (subject === 'crash') hear(payload);
    });
    const received = await collect(expected, (arrived) => {
      hear = arrived;
      nats.publish(
        '$JS.API.CONSUMER.CREATE.crash',
        JSON.stringify({ stream_name: 'crash', config: CONSUMER }),
        '_INBOX.c',
      );
    });
    await nats.close();
    return received;
  }

  async close(): Promise<void> {
    await this.kill();
  }

  /** One request and its answer, on a connection of its own; undefined when the answer is an error, or none comes. */
  private async ask(subject: string, payload: string): Promise<string | undefined> {
    let answer: (payload: string) => void = () => {};
    const answered = new Promise<string>((resolve) => (answer = resolve));
    const nats = await Nats.open(this.port, (_subject, text) => answer(text));
    nats.publish(subject, payload, '_INBOX.a');
    const text = await Promise.race([answered, wait(1_000).then(() => undefined)]);
    await nats.close();
    return text?.includes('"error"') ? undefined : text;
  }
}

export const jetstream: PeerKind = {
  name: 'NATS JetStream, file, R1',
  command: 'nats-server -js -sd FOLDER/store',
  tool: 'nats-server',
  open: (folder) => new JetStream(folder),
};
