/** The daemon: a broker on the machine's own clock, network and randomness, with signals and exit codes. */
import { Broker } from './broker.js';
import { systemClock } from './clock.js';
import type { Config } from './config.js';
import { systemDisk } from './disk.js';
import { isRefusal, reasonOf, refuse, type Refusal } from './errors.js';
import { listenersOf, type Bound } from './listeners.js';
import { openLog, type Log } from './log.js';
import { addressKey, systemNetwork } from './network.js';
import { loadLibc } from './network/libc.js';
import { systemRandom } from './random.js';
import { Security } from './security.js';
import { lockFolder } from './store/folder-lock.js';
import { historyFolder } from './store/layout.js';
import { JournalStore } from './store/journal-store.js';
import { openLevel } from './store/level.js';

/** Restarting has not helped: the service manager's turn [sysexits: EX_SOFTWARE]. */
const EXIT_BROKEN = 70;
/** Draining takes at most this; then the process ends all the same. */
const DRAIN_LIMIT_MS = 5_000;
const EXIT_INTERRUPTED = 130;

/** One listener that stands. */
export interface Listening {
  /** WebSocket is where HTTP is. */
  readonly protocol: Parameters<Bound>[0];
  /** `127.0.0.1:8080` */
  readonly authority: string;
}

export interface Daemon {
  /** In the order of the configuration. */
  readonly listening: readonly Listening[];
  readonly broker: Broker;
  /** Resolves when the daemon has stopped, with what the process should exit with. */
  readonly closed: Promise<number>;
  /** Drains and stops. */
  stop(): Promise<void>;
}

/**
 * Starts a broker that stops on SIGTERM and SIGINT; a second signal ends it at once. Certificates and keys
 * are read again when they have changed, and on SIGHUP. Refused: it cannot listen or attach.
 */
export async function serve(config: Config): Promise<Daemon | Refusal> {
  const log = openLog(config.logLevel, process.stderr.isTTY);
  const datagrams = loadLibc();
  if (typeof datagrams === 'string') {
    log.warn(
      { reason: datagrams },
      'koffi does not load here: each CoAP datagram is sent on its own, at about 1.4 times the CPU',
    );
  }
  const security = await Security.open(config, systemDisk, systemClock);
  if (isRefusal(security)) return security;
  // A listener that is restarted has its port again.
  const listening = new Map<string, Listening>();
  const note: Bound = (protocol, at) => {
    const authority = addressKey(at);
    listening.set(`${protocol} ${authority}`, { protocol, authority });
  };
  const machine = { clock: systemClock, random: systemRandom, network: systemNetwork, disk: systemDisk, log };
  const store = new JournalStore({ ...machine, folder: config.data, lock: lockFolder });
  const history = { disk: systemDisk, folder: historyFolder(config.data), openIndex: openLevel };
  const surroundings = { ...machine, store, history };
  const broker = new Broker(config, surroundings, listenersOf(config, note, security));
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
  const onHangUp = (): void => void security.reload().then((refusal) => tellReload(refusal, log));
  const endWatch = security.hasFiles ? security.watch((refusal) => tellReload(refusal, log)) : undefined;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, onSignal);
  // Else a terminal that hangs up ends the broker, as it ends everything.
  if (security.hasFiles) process.on('SIGHUP', onHangUp);
  void closed.then(() => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.off(signal, onSignal);
    process.off('SIGHUP', onHangUp);
    endWatch?.();
  });
  return { listening: [...listening.values()], broker, closed, stop: () => stop(0) };
}

function tellReload(refusal: Refusal | undefined, log: Log): void {
  if (refusal) log.error({ reason: refusal.detail }, 'certificates and keys are not read again; the former ones stay');
  else log.info('certificates and keys have been read again');
}
