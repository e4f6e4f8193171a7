/**
 * A whole broker in one process without a network: datagrams are put in and taken out where its socket would be. What is left is
 * what the broker itself costs: T6, the bytes that a delivery leaves to the collector, and what stands in memory for each resource,
 * subscription and endpoint. A process of its own, run with --expose-gc.
 */
import { FORMATS } from '../src/routing/format.js';
import { CODE, compose, TYPE } from '../src/protocols/coap/message.js';
import { encodeTail, OPTION, option, type Option } from '../src/protocols/coap/options.js';
import { Batch, Destination } from '../src/network/batch.js';
import { Columns } from '../src/network/columns.js';
import type { Address, UdpSocket } from '../src/network/udp-socket.js';
import { systemNetwork } from '../src/network.js';
import { startBroker } from '../test/support/broker.js';
import { pathTo } from './contenders.js';
import { pathOptions } from './load-coap.js';
import { FOLDER, stampedBody, topicId } from './load.js';

export interface InsideOrder {
  /** Of the one topic that is measured. */
  readonly subscribers: number;
  /** Messages to it. */
  readonly messages: number;
  readonly idle: number;
}
export interface InsideReport {
  /** With all that a message costs the broker, shared by its deliveries; and without what it costs without subscribers. */
  readonly grossUs: number;
  readonly netUs: number;
  /** Left to the collector, per delivery; what a message leaves without subscribers is taken off. */
  readonly garbageBytes: number;
  readonly messageUs: number;
  /** Resident, each. */
  readonly resourceBytes: number;
  readonly endpointBytes: number;
  readonly relationBytes: number;
  /** Left by a relation that has come and gone, the ids of its two requests included, which are known for a while. */
  readonly passedBytes: number;
  readonly delivered: number;
}

const NOTHING = new Uint8Array(0);
const NO_ANSWER = 26;
/** Posted within one turn, as a socket hands them over. */
const PER_TURN = 8;
/**
 * Few enough that their garbage fits the young generation: nothing is collected meanwhile. Many, since each observer has a confirmable a
 * second, which falls due during the collection before as well.
 */
const MESSAGES_UNCOLLECTED = 1000;
const [OBSERVED, UNOBSERVED, OTHER] = [0, 1, 2];
const PUBLISHER: Address = { host: '127.0.0.1', port: 9 };

const ROOM = { datagrams: 8192, pages: 64 };

/** Stands where a socket would: takes what is sent, acknowledges what is confirmable, counts all. */
class Wire {
  sent = 0;
  private receive: (datagram: Buffer, from: Address) => void = () => {};
  private nextId = 0;
  private readonly batch = new Batch(new Columns(ROOM), () => this.take(Infinity));

  readonly socket: UdpSocket = {
    local: { host: '127.0.0.1', port: 5683 },
    batch: this.batch,
    queue: (datagram, to) => this.batch.add(datagram, new Destination(to)),
    flush: (most = Infinity) => this.take(most),
    serve: (to) => {
      if (this.batch.bringForward(to)) this.take(this.batch.atOnce);
    },
    onDatagram: (receive) => void (this.receive = receive),
    onError: () => {},
    figures: () => ({ sendDrops: 0, receiveDrops: undefined, trains: 0, aside: 0 }),
    close: () => {},
  };

  private take(most: number): void {
    const { batch } = this;
    let left = Math.min(most, batch.waiting);
    for (let to = batch.foremost; to && left > 0; to = to.after, left--) {
      for (let index = to.first; index >= 0; index = batch.columns.next[index] ?? -1) {
        this.sent++;
        const at = batch.columns.headAt[index] ?? 0;
        const isConfirmable = (((batch.bytes[at] ?? 0) >>> 4) & 3) === TYPE.confirmable;
        if (isConfirmable) this.acknowledge(batch.bytes[at + 2] ?? 0, batch.bytes[at + 3] ?? 0, to.address);
      }
    }
    batch.forget(most);
  }

  private acknowledge(high: number, low: number, from: Address): void {
    setImmediate(() => this.receive(Buffer.from([0x60, 0, high, low]), from));
  }

  put(code: number, from: Address, token: Uint8Array, options: readonly Option[], body: Uint8Array): void {
    this.nextId = (this.nextId + 1) & 0xffff;
    this.receive(compose(TYPE.nonConfirmable, code, this.nextId, token, encodeTail(options, body)), from);
  }
}

const turn = (): Promise<void> => new Promise((done) => setImmediate(done));
async function settle(): Promise<void> {
  for (let n = 0; n < 20; n++) await turn();
}

function heapBytes(): number {
  // Twice: what the first frees may hold what the second finds.
  for (let n = 0; n < 2; n++) globalThis.gc?.();
  return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
}

async function measure({ subscribers, messages, idle }: InsideOrder): Promise<InsideReport> {
  if (!globalThis.gc) throw new Error('this must run with --expose-gc');
  const wire = new Wire();
  const running = await startBroker(
    { congestion: 'provisioned' },
    { network: { ...systemNetwork, bindUdp: () => Promise.resolve(wire.socket) } },
  );
  const create = (path: readonly string[], document: object): void => {
    const options = [
      ...pathOptions(...path),
      option(OPTION.contentFormat, FORMATS.json.coap),
      option(OPTION.noResponse, NO_ANSWER),
    ];
    wire.put(CODE.post, PUBLISHER, NOTHING, options, Buffer.from(JSON.stringify(document)));
  };
  const publish = (topic: number): void => {
    const options = [
      ...pathOptions(...pathTo(topic)),
      option(OPTION.contentFormat, FORMATS.text.coap),
      option(OPTION.noResponse, NO_ANSWER),
    ];
    wire.put(CODE.post, PUBLISHER, NOTHING, options, stampedBody(0));
  };
  const observe = (subscriber: number, topic: number, register: 0 | 1 = 0): void => {
    const from = { host: '127.0.0.1', port: 10_000 + subscriber };
    const options = [option(OPTION.observe, register), ...pathOptions(...pathTo(topic), 'latest', 'content')];
    wire.put(CODE.get, from, Uint8Array.of(topic), options, NOTHING);
  };
  const run = async (topic: number, count: number): Promise<number> => {
    const cpu = process.cpuUsage();
    for (let n = 0; n < count; n += PER_TURN) {
      for (let k = 0; k < Math.min(PER_TURN, count - n); k++) publish(topic);
      await turn();
      await turn();
    }
    // A large fan-out goes on over many turns.
    for (let before = -1; before < wire.sent;) {
      before = wire.sent;
      await settle();
    }
    const { user, system } = process.cpuUsage(cpu);
    return user + system;
  };
  const each = async (count: number, make: (n: number) => void): Promise<number> => {
    const before = heapBytes();
    for (let n = 0; n < count; n++) {
      make(n);
      if (n % PER_TURN === 0) await turn();
    }
    await settle();
    return (heapBytes() - before) / count;
  };

  try {
    const [sclBase, applications, appId] = FOLDER;
    create([sclBase, applications], { application: { appId } });
    await settle();
    for (const topic of [OBSERVED, UNOBSERVED, OTHER]) {
      create(FOLDER, { container: { id: topicId(topic), durability: 'latest' } });
      await settle();
      publish(topic);
    }
    await settle();
    const endpointBytes = await each(subscribers, (n) => observe(n, OBSERVED));
    const relationBytes = await each(subscribers, (n) => observe(n, OTHER));
    const comeAndGo = async (): Promise<number> =>
      (await each(subscribers, (n) => observe(n, UNOBSERVED))) +
      (await each(subscribers, (n) => observe(n, UNOBSERVED, 1)));
    // Code is compiled.
    await comeAndGo();
    const passedBytes = await comeAndGo();
    await run(OBSERVED, messages);
    await run(UNOBSERVED, messages);
    const sentBefore = wire.sent;
    const withUs = await run(OBSERVED, messages);
    const delivered = wire.sent - sentBefore;
    if (delivered < subscribers * messages)
      throw new Error(`${delivered} of ${subscribers * messages} deliveries were made`);
    const withoutUs = await run(UNOBSERVED, messages);
    const garbageOf = async (topic: number): Promise<number> => {
      globalThis.gc?.();
      const before = process.memoryUsage().heapUsed;
      await run(topic, MESSAGES_UNCOLLECTED);
      return process.memoryUsage().heapUsed - before;
    };
    const garbage = (await garbageOf(OBSERVED)) - (await garbageOf(UNOBSERVED));
    const resourceBytes = await each(idle, (n) =>
      create(FOLDER, { container: { id: `idle-${n}`, durability: 'latest' } }),
    );
    const last = `${running.http}/${FOLDER.join('/')}/idle-${idle - 1}`;
    if (!(await fetch(last)).ok) throw new Error(`there is no ${last}`);
    return {
      grossUs: withUs / delivered,
      netUs: (withUs - withoutUs) / delivered,
      garbageBytes: garbage / (MESSAGES_UNCOLLECTED * subscribers),
      messageUs: withoutUs / messages,
      resourceBytes,
      endpointBytes,
      relationBytes,
      passedBytes,
      delivered,
    };
  } finally {
    await running.close();
  }
}

process.on('message', (order: InsideOrder) => {
  measure(order).then(
    (report) => process.send?.(report),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => process.exit(0));
