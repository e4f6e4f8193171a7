/** What the simulator sends, read by somebody else: every FORMAT, without a complaint and with the values that were meant. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seededRandom } from '../../src/random.js';
import { parseDisturbances } from '../../src/sim/disturbance.js';
import { Grid } from '../../src/sim/grid.js';
import { SimulatedStream } from '../../src/sim/simulated-stream.js';
import { SlotGrid } from '../../src/sim/slot-grid.js';
import { ethernet, pcapFile, udpPacket } from './pcap-file.js';

const isThere = spawnSync('tshark', ['--version']).status === 0;
if (!isThere) console.warn('skipped: decode by tshark, because tshark is not there');
const withTshark = isThere ? test : test.skip;

const START_US = Date.UTC(2026, 0, 1) * 1000;
const [HEADER, CFG1, CFG2] = [3, 4, 5];
const SLOTS = 30;

/** The frames of a stream and of its configuration, header last, as captured on its way to a client. */
function captureOf(format: number): Uint8Array {
  const disturbances = parseDisturbances([
    'ambient',
    'generator-trip:at=0.2',
    'voltage-sag:at=0.3',
    'loss-of-lock:at=0.5',
  ]);
  if ('status' in disturbances) throw new Error(disturbances.detail);
  const slots = new SlotGrid(30);
  const grid = new Grid(60, 3, disturbances, seededRandom(1));
  const stream = new SimulatedStream({ idCode: 7, format, timeBase: 1_000_000, slots }, grid, disturbances, START_US);
  const first = slots.firstFrom(START_US);
  const answers = [CFG2, CFG1, HEADER].map((command) => stream.answer(command, START_US) ?? new Uint8Array(0));
  const frames = [...answers, ...Array.from({ length: SLOTS }, (_, k) => stream.frame(first + k))];
  return pcapFile(
    frames.map((bytes, k) => ({ atUs: START_US + k * 1000, bytes: ethernet(udpPacket(4712, 50_000, bytes)) })),
  );
}

function tshark(file: Uint8Array, ...args: string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'gridcast-'));
  try {
    const path = join(folder, 'sim.pcap');
    writeFileSync(path, file);
    const { stdout, status, stderr } = spawnSync('tshark', ['-r', path, '-d', 'udp.port==4712,synphasor', ...args], {
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
    });
    if (status !== 0) throw new Error(stderr);
    return stdout.split('\n').filter((line) => line !== '');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

withTshark.each([...Array(16).keys()])('FORMAT %i', (format) => {
  const file = captureOf(format);
  const text = tshark(file, '-V').join('\n');
  expect(text).not.toMatch(/malformed|incorrect|bad checksum|unreassembled|exception/i);
  expect(text.match(/Checksum Status: Good/g)).toHaveLength(3 + SLOTS);
  const frequencies = [...text.matchAll(/(?:Actual frequency value|actual frequency): ([\d.]+)/g)].map(([, hz]) =>
    Number(hz),
  );
  expect(frequencies).toHaveLength(3 * SLOTS);
  const disturbances = parseDisturbances(['ambient', 'generator-trip:at=0.2']);
  if ('status' in disturbances) throw new Error(disturbances.detail);
  const grid = new Grid(60, 3, disturbances, seededRandom(1));
  const meant = [...Array(SLOTS).keys()].flatMap((k) => grid.at(k / 30).map(({ frequencyHz }) => frequencyHz));
  frequencies.forEach((hz, index) => expect(Math.abs(hz - (meant[index] ?? NaN))).toBeLessThan(0.002));
});
