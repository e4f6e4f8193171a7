/**
 * What goes over a CoAP socket, recorded as a pcap and judged by tshark; foreign clients to talk to it. Our codec has no part
 * in any of it. A test that needs a tool which is not there skips, saying so.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '../../src/clock.js';
import type { Address, UdpFigures, UdpSocket } from '../../src/network.js';
import { Batch, Destination } from '../../src/network/batch.js';
import { Columns } from '../../src/network/columns.js';

const isThere = (tool: string): boolean => spawnSync('which', [tool]).status === 0;
export const hasTshark = isThere('tshark');
export const hasLibcoap = isThere('coap-client-notls');

/** `describe`, or a skipped one whose name says what is missing. */
export function describeWith(needs: Readonly<Record<string, boolean>>, name: string, body: () => void): void {
  const missing = Object.keys(needs).filter((need) => needs[need] !== true);
  if (missing.length === 0) describe(name, body);
  else describe.skip(`${name} (skipped: needs ${missing.join(', ')})`, body);
}

interface Captured {
  readonly atUs: number;
  readonly from: Address;
  readonly to: Address;
  readonly bytes: Buffer;
}

/** A socket that records all that passes, and loses what it is told to. */
export class Tap implements UdpSocket {
  private readonly captured: Captured[] = [];
  private outgoing = 0;
  /** Which of the datagrams sent, counted from 1, are recorded but lost on the way. */
  loses: (nth: number) => boolean = () => false;

  constructor(
    private readonly socket: UdpSocket,
    private readonly clock: Clock,
  ) {}

  get local(): Address {
    return this.socket.local;
  }
  readonly batch = new Batch(new Columns({ datagrams: 256, pages: 4 }), () => this.flush());
  queue(datagram: Uint8Array, to: Address): void {
    this.batch.add(datagram, new Destination(to));
  }
  serve(to: Destination): void {
    if (this.batch.bringForward(to)) this.flush(this.batch.atOnce);
  }
  flush(most?: number): void {
    this.batch.drain((datagram, to) => {
      this.note(datagram, this.local, to);
      if (!this.loses(++this.outgoing)) this.socket.queue(datagram, to);
    }, most);
    this.socket.flush();
  }
  figures(): UdpFigures {
    return this.socket.figures();
  }
  onDatagram(receive: (datagram: Buffer, from: Address) => void): void {
    this.socket.onDatagram((datagram, from) => {
      this.note(datagram, from, this.local);
      receive(datagram, from);
    });
  }
  onError(fail: (error: Error) => void): void {
    this.socket.onError(fail);
  }
  close(): void {
    this.socket.close();
  }

  /** What was recorded so far, as tshark reads it; recording goes on. */
  judged(): readonly Row[] {
    return dissect(pcapOf(this.captured), this.local.port);
  }

  private note(bytes: Uint8Array, from: Address, to: Address): void {
    this.captured.push({ atUs: this.clock.wallUs(), from, to, bytes: Buffer.from(bytes) });
  }
}

/** LINKTYPE_RAW: packets begin with the IP header. */
const RAW_IP = 101;

function pcapOf(captured: readonly Captured[]): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65_535, 16);
  header.writeUInt32LE(RAW_IP, 20);
  return Buffer.concat([header, ...captured.flatMap(({ atUs, from, to, bytes }) => packetOf(atUs, from, to, bytes))]);
}

function packetOf(atUs: number, from: Address, to: Address, bytes: Buffer): Buffer[] {
  const packet = Buffer.alloc(28);
  packet[0] = 0x45;
  packet.writeUInt16BE(28 + bytes.length, 2);
  packet.writeUInt16BE(0x4000, 6);
  packet[8] = 64;
  packet[9] = 17;
  [from, to].forEach(({ host }, n) => packet.set(host.split('.').map(Number), 12 + 4 * n));
  packet.writeUInt16BE(from.port, 20);
  packet.writeUInt16BE(to.port, 22);
  packet.writeUInt16BE(8 + bytes.length, 24);
  const record = Buffer.alloc(16);
  record.writeUInt32LE(Math.floor(atUs / 1e6), 0);
  record.writeUInt32LE(Math.round(atUs % 1e6), 4);
  record.writeUInt32LE(28 + bytes.length, 8);
  record.writeUInt32LE(28 + bytes.length, 12);
  return [record, packet, bytes];
}

/** A block option; its size as an exponent. */
export interface BlockRow {
  readonly num: number;
  readonly more: boolean;
  readonly szx: number;
}

/** One message by tshark's fields; a repeated option is joined with commas. */
export interface Row {
  readonly atS: number;
  readonly isFromServer: boolean;
  readonly client: number;
  readonly type: 'CON' | 'NON' | 'ACK' | 'RST';
  /** As written: `2.05`. */
  readonly code: string;
  readonly mid: number;
  readonly token: string;
  readonly payload: string;
  readonly observe: number | undefined;
  readonly format: string;
  readonly maxAge: string;
  readonly etag: string;
  readonly locationPath: string;
  readonly locationQuery: string;
  readonly uriQuery: string;
  readonly block1: BlockRow | undefined;
  readonly block2: BlockRow | undefined;
  readonly isMalformed: boolean;
  readonly bytes: number;
}

const FIELDS = [
  'frame.time_epoch',
  'udp.srcport',
  'udp.dstport',
  'coap.type',
  'coap.code',
  'coap.mid',
  'coap.token',
  'coap.payload_length',
  'coap.block_length',
  'coap.opt.observe',
  'coap.opt.ctype',
  'coap.opt.max_age',
  'coap.opt.etag',
  'coap.opt.location_path',
  'coap.opt.location_query',
  'coap.opt.uri_query',
  'coap.opt.name',
  'coap.opt.block_number',
  'coap.opt.block_mflag',
  'coap.opt.block_size',
  '_ws.malformed',
  'udp.payload',
] as const;
const TYPES = ['CON', 'NON', 'ACK', 'RST'] as const;

/** Asks tshark; throws if it says that something is not CoAP. */
export function dissect(pcap: Buffer, serverPort: number): readonly Row[] {
  const fields = FIELDS.flatMap((field) => ['-e', field]);
  // A file, not standard input: what Node gives a child there is a socket, which tshark refuses.
  const folder = mkdtempSync(join(tmpdir(), 'coap-'));
  const file = join(folder, 'capture.pcap');
  writeFileSync(file, pcap);
  const decodeAs = `udp.port==${serverPort},coap`;
  const text = execFileSync('tshark', ['-r', file, '-d', decodeAs, '-T', 'fields', '-E', 'separator=|', ...fields], {
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 1 << 26,
  }).toString();
  rmSync(folder, { recursive: true });
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => rowOf(line, serverPort));
}

function rowOf(line: string, serverPort: number): Row {
  const [
    atS,
    from,
    to,
    type,
    code,
    mid,
    token = '',
    payloadBytes,
    blockBytes,
    observe,
    format = '',
    maxAge = '',
    etag = '',
    path = '',
    query = '',
    uriQuery = '',
    names = '',
    blockNumbers = '',
    blockMore = '',
    blockSizes = '',
    malformed,
    hex = '',
  ] = line.split('|');
  const kind = TYPES[Number(type)];
  if (type === '' || kind === undefined) throw new Error(`tshark sees no CoAP in ${line}`);
  const isFromServer = Number(from) === serverPort;
  const number = Number(code);
  return {
    atS: Number(atS),
    isFromServer,
    client: Number(isFromServer ? to : from),
    type: kind,
    code: `${number >> 5}.${String(number & 31).padStart(2, '0')}`,
    mid: Number(mid),
    token,
    // tshark shows a dissected payload as a description; where it lies, it says.
    payload: Buffer.from(
      hex.slice(hex.length - 2 * Number(blockBytes === '' ? payloadBytes : blockBytes)),
      'hex',
    ).toString(),
    observe: observe === '' || observe === undefined ? undefined : Number(observe),
    format,
    maxAge,
    etag,
    locationPath: path,
    locationQuery: query,
    uriQuery,
    ...blocksOf(names, blockNumbers.split(','), blockMore.split(','), blockSizes.split(',')),
    isMalformed: malformed !== '',
    bytes: hex.length / 2,
  };
}

/** tshark tells the fields of both block options in one list, in the order in which their names stand among the options. */
function blocksOf(
  names: string,
  numbers: readonly string[],
  more: readonly string[],
  sizes: readonly string[],
): Pick<Row, 'block1' | 'block2'> {
  const there = [...names.matchAll(/Block[12]/g)].map(([name]) => name);
  const block = (name: string): BlockRow | undefined => {
    const at = there.indexOf(name);
    const isMore = more[at] === '1' || more[at] === 'True';
    return at < 0 ? undefined : { num: Number(numbers[at]), more: isMore, szx: Number(sizes[at]) };
  };
  return { block1: block('Block1'), block2: block('Block2') };
}

export interface Ran {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs libcoap's client to its end. */
export async function libcoap(...args: readonly string[]): Promise<Ran> {
  const client = spawn('coap-client-notls', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  client.stdout.on('data', (bytes: Buffer) => (stdout += bytes.toString()));
  client.stderr.on('data', (bytes: Buffer) => (stderr += bytes.toString()));
  await once(client, 'close');
  return { stdout, stderr };
}

/** A peer made of bytes: sends hexadecimal, remembers what comes. */
export class RawPeer {
  private readonly got: Buffer[] = [];
  private readonly socket = createSocket('udp4');
  private wake: () => void = () => {};

  constructor(private readonly server: Address) {
    this.socket.on('message', (datagram) => {
      this.got.push(datagram);
      this.wake();
    });
  }

  sends(hex: string): void {
    this.socket.send(Buffer.from(hex.replace(/\s/g, ''), 'hex'), this.server.port, this.server.host);
  }

  /** The next datagram, waiting for it. */
  async receives(): Promise<Buffer> {
    while (this.got.length === 0) await new Promise<void>((wake) => (this.wake = wake));
    return this.got.shift() ?? Buffer.alloc(0);
  }

  close(): void {
    this.socket.close();
  }
}
