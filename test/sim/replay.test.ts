import { existsSync } from 'node:fs';
import { systemDisk } from '../../src/disk.js';
import { silentLog } from '../../src/log.js';
import { systemNetwork } from '../../src/network.js';
import { seededRandom } from '../../src/random.js';
import { checkFrame, readHead, typeOf, viewOf } from '../../src/protocols/c37118/frame.js';
import { tagUs } from '../../src/protocols/c37118/time.js';
import { readCapture, recordingOf, type Recording } from '../../src/sim/recording.js';
import { parseReplay, startReplay, type ReplayFlags } from '../../src/sim/replay.js';
import { ManualClock } from '../support/manual-clock.js';
import { Reader } from './reader.js';

const CAPTURES = '../shared/pmu-data/pcap';
const UDP = `${CAPTURES}/C37.118_1PMU_UDP.pcap`;
const TCP = `${CAPTURES}/C37.118_1PMU_TCP.pcap`;
const BOTH = `${CAPTURES}/C37.118_2PMUsInSync_TCP.pcap`;
const HEADER = `${CAPTURES}/c37_1100_clean_tcp.pcap`;
const withCaptures = existsSync(CAPTURES) ? describe : describe.skip;
if (!existsSync(CAPTURES)) console.warn(`skipped: replay, because ${CAPTURES} is not there`);

const START_US = Date.UTC(2026, 0, 1) * 1000 + 345_678;
const [ON, SEND_HEADER, SEND_CFG1] = [2, 3, 4];

const open: { close(): unknown }[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});

const contextOf = (clock: ManualClock) => ({
  clock,
  network: systemNetwork,
  disk: systemDisk,
  random: seededRandom(1),
  log: silentLog,
});

async function start(flags: ReplayFlags) {
  const clock = new ManualClock(START_US);
  const options = parseReplay(flags);
  if ('status' in options) throw new Error(options.detail);
  const replay = await startReplay(options, contextOf(clock));
  if ('status' in replay) throw new Error(replay.detail);
  open.push(replay);
  return { clock, replay };
}

async function connect(uri: string): Promise<Reader> {
  const reader = await Reader.open(uri);
  open.push(reader);
  return reader;
}

async function turnOn(reader: Reader, streamId: number) {
  reader.command(streamId, ON);
  return reader.configure(streamId);
}

async function recorded(path: string, streamId: number): Promise<Recording> {
  const frames = readCapture(await systemDisk.read(path));
  if ('status' in frames) throw new Error(frames.detail);
  const recording = recordingOf(frames, streamId);
  if ('status' in recording) throw new Error(recording.detail);
  return recording;
}

const socOf = (frame: Uint8Array): number => readHead(viewOf(frame)).soc;
/** A frame without SOC and CHK. */
const rest = (frame: Uint8Array): string =>
  Buffer.from([...frame.subarray(0, 6), ...frame.subarray(10, -2)]).toString('hex');

withCaptures('a replayed device', () => {
  test.each([
    ['tcp capture over tcp', TCP, 241, 'tcp'],
    ['tcp capture over udp', TCP, 241, 'udp'],
    ['udp capture over udp', UDP, 60, 'udp'],
    ['udp capture over tcp', UDP, 60, 'tcp'],
  ])(
    '%s: every frame in order, equal but for SOC and CRC, moved by whole seconds to now',
    async (_, file, id, scheme) => {
      const recording = await recorded(file, id);
      const { clock, replay } = await start({ file, stream: [String(id)], listen: [`${scheme}://127.0.0.1:0`] });
      const reader = await connect(replay.addresses[0] ?? '');
      const configuration = await turnOn(reader, id);
      expect(rest(reader.of('configuration2')[0] ?? new Uint8Array(0))).toBe(rest(recording.configuration2));
      clock.advance(20_000);
      const frames = await reader.until('data', recording.frames.length);
      await replay.finished;
      expect(frames.map(rest)).toEqual(recording.frames.map(({ bytes }) => rest(bytes)));
      expect(frames.every((frame) => checkFrame(frame) === undefined)).toBe(true);
      const shifts = new Set(
        frames.map((frame, index) => socOf(frame) - socOf(recording.frames[index]?.bytes ?? frame)),
      );
      expect(shifts.size).toBe(1);
      const firstUs = tagUs(readHead(viewOf(frames[0] ?? new Uint8Array(0))), configuration.timeBase);
      expect(Math.abs(firstUs - START_US)).toBeLessThan(1_000_000);
    },
  );

  test('frames keep their recorded spacing', async () => {
    const recording = await recorded(UDP, 60);
    const { clock, replay } = await start({ file: UDP, stream: ['60'], listen: ['tcp://127.0.0.1:0'] });
    await turnOn(await connect(replay.addresses[0] ?? ''), 60);
    const leftUs: number[] = [];
    for (let sent = 0; sent < recording.frames.length;) {
      clock.advance(1);
      for (; sent < replay.counters.sent; sent++) leftUs.push(clock.monotonicUs());
    }
    recording.frames.forEach(({ atUs }, index) => {
      const gapUs = atUs - (recording.frames[0]?.atUs ?? 0);
      expect(Math.abs((leftUs[index] ?? NaN) - (leftUs[0] ?? NaN) - gapUs)).toBeLessThanOrEqual(2000);
    });
  });

  test('is silent until ON, answers a header the capture has, and nothing that it has not', async () => {
    const { clock, replay } = await start({ file: HEADER, stream: ['1'], listen: ['tcp://127.0.0.1:0'] });
    const reader = await connect(replay.addresses[0] ?? '');
    reader.command(1, SEND_HEADER);
    const [header = new Uint8Array(0)] = await reader.until('header');
    expect(Buffer.from(header.subarray(0, 6)).toString('hex')).toBe('aa1100100001');
    expect(socOf(header)).toBe(Math.floor(START_US / 1e6));
    reader.command(1, SEND_CFG1);
    reader.command(60, ON);
    await reader.configure(1);
    clock.advance(10_000);
    await reader.configure(1);
    expect(reader.frames.map(typeOf)).toEqual(['header', 'configuration2', 'configuration2']);
    expect(replay.counters.passes).toBe(0);
  });

  test('loops with tags that rise by one period or more across the seam, each pass the whole recording', async () => {
    const recording = await recorded(UDP, 60);
    const { clock, replay } = await start({ file: UDP, stream: ['60'], listen: ['udp://127.0.0.1:0'], loop: true });
    const reader = await connect(replay.addresses[0] ?? '');
    const { timeBase } = await turnOn(reader, 60);
    const count = recording.frames.length;
    for (let passes = 1; passes <= 3; passes++) {
      clock.advance(8000);
      await reader.until('data', (passes - 1) * count + 1);
    }
    clock.advance(1000);
    const frames = (await reader.until('data', 3 * count)).slice(0, 3 * count);
    const tags = frames.map((frame) => tagUs(readHead(viewOf(frame)), timeBase));
    for (let index = 1; index < tags.length; index++) {
      expect((tags[index] ?? NaN) - (tags[index - 1] ?? NaN)).toBeGreaterThanOrEqual(20_000);
    }
    // 7.1 s of recording: each pass is 8 s later.
    expect(frames.slice(count, 2 * count).map((frame, index) => socOf(frame) - socOf(frames[index] ?? frame))).toEqual(
      Array(count).fill(8),
    );
    expect(frames.slice(count, 2 * count).map(rest)).toEqual(frames.slice(0, count).map(rest));
    expect(replay.counters.passes).toBeGreaterThanOrEqual(3);
  });

  test('two streams on one timeline keep their equal tags and their skew', async () => {
    const { clock, replay } = await start({
      file: BOTH,
      stream: ['60', '241'],
      listen: ['tcp://127.0.0.1:0', 'udp://127.0.0.1:0'],
    });
    const readers = await Promise.all(replay.addresses.map(connect));
    const [first, second] = readers;
    if (!first || !second) throw new Error('two addresses');
    const [base, otherBase] = [(await turnOn(first, 60)).timeBase, (await turnOn(second, 241)).timeBase];
    clock.advance(35_000);
    const tagsOf = async (reader: Reader, timeBase: number): Promise<readonly number[]> =>
      (await reader.until('data', 1501)).map((frame) => Math.round(tagUs(readHead(viewOf(frame)), timeBase) / 10));
    expect(await tagsOf(first, base)).toEqual(await tagsOf(second, otherBase));
  });

  test('two streams share one socket where they are given the same address', async () => {
    const free = await systemNetwork.listenTcp({ host: '127.0.0.1', port: 0 }, () => {});
    await free.close();
    const at = `tcp://127.0.0.1:${free.local.port}`;
    const { clock, replay } = await start({ file: BOTH, stream: ['60', '241'], listen: [at, at] });
    expect(replay.addresses).toEqual([at]);
    const reader = await connect(at);
    await reader.configure(60);
    await turnOn(reader, 241);
    clock.advance(5000);
    const frames = await reader.until('data', 100);
    expect(new Set(frames.map((frame) => readHead(viewOf(frame)).streamId))).toEqual(new Set([241]));
  });

  test('nothing is left open after close', async () => {
    const { clock, replay } = await start({ file: UDP, stream: ['60'], listen: ['udp://127.0.0.1:0'], loop: true });
    await turnOn(await connect(replay.addresses[0] ?? ''), 60);
    clock.advance(2000);
    await replay.close();
    expect(clock.pending).toBe(0);
  });

  test('a stream the capture has not is refused with those it has', async () => {
    await expect(start({ file: UDP, stream: ['61'], listen: ['udp://127.0.0.1:0'] })).rejects.toThrow(
      'The capture has no CFG-2 and data of stream 61; it has data of 60.',
    );
  });
});

describe('what can not be replayed is refused', () => {
  test.each([
    [{}, /--listen and --stream go in pairs/],
    [{ stream: ['60', '241'] }, /there are 1 and 2/],
    [{ stream: ['0'] }, /--stream is an IDCODE from 1 to 65534, not "0"/],
    [{ stream: ['60'], listen: ['udp://somewhere:1'] }, /--listen is/],
    [{ stream: ['60', '60'], listen: ['udp://127.0.0.1:1', 'udp://127.0.0.1:1'] }, /Stream 60 is asked for twice/],
  ])('%j', (flags, detail) => {
    expect(parseReplay({ file: 'x.pcap', ...flags })).toMatchObject({
      detail: expect.stringMatching(detail) as string,
    });
  });

  test('a file that is not there, and one that is no capture', async () => {
    await expect(start({ file: 'no/such.pcap', stream: ['60'] })).rejects.toThrow(/^no\/such.pcap: ENOENT/);
    await expect(start({ file: 'package.json', stream: ['60'] })).rejects.toThrow(/does not begin as a pcap file/);
  });
});
