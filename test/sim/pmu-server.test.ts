import { systemNetwork } from '../../src/network.js';
import { silentLog } from '../../src/log.js';
import { seededRandom } from '../../src/random.js';
import { decodeHeader } from '../../src/protocols/c37118/command.js';
import { decodeConfiguration } from '../../src/protocols/c37118/configuration.js';
import { readHead, typeOf, viewOf } from '../../src/protocols/c37118/frame.js';
import { STAT } from '../../src/protocols/c37118/stat.js';
import { slotOf, tagUs } from '../../src/protocols/c37118/time.js';
import { parsePmuServer, startPmuServer, type PmuServerCounts, type PmuServerFlags } from '../../src/sim/pmu-server.js';
import type { Simulator } from '../../src/sim/simulator.js';
import { ManualClock } from '../support/manual-clock.js';
import { commandFrame, dataOf, Reader } from './reader.js';

const [OFF, ON, HEADER, CFG1, CFG2, CFG3] = [1, 2, 3, 4, 5, 6];
const START_US = Date.UTC(2026, 0, 1) * 1000;

const open: { close(): unknown }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});

/** A source on a clock that stands at a whole second, listening on a free port unless told otherwise. */
async function start(flags: PmuServerFlags = {}) {
  const clock = new ManualClock(START_US);
  const options = parsePmuServer({
    ...(flags.to === undefined ? { listen: 'tcp://127.0.0.1:0' } : {}),
    seed: '1',
    ...flags,
  });
  if ('status' in options) throw new Error(options.detail);
  const random = seededRandom(1);
  const source = await startPmuServer(options, { clock, network: systemNetwork, random, log: silentLog });
  if ('status' in source) throw new Error(source.detail);
  open.push(source);
  return { clock, source };
}

async function connect(source: Simulator<PmuServerCounts>): Promise<Reader> {
  const reader = await Reader.open(source.addresses[0] ?? '');
  open.push(reader);
  return reader;
}

/** ON has no answer; the configuration asked for behind it comes when it has been read. */
async function turnOn(reader: Reader, streamId = 1) {
  reader.command(streamId, ON);
  return reader.configure(streamId);
}

describe.each(['tcp', 'udp'])('a source commanded over %s', (scheme) => {
  const listen = `${scheme}://127.0.0.1:0`;

  test('is silent until ON, then sends a frame a slot with its tag on the grid, and stops at OFF', async () => {
    const { clock, source } = await start({ listen, rate: '30', pmus: '3' });
    const reader = await connect(source);
    await reader.configure(1);
    clock.advance(1000);
    const configuration = await turnOn(reader);
    expect(reader.of('data')).toHaveLength(0);
    expect(configuration).toMatchObject({ streamId: 1, timeBase: 1_000_000, dataRate: 30 });
    expect(configuration.pmus.map(({ idCode }) => idCode)).toEqual([1, 2, 3]);

    clock.advance(1000);
    const frames = (await reader.until('data', 30)).map((frame) => dataOf(frame, configuration));
    expect(frames.map((frame) => slotOf(frame, 1_000_000, 30))).toEqual(
      [...Array(30).keys()].map((k) => ({ soc: START_US / 1e6 + 1 + Math.floor((k + 1) / 30), slot: (k + 1) % 30 })),
    );
    expect(frames.every(({ blocks }) => blocks.length === 3 && blocks.every(({ stat }) => stat === 0))).toBe(true);

    reader.command(1, OFF);
    await reader.configure(1);
    clock.advance(1000);
    await reader.configure(1);
    expect(reader.of('data')).toHaveLength(30);
    expect(source.counters).toMatchObject({ sent: 30, dropped: 0, late: 0, skipped: 0 });
  });

  test('answers header, CFG-1 and CFG-3, and discards in silence what makes no sense', async () => {
    const { source } = await start({ listen });
    const reader = await connect(source);
    reader.command(1, HEADER);
    const [header = new Uint8Array(0)] = await reader.until('header');
    expect(decodeHeader(header).text).toMatch(/^Gridcast simulated PMUs/);
    reader.command(1, CFG1);
    const [cfg1 = new Uint8Array(0)] = await reader.until('configuration1');
    expect(decodeConfiguration(cfg1, 'configuration1').kind).toBe('configuration1');

    reader.command(1, CFG3);
    const [cfg3 = new Uint8Array(0)] = await reader.until('configuration3');
    expect(typeOf(cfg3)).toBe('configuration3');

    const spoilt = commandFrame(1, CFG2);
    spoilt[15] = 3;
    const nonsense = [
      commandFrame(2, CFG2),
      commandFrame(1, 7),
      commandFrame(1, 77),
      spoilt,
      Buffer.from('GET / HTTP/1.1\r\n'),
    ];
    for (const bytes of nonsense) reader.send(bytes);
    await reader.configure(1);
    expect(reader.frames.map(typeOf)).toEqual(['header', 'configuration1', 'configuration3', 'configuration2']);
    expect(source.counters.discarded).toBeGreaterThanOrEqual(nonsense.length);
  });

  test('several clients are on and off by themselves, and get the same frames', async () => {
    const { clock, source } = await start({ listen, rate: '10' });
    const [first, second, third] = [await connect(source), await connect(source), await connect(source)];
    await Promise.all([turnOn(first), turnOn(second), third.configure(1)]);
    clock.advance(500);
    const frames = await first.until('data', 5);
    expect(await second.until('data', 5)).toEqual(frames);
    first.close();
    clock.advance(500);
    await second.until('data', 10);
    await third.configure(1);
    expect(third.of('data')).toEqual([]);
  });
});

describe('a spontaneous source', () => {
  test('sends its CFG-2 at once and every minute, and data unasked', async () => {
    const socket = await systemNetwork.bindUdp({ host: '127.0.0.1', port: 0 });
    const reader = Reader.listening(socket);
    open.push(reader);
    const { clock } = await start({ to: `udp://127.0.0.1:${socket.local.port}`, rate: '1' });
    await reader.until('configuration2', 1);
    clock.advance(120_000);
    await reader.until('configuration2', 3);
    const configurationAt = reader.frames.flatMap((frame, index) =>
      typeOf(frame) === 'configuration2' ? [index] : [],
    );
    expect(configurationAt[0]).toBe(0);
    // The frames of slots 0 .. 120, the last configuration beside the last slot.
    expect(await reader.until('data', 121)).toHaveLength(121);
  });
});

describe('pacing', () => {
  test('a stall sends what is late with its true tag, and skips what is later than a second', async () => {
    const { clock, source } = await start({ rate: '10' });
    const reader = await connect(source);
    await turnOn(reader);
    clock.advance(100);
    // The process is stopped for 3.05 s: no timer fires, the wall clock goes on.
    clock.step(3050);
    clock.advance(100);
    const tags = (await reader.until('data', 11)).map(
      (frame) => (tagUs(readHead(viewOf(frame)), 1_000_000) - START_US) / 1000,
    );
    expect(tags).toEqual([100, 2300, 2400, 2500, 2600, 2700, 2800, 2900, 3000, 3100, 3200]);
    expect(source.counters).toMatchObject({ skipped: 21, late: 9 });
  });

  test('a wall clock stepped back begins again from there', async () => {
    const { clock, source } = await start({ rate: '10' });
    const reader = await connect(source);
    await turnOn(reader);
    clock.advance(5000);
    await reader.until('data', 50);
    clock.step(-3_600_000);
    clock.advance(2000);
    const frames = await reader.until('data', 60);
    expect(readHead(viewOf(frames.at(-1) ?? new Uint8Array(0))).soc).toBeLessThan(START_US / 1e6 - 3500);
  });

  test('jitter delays frames but keeps their order and tags', async () => {
    const { clock, source } = await start({ rate: '50', disturb: ['jitter:ms=200'] });
    const reader = await connect(source);
    await turnOn(reader);
    clock.advance(1000);
    clock.advance(1000);
    const frames = await reader.until('data', 75);
    const tags = frames.map((frame) => tagUs(readHead(viewOf(frame)), 1_000_000));
    // The frame of the slot in which ON was said may still come.
    const [first = NaN] = tags;
    expect(tags).toEqual(tags.map((_, index) => first + index * 20_000));
  });

  test('nothing is left open after close', async () => {
    const { clock, source } = await start({ disturb: ['jitter'] });
    clock.advance(100);
    await source.close();
    expect(clock.pending).toBe(0);
  });
});

describe('data disturbances', () => {
  test('loss of lock: STAT 13, unlocked time and time quality grow until it is over', async () => {
    const { clock, source } = await start({ rate: '1', disturb: ['loss-of-lock:at=5,for=200'] });
    const reader = await connect(source);
    const configuration = await turnOn(reader);
    clock.advance(210_000);
    const frames = (await reader.until('data', 210)).map((frame) => dataOf(frame, configuration));
    const at = (second: number) => {
      const frame = frames[second - 1];
      const stat = frame?.blocks[0]?.stat ?? -1;
      return {
        lost: (stat & STAT.unsynchronised) !== 0,
        since: (stat >> 4) & 3,
        quality: frame?.timeQuality,
        pmu: (stat >> 6) & 7,
      };
    };
    expect(at(4)).toEqual({ lost: false, since: 0, quality: 0, pmu: 0 });
    expect(at(5)).toEqual({ lost: true, since: 0, quality: 4, pmu: 2 });
    expect(at(20)).toEqual({ lost: true, since: 1, quality: 6, pmu: 4 });
    expect(at(200)).toEqual({ lost: true, since: 2, quality: 7, pmu: 5 });
    expect(at(206)).toEqual({ lost: false, since: 0, quality: 0, pmu: 0 });
  });

  test('a configuration change is announced by STAT 10, told to who asks, and holds with the first frame without the bit', async () => {
    const { clock, source } = await start({ rate: '1', disturb: ['configuration-change:at=90,ahead=60'] });
    const reader = await connect(source);
    const old = await turnOn(reader);
    clock.advance(60_000);
    await reader.until('data', 60);
    const announced = await reader.configure(1);
    expect([old, announced].map(({ pmus }) => [pmus[0]?.configurationCount, pmus[0]?.analogs.length])).toEqual([
      [0, 1],
      [1, 0],
    ]);
    clock.advance(60_000);
    const frames = await reader.until('data', 120);
    const isAnnouncing = (frame: Uint8Array): boolean => (viewOf(frame).getUint16(14) & STAT.configurationChange) !== 0;
    expect(frames.map(isAnnouncing).indexOf(true)).toBe(29);
    expect(frames.map(isAnnouncing).lastIndexOf(true)).toBe(88);
    frames.forEach((frame, index) => expect(dataOf(frame, index < 89 ? old : announced).kind).toBe('data'));
  });

  test('a lossy stream with garbage still gives its reader every other frame', async () => {
    const { clock, source } = await start({ rate: '30', disturb: ['loss:share=0.1', 'garbage:share=0.1'] });
    const reader = await connect(source);
    await turnOn(reader);
    clock.advance(10_000);
    const { faults } = source.counters;
    await reader.until('data', 300 - faults.lost);
    expect(faults.lost).toBeGreaterThan(10);
    expect(faults.garbage).toBeGreaterThan(100);
  });
});

describe('parsePmuServer', () => {
  test('has a default for everything', () => {
    expect(parsePmuServer({})).toMatchObject({
      way: { kind: 'listen', uri: { scheme: 'tcp', host: '127.0.0.1', port: 4712 } },
      idCode: 1,
      pmus: 1,
      nominalHz: 60,
      format: 15,
      timeBase: 1_000_000,
      disturbances: [{ name: 'ambient' }],
    });
    expect(parsePmuServer({ rate: '50' })).toMatchObject({ nominalHz: 50 });
  });

  test.each([
    [{ listen: 'tcp://127.0.0.1:1', to: 'udp://127.0.0.1:1' }, /not both/],
    [{ listen: 'http://127.0.0.1:1' }, /--listen is tcp:\/\/HOST:PORT .* not "http/],
    [{ listen: 'tcp://1.2.3.999:1' }, /--listen is tcp/],
    [{ listen: 'tcp://127.0.0.1:70000' }, /--listen is tcp/],
    [{ to: 'tcp://127.0.0.1:4712' }, /--to is udp/],
    [{ idcode: '0' }, /--idcode is a whole number from 1 to 65534, not "0"/],
    [{ idcode: '65534', pmus: '2' }, /--idcode is a whole number from 1 to 65533/],
    [{ pmus: '151' }, /--pmus is a whole number from 1 to 150/],
    [{ rate: '0' }, /--rate/],
    [{ nominal: '55' }, /--nominal is 50 or 60/],
    [{ format: '16' }, /--format is a whole number from 0 to 15/],
    [{ timeBase: '16777216' }, /--time-base/],
    [{ disturb: ['nothing'] }, /no disturbance "nothing"/],
    [{ seed: 'x' }, /--seed/],
  ] as const)('refuses %j', (flags, detail) => {
    expect(parsePmuServer(flags)).toMatchObject({
      status: 'STATUS_BAD_REQUEST',
      detail: expect.stringMatching(detail) as string,
    });
  });

  test('an address in use is refused by name', async () => {
    const { source } = await start();
    const [listen = ''] = source.addresses;
    await expect(start({ listen })).rejects.toThrow(/tcp:\/\/127\.0\.0\.1:\d+: .*EADDRINUSE/);
  });
});
