/**
 * Several PMUs in one C37.118 stream, as a data concentrator sends them: the blocks of each member's own frame, byte by byte, side
 * by side under one head.
 *
 *     PMU 61's frame   head | STAT .. | CHK ──┐
 *     PMU 62's frame   head | STAT .. | CHK ──┴──> head of the group | STAT .. | STAT .. | CHK
 *
 * A member that is missing has fillers and STAT 0x8000 [C37.118.2: absent data]. One that has never been there has no
 * configuration yet, and so no block: when it comes the group's configuration changes, and CFGCNT with it. A group that FRAMESIZE is
 * too small for is no stream.
 */
import type { Framed, Measurement } from '../../routing/measurement.js';
import type { Concentrate } from '../../routing/snapshot-content.js';
import {
  configurationBytes,
  decodeConfiguration,
  encodeConfiguration,
  type Configuration,
  type PmuConfiguration,
} from './configuration.js';
import { blockOf, encodeData, layoutOf, type StreamLayout } from './data-frame.js';
import { CHK_BYTES, HEAD_BYTES, LARGEST_FRAME, readHead, seal, VERSION, viewOf, type FrameHead } from './frame.js';
import { TIME_QUALITY, usTag } from './time.js';

const TIME_BASE = 1_000_000;
/** Bits 15-14: absent data filled in. */
const ABSENT_STAT = 0x8000;
const CHANGES = 0xffff;

interface Known {
  /** The CFG-2 that it had when it was there last: the same bytes while it holds. */
  readonly bytes: Uint8Array;
  readonly pmu: PmuConfiguration;
}

/** What all frames of one configuration share. */
interface Stream {
  readonly layout: StreamLayout;
  readonly configuration: Uint8Array;
  /** The frame that nobody is in. */
  readonly empty: Uint8Array;
  /** Of each block, the member whose it is. */
  readonly members: readonly number[];
}

/** @param rate slots per second; below one 1/n */
export function concentratorOf(idCode: number, rate: number): Concentrate {
  const known: (Known | undefined)[] = [];
  let changes = 0;
  let stream: Stream | undefined;
  return (measurements, slotUs) => {
    const before = changes;
    measurements.forEach((measurement, member) => {
      const bytes = measurement?.configuration();
      if (!bytes || known[member]?.bytes === bytes) return;
      const decoded = decodeConfiguration(bytes, 'configuration2');
      const pmu = decoded.kind === 'malformed' ? undefined : decoded.pmus[0];
      if (!pmu) return;
      known[member] = { bytes, pmu };
      changes++;
    });
    if (changes !== before) stream = streamOf(idCode, rate, known, changes & CHANGES);
    return stream && new ConcentratedFrame(stream, measurements, slotUs);
  };
}

class ConcentratedFrame implements Framed {
  constructor(
    private readonly stream: Stream,
    private readonly measurements: readonly (Measurement | undefined)[],
    private readonly slotUs: number,
  ) {}

  frame(): Uint8Array {
    const { layout, empty, members } = this.stream;
    const frame = Uint8Array.from(empty);
    let timeError = 0;
    layout.blocks.forEach(({ statAt, end }, index) => {
      const single = this.measurements[members[index]!]?.frame(); // as many as blocks
      if (single?.length !== HEAD_BYTES + (end - statAt) + CHK_BYTES) return;
      frame.set(single.subarray(HEAD_BYTES, single.length - CHK_BYTES), statAt);
      timeError = Math.max(timeError, readHead(viewOf(single)).timeQuality & TIME_QUALITY.errorMask);
    });
    const view = viewOf(frame);
    const tag = usTag(this.slotUs, TIME_BASE);
    view.setUint32(SOC_AT, tag.soc);
    // The worst clock of those that are in it.
    view.setUint32(FRACSEC_AT, timeError * 2 ** 24 + tag.fraction);
    seal(frame);
    return frame;
  }

  configuration(): Uint8Array {
    return this.stream.configuration;
  }
}

const SOC_AT = 6;
const FRACSEC_AT = 10;

function streamOf(
  idCode: number,
  rate: number,
  known: readonly (Known | undefined)[],
  changes: number,
): Stream | undefined {
  const head: FrameHead = { version: VERSION, streamId: idCode, soc: 0, fraction: 0, timeQuality: 0 };
  const there = known.flatMap((each, member) => (each ? [{ pmu: each.pmu, member }] : []));
  const configuration: Configuration = {
    kind: 'configuration2',
    ...head,
    timeBase: TIME_BASE,
    timeBaseFlags: 0,
    pmus: there.map(({ pmu }) => ({ ...pmu, configurationCount: changes })),
    dataRate: rate >= 1 ? rate : -Math.round(1 / rate),
  };
  const layout = layoutOf(configuration);
  if (Math.max(layout.frameBytes, configurationBytes(configuration)) > LARGEST_FRAME) return undefined;
  const absent = { stat: ABSENT_STAT, frequencyHz: NaN, rocofHzPerS: NaN, phasors: [], digitals: [] };
  const blocks = configuration.pmus.map((pmu) => blockOf({ ...absent, analogs: pmu.analogs.map(() => NaN) }, pmu));
  return {
    layout,
    configuration: encodeConfiguration(configuration),
    empty: encodeData({ kind: 'data', ...head, blocks }, layout),
    members: there.map(({ member }) => member),
  };
}
