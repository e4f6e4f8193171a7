/**
 * mosquitto: QoS 1 into a persistent session whose client is away, with its own clients.
 *
 *     mosquitto_pub -q 1 -l -d ──> mosquitto ──> mosquitto_sub -q 1 -c, once to make the session and once to empty it
 *        <── PUBACK (Mid: n): n counts the lines
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { spawn } from 'node:child_process';
import { Spawned } from '../test/support/program.js';
import { nextPort, wait } from '../test/crash/broker-process.js';
import { collect, type Peer, type PeerKind, type Publisher, type Received } from './peer.js';

const PROBE_MS = 5;
/** CONNECT of MQTT 3.1.1, clean session, keep-alive 60 s, client id "p"; a broker that is up answers CONNACK, 0x20. */
const CONNECT = Buffer.from([0x10, 13, 0, 4, ...Buffer.from('MQTT'), 4, 2, 0, 60, 0, 1, ...Buffer.from('p')]);
const CONNACK = 0x20;

class Mosquitto implements Peer {
  private readonly port = nextPort();
  private readonly config: string;
  private broker: Spawned | undefined;
  private readonly clients: Spawned[] = [];

  constructor(folder: string, settings: readonly string[]) {
    const store = join(folder, 'store');
    mkdirSync(store, { recursive: true });
    this.config = join(folder, 'mosquitto.conf');
    const lines = [
      `listener ${this.port} 127.0.0.1`,
      'allow_anonymous true',
      // As root it would become a user who may not write into the folder.
      'user root',
      `persistence_location ${store}/`,
      ...settings,
    ];
    writeFileSync(this.config, `${lines.join('\n')}\n`);
  }

  async start(): Promise<number> {
    const from = performance.now();
    this.broker = new Spawned('mosquitto', ['-c', this.config]);
    while (!(await this.answers())) await wait(PROBE_MS);
    return performance.now() - from;
  }

  async furnish(): Promise<void> {
    // -E: ends when the subscription is acknowledged; the session stays.
    await this.client('mosquitto_sub', '-i', 'receiver', '-c', '-q', '1', '-t', 'crash', '-E').ended();
  }

  async publisher(acknowledged: (number: string) => void): Promise<Publisher> {
    const words = ['-oL', 'mosquitto_pub', ...this.at, '-i', 'publisher', '-q', '1', '-t', 'crash', '-l', '-d'];
    const child = spawn('stdbuf', words, { stdio: ['pipe', 'pipe', 'ignore'] });
    const sent: string[] = [];
    let connect: () => void = () => {};
    const connected = new Promise<void>((done) => (connect = done));
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (line.includes('received CONNACK')) connect();
      const [, mid] = /received PUBACK \(Mid: (\d+)/.exec(line) ?? [];
      const number = sent[Number(mid) - 1];
      if (number !== undefined) acknowledged(number);
    });
    child.stdin.on('error', () => {});
    await connected;
    return {
      publish: (number) => {
        sent.push(number);
        child.stdin.write(`${number}\n`);
      },
      close: async () => {
        const ended = once(child, 'close');
        child.kill('SIGKILL');
        await ended;
      },
    };
  }

  async kill(): Promise<void> {
    await this.broker?.stop('SIGKILL');
  }

  async receive(expected: ReadonlySet<string>): Promise<Received> {
    let subscriber: Spawned | undefined;
    const received = await collect(expected, (arrived) => {
      subscriber = this.client('mosquitto_sub', '-i', 'receiver', '-c', '-q', '1', '-t', 'crash');
      if (subscriber.process.stdout) createInterface({ input: subscriber.process.stdout }).on('line', arrived);
    });
    await subscriber?.stop();
    return received;
  }

  async close(): Promise<void> {
    await Promise.all([...this.clients.map((client) => client.stop('SIGKILL')), this.kill()]);
  }

  private get at(): readonly string[] {
    return ['-h', '127.0.0.1', '-p', `${this.port}`];
  }

  private client(program: string, ...words: readonly string[]): Spawned {
    const client = new Spawned(program, [...this.at, ...words]);
    this.clients.push(client);
    return client;
  }

  private answers(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = createConnection(this.port, '127.0.0.1', () => socket.write(CONNECT));
      const end = (isUp: boolean): void => {
        socket.destroy();
        resolve(isUp);
      };
      socket.on('data', (bytes) => end(bytes[0] === CONNACK));
      socket.on('error', () => end(false));
      socket.on('close', () => end(false));
    });
  }
}

/** Without a bound on the messages queued for a client who is away: its default of 1,000 would drop the rest. */
const UNBOUNDED = 'max_queued_messages 0';

export const mosquitto: PeerKind = {
  name: 'mosquitto, QoS 1, persistence',
  command: 'mosquitto -c FOLDER/mosquitto.conf (persistence true, max_queued_messages 0)',
  tool: 'mosquitto',
  open: (folder) => new Mosquitto(folder, ['persistence true', UNBOUNDED]),
};

/** Its most careful setting: the whole database is written at each change. */
export const mosquittoAutosaving: PeerKind = {
  name: 'mosquitto, QoS 1, saved at each change',
  command: '... and autosave_interval 1, autosave_on_changes true',
  tool: 'mosquitto',
  open: (folder) =>
    new Mosquitto(folder, ['persistence true', UNBOUNDED, 'autosave_interval 1', 'autosave_on_changes true']),
};
