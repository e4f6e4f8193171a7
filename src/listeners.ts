/** The listeners: what a binding needs to stand on a port, as children of the supervision tree. */
import type { Broker, ListenerOf } from './broker.js';
import { addressKey, type Address, type UdpSocket } from './network.js';
import { asyncApi } from './protocols/descriptions/asyncapi.js';
import { openApi } from './protocols/descriptions/openapi.js';
import { CoapBinding } from './protocols/coap/binding.js';
import { Endpoint } from './protocols/coap/endpoint.js';
import { PlugtestSite } from './protocols/coap/plugtest.js';
import { HttpBinding } from './protocols/http/binding.js';
import { version } from './protocols/version.js';
import { openTransport } from './protocols/transport/open.js';
import type { Listener } from './protocols/transport/transport.js';
import { WsBinding } from './protocols/ws/binding.js';
import type { Reading } from './metrics.js';

/** Where a listener turned out to be, told at each start: a restart on port 0 would move it, so the first port is kept. */
export type Bound = (name: 'http' | 'coap', at: Address) => void;

/** HTTP and WebSocket, on one port. */
export const httpListener =
  (bound: Bound): ListenerOf =>
  (broker) => {
    const { config, surroundings } = broker;
    const { clock, log, random } = surroundings;
    const operations = {
      expose: broker.metrics.expose,
      unready: () => broker.unready,
      tree: () => broker.tree(),
      descriptions: DESCRIPTIONS,
    };
    const transport = openTransport({
      clock,
      log,
      ...(config.transport !== 'auto' && { prefer: config.transport }),
      limits: { maxBodyBytes: config.maxBodyBytes },
    });
    const http = new HttpBinding(broker, operations, random, log);
    const ws = new WsBinding(broker, surroundings);
    let listener: Listener | undefined;
    let port = config.http;
    return {
      name: 'http',
      async start() {
        listener = await transport.listen({ host: config.host, port }, { request: http.handle, upgrade: ws.upgrade });
        port = listener.address.port;
        bound('http', listener.address);
      },
      async stop() {
        ws.close('SHUTDOWN');
        await listener?.close(GRACE_MS);
      },
    };
  };

const DESCRIPTIONS = { '/openapi.json': () => openApi(version), '/asyncapi.json': () => asyncApi(version) };

/** What a request under way gets to be answered in when the broker stops. */
const GRACE_MS = 1_000;

export const coapListener =
  (bound: Bound): ListenerOf =>
  (broker) => {
    const { config, surroundings, wheel } = broker;
    const { clock, log, random, network } = surroundings;
    let binding: CoapBinding | undefined;
    let port = config.coap;
    exposeCoap(broker, () => binding);
    return {
      name: 'coap',
      async start(fail) {
        const socket = guarded(await network.bindUdp({ host: config.host, port }), fail);
        port = socket.local.port;
        const endpoint = new Endpoint({
          socket,
          clock,
          timers: { after: wheel.schedule },
          random,
          log,
          congestion: config.congestion,
        });
        binding = new CoapBinding(endpoint, config.plugtest ? new PlugtestSite(broker, clock) : broker, log);
        bound('coap', socket.local);
      },
      stop: () => binding?.close(),
    };
  };

/** What throws while a datagram is handled ends this life of the listener, not the process. */
function guarded(socket: UdpSocket, fail: (error: unknown) => void): UdpSocket {
  const guard = (receive: Parameters<UdpSocket['onDatagram']>[0]): typeof receive => {
    return (datagram, from) => {
      try {
        receive(datagram, from);
      } catch (error) {
        fail(error);
      }
    };
  };
  return { ...socket, onDatagram: (receive) => socket.onDatagram(guard(receive)) };
}

function exposeCoap({ metrics }: Broker, binding: () => CoapBinding | undefined): void {
  metrics.gauge(
    'gridcast_coap_peer_message_ids',
    'Message ids of each observing peer, used and allowed',
    ['peer', 'figure'],
    () =>
      [...(binding()?.figures() ?? [])].flatMap(({ address, idsUsed, idsAllowed }): Reading[] => [
        [{ peer: address, figure: 'used' }, idsUsed],
        [{ peer: address, figure: 'allowed' }, idsAllowed],
      ]),
  );
  metrics.gauge('gridcast_coap_peer_rtt_seconds', 'Round-trip time of each observing peer', ['peer'], () =>
    [...(binding()?.figures() ?? [])].flatMap(({ address, rttUs }): Reading[] =>
      rttUs === undefined ? [] : [[{ peer: address }, rttUs / 1e6]],
    ),
  );
  metrics.counter('gridcast_coap_events_total', 'CoAP message layer', ['event'], () =>
    Object.entries(binding()?.endpoint.figures ?? {}).map(([event, count]): Reading => [{ event }, count as number]),
  );
  metrics.counter('gridcast_coap_refused_for_ids_total', 'Observations refused for want of message ids', [], () => [
    [{}, binding()?.observers.refusedForIds ?? 0],
  ]);
}

export const shown = (at: Address | undefined): string => (at ? addressKey(at) : '');
