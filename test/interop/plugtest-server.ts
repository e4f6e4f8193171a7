/** A server of the plugtest resources on a recorded socket, and what is asked of it. */
import { systemClock } from '../../src/clock.js';
import { silentLog } from '../../src/log.js';
import { systemNetwork, type Address, type UdpSocket } from '../../src/network.js';
import { CoapBinding } from '../../src/protocols/coap/binding.js';
import { Endpoint } from '../../src/protocols/coap/endpoint.js';
import { PlugtestSite } from '../../src/protocols/coap/plugtest.js';
import { systemRandom } from '../../src/random.js';
import { StubSite } from '../protocols/coap/stub-site.js';
import { libcoap, RawPeer, Tap, type Ran, type Row } from './coap-capture.js';

export const LOOPBACK: Address = { host: '127.0.0.1', port: 0 };
const OBS_PERIOD_MS = 300;

export interface Server {
  readonly tap: Tap;
  readonly binding: CoapBinding;
  readonly uri: (path: string) => string;
  /** Messages from the server, as tshark reads them. */
  readonly answers: () => readonly Row[];
  readonly all: () => readonly Row[];
}

/** Closed after each test. */
export const open: { close(): void }[] = [];
afterEach(() => open.splice(0).forEach((thing) => thing.close()));

export async function serving(): Promise<Server> {
  const tap = new Tap(await systemNetwork.bindUdp(LOOPBACK), systemClock);
  return served(tap, tap, systemClock);
}

export function served(tap: Tap, socket: UdpSocket, clock: typeof systemClock): Server {
  const endpoint = new Endpoint({ socket, clock, random: systemRandom, log: silentLog, congestion: 'standard' });
  const binding = new CoapBinding(endpoint, new PlugtestSite(new StubSite(clock), clock, OBS_PERIOD_MS), silentLog);
  open.push(binding);
  const all = (): readonly Row[] => {
    const rows = tap.judged();
    // Of the client's, tshark 4.0 does not know Request-Tag and calls it malformed.
    expect(rows.filter(({ isFromServer, isMalformed }) => isFromServer && isMalformed)).toEqual([]);
    return rows;
  };
  return {
    tap,
    binding,
    all,
    answers: () => all().filter(({ isFromServer }) => isFromServer),
    uri: (path) => `coap://127.0.0.1:${tap.local.port}${path}`,
  };
}

/** One request by libcoap and the one answer to it; id and token must agree. */
export async function asked(
  server: Server,
  ...args: readonly string[]
): Promise<{ request: Row; answer: Row; ran: Ran }> {
  const before = server.all().length;
  const ran = await libcoap(...args);
  const rows = server.all().slice(before);
  const request = rows.find(({ isFromServer }) => !isFromServer);
  const answer = rows.find(({ isFromServer }) => isFromServer);
  if (!request || !answer || rows.length > 2)
    throw new Error(`${args.join(' ')}: ${rows.length} messages, ${ran.stderr}`);
  expect(answer.token).toBe(request.token);
  if (request.type === 'CON') expect({ type: answer.type, mid: answer.mid }).toEqual({ type: 'ACK', mid: request.mid });
  else expect(answer.type).toBe('NON');
  return { request, answer, ran };
}

export function peerOf({ tap }: Server): RawPeer {
  const peer = new RawPeer(tap.local);
  open.push(peer);
  return peer;
}
