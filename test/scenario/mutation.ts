/** Messages gone wrong, from a seed: valid ones with some of their bytes changed, moved, missing or doubled, and plain noise. */
import type { Random } from '../../src/random.js';

/** One message in so many is noise from end to end. */
const NOISE_SHARE = 8;
const LONGEST_NOISE = 200;
const MOST_CHANGES = 4;
/** Bytes on which lengths, markers and types turn. */
const EDGES = [0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff, 0x0d, 0x0e, 0x22, 0x7b];

type Change = (bytes: Buffer) => Buffer;

export class Mutation {
  private readonly changes: readonly Change[];

  constructor(
    private readonly random: Random,
    private readonly valid: readonly Uint8Array[],
  ) {
    const at = (bytes: Buffer): number => random.below(bytes.length + 1);
    const span = (bytes: Buffer): [number, number] => {
      const start = at(bytes);
      return [start, start + random.below(16)];
    };
    const write = (bytes: Buffer, value: (old: number) => number): Buffer => {
      const place = random.below(Math.max(1, bytes.length));
      if (bytes.length > 0) bytes[place] = value(bytes[place] ?? 0);
      return bytes;
    };
    this.changes = [
      (bytes) => write(bytes, (old) => old ^ (1 << random.below(8))),
      (bytes) => write(bytes, () => EDGES[random.below(EDGES.length)] ?? 0),
      (bytes) => write(bytes, () => random.below(256)),
      (bytes) => bytes.subarray(0, at(bytes)),
      (bytes) => cut(bytes, ...span(bytes), Buffer.alloc(0)),
      (bytes) => cut(bytes, at(bytes), 0, Buffer.from(random.bytes(random.below(16)))),
      (bytes) => {
        const [start, end] = span(bytes);
        return cut(bytes, start, start, bytes.subarray(start, end));
      },
      (bytes) => {
        const other = this.pick();
        return Buffer.concat([bytes.subarray(0, at(bytes)), other.subarray(at(other))]);
      },
    ];
  }

  /** The next; now and then as valid as it was. */
  next(): Buffer {
    const { random } = this;
    if (random.below(NOISE_SHARE) === 0) return Buffer.from(random.bytes(random.below(LONGEST_NOISE)));
    let bytes: Buffer = this.pick();
    for (let left = random.below(MOST_CHANGES + 1); left > 0; left--) {
      bytes = this.changes[random.below(this.changes.length)]?.(bytes) ?? bytes;
    }
    return bytes;
  }

  private pick(): Buffer {
    return Buffer.from(this.valid[this.random.below(this.valid.length)] ?? []);
  }
}

/** What stands from `start` to `end` gives way to `instead`. */
const cut = (bytes: Buffer, start: number, end: number, instead: Buffer): Buffer =>
  Buffer.concat([bytes.subarray(0, start), instead, bytes.subarray(Math.max(start, end))]);
