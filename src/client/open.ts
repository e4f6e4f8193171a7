/** The one way in: a client for the binding that the URI's scheme names. */
import type { Client } from './client.js';
import { CoapClient, type CoapClientOptions } from './coap-client.js';
import { HttpClient } from './http-client.js';
import { parseTarget } from './target.js';
import { WsClient } from './ws-client.js';
import type { WsClientOptions } from './ws-options.js';

export type OpenOptions = CoapClientOptions & WsClientOptions;

/**
 * Opens a client to the broker that the URI names; its path does not matter yet.
 *
 * @param uri `http://`, `https://`, `coap://`, `ws://` or `wss://`
 * @throws GridcastError `argument` for what is no such URI, `unreachable` or `timed-out` where no connection came about (over
 *   WebSocket; CoAP and HTTP notice with the first request)
 */
export async function open(uri: string, options: OpenOptions = {}): Promise<Client> {
  const target = parseTarget(uri);
  switch (target.scheme) {
    case 'http':
    case 'https':
      return new HttpClient(target, options);
    case 'coap':
      return CoapClient.open(target, options);
    case 'ws':
    case 'wss':
      return WsClient.open(target, options);
  }
}
