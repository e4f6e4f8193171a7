/**
 * One C37.118 stream of simulated PMUs: the grid's state at a slot as the data frame that says so, and the configuration
 * that reads it. Pure: a frame is a function of its slot.
 *
 *     stream IDCODE n ── PMU IDCODE n     bus 0   VA VB VC IA IB IC   MW   breaker
 *                     ├─ PMU IDCODE n+1   bus 1   ...
 *                     └─ ...
 */
import { encode } from '../protocols/c37118/codec.js';
import { COMMANDS, encodeHeader } from '../protocols/c37118/command.js';
import {
  encodeConfiguration,
  phasorUnit,
  type Configuration,
  type PmuConfiguration,
} from '../protocols/c37118/configuration.js';
import { configuration3Of } from '../protocols/c37118/configuration3.js';
import { blockOf, encodeData, layoutOf, type PmuValues, type StreamLayout } from '../protocols/c37118/data-frame.js';
import { VERSION, type FrameHead } from '../protocols/c37118/frame.js';
import { STAT } from '../protocols/c37118/stat.js';
import { usTag } from '../protocols/c37118/time.js';
import { named, occurrence, type Disturbance } from './disturbance.js';
import type { BusState, Grid } from './grid.js';
import type { SlotGrid } from './slot-grid.js';

/** What the stream is, apart from what happens on its grid. */
export interface StreamShape {
  /** IDCODE of the stream and of its first PMU; the others count on from it. */
  readonly idCode: number;
  /** Bits of FORMAT. */
  readonly format: number;
  readonly timeBase: number;
  readonly slots: SlotGrid;
}

/** More, and a CFG-2 would not fit into a datagram. */
export const MOST_PMUS = 150;

/** 16-bit phasors: 10 V and 0.1 A a bit hold twice the system's voltage and five times its current. */
const VOLTS_PER_BIT = 10;
const AMPERES_PER_BIT = 0.1;
/** ANUNIT: an RMS value, counted in whole MW with 16 bits. */
const MEGAWATTS = 0x0100_0001;
const FNOM_50 = 1;
const BREAKER_CLOSED = 1;
const POINTS = ['BREAKER 1'];

export class SimulatedStream {
  private readonly firstSlot: number;
  private current: { readonly changes: number; readonly layout: StreamLayout } | undefined;

  /** @param startUs wall clock when the grid begins */
  constructor(
    readonly shape: StreamShape,
    private readonly grid: Grid,
    private readonly disturbances: readonly Disturbance[],
    startUs: number,
  ) {
    this.firstSlot = shape.slots.firstFrom(startUs);
  }

  /** The data frame of a slot. */
  frame(slot: number): Uint8Array {
    const { slots, timeBase } = this.shape;
    const t = slots.secondsBetween(this.firstSlot, slot);
    const layout = this.layoutAt(t);
    const lock = this.lockAt(t);
    const stat =
      lock.stat | (this.changesBy(t, 'announced') > this.changesBy(t, 'done') ? STAT.configurationChange : 0);
    const states = this.grid.at(t);
    const blocks = layout.blocks.map(({ pmu }, index) => blockOf(valuesOf(states[index], stat), pmu));
    const head = this.head(slots.tag(slot, timeBase), lock.timeQuality);
    return encodeData({ kind: 'data', ...head, blocks }, layout);
  }

  /** What it answers to a command at an instant; `undefined`: nothing, as the standard has it for what is not offered. */
  answer(command: number, wallUs: number): Uint8Array | undefined {
    const head = this.head(usTag(wallUs, this.shape.timeBase), 0);
    switch (command) {
      case COMMANDS.sendHeader: {
        const names = this.disturbances.map(({ name }) => name).join(' ');
        return encodeHeader({ kind: 'header', ...head, text: `Gridcast simulated PMUs: ${this.grid.pmus}, ${names}` });
      }
      case COMMANDS.sendConfiguration1:
        return encodeConfiguration(this.configuration('configuration1', head, wallUs));
      case COMMANDS.sendConfiguration2:
        return encodeConfiguration(this.configuration('configuration2', head, wallUs));
      case COMMANDS.sendConfiguration3:
        return encode(configuration3Of(this.configuration('configuration2', head, wallUs)));
      default:
        return undefined;
    }
  }

  /** An announced change is told to who asks: until STAT 10 is 0 again a client keeps the old one for decoding. */
  private configuration(kind: Configuration['kind'], head: FrameHead, wallUs: number): Configuration {
    const t = (wallUs - this.shape.slots.us(this.firstSlot)) / 1e6;
    return this.configured(kind, head, this.changesBy(t, 'announced'));
  }

  private configured(kind: Configuration['kind'], head: FrameHead, changes: number): Configuration {
    const { timeBase, slots } = this.shape;
    const pmus = Array.from({ length: this.grid.pmus }, (_, index) => this.pmu(index, changes));
    return { kind, ...head, timeBase, timeBaseFlags: 0, pmus, dataRate: slots.dataRate };
  }

  private pmu(index: number, changes: number): PmuConfiguration {
    const volts = phasorUnit('V', VOLTS_PER_BIT);
    const amperes = phasorUnit('A', AMPERES_PER_BIT);
    return {
      stationName: `STATION ${index + 1}`,
      idCode: this.shape.idCode + index,
      format: this.shape.format,
      phasors: [
        ...['VA', 'VB', 'VC'].map((name) => ({ name, unit: volts })),
        ...['IA', 'IB', 'IC'].map((name) => ({ name, unit: amperes })),
      ],
      analogs: changes % 2 === 0 ? [{ name: 'LINE MW', unit: MEGAWATTS }] : [],
      digitals: [{ names: POINTS, normalState: BREAKER_CLOSED, validInputs: 1 }],
      nominalFrequency: this.grid.nominalHz === 50 ? FNOM_50 : 0,
      configurationCount: changes & 0xffff,
    };
  }

  private layoutAt(t: number): StreamLayout {
    const changes = this.changesBy(t, 'done');
    if (this.current?.changes !== changes) {
      const head = this.head({ soc: 0, fraction: 0 }, 0);
      this.current = { changes, layout: layoutOf(this.configured('configuration2', head, changes)) };
    }
    return this.current.layout;
  }

  private changesBy(t: number, stage: 'announced' | 'done'): number {
    return named(this.disturbances, 'configuration-change').reduce((count, change) => {
      return count + occurrence(stage === 'done' ? t : t + change.ahead, change).count;
    }, 0);
  }

  /** STAT and time quality byte, as far as the receiver of GPS time goes. */
  private lockAt(t: number): { readonly stat: number; readonly timeQuality: number } {
    const lost = named(this.disturbances, 'loss-of-lock').find((loss) => occurrence(t, loss).elapsed < loss.for);
    if (!lost) return { stat: 0, timeQuality: 0 };
    return unlocked(occurrence(t, lost).elapsed);
  }

  private head(tag: { readonly soc: number; readonly fraction: number }, timeQuality: number): FrameHead {
    return { version: VERSION, streamId: this.shape.idCode, timeQuality, ...tag };
  }
}

/** Of an oven crystal without GPS. */
const DRIFT_S_PER_S = 1e-6;

/** What a PMU says of itself `elapsedS` seconds after it has lost its clock [C37.118.2 STAT, MSG_TQ]. */
function unlocked(elapsedS: number): { readonly stat: number; readonly timeQuality: number } {
  // Exponent of the power of ten that the error stays below: 1 us a second is 10^-6 s after the first.
  const exponent = Math.ceil(Math.log10(Math.max(1, elapsedS) * DRIFT_S_PER_S));
  const clamp = (value: number, most: number): number => Math.max(1, Math.min(most, value));
  const [timeQuality, pmuTimeQuality] = [clamp(exponent + 10, 9), clamp(exponent + 8, 7)];
  const unlockedTime = elapsedS < 10 ? 0 : elapsedS < 100 ? 1 : elapsedS < 1000 ? 2 : 3;
  return { stat: STAT.unsynchronised | (pmuTimeQuality << 6) | (unlockedTime << 4), timeQuality };
}

function valuesOf(state: BusState | undefined, stat: number): PmuValues {
  if (!state) throw new Error('the grid has a bus for every PMU of its stream');
  return {
    stat,
    frequencyHz: state.frequencyHz,
    rocofHzPerS: state.rocofHzPerS,
    phasors: [...state.voltages, ...state.currents],
    analogs: [state.megawatts],
    digitals: [state.isBreakerClosed ? BREAKER_CLOSED : 0],
  };
}
