/** A whole broker in this process, on the machine's own clock and sockets, on free ports; closed when the test ends. */
import { Broker, type Surroundings } from '../../src/broker.js';
import { systemClock } from '../../src/clock.js';
import { loadConfig, type Config } from '../../src/config.js';
import { isRefusal } from '../../src/errors.js';
import { listenersOf } from '../../src/listeners.js';
import { silentLog } from '../../src/log.js';
import { systemNetwork, type Address } from '../../src/network.js';
import { systemRandom } from '../../src/random.js';
import { volatileStore } from '../../src/store/volatile-store.js';

export interface RunningBroker {
  readonly broker: Broker;
  /** `http://127.0.0.1:PORT`. */
  readonly http: string;
  readonly ws: string;
  readonly coap: string;
  readonly coapAddress: Address;
  /** What the supervision tree escalated to the process, if anything. */
  readonly fatal: unknown[];
  close(): Promise<void>;
}

const open: RunningBroker[] = [];

/** @param other in place of the machine's own */
export async function startBroker(
  flags: Partial<Config> = {},
  other: Partial<Surroundings> = {},
): Promise<RunningBroker> {
  const loaded = loadConfig({ flags: { http: 0, coap: 0, transport: 'node', ...flags }, environment: {} });
  if (isRefusal(loaded)) throw new Error(loaded.detail);
  const at = new Map<string, Address>();
  const note = (name: string, address: Address): void => void at.set(name, address);
  const surroundings = {
    clock: systemClock,
    random: systemRandom,
    network: systemNetwork,
    log: silentLog,
    store: volatileStore(),
    ...other,
  };
  const broker = new Broker(loaded.config, surroundings, listenersOf(loaded.config, note));
  const fatal: unknown[] = [];
  const refusal = await broker.start((error) => fatal.push(error));
  if (refusal) throw new Error(refusal.detail);
  const [http, coap] = [at.get('http'), at.get('coap')];
  if (!http || !coap) throw new Error('a listener did not say where it is');
  const running: RunningBroker = {
    broker,
    http: `http://127.0.0.1:${http.port}`,
    ws: `ws://127.0.0.1:${http.port}/m2m`,
    coap: `coap://127.0.0.1:${coap.port}`,
    coapAddress: coap,
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
