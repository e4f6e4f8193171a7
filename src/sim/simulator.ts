/** What every simulator takes and gives, whatever it simulates. */
import type { Clock } from '../clock.js';
import type { Disk } from '../disk.js';
import { refuse, type Refusal, type Status } from '../errors.js';
import type { Log } from '../log.js';
import type { Network } from '../network.js';
import type { Random } from '../random.js';

export interface SimulatorContext {
  readonly clock: Clock;
  readonly network: Network;
  readonly random: Random;
  readonly log: Log;
}

export interface DiskContext extends SimulatorContext {
  readonly disk: Disk;
}

/** One that runs. */
export interface Simulator<Counts> {
  /** Where it listens or sends, as URIs, in the order they were asked for. */
  readonly addresses: readonly string[];
  /** Only rising. */
  readonly counters: Counts;
  /** Stops and lets go of every socket and timer. */
  close(): Promise<void>;
}

/** A port in use, a file that is not there: the user's to mend, in the system's own words. */
export function refuseFor(status: Status, what: string, error: unknown): Refusal {
  const why = typeof error === 'object' && error !== null && 'message' in error ? error.message : error;
  return refuse(status, `${what}: ${String(why)}.`);
}
