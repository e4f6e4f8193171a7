/** The ways to applications that answer for themselves, and to contacts that are not connected, by the scheme of their URI. */
import type { Clock } from './clock.js';
import { STATUSES } from './errors.js';
import type { Log } from './log.js';
import type { Network } from './network.js';
import { bodyOfValue } from './protocols/codec.js';
import { coapForwarder } from './protocols/coap/forward.js';
import { httpForwarder } from './protocols/http/forward.js';
import type { Random } from './random.js';
import { BROKER_APPLICATION } from './routing/alarm.js';
import type { Courier, Couriers } from './routing/courier.js';
import { FORMATS } from './routing/format.js';
import type { Forwarder, Forwarders } from './routing/forward.js';

export interface Ways {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly network: Network;
  /** What the broker calls itself. */
  readonly self: string;
}

export function forwarders({ clock, random, log, network, self }: Ways): Forwarders {
  const http = httpForwarder(clock, self);
  return {
    'http:': http,
    'https:': http,
    'coap:': coapForwarder(network, self, { clock, random, log, congestion: 'standard' }),
  };
}

/** A notification is a request like any other, the broker's own. */
export const couriers = (ways: Forwarders): Couriers =>
  Object.fromEntries(Object.entries(ways).map(([scheme, forward]) => [scheme, courier(forward)]));

const courier =
  (forward: Forwarder): Courier =>
  async (to, notify, timeoutMs) => {
    const request = {
      op: 'notify',
      to: [],
      query: new URLSearchParams(),
      originator: BROKER_APPLICATION,
      requestId: '',
      binding: 'http',
      accept: [],
      defaultFormat: FORMATS.json,
      body: bodyOfValue(notify),
    } as const;
    return STATUSES[(await forward(to, request, timeoutMs)).status].http;
  };
