/**
 * One PMU's part of a data frame as the broker's `Measurement`. Most samples pass through with nobody looking inside, so it
 * holds the frame's bytes and reads a value when it is asked for, anew each time; in its history it is the bytes alone.
 *
 *     frame of stream 60 ── PMU 61's block ──> Measurement ── frame() ──────────> data frame of stream 61, that block alone
 *                                                          └─ configuration() ─> its CFG-2
 */
import type {
  Measurement,
  PackedForm,
  Phasor,
  PmuDescriptor,
  Processed,
  Processing,
} from '../../routing/measurement.js';
import { QUALITY } from '../../routing/sample.js';
import {
  encodeConfiguration,
  FORMAT,
  isCurrent,
  nominalHz,
  reportingRate,
  type ChannelConfiguration,
  type Configuration,
  type PmuConfiguration,
} from './configuration.js';
import {
  blockOf,
  encodeData,
  layoutOf,
  readAnalog,
  readDigital,
  readFrequency,
  readFirst,
  readSecond,
  readRocof,
  type BlockLayout,
  type StreamLayout,
} from './data-frame.js';
import { CHK_BYTES, HEAD_BYTES, readHead, seal, SIZE_AT, STREAM_ID_AT, viewOf } from './frame.js';
import { dataError, STAT, worstStat } from './stat.js';
import { TIME_QUALITY } from './time.js';
import { analogOf, angleOf, frequencyHz, magnitudeOf, rocofHzPerS } from './units.js';

/** A dead PMU behind a concentrator may send STAT 0 and a wrapped FREQ that reads 65.536 Hz: further off is no grid. */
const LARGEST_DEVIATION_HZ = 5;
/** Below this every voltage is none: a frequency beside it was measured on nothing. Lines are kV, secondaries tens of V. */
const NO_VOLTAGE_V = 1e-3;
/** FORMAT of phasors whose numbers stand in the frame as magnitude in V or A and angle in radians. */
const AS_SENT = FORMAT.phasorsFloat | FORMAT.polar;
const FLOAT_BYTES = 4;

/** What the frames of one stream mean: made once per configuration, shared by all its measurements. */
export interface PmuStream {
  readonly layout: StreamLayout;
  readonly pmus: readonly StreamPmu[];
}

export interface StreamPmu {
  readonly descriptor: PmuDescriptor;
  readonly block: BlockLayout;
  /** The CFG-2 of this PMU alone, and what its frames look like. */
  readonly configuration: Uint8Array;
  readonly single: StreamLayout;
  readonly packed: PackedFrame;
}

export function streamOf(configuration: Configuration): PmuStream {
  const layout = layoutOf(configuration);
  const pmus = layout.blocks.map((block) => {
    const alone = singlePmuConfiguration(configuration, block.pmu);
    const descriptor = descriptorOf(block.pmu, configuration);
    const packed = new PackedFrame(descriptor, encodeConfiguration(alone), layoutOf(alone));
    return { ...packed.pmu, block };
  });
  return { layout, pmus };
}

function descriptorOf(pmu: PmuConfiguration, configuration: Configuration): PmuDescriptor {
  return {
    idCode: pmu.idCode,
    streamId: configuration.streamId,
    stationName: shownName(pmu.stationName),
    nominalHz: nominalHz(pmu),
    reportingRate: reportingRate(configuration),
    phasors: pmu.phasors.map((channel) => ({ name: shownName(channel.name), unit: isCurrent(channel) ? 'A' : 'V' })),
    analogs: pmu.analogs.map((channel) => ({ name: shownName(channel.name), kind: analogKind(channel) })),
    digitals: pmu.digitals.flatMap(({ names }) => names.map(shownName)),
    configurationCount: pmu.configurationCount,
  };
}

/** Names may hold NULs, most often as padding. */
const shownName = (name: string): string => name.replaceAll('\0', ' ').trim();

const ANALOG_KINDS = ['point-on-wave', 'rms', 'peak'] as const;
const analogKind = ({ unit }: ChannelConfiguration): 'point-on-wave' | 'rms' | 'peak' | 'user' =>
  ANALOG_KINDS[unit >>> 24] ?? 'user';

/** A PMU that is alone in its stream keeps the stream's id, so that its frames pass as they came. */
function singlePmuConfiguration(configuration: Configuration, pmu: PmuConfiguration): Configuration {
  const isAlone = configuration.pmus.length === 1;
  const streamId = isAlone ? configuration.streamId : pmu.idCode;
  return { ...configuration, kind: 'configuration2', streamId, pmus: [pmu] };
}

/** One PMU's frame in a history: the stream's head and the PMU's block. It comes back as the data frame of that PMU alone. */
class PackedFrame implements PackedForm {
  /** The PMU alone in its stream. */
  readonly pmu: StreamPmu;
  readonly bytes: number;

  constructor(
    descriptor: PmuDescriptor,
    configuration: Uint8Array,
    private readonly single: StreamLayout,
  ) {
    this.bytes = single.frameBytes - CHK_BYTES;
    this.pmu = { descriptor, block: single.blocks[0]!, configuration, single, packed: this }; // of one PMU
  }

  read(from: Buffer, at: number): FrameMeasurement {
    const frame = this.emptyFrame();
    from.copy(frame, 0, at, at + this.bytes);
    this.address(frame, 0);
    seal(frame);
    const view = viewOf(frame);
    return new FrameMeasurement(view, readHead(view).timeQuality, this.single, this.pmu);
  }

  /** Pooled: an array buffer and its views for each of 3,000 small frames a second are felt by the collector. */
  emptyFrame(): Buffer {
    return Buffer.allocUnsafe(this.single.frameBytes);
  }

  /** Makes of what lies packed at `at` a frame of this PMU, but for its CHK: its id for the stream's, and its size. */
  address(frame: Buffer, at: number): void {
    frame.writeUInt16BE(this.single.frameBytes, at + SIZE_AT);
    frame.writeUInt16BE(this.single.configuration.streamId, at + STREAM_ID_AT);
  }
}

export class FrameMeasurement implements Measurement {
  /**
   * @param view a checked data frame of the stream's exact length
   * @param timeQuality of that frame
   */
  constructor(
    private readonly view: DataView,
    readonly timeQuality: number,
    private readonly layout: StreamLayout,
    private readonly pmu: StreamPmu,
    readonly processing?: Processing,
  ) {}

  get descriptor(): PmuDescriptor {
    return this.pmu.descriptor;
  }

  get stat(): number {
    return this.view.getUint16(this.pmu.block.statAt);
  }

  get frequencyHz(): number {
    return this.isPlausible ? this.sentHz : NaN;
  }

  get rocofHzPerS(): number {
    return rocofHzPerS(readRocof(this.view, this.pmu.block), this.pmu.block.pmu);
  }

  get phasors(): readonly Phasor[] {
    return this.pmu.block.pmu.phasors.map((_, index) => ({
      magnitude: this.magnitude(index),
      angle: this.angle(index),
    }));
  }

  writeNumbers(into: Float64Array): number {
    const { view, pmu } = this;
    const { block } = pmu;
    let at = 0;
    into[at++] = this.stat;
    into[at++] = this.timeQuality;
    into[at++] = this.frequencyHz;
    into[at++] = this.rocofHzPerS;
    at = this.writePhasors(into, at);
    for (let index = 0; index < block.pmu.analogs.length; index++)
      into[at++] = analogOf(readAnalog(view, block, index), block.pmu);
    for (let index = 0; index < block.pmu.digitals.length; index++) into[at++] = readDigital(view, block, index);
    return at;
  }

  /** What is sent as floats in polar form is read in one loop: each number that a function returns may become an object. */
  private writePhasors(into: Float64Array, at: number): number {
    const { view, pmu } = this;
    const { phasorsAt, pmu: channels } = pmu.block;
    const count = channels.phasors.length;
    if ((channels.format & AS_SENT) === AS_SENT) {
      for (let n = 0; n < 2 * count; n++) into[at + n] = view.getFloat32(phasorsAt + n * FLOAT_BYTES);
    } else {
      for (let index = 0; index < count; index++) {
        into[at + 2 * index] = this.magnitude(index);
        into[at + 2 * index + 1] = this.angle(index);
      }
    }
    return at + 2 * count;
  }

  get analogs(): readonly number[] {
    const { block } = this.pmu;
    return block.pmu.analogs.map((_, index) => analogOf(readAnalog(this.view, block, index), block.pmu));
  }

  get digitals(): readonly number[] {
    const { block } = this.pmu;
    return block.pmu.digitals.map((_, index) => readDigital(this.view, block, index));
  }

  /**
   * Whether the values can come from a grid, whatever STAT says: at most 5 Hz off nominal, and a voltage where any is measured.
   * An absent value (NaN) is not implausible.
   */
  get isPlausible(): boolean {
    const { pmu } = this.pmu.block;
    if (Math.abs(this.sentHz - nominalHz(pmu)) > LARGEST_DEVIATION_HZ) return false;
    let hasVoltage = false;
    for (let index = 0; index < pmu.phasors.length; index++) {
      if (isCurrent(this.channel(index))) continue;
      if (!(this.magnitude(index) < NO_VOLTAGE_V)) return true;
      hasVoltage = true;
    }
    return !hasVoltage;
  }

  /** Bits of QUALITY as far as the frame tells them; whether the tag is reasonable takes a clock. */
  get quality(): number {
    const { stat } = this;
    const isLocked = (stat & STAT.unsynchronised) === 0 && (this.timeQuality & TIME_QUALITY.errorMask) === 0;
    const isValid = dataError(stat) === 'good' && this.isPlausible;
    return (
      (isLocked ? 0 : QUALITY.unsynchronised) |
      (isValid ? 0 : QUALITY.dataInvalid) |
      (stat & STAT.byArrival ? QUALITY.byArrival : 0)
    );
  }

  frame(): Uint8Array {
    const { buffer, byteOffset, byteLength } = this.view;
    if (this.isAlone) return new Uint8Array(buffer, byteOffset, byteLength);
    const frame = this.pmu.packed.emptyFrame();
    this.writeFrame(frame, 0);
    seal(frame);
    return frame;
  }

  get frameBytes(): number {
    return this.pmu.single.frameBytes;
  }

  writeFrame(into: Buffer, at: number): void {
    const { view } = this;
    if (this.isAlone) {
      for (let n = 0; n < view.byteLength; n++) into[at + n] = view.getUint8(n);
    } else {
      const { packed } = this.pmu;
      this.pack(into, at);
      packed.address(into, at);
      into.writeUInt16BE(0, at + packed.bytes);
    }
  }

  /** Its frame is as it was sent. */
  private get isAlone(): boolean {
    return this.layout.configuration.pmus.length === 1;
  }

  /** What was processed says so beside its frame, and is in no history. */
  get packed(): PackedForm | undefined {
    return this.processing ? undefined : this.pmu.packed;
  }

  pack(into: Buffer, at: number): void {
    const { view, pmu } = this;
    const { statAt, end } = pmu.block;
    // Byte by byte: cheaper than views of so few.
    for (let n = 0; n < HEAD_BYTES; n++) into[at + n] = view.getUint8(n);
    for (let n = statAt; n < end; n++) into[at + HEAD_BYTES + n - statAt] = view.getUint8(n);
  }

  configuration(): Uint8Array {
    return this.pmu.configuration;
  }

  remade(values: Processed, from: readonly Measurement[], processing: Processing): Measurement {
    const { single, packed } = this.pmu;
    const { block } = packed.pmu;
    const stat = worstStat([this, ...from].map((each) => each.stat)) | STAT.modified;
    const error = Math.max(...[this, ...from].map((each) => each.timeQuality & TIME_QUALITY.errorMask));
    const timeQuality = (this.timeQuality & ~TIME_QUALITY.errorMask) | error;
    const head = { ...readHead(this.view), streamId: single.configuration.streamId, timeQuality };
    const blocks = [blockOf({ ...values, stat }, block.pmu)];
    const view = viewOf(encodeData({ kind: 'data', ...head, blocks }, single));
    return new FrameMeasurement(view, timeQuality, single, packed.pmu, processing);
  }

  private get sentHz(): number {
    return frequencyHz(readFrequency(this.view, this.pmu.block), this.pmu.block.pmu);
  }

  /** `index` runs over the PMU's own channels. */
  private channel(index: number): ChannelConfiguration {
    return this.pmu.block.pmu.phasors[index]!; // as above
  }

  private magnitude(index: number): number {
    const { view, pmu } = this;
    const [first, second] = [readFirst(view, pmu.block, index), readSecond(view, pmu.block, index)];
    return magnitudeOf(first, second, this.channel(index), pmu.block.pmu.format);
  }

  private angle(index: number): number {
    const { view, pmu } = this;
    return angleOf(readFirst(view, pmu.block, index), readSecond(view, pmu.block, index), pmu.block.pmu.format);
  }
}
