import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { readPcap, type Packet } from '../../src/sim/pcap.js';
import { readCapture, recordingOf, type CapturedFrame } from '../../src/sim/recording.js';
import { typeOf } from '../../src/protocols/c37118/frame.js';
import { cooked, ethernet, pcapFile, tcpPacket, udpPacket } from './pcap-file.js';
import { commandFrame } from './reader.js';

const DATA = '../shared/pmu-data';
const inData = existsSync(DATA) ? test : test.skip;
if (!existsSync(DATA)) console.warn(`skipped: captures, because ${DATA} is not there`);

const packetsOf = (file: Uint8Array): readonly Packet[] => {
  const packets = readPcap(file);
  if ('status' in packets) throw new Error(packets.detail);
  return packets;
};
const framesOf = (file: Uint8Array): readonly CapturedFrame[] => {
  const frames = readCapture(file);
  if ('status' in frames) throw new Error(frames.detail);
  return frames;
};
const AT_US = 1_700_000_000_123_456;
const hello = Buffer.from('hello');

describe('readPcap', () => {
  test.each([
    ['little endian, microseconds', { isLittle: true, isNano: false }],
    ['big endian, microseconds', { isLittle: false, isNano: false }],
    ['little endian, nanoseconds', { isLittle: true, isNano: true }],
    ['big endian, nanoseconds', { isLittle: false, isNano: true }],
  ])('reads %s', (_, form) => {
    const [packet] = packetsOf(pcapFile([{ atUs: AT_US, bytes: ethernet(udpPacket(4713, 4712, hello)) }], form));
    expect(packet).toMatchObject({
      atUs: AT_US,
      from: { host: '10.0.0.1', port: 4713 },
      to: { host: '10.0.0.2', port: 4712 },
    });
    // The padding of a short Ethernet frame is no payload.
    expect(Buffer.from(packet?.payload ?? []).toString()).toBe('hello');
  });

  test('reads Linux cooked captures, raw IP and VLAN tags', () => {
    const udp = udpPacket(1, 2, hello);
    const payloads = [
      pcapFile([{ atUs: AT_US, bytes: cooked(udp) }], { linkType: 113 }),
      pcapFile([{ atUs: AT_US, bytes: udp }], { linkType: 101 }),
      pcapFile([{ atUs: AT_US, bytes: ethernet(udp, 7, 8) }]),
    ].map((file) => Buffer.from(packetsOf(file)[0]?.payload ?? []).toString());
    expect(payloads).toEqual(['hello', 'hello', 'hello']);
  });

  test('refuses what is no classic pcap, saying what it is', () => {
    const detailOf = (file: Uint8Array): unknown => (readPcap(file) as { detail?: string }).detail;
    expect(detailOf(new Uint8Array(3))).toMatch(/shorter than a pcap header/);
    expect(detailOf(Buffer.alloc(40))).toMatch(/does not begin as a pcap file/);
    expect(detailOf(Buffer.concat([Buffer.from('0a0d0d0a', 'hex'), Buffer.alloc(40)]))).toMatch(
      /pcapng; `editcap -F pcap/,
    );
    expect(detailOf(pcapFile([], { linkType: 147 }))).toMatch(/link type 147/);
  });

  test('a file cut anywhere gives the packets before the cut; damaged bytes never throw', () => {
    const file = pcapFile([1, 2, 3].map((n) => ({ atUs: AT_US + n, bytes: ethernet(tcpPacket(1, 2, n * 5, hello)) })));
    fc.assert(
      fc.property(fc.integer({ min: 24, max: file.length }), (length) => {
        expect(packetsOf(file.subarray(0, length))).toHaveLength(Math.floor((length - 24) / 76));
      }),
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 20, max: file.length - 1 }), fc.nat(255)), { maxLength: 8 }),
        (damage) => {
          const damaged = Uint8Array.from(file);
          for (const [at, value] of damage) damaged[at] = value;
          expect(() => readCapture(damaged)).not.toThrow();
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('readCapture', () => {
  test('a frame over several segments arrives with the one that completes it', () => {
    const frame = commandFrame(7, 2);
    const parts = [frame.subarray(0, 5), frame.subarray(5, 11), frame.subarray(11)] as const;
    const file = pcapFile([
      { atUs: AT_US, bytes: ethernet(tcpPacket(9, 4712, 999, new Uint8Array(0), 0x02)) },
      { atUs: AT_US + 10, bytes: ethernet(tcpPacket(9, 4712, 1000, parts[0])) },
      { atUs: AT_US + 20, bytes: ethernet(tcpPacket(9, 4712, 1011, parts[2])) },
      { atUs: AT_US + 25, bytes: ethernet(tcpPacket(9, 4712, 1000, parts[0])) },
      { atUs: AT_US + 30, bytes: ethernet(tcpPacket(9, 4712, 1005, parts[1])) },
    ]);
    const frames = framesOf(file);
    expect(frames.map(({ atUs, from }) => [atUs, from])).toEqual([[AT_US + 30, { host: '10.0.0.1', port: 9 }]]);
    expect(Buffer.from(frames[0]?.bytes ?? [])).toEqual(Buffer.from(frame));
  });

  const TYPES: Readonly<Record<string, string>> = {
    data: 'DATA',
    configuration2: 'CFG2',
    header: 'HDR',
    command: 'CMD',
  };

  inData.each([
    ['C37.118_1PMU_TCP', 256],
    ['C37.118_1PMU_UDP', 361],
    ['C37.118_2PMUsInSync_TCP', 3010],
    ['c37_1100_clean_tcp', 427],
  ])('every frame of %s with its time, sender, type and bytes', (name, count) => {
    const listed = readFileSync(`${DATA}/frames/${name}.frames.tsv`, 'utf8').trim().split('\n');
    const read = framesOf(readFileSync(`${DATA}/pcap/${name}.pcap`)).map(({ atUs, from, bytes }) => {
      const time = `${Math.floor(atUs / 1e6)}.${String(atUs % 1e6).padStart(6, '0')}`;
      return [time, `${from.host}:${from.port}`, TYPES[typeOf(bytes)], Buffer.from(bytes).toString('hex')].join('\t');
    });
    expect(read).toHaveLength(count);
    expect([...read].sort()).toEqual([...listed].sort());
  });

  inData('a stream that is not in the capture is refused with those that are', () => {
    const frames = framesOf(readFileSync(`${DATA}/pcap/C37.118_2PMUsInSync_TCP.pcap`));
    expect(recordingOf(frames, 61)).toMatchObject({
      detail: expect.stringMatching(/stream 61; it has data of (60, 241|241, 60)/) as string,
    });
    expect(recordingOf(frames, 60)).toMatchObject({ streamId: 60, periodUs: 20_000 });
  });
});
