/**
 * The load generator against things nobody here wrote, or that do nothing but relay: what it says it sent and received is what was
 * sent and received. Without a C compiler there is no generator, and nothing to test.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { Aedes } from 'aedes';
import { CODE } from '../../src/protocols/coap/message.js';
import { Absent, nativeProgram } from '../../bench/native.js';
import { Pump, type Load, type Pumped } from '../../bench/pump.js';
import { coap, mqtt, PEER_PLACES, type Speech } from '../../bench/speech.js';

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

  whereCompiled('says that it failed, rather than to wait for ever', async () => {
    const pump = new Pump();
    closing.push(() => pump.close());
    pump.say(7, Buffer.from('there is no such connection'));
    await expect(pump.sync()).rejects.toThrow('the load generator has failed');
  });
});
