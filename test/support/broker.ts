/** A whole broker in this process, on the machine's own clock and sockets, on free ports; closed when the test ends. */
import { Broker, type Surroundings } from '../../src/broker.js';
import { systemClock } from '../../src/clock.js';
import { loadConfig, type Config } from '../../src/config.js';
import { isRefusal } from '../../src/errors.js';
import { systemDisk } from '../../src/disk.js';
import { listenersOf } from '../../src/listeners.js';
import { silentLog } from '../../src/log.js';
import { systemNetwork, type Address } from '../../src/network.js';
import { systemRandom } from '../../src/random.js';
import { Security } from '../../src/security.js';
import { volatileStore } from '../../src/store/volatile-store.js';

export interface RunningBroker {
  readonly broker: Broker;
  /** `http://127.0.0.1:PORT`. */
  readonly http: string;
  /** `https://127.0.0.1:PORT`, where the configuration has it. */
  readonly https: string;
  readonly ws: string;
  readonly security: Security;
  readonly coap: string;
  readonly coapAddress: Address;
  /** Where it is on. */
  readonly c37118Address: Address | undefined;
  /** What the supervision tree escalated to the process, if anything. */
  readonly fatal: unknown[];
  close(): Promise<void>;
}

const open: RunningBroker[] = [];

/** Every resource becomes a row as soon as it is idle. `EAGER_ROWS=1 npx jest test/broker` has it so for all. */
export const EAGER_ROWS = { largeCollection: 1, periodMs: 1 };
const passivation = process.env.EAGER_ROWS === undefined ? {} : EAGER_ROWS;

/** @param other in place of the machine's own */
export async function startBroker(
  flags: Partial<Config> = {},
  other: Partial<Surroundings> = {},
): Promise<RunningBroker> {
  const ports = flags.listeners ? {} : { http: 0, coap: 0 };
  const loaded = loadConfig({ flags: { ...ports, transport: 'node', ...flags }, environment: {} });
  if (isRefusal(loaded)) throw new Error(loaded.detail);
  const at = new Map<string, Address>();
  const note = (name: string, address: Address): void => void at.set(name, address);
  const surroundings = {
    clock: systemClock,
    random: systemRandom,
    network: systemNetwork,
    log: silentLog,
    store: volatileStore(),
    passivation,
    ...other,
  };
  const security = await Security.open(loaded.config, systemDisk, surroundings.clock);
  if (isRefusal(security)) throw new Error(security.detail);
  const broker = new Broker(loaded.config, surroundings, listenersOf(loaded.config, note, security));
  const fatal: unknown[] = [];
  const refusal = await broker.start((error) => fatal.push(error));
  if (refusal) throw new Error(refusal.detail);
  // What is not listened to has port 0, which nothing answers at.
  const nowhere: Address = { host: '127.0.0.1', port: 0 };
  const [http = nowhere, https = nowhere, coap = nowhere] = ['http', 'https', 'coap'].map((name) => at.get(name));
  const running: RunningBroker = {
    broker,
    security,
    http: `http://127.0.0.1:${http.port}`,
    https: `https://127.0.0.1:${https.port}`,
    ws: `ws://127.0.0.1:${http.port}/m2m`,
    coap: `coap://127.0.0.1:${coap.port}`,
    coapAddress: coap,
    c37118Address: at.get('c37118'),
    fatal,
    async close() {
      const index = open.indexOf(running);
      if (index >= 0) open.splice(index, 1);
      await broker.stop();
    },
  };
  open.push(running);
  return running;
}

/** To be given to `afterEach`. */
export async function closeBrokers(): Promise<void> {
  for (const running of [...open]) await running.close();
}
