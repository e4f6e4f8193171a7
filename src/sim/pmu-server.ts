/**
 * `gridcast sim pmu`: a C37.118 data source with simulated PMUs behind it.
 *
 *     slot instant ─> frame for that slot's tag ─> faults ─> delay ─> outlet ─> clients that said ON
 *
 * The tag comes first: the value is computed for it and sent when the wall clock gets there. After a stall what is late by
 * less than a second is sent late with its true tag and the rest skipped; nothing is ever tagged anew.
 */
import { isRefusal, refuse, type Refusal } from '../errors.js';
import { seededRandom } from '../random.js';
import { DataFaults, type FaultCounts } from './data-fault.js';
import { parseDisturbances, type Disturbance } from './disturbance.js';
import { Grid } from './grid.js';
import { noOutletCounts, openCommanded, openSpontaneous, type OutletCounts, type OutletStream } from './outlet.js';
import { Pacer } from './pacer.js';
import { refuseFor, type Simulator, type SimulatorContext } from './simulator.js';
import { MOST_PMUS, SimulatedStream } from './simulated-stream.js';
import { parseRate, type SlotGrid } from './slot-grid.js';
import { parseSocketUri, type SocketUri } from './socket-uri.js';

/** As on the command line; what is missing has a default. */
export interface PmuServerFlags {
  /** `tcp://` or `udp://`: waits for commands there. */
  readonly listen?: string | undefined;
  /** `udp://`: sends there unasked, instead of listening. */
  readonly to?: string | undefined;
  readonly idcode?: string | undefined;
  /** `30` a second, or `1/10`. */
  readonly rate?: string | undefined;
  readonly pmus?: string | undefined;
  /** Hz, 50 or 60; the default goes with the rate. */
  readonly nominal?: string | undefined;
  /** Bits of FORMAT: 1 polar, 2 float phasors, 4 float analogs, 8 float frequency. */
  readonly format?: string | undefined;
  readonly timeBase?: string | undefined;
  /** `NAME[:parameter=number,...]`, see disturbance.ts. */
  readonly disturb?: readonly string[] | undefined;
  readonly seed?: string | undefined;
}

export interface PmuServerOptions {
  readonly way: { readonly kind: 'listen' | 'to'; readonly uri: SocketUri };
  readonly idCode: number;
  readonly slots: SlotGrid;
  readonly pmus: number;
  readonly nominalHz: 50 | 60;
  readonly format: number;
  readonly timeBase: number;
  readonly disturbances: readonly Disturbance[];
  /** Absent: drawn, and logged. */
  readonly seed: number | undefined;
}

export interface PmuServerCounts extends OutletCounts {
  /** Slots whose frame left more than a period late, and those that were skipped. */
  late: number;
  skipped: number;
  readonly faults: FaultCounts;
}

const DEFAULT_LISTEN = 'tcp://127.0.0.1:4712';
const LARGEST_ID = 65_534;
const ALL_FLOAT_POLAR = 15;
const LARGEST_TIME_BASE = 0xff_ffff;
const SEEDS = 2 ** 32;
/** Later than this a slot is not worth sending any more. */
const LATEST_US = 1_000_000;

/** Reads the flags; the first that is wrong is refused by name with what is allowed. */
export function parsePmuServer(flags: PmuServerFlags): PmuServerOptions | Refusal {
  if (flags.listen !== undefined && flags.to !== undefined) {
    return refuse(
      'STATUS_BAD_REQUEST',
      'A source either waits for commands (--listen) or sends unasked (--to), not both.',
    );
  }
  const kind = flags.to === undefined ? 'listen' : 'to';
  const uri = parseSocketUri(`--${kind}`, flags.to ?? flags.listen ?? DEFAULT_LISTEN);
  if (isRefusal(uri)) return uri;
  if (kind === 'to' && (uri.scheme === 'tcp' || uri.port === 0)) {
    return refuse('STATUS_BAD_REQUEST', '--to is udp://HOST:PORT with a port: only UDP can be sent to unasked.');
  }
  const slots = parseRate(flags.rate ?? '30');
  if (isRefusal(slots)) return slots;
  const pmus = whole('--pmus', flags.pmus ?? '1', 1, MOST_PMUS);
  if (isRefusal(pmus)) return pmus;
  // All PMUs' IDCODEs must be ids.
  const idCode = whole('--idcode', flags.idcode ?? '1', 1, LARGEST_ID - pmus + 1);
  if (isRefusal(idCode)) return idCode;
  // Rates of 60 Hz systems divide 60; 25 and 50 a second are those of 50 Hz systems.
  const nominal = flags.nominal ?? (60 % slots.dataRate === 0 ? '60' : '50');
  if (nominal !== '50' && nominal !== '60') {
    return refuse('STATUS_BAD_REQUEST', `--nominal is 50 or 60, not ${JSON.stringify(nominal)}.`);
  }
  const format = whole('--format', flags.format ?? String(ALL_FLOAT_POLAR), 0, ALL_FLOAT_POLAR);
  if (isRefusal(format)) return format;
  const timeBase = whole('--time-base', flags.timeBase ?? '1000000', 1, LARGEST_TIME_BASE);
  if (isRefusal(timeBase)) return timeBase;
  const disturbances = parseDisturbances(flags.disturb ?? ['ambient']);
  if (isRefusal(disturbances)) return disturbances;
  const seed = flags.seed === undefined ? undefined : whole('--seed', flags.seed, 0, SEEDS - 1);
  if (isRefusal(seed)) return seed;
  const nominalHz = nominal === '50' ? 50 : 60;
  return { way: { kind, uri }, idCode, slots, pmus, nominalHz, format, timeBase, disturbances, seed };
}

function whole(option: string, text: string, least: number, most: number): number | Refusal {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (value >= least && value <= most) return value;
  return refuse(
    'STATUS_BAD_REQUEST',
    `${option} is a whole number from ${least} to ${most}, not ${JSON.stringify(text)}.`,
  );
}

/** Runs it until closed. A Refusal: the address can not be had. */
export async function startPmuServer(
  options: PmuServerOptions,
  context: SimulatorContext,
): Promise<Simulator<PmuServerCounts> | Refusal> {
  const { clock, log } = context;
  const { way, slots, idCode, disturbances, seed = context.random.below(SEEDS) } = options;
  const grid = new Grid(options.nominalHz, options.pmus, disturbances, seededRandom(seed));
  const stream = new SimulatedStream(options, grid, disturbances, clock.wallUs());
  // Another sequence than the grid's: what is done to frames must not change what is measured.
  const faults = new DataFaults(disturbances, seededRandom(seed + 1));
  const counters = { ...noOutletCounts(), late: 0, skipped: 0, faults: faults.counts };

  const asked: OutletStream = { streamId: idCode, answer: (command) => stream.answer(command, clock.wallUs()) };
  const open = { ...context, counts: counters };
  const outlet = await (
    way.kind === 'listen' ? openCommanded(way.uri, [asked], open) : openSpontaneous(way.uri, asked, open)
  ).catch((error: unknown) =>
    refuseFor('STATUS_CONFLICT', `${way.uri.scheme}://${way.uri.host}:${way.uri.port}`, error),
  );
  if (isRefusal(outlet)) return outlet;

  const leaving: { readonly frame: Uint8Array; readonly dueUs: number }[] = [];
  const departures = new Pacer(
    clock,
    () => clock.monotonicUs(),
    () => leaving[0]?.dueUs,
    () => {
      const next = leaving.shift();
      if (next) outlet.send(idCode, next.frame);
    },
  );
  const depart = (frame: Uint8Array): void => {
    const dueUs = clock.monotonicUs() + faults.delayMs() * 1000;
    // In order: behind the one before it, however long that waits.
    leaving.push({ frame, dueUs: Math.max(dueUs, leaving.at(-1)?.dueUs ?? 0) });
  };

  let next = slots.firstFrom(clock.wallUs());
  const nextDueUs = (): number => {
    const nowUs = clock.wallUs();
    // A wall clock stepped back makes the slots from there on due again.
    if (slots.us(next) - nowUs > LATEST_US + slots.periodUs) next = slots.firstFrom(nowUs);
    const earliest = slots.firstFrom(nowUs - LATEST_US);
    counters.skipped += Math.max(0, earliest - next);
    next = Math.max(next, earliest);
    return slots.us(next);
  };
  const measure = (): void => {
    if (clock.wallUs() - slots.us(next) > slots.periodUs) counters.late++;
    for (const frame of faults.apply(stream.frame(next))) depart(frame);
    next++;
    departures.wake();
  };
  const measurements = new Pacer(clock, () => clock.wallUs(), nextDueUs, measure);
  measurements.wake();
  log.info({ address: outlet.uri, idcode: idCode, pmus: options.pmus, seed }, 'simulated PMUs');
  return {
    addresses: [outlet.uri],
    counters,
    close() {
      measurements.stop();
      departures.stop();
      return outlet.close();
    },
  };
}
