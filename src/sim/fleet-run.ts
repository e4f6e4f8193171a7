/** A fleet on its lanes, beside its load control: `gridcast sim fleet` from its flags to its report. */
import { lookup } from 'node:dns/promises';
import { authority, parseTarget, type Target } from '../client/target.js';
import { isRefusal, refuse, type Refusal } from '../errors.js';
import type { Address } from '../network.js';
import { CoapLane } from './coap-lane.js';
import { Fleet } from './fleet.js';
import { HttpLane } from './http-lane.js';
import type { Lane } from './lane.js';
import { LoadControl } from './load-control.js';
import { refuseFor, type SimulatorContext } from './simulator.js';

export interface FleetRunOptions {
  /** `http://HOST:PORT`. */
  readonly broker: string;
  /** `coap://HOST:PORT`. */
  readonly coap: string;
  readonly gateways: number;
  readonly ratePerMinute: number;
  readonly httpConnections: number;
  readonly coapPorts: number;
  readonly groups: number;
  readonly listeners: number;
  readonly eventEveryS: number;
}

export interface FleetRun {
  readonly fleet: Fleet;
  readonly loadControl: LoadControl | undefined;
  /** Ends posting and waits for what is under way, so long at most. */
  settle(ms: number): Promise<void>;
  close(): Promise<void>;
}

const SETTLE_STEP_MS = 50;

/** Opens the lanes; nothing is registered or posted yet. */
export async function openFleet(options: FleetRunOptions, context: SimulatorContext): Promise<FleetRun | Refusal> {
  const { gateways, ratePerMinute, httpConnections, coapPorts, listeners, groups, eventEveryS, broker } = options;
  if (httpConnections + coapPorts === 0)
    return refuse('STATUS_BAD_REQUEST', 'Without --http-connections and --coap-ports there is no way to the broker.');
  const { clock, random } = context;
  const lanes = await lanesOf(options, context);
  if (isRefusal(lanes)) return lanes;
  const fleet = new Fleet({ gateways, ratePerMinute, lanes, clock, random });
  const loadControl =
    listeners > 0 ? new LoadControl({ broker, groups, listeners, everyMs: eventEveryS * 1000, clock }) : undefined;
  const close = async (): Promise<void> => {
    fleet.stop();
    for (const lane of lanes) lane.close();
    await loadControl?.close();
  };
  const settle = async (ms: number): Promise<void> => {
    fleet.stop();
    for (let waited = 0; waited < ms && fleet.underWay > 0; waited += SETTLE_STEP_MS)
      await new Promise<void>((next) => clock.after(SETTLE_STEP_MS, next));
  };
  return { fleet, loadControl, settle, close };
}

/** In turns, so that neighbours go different ways: half of them over either where there are as many of both. */
async function lanesOf(
  { broker, coap, httpConnections, coapPorts }: FleetRunOptions,
  { network, clock, random }: SimulatorContext,
): Promise<readonly Lane[] | Refusal> {
  const http = parseTarget(broker);
  const [toHttp, toCoap] = await Promise.all([addressOf(http), addressOf(parseTarget(coap))]);
  if (isRefusal(toHttp)) return toHttp;
  if (isRefusal(toCoap)) return toCoap;
  const ports: Lane[] = [];
  for (let n = 0; n < coapPorts; n++) ports.push(await CoapLane.open({ network, clock, random, to: toCoap }));
  const connections = Array.from({ length: httpConnections }, () => new HttpLane(network, toHttp, authority(http)));
  if (ports.length === 0 || connections.length === 0) return [...ports, ...connections];
  const pairs = Math.max(ports.length, connections.length);
  return Array.from({ length: 2 * pairs }, (_, n) => {
    const lanes = n % 2 === 0 ? connections : ports;
    return lanes[(n >> 1) % lanes.length]!; // neither is empty
  });
}

async function addressOf({ host, port }: Target): Promise<Address | Refusal> {
  try {
    const { address } = await lookup(host);
    return { host: address, port };
  } catch (error) {
    return refuseFor('STATUS_BAD_REQUEST', `${host} is not found`, error);
  }
}
