/** What every simulator takes and gives, whatever it simulates. */
import type { Clock } from '../clock.js';
import type { Disk } from '../disk.js';
import { refuse, type Refusal } from '../errors.js';
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

/** A port in use or a file that can not be read is the user's to mend: the system's own words, and whose they are. */
export function refuseFor(what: string, error: unknown): Refusal {
  return refuse('STATUS_CONFLICT', `${what}: ${error instanceof Error ? error.message : String(error)}.`);
}
