/** Who takes part in the fan-out: Gridcast in its bindings, the peers, and the floor under them all. Each is a process of its own. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { CODE } from '../src/protocols/coap/message.js';
import { nextPort, wait } from '../test/crash/broker-process.js';
import { endingWithUs } from './children.js';
import { DaemonUnderTest, type Accounts } from './daemon.js';
import { cpuUsOf, rssMibOf } from './figures.js';
import { BODY_BYTES, FOLDER, topicId } from './load.js';
import { Absent, isInstalled, nativeProgram, SEARCHED } from './native.js';
import * as speech from './speech.js';
import type { Speech } from './speech.js';

/** A broker that stands. */
export interface Contender {
  readonly pid: number;
  readonly speech: Speech;
  /** User and system, microseconds since its start. */
  readonly cpuUs: number;
  readonly rssMib: number;
  /** Its own account, where it keeps one. */
  accounts?(): Promise<Accounts>;
  close(): Promise<void>;
}

export type Way = 'CoAP' | 'WebSocket' | 'TCP' | 'long polling';

export interface ContenderKind {
  readonly name: string;
  readonly over: Way;
  readonly isOurs: boolean;
  /** The least that any broker could do: it has no paced shapes. */
  readonly isFloor: boolean;
  /** Messages under way when it saturates. */
  readonly window: Window;
  version(): string;
  /** Throws `Absent` where it can not be had. @param topics how many there will be */
  open(topics: number): Promise<Contender>;
}

/** To 100 topics, and to one; and how many of a topic are sent at once. */
export interface Window {
  readonly wide: number;
  readonly single: number;
  readonly batch: number;
}
/** Streams are held back by their receiver; of datagrams what the socket's buffer can not hold is lost. */
const TCP_WINDOW: Window = { wide: 2000, single: 200, batch: 16 };
const UDP_WINDOW: Window = { wide: 1000, single: 200, batch: 16 };
/** Peers that leave their socket's buffer as the system has it. */
const SMALL_UDP_WINDOW: Window = { wide: 150, single: 100, batch: 16 };
/** Of what a poll has not asked for yet the newest is kept: more than one of a topic would be fewer notifications. */
const POLL_WINDOW: Window = { wide: 100, single: 1, batch: 1 };
const READY_MS = 10_000;
const PROBE_MS = 20;

class Process implements Contender {
  constructor(
    private readonly child: ChildProcess,
    readonly speech: Speech,
    private readonly folder?: string,
  ) {}

  get pid(): number {
    return this.child.pid ?? 0;
  }

  get cpuUs(): number {
    return cpuUsOf(this.pid);
  }

  get rssMib(): number {
    return rssMibOf(this.pid);
  }

  async close(): Promise<void> {
    if (this.child.exitCode === null) {
      const ended = once(this.child, 'exit');
      this.child.kill('SIGKILL');
      await ended;
    }
    if (this.folder !== undefined) rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A program that says `port N` when it is ready. */
async function openTelling(
  command: string,
  words: readonly string[],
  speak: (port: number) => Speech,
): Promise<Contender> {
  const child = endingWithUs(spawn(command, words, { stdio: ['ignore', 'pipe', 'inherit'] }));
  for await (const line of createInterface({ input: child.stdout })) {
    const [, port] = /^port (\d+)$/.exec(line) ?? [];
    if (port !== undefined) return new Process(child, speak(Number(port)));
  }
  throw new Absent(`${command} ended before it listened`);
}

/** A program that is told its port, and is ready when it takes a connection. */
async function openTold(
  command: string,
  words: (port: number, folder: string) => readonly string[],
  speak: (port: number) => Speech,
): Promise<Contender> {
  if (!isInstalled(command)) throw new Absent(`${command} is not installed (bench/setup.sh)`);
  const folder = mkdtempSync(join(tmpdir(), 'gridcast-bench-'));
  const port = nextPort();
  const child = endingWithUs(
    spawn(command, words(port, folder), {
      stdio: ['ignore', 'ignore', 'inherit'],
      cwd: folder,
      env: { ...process.env, PATH: SEARCHED },
    }),
  );
  const contender = new Process(child, speak(port), folder);
  const untilMs = performance.now() + READY_MS;
  while (performance.now() < untilMs && child.exitCode === null) {
    if (await connects(port)) return contender;
    await wait(PROBE_MS);
  }
  await contender.close();
  throw new Absent(`${command} takes no connection`);
}

const connects = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = createConnection(port, '127.0.0.1', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });

function configured(folder: string, lines: readonly string[]): string {
  const path = join(folder, 'conf');
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
}

const ofDebian = (name: string): string =>
  execFileSync('dpkg-query', ['-W', '-f', '${Version}', name], { encoding: 'utf8' }).replace(/^\d+:|[-+].*$/g, '');
const ofNpm = (name: string): string => {
  const path = fileURLToPath(new URL(`../node_modules/${name}/package.json`, import.meta.url));
  return (JSON.parse(readFileSync(path, 'utf8')) as { version: string }).version;
};

const script = (file: string): readonly string[] => [
  '--import',
  'tsx',
  fileURLToPath(new URL(`./${file}`, import.meta.url)),
];

const PEERS: readonly ContenderKind[] = [
  {
    ...{ name: 'mosquitto QoS 0', over: 'TCP', isOurs: false, isFloor: false, window: TCP_WINDOW },
    version: () => ofDebian('mosquitto'),
    open: () =>
      openTold(
        'mosquitto',
        (port, folder) => [
          '-c',
          configured(folder, [
            `listener ${port} 127.0.0.1`,
            'allow_anonymous true',
            'set_tcp_nodelay true',
            // As root it would become a user who may not read the folder.
            'user root',
            'log_type error',
          ]),
        ],
        speech.mqtt,
      ),
  },
  {
    ...{ name: 'nats-server core', over: 'TCP', isOurs: false, isFloor: false, window: TCP_WINDOW },
    version: () => ofDebian('nats-server'),
    open: () =>
      openTold(
        'nats-server',
        // Its pings are not answered.
        (port, folder) => [
          '-c',
          configured(folder, [`listen: 127.0.0.1:${port}`, 'ping_interval: "1h"', 'logfile: log']),
        ],
        speech.nats,
      ),
  },
  {
    ...{ name: 'redis pub/sub', over: 'TCP', isOurs: false, isFloor: false, window: TCP_WINDOW },
    version: () => ofDebian('redis-server'),
    open: () =>
      openTold(
        'redis-server',
        (port) => [
          '--port',
          `${port}`,
          '--bind',
          '127.0.0.1',
          '--save',
          '',
          '--appendonly',
          'no',
          '--loglevel',
          'warning',
        ],
        speech.resp,
      ),
  },
  {
    ...{ name: 'aedes', over: 'TCP', isOurs: false, isFloor: false, window: TCP_WINDOW },
    version: () => ofNpm('aedes'),
    open: () => openTelling(process.execPath, script('peer-aedes.ts'), speech.mqtt),
  },
  {
    ...{ name: 'libcoap observe NON', over: 'CoAP', isOurs: false, isFloor: false, window: SMALL_UDP_WINDOW },
    version: () => ofDebian('libcoap3-dev'),
    open: (topics) =>
      openTelling(nativeProgram('coap-server'), [`${topics}`], (port) => speech.coap(port, speech.PEER_PLACES)),
  },
  {
    ...{ name: 'node-coap observe', over: 'CoAP', isOurs: false, isFloor: false, window: SMALL_UDP_WINDOW },
    version: () => ofNpm('coap'),
    open: () =>
      openTelling(process.execPath, script('peer-node-coap.ts'), (port) => speech.coap(port, speech.PEER_PLACES)),
  },
  {
    ...{ name: 'ws package', over: 'WebSocket', isOurs: false, isFloor: false, window: TCP_WINDOW },
    version: () => ofNpm('ws'),
    open: () => openTelling(process.execPath, script('peer-ws.ts'), speech.plainWs),
  },
];

const floor = (way: string): ContenderKind => ({
  ...{ name: `C floor, ${way}`, over: 'CoAP', isOurs: false, isFloor: true, window: UDP_WINDOW },
  version: () => '',
  open: () =>
    openTelling(nativeProgram('floor'), [way], (port) =>
      speech.coap(port, { ...speech.PEER_PLACES, method: CODE.post }),
    ),
});

/** Where a topic's instances are. */
export const pathTo = (topic: number): readonly string[] => [...FOLDER, topicId(topic), 'contentInstances'];
export const pathOf = (topic: number): string => `/${pathTo(topic).join('/')}`;

/** The daemon as it is built, with a container for each topic and something in it: only what is there can be observed. */
class Gridcast implements Contender {
  private constructor(
    private readonly daemon: DaemonUnderTest,
    readonly speech: Speech,
  ) {}

  static async open(topics: number, speak: (daemon: DaemonUnderTest) => Partial<Speech>): Promise<Gridcast> {
    const daemon = await DaemonUnderTest.start(['--congestion', 'provisioned']);
    const publishing = speech.coap(daemon.site.coap, {
      observed: (topic) => [...pathTo(topic), 'latest', 'content'],
      published: pathTo,
      method: CODE.post,
    });
    await furnish(daemon.site.http, topics);
    return new Gridcast(daemon, { ...publishing, ...speak(daemon) });
  }

  get pid(): number {
    return this.daemon.pid;
  }

  get cpuUs(): number {
    return this.daemon.cpuUs;
  }

  get rssMib(): number {
    return this.daemon.rssMib;
  }

  accounts(): Promise<Accounts> {
    return this.daemon.accounts();
  }

  close(): Promise<void> {
    return this.daemon.stop();
  }
}

/** A container for each topic, and an instance in it. */
export async function furnish(http: number, topics: number): Promise<void> {
  const post = async (to: string, contentType: string, body: string): Promise<void> => {
    const headers = { 'content-type': contentType };
    const response = await fetch(`http://127.0.0.1:${http}${to}`, { method: 'POST', headers, body });
    if (!response.ok) throw new Error(`POST ${to}: ${response.status} ${await response.text()}`);
    await response.arrayBuffer();
  };
  const [sclBase, applications, appId] = FOLDER;
  await post(`/${sclBase}/${applications}`, 'application/json', JSON.stringify({ application: { appId } }));
  for (let topic = 0; topic < topics; topic++) {
    // What is promised of a PMU's measurements.
    const container = { id: topicId(topic), durability: 'latest' };
    await post(`/${FOLDER.join('/')}`, 'application/json', JSON.stringify({ container }));
    await post(pathOf(topic), 'text/plain', '.'.repeat(BODY_BYTES));
  }
}

const latestOf = (topic: number): string => `${pathOf(topic)}/latest/content`;
const gridcast = (
  name: string,
  over: Way,
  window: Window,
  speak: (daemon: DaemonUnderTest) => Partial<Speech>,
): ContenderKind => ({
  ...{ name: `Gridcast, ${name}`, over, isOurs: true, isFloor: false, window },
  version: () => '',
  open: (topics) => Gridcast.open(topics, speak),
});

const OURS: readonly ContenderKind[] = [
  gridcast('CoAP NON', 'CoAP', UDP_WINDOW, () => ({})),
  gridcast('WebSocket, protobuf', 'WebSocket', UDP_WINDOW, ({ site }) => ({
    subscribe: speech.gridcastWs(site.http, 'gridcast.v1', latestOf),
  })),
  gridcast('WebSocket, JSON', 'WebSocket', UDP_WINDOW, ({ site }) => ({
    subscribe: speech.gridcastWs(site.http, 'gridcast.v1+json', latestOf),
  })),
  gridcast('long polling', 'long polling', POLL_WINDOW, ({ site }) => ({
    subscribe: speech.longPolling(site.http, pathOf),
  })),
];

export const CONTENDERS: readonly ContenderKind[] = [...OURS, ...PEERS, ...['sendto', 'sendmmsg', 'gso'].map(floor)];
