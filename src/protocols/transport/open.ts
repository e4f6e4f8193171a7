/** Chooses the transport: uWebSockets.js where its native file loads, node:http and ws elsewhere, and under TLS. */
import type { Clock } from '../../clock.js';
import { reasonOf } from '../../errors.js';
import type { Log } from '../../log.js';
import { nodeTransport } from './node.js';
import {
  DEFAULT_LIMITS,
  type SecureTransport,
  type Transport,
  type TransportLimits,
  type TransportName,
} from './transport.js';
import type { UwsModule } from './uws-types.js';
import { loadUws, uwsTransport } from './uws.js';

export interface TransportOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** `node` is taken without a word; `uws`, the default, falls back to it. */
  readonly prefer?: TransportName;
  readonly limits?: Partial<TransportLimits>;
  /** How the native file is loaded. */
  readonly load?: () => UwsModule;
}

/** uWebSockets.js reads no client certificates, and takes no new ones of its own while it runs. */
export function openSecureTransport({
  clock,
  log,
  limits,
}: Pick<TransportOptions, 'clock' | 'log' | 'limits'>): SecureTransport {
  return nodeTransport({ ...DEFAULT_LIMITS, ...limits }, log, clock);
}

export function openTransport({
  clock,
  log,
  prefer = 'uws',
  limits: given,
  load = loadUws,
}: TransportOptions): Transport {
  const limits = { ...DEFAULT_LIMITS, ...given };
  if (prefer === 'uws') {
    try {
      return uwsTransport(load(), limits, log, clock);
    } catch (error) {
      log.warn(
        { reason: reasonOf(error) },
        'uWebSockets.js does not load here: HTTP and WebSocket run on node:http and ws, at about twice the CPU',
      );
    }
  }
  return nodeTransport(limits, log, clock);
}
