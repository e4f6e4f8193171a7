/** Notifications to a contact at `coap:`, each a confirmable POST of JSON from a socket of its own, which is gone with the answer. */
import { lookup } from 'node:dns/promises';
import { FORMATS } from '../../routing/format.js';
import type { Courier } from '../../routing/courier.js';
import type { Network } from '../../network.js';
import { CoapClient, isFailure } from './client.js';
import { Endpoint, type EndpointOptions } from './endpoint.js';
import { CODE } from './message.js';

const DEFAULT_PORT = 5683;
const UNREACHABLE = 502;
const TIMED_OUT = 504;
/** The class of a response code: 2.04 is 0x44. */
const CLASS_SHIFT = 5;

export const coapCourier =
  (network: Network, options: Omit<EndpointOptions, 'socket'>): Courier =>
  async (to, notify, timeoutMs) => {
    let endpoint: Endpoint | undefined;
    try {
      const { address, family } = await lookup(to.hostname.replace(/^\[(.*)\]$/, '$1'));
      const socket = await network.bindUdp({ host: family === 6 ? '::' : '0.0.0.0', port: 0 });
      endpoint = new Endpoint({ ...options, socket });
      const answer = await new CoapClient(endpoint).request(
        { host: address, port: Number(to.port) || DEFAULT_PORT },
        {
          code: CODE.post,
          path: to.pathname.split('/').slice(1).map(decodeURIComponent),
          query: to.search === '' ? [] : to.search.slice(1).split('&').map(decodeURIComponent),
          contentFormat: FORMATS.json.coap,
          payload: Buffer.from(JSON.stringify(notify)),
        },
        { timeoutMs },
      );
      return isFailure(answer) ? TIMED_OUT : httpStatusOf(answer.code);
    } catch {
      return UNREACHABLE;
    } finally {
      endpoint?.close();
    }
  };

const httpStatusOf = (code: number): number => (code >> CLASS_SHIFT) * 100 + (code & ((1 << CLASS_SHIFT) - 1));
