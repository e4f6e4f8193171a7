/** The listeners: what a binding needs to stand on a port, as children of the supervision tree. */
import { explain } from './actors/access-explained.js';
import type { Broker, ListenerOf } from './broker.js';
import type { Config } from './config.js';
import { placesOf, type Place } from './config-channels.js';
import { isRefusal, type Refusal } from './errors.js';
import { addressKey, type Address, type TcpListener, type UdpFigures, type UdpSocket } from './network.js';
import { parseStreamAddress, type StreamAddress } from './protocols/c37118/address.js';
import { SpontaneousSender } from './protocols/c37118/sender.js';
import type { FindStream } from './routing/outgoing.js';
import { DataServer } from './protocols/c37118/server.js';
import { asyncApi } from './protocols/descriptions/asyncapi.js';
import { openApi } from './protocols/descriptions/openapi.js';
import { CoapBinding } from './protocols/coap/binding.js';
import { Endpoint } from './protocols/coap/endpoint.js';
import type { ObserverFigures } from './protocols/coap/observers.js';
import { PlugtestSite } from './protocols/coap/plugtest.js';
import { HttpBinding } from './protocols/http/binding.js';
import { watched } from './protocols/identity.js';
import type { Operations } from './protocols/http/operations.js';
import { version } from './protocols/version.js';
import { openSecureTransport, openTransport } from './protocols/transport/open.js';
import type { Listener } from './protocols/transport/transport.js';
import { WsBinding } from './protocols/ws/binding.js';
import type { Reading } from './metrics.js';
import { OPEN, type ChannelSecurity } from './security.js';

/** Where a listener turned out to be, told at each start: a restart on port 0 would move it, so the first port is kept. */
export type Bound = (protocol: Place['protocol'] | 'c37118', at: Address) => void;

/** A listener for each place of the configuration. */
export function listenersOf(config: Config, bound: Bound, security: ChannelSecurity = OPEN): readonly ListenerOf[] {
  const places = placesOf(config);
  const coaps: CoapBinding[] = [];
  const listeners = places.map((place, index): ListenerOf => {
    // One alone of its protocol is called by it.
    const isAlone = places.every(({ protocol }, other) => other === index || protocol !== place.protocol);
    const name = isAlone ? place.protocol : `${place.protocol} ${index + 1}`;
    const given = { place, name, security, bound: (at: Address) => bound(place.protocol, at) };
    return place.protocol === 'coap' ? coapListener(given, coaps) : httpListener(given);
  });
  const exposed = listeners.map((make, index): ListenerOf => (broker) => {
    if (index === 0) exposeCoap(broker, coaps);
    return make(broker);
  });
  return [
    ...exposed,
    ...(config.c37118Out === 'off' ? [] : [c37118Listener(config.c37118Out, bound)]),
    ...(config.c37118To.length === 0 ? [] : [c37118Senders(config.c37118To)]),
  ];
}

/** Where C37.118 streams are sent; what is wrong with one is refused before anything is started. */
export function receiversOf({ c37118To }: Pick<Config, 'c37118To'>): readonly StreamAddress[] | Refusal {
  const addresses = c37118To.map(parseStreamAddress);
  return (
    addresses.find((address) => isRefusal(address)) ??
    addresses.flatMap((address) => (isRefusal(address) ? [] : [address]))
  );
}

interface Given {
  readonly place: Place;
  /** In the supervision tree. */
  readonly name: string;
  readonly security: ChannelSecurity;
  readonly bound: (at: Address) => void;
}

/** C37.118 out; it knows neither identity nor encryption, and stands on the loopback alone. */
const c37118Listener =
  (wanted: number, bound: Bound): ListenerOf =>
  (broker) => {
    const { config, surroundings } = broker;
    const { clock, log, network } = surroundings;
    const server = new DataServer({ site: broker, find: (idCode) => broker.findStream(idCode), clock, log });
    let listener: TcpListener | undefined;
    let port = wanted;
    broker.metrics.counter('gridcast_c37118_out_total', 'C37.118 to concentrators', ['event'], () =>
      Object.entries(server.figures).map(([event, count]): Reading => [{ event }, count as number]),
    );
    return {
      name: 'c37118',
      async start() {
        listener = await network.listenTcp({ host: config.host, port }, server.accept);
        port = listener.local.port;
        bound('c37118', listener.local);
      },
      async stop() {
        server.close('SHUTDOWN');
        await listener?.close();
      },
    };
  };

/** C37.118 sent unasked, from a socket for each receiver. */
const c37118Senders =
  (wanted: Config['c37118To']): ListenerOf =>
  (broker) => {
    const { clock, log, network } = broker.surroundings;
    let senders: SpontaneousSender[] = [];
    broker.metrics.counter('gridcast_c37118_sent_total', 'C37.118 sent unasked', ['to', 'event'], () =>
      senders.flatMap(({ to, figures }) =>
        Object.entries(figures).map(([event, count]): Reading => [{ to: addressKey(to.at), event }, count as number]),
      ),
    );
    return {
      name: 'c37118 to',
      async start() {
        const receivers = receiversOf({ c37118To: wanted });
        if (isRefusal(receivers)) throw new Error(receivers.detail);
        const find: FindStream = (idCode) => broker.findStream(idCode);
        for (const to of receivers) {
          const socket = await network.bindUdp({ host: to.at.host.includes(':') ? '::' : '0.0.0.0', port: 0 });
          senders.push(new SpontaneousSender(to, { site: broker, find, clock, log, socket }));
        }
      },
      stop() {
        for (const sender of senders) sender.close('SHUTDOWN');
        senders = [];
      },
    };
  };

/** HTTP and WebSocket, on one port. */
const httpListener =
  ({ place, name, security, bound }: Given): ListenerOf =>
  (broker) => {
    const { config, surroundings } = broker;
    const { clock, log, random } = surroundings;
    const operations: Operations = {
      expose: broker.metrics.expose,
      unready: () => broker.unready,
      tree: () => broker.tree(),
      explain: (query) => explain(broker.access, broker.resources, query, clock.wallUs()),
      isOperator: (originator) => broker.access.isOperator(originator),
      descriptions: DESCRIPTIONS,
    };
    const options = { clock, log, limits: { maxBodyBytes: config.maxBodyBytes } };
    const prefer = config.transport === 'auto' ? {} : { prefer: config.transport };
    const transport =
      place.protocol === 'https' ? openSecureTransport(options) : openTransport({ ...options, ...prefer });
    const identify = (binding: string) =>
      watched(security.identify, (from, refusal) => broker.access.audit.tokenRefused(binding, from, refusal));
    const http = new HttpBinding(broker, operations, random, log, identify('http'));
    const ws = new WsBinding(broker, surroundings, identify('ws'));
    let listener: Listener | undefined;
    let { port } = place;
    return {
      name,
      async start() {
        const handlers = { request: http.handle, upgrade: ws.upgrade };
        const credentials = place.protocol === 'https' ? security.credentials : undefined;
        listener = await transport.listen({ host: place.host, port }, handlers, credentials);
        port = listener.address.port;
        bound(listener.address);
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

/** CoAP over UDP. DTLS would be another protocol of a place: its plaintext enters an `Endpoint` as datagrams do, the session being the peer. */
const coapListener =
  ({ place, name, security, bound }: Given, bindings: CoapBinding[]): ListenerOf =>
  (broker) => {
    const { config, surroundings, wheel } = broker;
    const { clock, log, random, network } = surroundings;
    let binding: CoapBinding | undefined;
    let { port } = place;
    return {
      name,
      async start(fail) {
        const socket = guarded(await network.bindUdp({ host: place.host, port }, 'many'), fail);
        port = socket.local.port;
        const endpoint = new Endpoint({
          socket,
          clock,
          timers: { after: wheel.schedule },
          random,
          log,
          congestion: config.congestion,
          spreadMs: config.spreadMs,
        });
        const site = config.plugtest ? new PlugtestSite(broker, clock) : broker;
        const identify = watched(security.identify, (from, refusal) =>
          broker.access.audit.tokenRefused('coap', from, refusal),
        );
        binding = new CoapBinding(endpoint, site, log, identify);
        bindings.push(binding);
        bound(socket.local);
      },
      stop() {
        if (!binding) return;
        bindings.splice(bindings.indexOf(binding), 1);
        binding.close();
        binding = undefined;
      },
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

function exposeCoap({ metrics }: Broker, bindings: readonly CoapBinding[]): void {
  const peers = (): ObserverFigures[] => bindings.flatMap((binding) => [...binding.figures()]);
  metrics.gauge(
    'gridcast_coap_peer_message_ids',
    'Message ids of each observing peer, used and allowed',
    ['peer', 'figure'],
    () =>
      peers().flatMap(({ address, idsUsed, idsAllowed }): Reading[] => [
        [{ peer: address, figure: 'used' }, idsUsed],
        [{ peer: address, figure: 'allowed' }, idsAllowed],
      ]),
  );
  metrics.gauge('gridcast_coap_peer_rtt_seconds', 'Round-trip time of each observing peer', ['peer'], () =>
    peers().flatMap(({ address, rttUs }): Reading[] => (rttUs === undefined ? [] : [[{ peer: address }, rttUs / 1e6]])),
  );
  metrics.counter('gridcast_coap_events_total', 'CoAP message layer', ['event'], () => {
    const sums = new Map<string, number>();
    for (const { endpoint } of bindings) {
      for (const [event, count] of Object.entries(endpoint.figures)) {
        sums.set(event, (sums.get(event) ?? 0) + (count as number));
      }
    }
    return Array.from(sums, ([event, count]): Reading => [{ event }, count]);
  });
  /** None where one of the sockets can not tell. */
  const sum = (figure: (of: UdpFigures) => number | undefined): Reading[] => {
    const told = bindings.flatMap(({ endpoint }) => figure(endpoint.socketFigures()) ?? []);
    return told.length < bindings.length ? [] : [[{}, told.reduce((total, each) => total + each, 0)]];
  };
  metrics.counter(
    'gridcast_udp_send_drops_total',
    'Datagrams given up because too many waited for the interface',
    [],
    () => sum(({ sendDrops }) => sendDrops),
  );
  metrics.counter('gridcast_udp_receive_drops_total', 'Datagrams that found the receive buffer full', [], () =>
    sum(({ receiveDrops }) => receiveDrops),
  );
  metrics.counter('gridcast_udp_trains_total', 'Sends that carried several datagrams to one peer', [], () =>
    sum(({ trains }) => trains),
  );
  metrics.counter('gridcast_udp_aside_total', 'Sendings of many datagrams by another thread', [], () =>
    sum(({ aside }) => aside),
  );
  metrics.counter('gridcast_coap_refused_for_ids_total', 'Observations refused for want of message ids', [], () => [
    [{}, bindings.reduce((sum, { observers }) => sum + observers.refusedForIds, 0)],
  ]);
}
