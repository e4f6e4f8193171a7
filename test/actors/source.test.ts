import { Population } from '../../src/kernel/population.js';
import { Wheel } from '../../src/kernel/wheel.js';
import {
  backOffMs,
  sourceKind,
  type SourceMessage,
  type SourceOwner,
  type SourceState,
} from '../../src/actors/source.js';
import { silentLog } from '../../src/log.js';
import type { Network, TcpConnection } from '../../src/network.js';
import { decode, encode } from '../../src/protocols/c37118/codec.js';
import { COMMANDS } from '../../src/protocols/c37118/command.js';
import { StreamClient } from '../../src/protocols/c37118/client.js';
import { Links } from '../../src/protocols/c37118/link.js';
import type { Configuration } from '../../src/protocols/c37118/configuration.js';
import { seededRandom } from '../../src/random.js';
import type { PmuDescriptor } from '../../src/routing/measurement.js';
import { addressOf } from '../protocols/c37118/device.js';
import { frameAt, pmu, stream } from '../protocols/c37118/stream.js';
import { ManualClock } from '../support/manual-clock.js';

const { dataOff, dataOn, sendConfiguration2 } = COMMANDS;
const KEY = 'stream 60';
const LONGEST_BACK_OFF_MS = 6000;

/** A device on a network of its own, as a test scripts it. */
class MemoryDevice implements Network {
  isReachable = true;
  configuration: Configuration | undefined = stream();
  attempts = 0;
  readonly commands: number[] = [];
  private receive: (bytes: Buffer) => void = () => {};
  private closed: (error: Error | undefined) => void = () => {};
  isOpen = false;

  connectTcp = (): Promise<TcpConnection> => {
    this.attempts++;
    if (!this.isReachable) return Promise.reject(new Error('connect ECONNREFUSED'));
    this.isOpen = true;
    return Promise.resolve({
      local: { host: '127.0.0.1', port: 40000 },
      remote: { host: '127.0.0.1', port: 4712 },
      write: (bytes) => this.take(bytes),
      onBytes: (receive) => void (this.receive = receive),
      onDrain: () => {},
      onClose: (closed) => void (this.closed = closed),
      close: () => void (this.isOpen = false),
    });
  };

  bindUdp = (): never => {
    throw new Error('no UDP here');
  };
  listenTcp = this.bindUdp;

  send(...frames: Uint8Array[]): void {
    if (this.isOpen) this.receive(Buffer.concat(frames));
  }

  hangUp(): void {
    this.isOpen = false;
    this.closed(undefined);
  }

  private take(bytes: Uint8Array): boolean {
    const frame = decode(bytes);
    if (frame.kind !== 'command') throw new Error(frame.kind);
    this.commands.push(frame.code);
    const answer = this.configuration;
    if (frame.code === sendConfiguration2 && answer) this.send(encode(answer));
    return true;
  }
}

interface SourceUnderTest {
  readonly clock: ManualClock;
  readonly device: MemoryDevice;
  readonly states: SourceState[];
  readonly configurations: (readonly PmuDescriptor[])[];
  readonly measured: number[];
  readonly population: Population<SourceMessage>;
  /** Moves the clock and lets what was promised happen. */
  readonly pass: (ms: number) => Promise<void>;
  /** Sends `count` frames at 50/s, as time passes. */
  readonly stream: (count: number, options?: object) => Promise<void>;
}

/** A source of stream 60 that has been started. */
async function source(
  setUp: (device: MemoryDevice, owner: { onMeasurement: SourceOwner['onMeasurement'] }) => void = () => {},
): Promise<SourceUnderTest> {
  const clock = new ManualClock();
  const device = new MemoryDevice();
  const wheel = new Wheel(clock, (error) => {
    throw error;
  });
  const states: SourceState[] = [];
  const configurations: (readonly PmuDescriptor[])[] = [];
  const measured: number[] = [];
  const owner: SourceOwner = {
    onState: (state) => void states.push(state),
    onConfiguration: (pmus) => void configurations.push(pmus),
    onMeasurement: (_index, _measurement, measuredUs) => void measured.push(measuredUs),
  };
  setUp(device, owner);
  const looks = wheel.leases<StreamClient>((client) => client.lookForSilence());
  const random = seededRandom(1);
  const population = new Population<SourceMessage>({
    name: 'sources',
    kind: () =>
      sourceKind({
        open: (sink) =>
          new StreamClient(addressOf('c37118+tcp://127.0.0.1?idcode=60'), new Links(device), clock, looks, sink),
        owner,
        schedule: wheel.schedule,
        random,
      }),
    clock,
    random,
    log: silentLog,
  });
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 8; turn++) await Promise.resolve();
  };
  const pass = async (ms: number): Promise<void> => {
    // In small steps, because what a timer begins is promised and settles between them.
    for (let at = 0; at < ms; at += 10) {
      clock.advance(Math.min(10, ms - at));
      await settle();
    }
  };
  population.activate(KEY);
  await settle();
  const flow = async (count: number, options = {}): Promise<void> => {
    for (let frame = 0; frame < count; frame++) {
      if (device.configuration) device.send(frameAt(device.configuration, clock.wallUs(), options));
      await pass(20);
    }
  };
  return { clock, device, states, configurations, measured, population, pass, stream: flow };
}

describe('source', () => {
  test('goes from idle to streaming: off, CFG-2, on', async () => {
    const { device, states, configurations, measured, stream: flow } = await source();
    await flow(5);
    expect(states).toEqual(['connecting', 'awaitingConfig', 'streaming']);
    expect(device.commands).toEqual([dataOff, sendConfiguration2, dataOn]);
    expect(configurations.map((pmus) => pmus.map(({ idCode }) => idCode))).toEqual([[61]]);
    expect(measured).toHaveLength(5);
  });

  test('closes in order and leaves nothing open', async () => {
    const { clock, device, states, population, stream: flow } = await source();
    await flow(2);
    population.end(KEY);
    expect(states.at(-1)).toBe('closed');
    expect(device.commands.at(-1)).toBe(dataOff);
    expect(device.isOpen).toBe(false);
    expect(clock.pending).toBe(0);
  });

  test('closes while it waits for its next attempt', async () => {
    const { clock, states, population, pass } = await source((device) => (device.isReachable = false));
    await pass(100);
    population.end(KEY);
    expect(states.at(-1)).toBe('closed');
    expect(clock.pending).toBe(0);
  });

  test('tries again after 50 ms, 100 ms, ... at most 5 s, each ±20 %', async () => {
    const { device, pass } = await source((unreachable) => (unreachable.isReachable = false));
    const instants: number[] = [];
    for (let ms = 0, seen = device.attempts; ms < 40_000; ms += 10) {
      await pass(10);
      if (device.attempts > seen) instants.push(ms);
      seen = device.attempts;
    }
    const gaps = instants.slice(1).map((at, index) => at - instants[index]!);
    [100, 200, 400, 800, 1600, 3200, 5000, 5000].forEach((nominal, index) => {
      // The wheel and this loop each look every 10 ms.
      expect(gaps[index]).toBeGreaterThanOrEqual(0.8 * nominal - 20);
      expect(gaps[index]).toBeLessThanOrEqual(1.2 * nominal + 20);
    });
  });

  test('spreads its attempts over the whole of ±20 %', () => {
    const random = seededRandom(3);
    const delays = Array.from({ length: 500 }, () => backOffMs(3, random));
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(160);
    expect(Math.max(...delays)).toBeLessThanOrEqual(240);
    expect(Math.max(...delays) - Math.min(...delays)).toBeGreaterThan(70);
    expect(backOffMs(1000, random)).toBeLessThanOrEqual(LONGEST_BACK_OFF_MS);
  });

  test('comes back when the device does, and begins its back-off anew once data flows', async () => {
    const { device, states, configurations, measured, pass, stream: flow } = await source();
    await flow(3);
    device.isReachable = false;
    device.hangUp();
    await pass(3000);
    expect(states.at(-1)).toBe('connecting');
    device.isReachable = true;
    await pass(LONGEST_BACK_OFF_MS);
    expect(states.at(-1)).toBe('stale');
    await flow(3);
    expect(states.at(-1)).toBe('streaming');
    expect(measured).toHaveLength(6);
    // The configuration is the one it had: the applications are not told again.
    expect(configurations).toHaveLength(1);
    const { attempts } = device;
    device.hangUp();
    await pass(80);
    expect(device.attempts).toBe(attempts + 1);
  });

  test('is stale after a second without data, asks for data again, and connects anew after ten', async () => {
    const { device, states, pass, stream: flow } = await source();
    await flow(3);
    await pass(1100);
    expect(states.at(-1)).toBe('stale');
    await flow(1);
    expect(states.at(-1)).toBe('streaming');
    const said = device.commands.length;
    await pass(5000);
    // A second after the last frame it was stale; then once a second.
    expect(device.commands.slice(said)).toEqual([dataOn, dataOn, dataOn, dataOn]);
    expect(device.attempts).toBe(1);
    await pass(6000);
    expect(device.attempts).toBe(2);
  });

  test('asks three times for the configuration, then connects anew', async () => {
    const { device, states, pass } = await source((mute) => (mute.configuration = undefined));
    await pass(2500);
    expect(device.commands).toEqual([dataOff, sendConfiguration2, sendConfiguration2, sendConfiguration2]);
    await pass(600);
    expect(device.attempts).toBe(2);
    expect(states).toEqual(['connecting', 'awaitingConfig', 'connecting', 'awaitingConfig']);
  });

  test('goes on with the configuration it had where the device answers none after a break', async () => {
    const { device, states, measured, pass, stream: flow } = await source();
    await flow(2);
    device.hangUp();
    const { configuration } = device;
    device.configuration = undefined;
    await pass(3500);
    expect(states.at(-1)).toBe('streaming');
    device.configuration = configuration;
    await flow(2);
    expect(measured).toHaveLength(4);
  });

  test('asks again when data frames change their length, and tells the new configuration', async () => {
    const { device, configurations, measured, states, stream: flow } = await source();
    await flow(2);
    device.configuration = stream([pmu(61), pmu(62)]);
    await flow(3);
    expect(configurations.map((pmus) => pmus.length)).toEqual([1, 2]);
    // The frame that gave the change away is lost; the other two carry two PMUs each.
    expect(measured).toHaveLength(2 + 4);
    expect(states).toEqual(['connecting', 'awaitingConfig', 'streaming']);
  });

  test('a throw of its owner ends this life only: the next one connects, and the stream goes on', async () => {
    let isFaulty = true;
    const {
      clock,
      device,
      states,
      configurations,
      pass,
      stream: flow,
    } = await source((_, owner) => {
      const deliver = owner.onMeasurement;
      owner.onMeasurement = (...all) => {
        if (isFaulty) throw new Error('injected');
        deliver(...all);
      };
    });
    await flow(1);
    expect(states.at(-1)).toBe('closed');
    expect(device.isOpen).toBe(false);
    isFaulty = false;
    await pass(100);
    await flow(3);
    expect(states.slice(-3)).toEqual(['connecting', 'awaitingConfig', 'streaming']);
    expect(configurations).toHaveLength(2);
    expect(clock.pending).toBeGreaterThan(0);
  });
});
