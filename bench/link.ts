/**
 * A link of 2.5 ms one way, and all that passes over it: what Table II of the paper is about. In a network namespace of its own,
 * so that nothing of the machine's network is touched.
 *
 *     pump ── 10.9.0.2 ── link (native/link.c, TUN) ── 10.9.0.1 ── broker        tshark reads every packet on the way
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { nativeProgram } from './native.js';

const DEVICE = 'link0';
export const NEAR = '10.9.0.1';
export const FAR = '10.9.0.2';

/** One packet on the link. */
export interface Packet {
  readonly isTcp: boolean;
  readonly isFromBroker: boolean;
  /** IP header included. */
  readonly ipBytes: number;
  /** Of TCP or UDP. */
  readonly payloadBytes: number;
  /** SYN, FIN, RST. */
  readonly isControl: boolean;
}

/** Whether this process has a network of its own: loopback and nothing else. */
export const hasOwnNetwork = (): boolean =>
  execFileSync('ip', ['-o', 'link'], { encoding: 'utf8' }).trim().split('\n').length === 1;

export class Link {
  private constructor(private readonly child: ChildProcess) {}

  static async open(delayUs: number): Promise<Link> {
    const ip = (...words: string[]): void => void execFileSync('ip', words);
    ip('link', 'set', 'lo', 'up');
    ip('tuntap', 'add', 'dev', DEVICE, 'mode', 'tun');
    const child = spawn(nativeProgram('link'), [DEVICE, String(delayUs)], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(createInterface({ input: child.stdout }), 'line');
    ip('addr', 'add', `${NEAR}/24`, 'dev', DEVICE);
    ip('link', 'set', DEVICE, 'up');
    return new Link(child);
  }

  close(): void {
    this.child.kill();
  }
}

const FIELDS = ['tcp.srcport', 'udp.srcport', 'ip.len', 'tcp.len', 'udp.length', 'tcp.flags'];
const UDP_HEADER_BYTES = 8;
const SYN_FIN_RST = 0x07;
/** Of the datagrams by which a capture is known to have begun, and to have read everything. */
const SENTINEL_PORT = 9;
const SENTINEL_MS = 50;

/** A capture under way. Each packet passes twice, as sent and as delivered: it is taken as sent. */
export class Capture {
  private readonly packets: Packet[] = [];
  private onSentinel = (): void => {};

  private constructor(
    private readonly child: ChildProcess,
    private readonly sentinel: Socket,
  ) {}

  static async start(brokerPorts: readonly number[]): Promise<Capture> {
    const sentinel = createSocket('udp4');
    sentinel.bind(SENTINEL_PORT, NEAR);
    await once(sentinel, 'listening');
    const words = [
      '-i',
      DEVICE,
      '-l',
      '-n',
      '-f',
      `src host ${NEAR}`,
      '-T',
      'fields',
      ...FIELDS.flatMap((f) => ['-e', f]),
    ];
    const child = spawn('tshark', words, { stdio: ['ignore', 'pipe', 'ignore'] });
    const capture = new Capture(child, sentinel);
    createInterface({ input: child.stdout }).on('line', (line) => capture.take(line, brokerPorts));
    await capture.seen();
    return capture;
  }

  /** What has passed. */
  async stop(): Promise<readonly Packet[]> {
    await this.seen();
    const { packets } = this;
    const ended = once(this.child, 'close');
    this.child.kill('SIGINT');
    this.sentinel.close();
    await ended;
    return packets;
  }

  /** Resolves when a sentinel has been captured, and all that went before it. */
  private async seen(): Promise<void> {
    let again: NodeJS.Timeout | undefined;
    await new Promise<void>((done, fail) => {
      this.onSentinel = done;
      this.child.once('exit', (code) => fail(new Error(`tshark ended: ${code}`)));
      again = setInterval(() => this.sentinel.send('sentinel', SENTINEL_PORT, FAR), SENTINEL_MS);
    });
    clearInterval(again);
    this.child.removeAllListeners('exit');
  }

  private take(line: string, brokerPorts: readonly number[]): void {
    const [tcpPort = '', udpPort = '', ipBytes, tcpBytes, udpBytes, flags] = line.split('\t');
    if (Number(udpPort) === SENTINEL_PORT) this.onSentinel();
    const isTcp = tcpPort !== '';
    const port = Number(isTcp ? tcpPort : udpPort);
    // Neither: a message of ICMP.
    if (port === 0 || port === SENTINEL_PORT) return;
    this.packets.push({
      isTcp,
      isFromBroker: brokerPorts.includes(port),
      ipBytes: Number(ipBytes),
      payloadBytes: isTcp ? Number(tcpBytes) : Number(udpBytes) - UDP_HEADER_BYTES,
      isControl: isTcp && (Number(flags) & SYN_FIN_RST) !== 0,
    });
  }
}
