/** The ways to contacts that are not connected and to applications that answer for themselves, by the scheme of their URI. */
import type { Clock } from './clock.js';
import type { Log } from './log.js';
import type { Network } from './network.js';
import { coapCourier } from './protocols/coap/courier.js';
import { coapForwarder } from './protocols/coap/forward.js';
import { httpCourier } from './protocols/http/courier.js';
import { httpForwarder } from './protocols/http/forward.js';
import type { Random } from './random.js';
import type { Couriers } from './routing/courier.js';
import type { Forwarders } from './routing/forward.js';

export interface Ways {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly network: Network;
}

export function couriers({ clock, random, log, network }: Ways): Couriers {
  const http = httpCourier(clock);
  return {
    'http:': http,
    'https:': http,
    'coap:': coapCourier(network, { clock, random, log, congestion: 'standard' }),
  };
}

export function forwarders({ clock, random, log, network }: Ways): Forwarders {
  const http = httpForwarder(clock);
  return {
    'http:': http,
    'https:': http,
    'coap:': coapForwarder(network, { clock, random, log, congestion: 'standard' }),
  };
}
