/** The daemon: a broker on the machine's own clock, network and randomness, with signals and exit codes. */
import { Broker } from './broker.js';
import { systemClock } from './clock.js';
import type { Config } from './config.js';
import { systemDisk } from './disk.js';
import { reasonOf, refuse, type Refusal } from './errors.js';
import { coapListener, httpListener, shown } from './listeners.js';
import { openLog } from './log.js';
import { systemNetwork, type Address } from './network.js';
import { systemRandom } from './random.js';
import { lockFolder } from './store/folder-lock.js';
import { JournalStore } from './store/journal-store.js';
import { openLevel } from './store/level.js';

/** Restarting has not helped: the service manager's turn [sysexits: EX_SOFTWARE]. */
const EXIT_BROKEN = 70;
/** Draining takes at most this; then the process ends all the same. */
const DRAIN_LIMIT_MS = 5_000;
const EXIT_INTERRUPTED = 130;

export interface DaemonAddresses {
  /** `127.0.0.1:8080`; WebSocket is there too. */
  readonly http: string;
  readonly coap: string;
}

export interface Daemon {
  readonly addresses: DaemonAddresses;
  readonly broker: Broker;
  /** Resolves when the daemon has stopped, with what the process should exit with. */
  readonly closed: Promise<number>;
  /** Drains and stops. */
  stop(): Promise<void>;
}

/** Starts a broker that stops on SIGTERM and SIGINT; a second signal ends it at once. Refused: it cannot listen or attach. */
export async function serve(config: Config): Promise<Daemon | Refusal> {
  const log = openLog(config.logLevel, process.stderr.isTTY);
  const bound: { http?: Address; coap?: Address } = {};
  const note = (name: 'http' | 'coap', at: Address): void => void (bound[name] = at);
  const machine = { clock: systemClock, random: systemRandom, network: systemNetwork, disk: systemDisk, log };
  const store = new JournalStore({ ...machine, folder: config.data, lock: lockFolder });
  const history = { disk: systemDisk, folder: `${config.data}/history`, openIndex: openLevel };
  const surroundings = { ...machine, store, history };
  const broker = new Broker(config, surroundings, [httpListener(note), coapListener(note)]);
  broker.metrics.exposeProcess();

  let close: (exitCode: number) => void = () => {};
  const closed = new Promise<number>((resolve) => (close = resolve));
  let isStopping = false;
  const stop = async (exitCode: number): Promise<void> => {
    if (isStopping) return;
    isStopping = true;
    const overdue = systemClock.after(DRAIN_LIMIT_MS, () => close(exitCode));
    await broker.stop();
    overdue();
    close(exitCode);
  };
  const onSignal = (): void => {
    if (isStopping) process.exit(EXIT_INTERRUPTED);
    log.info('stopping: listeners close, peers are told; a second signal ends at once');
    void stop(0);
  };

  try {
    const refusal = await broker.start((error) => {
      log.error({ err: error }, 'restarting did not help; giving up');
      close(EXIT_BROKEN);
    });
    if (refusal) {
      await broker.stop();
      return refusal;
    }
  } catch (error) {
    return refuse('STATUS_SERVICE_UNAVAILABLE', `The broker could not start: ${reasonOf(error)}.`);
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, onSignal);
  void closed.then(() => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.off(signal, onSignal);
  });
  return { addresses: { http: shown(bound.http), coap: shown(bound.coap) }, broker, closed, stop: () => stop(0) };
}
