/**
 * The load generator against things nobody here wrote, or that do nothing but relay: what it says it sent and received is what was
 * sent and received. Without a C compiler there is no generator, and nothing to test.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { Aedes } from 'aedes';
import { CODE } from '../../src/protocols/coap/message.js';
import { crcCcitt } from '../../src/protocols/c37118/crc.js';
import { Absent, nativeProgram } from '../../bench/native.js';
import { Pump, type Load, type Pumped } from '../../bench/pump.js';
import { coap, mqtt, PEER_PLACES, type Speech } from '../../bench/speech.js';

/** What every C37.118 frame begins with. */
const SYNC = 0xaa;

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

const isCompiled = ((): boolean => {
  try {
    nativeProgram('pump');
    nativeProgram('floor');
    return true;
  } catch (error) {
    if (error instanceof Absent) return false;
    throw error;
  }
})();
const whereCompiled = isCompiled ? test : test.skip;

const LOAD: Load = {
  ...{ shape: 'even', seconds: 0.5, rateHz: 40, fanOut: 3, window: 50, batch: 4, first: 0, count: 2 },
};

/** Two topics, three subscribers of both. */
async function pumped({ subscribe, publish }: Speech, load: Partial<Load>): Promise<Pumped> {
  const pump = new Pump();
  closing.push(() => pump.close());
  for (let n = 0; n < 3; n++) await subscribe(pump, [0, 1]);
  for (const topic of [0, 1]) publish(pump, topic);
  await pump.sync();
  return pump.run({ ...LOAD, ...load });
}

async function floor(way: string): Promise<Speech> {
  const child: ChildProcess = spawn(nativeProgram('floor'), [way], { stdio: ['ignore', 'pipe', 'inherit'] });
  closing.push(() => child.kill());
  if (!child.stdout) throw new Error('a child without an output');
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return coap(Number(line.split(' ')[1]), { ...PEER_PLACES, method: CODE.post });
}

describe('the load generator', () => {
  for (const way of ['sendto', 'sendmmsg', 'gso'])
    whereCompiled(`counts each datagram that the floor sends on by ${way}`, async () => {
      const result = await pumped(await floor(way), { shape: 'even' });
      expect(result).toMatchObject({ published: 40, refused: 0, received: 120 });
      expect(result.ageUs.p50).toBeGreaterThan(0);
      expect(result.ageUs.longest).toBeGreaterThanOrEqual(result.ageUs.p99);
    });

  whereCompiled('sends all topics of a burst, and waits for the last to come', async () => {
    const result = await pumped(await floor('gso'), { shape: 'burst' });
    expect(result).toMatchObject({ published: 40, received: 120 });
  });

  whereCompiled('keeps a window under way when it saturates, and loses count of nothing', async () => {
    const result = await pumped(await floor('gso'), { shape: 'saturate', seconds: 0.3 });
    expect(result.published).toBeGreaterThan(LOAD.window);
    expect(result.received).toBe(result.published * LOAD.fanOut);
  });

  whereCompiled('speaks MQTT with aedes', async () => {
    const broker = await Aedes.createBroker();
    const server = createServer(broker.handle);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    closing.push(() => {
      broker.close();
      server.close();
    });
    const result = await pumped(mqtt((server.address() as AddressInfo).port), { shape: 'even' });
    expect(result).toMatchObject({ published: 40, received: 120 });
  });

  whereCompiled(
    'numbers what a relation brings: one skipped, one twice, the frames dated and their CHK good',
    async () => {
      const broker = createSocket('udp4');
      closing.push(() => broker.close());
      broker.bind(0, '127.0.0.1');
      await once(broker, 'listening');
      let observer: { readonly port: number; readonly token: Buffer } | undefined;
      let sequence = 0;
      const good: boolean[] = [];
      broker.on('message', (datagram, { port }) => {
        if (datagram[0] !== SYNC) {
          observer = { port, token: datagram.subarray(4, 8) };
          broker.send(Buffer.concat([Buffer.from([0x54, 0x45, 0, 0]), observer.token]), port);
          return;
        }
        // Over a frame with its CHK the sum is 0.
        good.push(crcCcitt(datagram) === 0);
        const measuredS = datagram.readUInt32BE(6) + (datagram.readUInt32BE(10) & 0xff_ffff) / 1e6;
        sequence++;
        const payload = Buffer.from([0x22, 0xfb, 0, 0, 0, 0, 0, 0, 0, 0]);
        payload.writeDoubleBE(measuredS, 2);
        const head = Buffer.from([0x54, 0x45, 0, sequence, ...(observer?.token ?? []), 0x61, sequence, 0xff]);
        // The third is lost, the fifth comes twice.
        const copies = sequence === 3 ? 0 : sequence === 5 ? 2 : 1;
        for (let n = 0; n < copies; n++) broker.send(Buffer.concat([head, payload]), observer?.port);
      });
      const { port } = broker.address();
      const pump = new Pump();
      closing.push(() => pump.close());
      const token = Buffer.alloc(4);
      pump.relation(0, 1);
      const observed = pump.socket('udp', port);
      pump.ask(observed, { send: Buffer.concat([Buffer.from([0x54, 0x01, 0, 1]), token]), until: token });
      pump.read(observed, 'coap');
      pump.frame(pump.socket('udp', port), Buffer.from([SYNC, 0x01, 0, 16, 0, 1, ...Array<number>(10).fill(0)]));
      await pump.sync();
      const result = await pump.run({ ...LOAD, shape: 'spread', rateHz: 30, fanOut: 1, seconds: 0.3, count: 1 });
      expect(result).toMatchObject({ published: 9, received: 8, skipped: 1, again: 1, outOfOrder: 0 });
      expect(good).toEqual(Array(9).fill(true));
    },
  );

  whereCompiled('says that it failed, rather than to wait for ever', async () => {
    const pump = new Pump();
    closing.push(() => pump.close());
    pump.say(7, Buffer.from('there is no such connection'));
    await expect(pump.sync()).rejects.toThrow('the load generator has failed');
  });
});
