/**
 * A measurement stream beside a fault: a publisher over CoAP, and subscribers over CoAP and WebSocket. What is asked of it is
 * that it goes on: no gap longer than the limit while the store is sick.
 */
import { once } from 'node:events';
import { createSocket, type Socket } from 'node:dgram';
import { open, type Client } from '../../src/client/index.js';
import { CODE, compose, TYPE } from '../../src/protocols/coap/message.js';
import { encodeTail, OPTION, option } from '../../src/protocols/coap/options.js';
import { wait, type BrokerProcess } from './broker-process.js';

const PERIOD_MS = 33;
/** [RFC7967] not interested in any class of answer. */
const NO_ANSWER = 26;
const APPLICATION = 'stream';
const CONTAINER = 'measurements';
const NOTHING = new Uint8Array(0);

export class Stream {
  /** By binding: when the last notification came, the longest gap since `mark`, and how many came. */
  readonly heard = new Map<string, { lastMs: number; longestMs: number; count: number }>();
  private readonly clients: Client[] = [];
  private socket: Socket | undefined;
  private isOver = false;

  private constructor(private readonly broker: BrokerProcess) {}

  static async open(broker: BrokerProcess): Promise<Stream> {
    const stream = new Stream(broker);
    await broker.create('/m2m/applications', { application: { appId: APPLICATION } });
    await broker.create(`/m2m/applications/${APPLICATION}/containers`, {
      // What it promises is what PMU measurements do: nothing of it waits for a disk.
      container: { id: CONTAINER, durability: 'latest' },
    });
    await stream.publish();
    await wait(10 * PERIOD_MS);
    await stream.subscribe('coap', broker.coap);
    await stream.subscribe('ws', broker.http);
    return stream;
  }

  /** From here on gaps count. */
  mark(): void {
    for (const each of this.heard.values()) Object.assign(each, { lastMs: performance.now(), longestMs: 0, count: 0 });
  }

  /** Faults where a subscriber had to wait longer than this since `mark`. */
  gapsAbove(limitMs: number): string[] {
    return [...this.heard].flatMap(([name, { lastMs, longestMs, count }]) => {
      const gapMs = Math.max(longestMs, performance.now() - lastMs);
      return gapMs > limitMs ? [`the ${name} subscriber waited ${gapMs.toFixed(0)} ms (${count} came)`] : [];
    });
  }

  get longestMs(): number {
    return Math.max(...[...this.heard.values()].map(({ longestMs }) => longestMs));
  }

  async close(): Promise<void> {
    this.isOver = true;
    await Promise.allSettled(this.clients.map((client) => client.close()));
    this.socket?.close();
  }

  private async publish(): Promise<void> {
    const socket = createSocket('udp4');
    this.socket = socket;
    socket.on('error', () => {});
    socket.connect(this.broker.coap, '127.0.0.1');
    await once(socket, 'connect');
    const options = [
      ...['m2m', 'applications', APPLICATION, 'containers', CONTAINER, 'contentInstances'].map((segment) =>
        option(OPTION.uriPath, segment),
      ),
      option(OPTION.contentFormat, 0),
      option(OPTION.noResponse, NO_ANSWER),
    ];
    const go = async (): Promise<void> => {
      for (let id = 0; !this.isOver; id = (id + 1) & 0xffff) {
        const tail = encodeTail(options, Buffer.from(`sample ${id}`));
        socket.send(compose(TYPE.nonConfirmable, CODE.post, id, NOTHING, tail));
        await wait(PERIOD_MS);
      }
    };
    void go();
  }

  private async subscribe(scheme: 'coap' | 'ws', port: number): Promise<void> {
    const client = await open(`${scheme}://127.0.0.1:${port}`, { congestion: 'provisioned' });
    this.clients.push(client);
    const told = { lastMs: performance.now(), longestMs: 0, count: 0 };
    this.heard.set(scheme, told);
    const path = `/m2m/applications/${APPLICATION}/containers/${CONTAINER}/contentInstances/latest/content`;
    const listen = async (): Promise<void> => {
      for await (const _notification of client.observe(path)) {
        const nowMs = performance.now();
        told.longestMs = Math.max(told.longestMs, nowMs - told.lastMs);
        told.lastMs = nowMs;
        told.count++;
      }
    };
    // Its end shows as a gap.
    listen().catch(() => undefined);
    while (told.count === 0) await wait(PERIOD_MS);
  }
}
