/** An independent reader of C37.118: what tshark's dissector says of frames. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const hasTshark = spawnSync('tshark', ['--version']).status === 0;
/** `describe` where tshark is, a named skip where not. */
export const describeJudged: jest.Describe = hasTshark ? describe : describe.skip;
const PORT = 4713;
/** DLT_RAW: packets begin with their IP header. */
const LINK_TYPE_RAW = 101;

/** A capture file with each frame as a UDP datagram to port 4713. */
function pcapOf(frames: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65535, 16);
  header.writeUInt32LE(LINK_TYPE_RAW, 20);
  const packets = frames.map((frame) => {
    const bytes = 28 + frame.length;
    const packet = Buffer.alloc(16 + 28);
    packet.writeUInt32LE(bytes, 8);
    packet.writeUInt32LE(bytes, 12);
    // IPv4, UDP; checksums are left 0, which nobody looks at.
    packet.set([0x45, 0, bytes >> 8, bytes & 0xff, 0, 0, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1], 16);
    packet.writeUInt16BE(40000, 36);
    packet.writeUInt16BE(PORT, 38);
    packet.writeUInt16BE(8 + frame.length, 40);
    return Buffer.concat([packet, frame]);
  });
  return Buffer.concat([header, ...packets]);
}

/** tshark's words for each frame. */
export function judge(frames: readonly Uint8Array[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'gridcast-'));
  try {
    const file = join(folder, 'frames.pcap');
    writeFileSync(file, pcapOf(frames));
    const run = spawnSync('tshark', ['-r', file, '-d', `udp.port==${PORT},synphasor`, '-O', 'synphasor'], {
      encoding: 'utf8',
    });
    return run.stdout.split(/^Frame \d+:/m).slice(1);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** As the protocol tree of one field each: tshark prints what it read, in the order it read it. */
export const fieldsOf = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map(([, value = '']) => value);
