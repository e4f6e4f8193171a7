/**
 * How each protocol subscribes and publishes, put together by hand: no client of anybody stands between the load generator and
 * a broker.
 */
import { randomBytes } from 'node:crypto';
import { CODE, compose, HEADER_BYTES, TYPE } from '../src/protocols/coap/message.js';
import { encodeTail, OPTION, option } from '../src/protocols/coap/options.js';
import { FRAME_CODECS, WS_PATH, type Subprotocol } from '../src/protocols/ws/frames.js';
import { FORMATS } from '../src/routing/format.js';
import { pathOptions } from './load-coap.js';
import { stampedBody } from './load.js';
import type { Pump } from './pump.js';

export interface Speech {
  /** Subscribes to the topics on one connection. */
  subscribe(pump: Pump, topics: readonly number[]): void | Promise<void>;
  /** Publishes a topic on one connection. */
  publish(pump: Pump, topic: number): void;
}

const BODY = stampedBody(0);
const NOTHING = new Uint8Array(0);
const nameOf = (topic: number): string => `t/${topic}`;
const text = (words: string): Buffer => Buffer.from(words, 'latin1');

/** [MQTT-3.1.1] clean sessions, no keep-alive, QoS 0. */
export function mqtt(port: number): Speech {
  let clients = 0;
  const field = (words: string): Buffer => {
    const bytes = text(words);
    return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes]);
  };
  const packet = (type: number, ...parts: readonly Uint8Array[]): Buffer => {
    const body = Buffer.concat(parts);
    const low = body.length & 0x7f;
    const length = body.length < 128 ? [body.length] : [low | 0x80, body.length >> 7];
    return Buffer.concat([Buffer.from([type, ...length]), body]);
  };
  const connect = (pump: Pump): number => {
    const socket = pump.socket('tcp', port);
    const hello = packet(0x10, field('MQTT'), Buffer.from([4, 2, 0, 0]), field(`c${clients++}`));
    pump.ask(socket, { send: hello, until: Buffer.from([0x20, 2, 0, 0]) });
    return socket;
  };
  return {
    subscribe(pump, topics) {
      const socket = connect(pump);
      const filters = topics.map((topic) => Buffer.concat([field(nameOf(topic)), Buffer.from([0])]));
      const id = Buffer.from([0, 1]);
      const granted = packet(0x90, id, Buffer.alloc(topics.length));
      pump.ask(socket, { send: packet(0x82, id, ...filters), until: granted });
      pump.read(socket, 'stream');
    },
    publish: (pump, topic) => pump.topic(connect(pump), packet(0x30, field(nameOf(topic)), BODY)),
  };
}

export function nats(port: number): Speech {
  const connect = (pump: Pump, subscriptions: string): number => {
    const socket = pump.socket('tcp', port);
    const hello = `CONNECT {"verbose":false,"pedantic":false}\r\n${subscriptions}PING\r\n`;
    pump.ask(socket, { send: text(hello), until: 'PONG\r\n' });
    return socket;
  };
  return {
    subscribe(pump, topics) {
      const socket = connect(pump, topics.map((topic, id) => `SUB ${nameOf(topic)} ${id + 1}\r\n`).join(''));
      pump.read(socket, 'stream');
    },
    publish(pump, topic) {
      const head = text(`PUB ${nameOf(topic)} ${BODY.length}\r\n`);
      pump.topic(connect(pump, ''), Buffer.concat([head, BODY, text('\r\n')]));
    },
  };
}

/** Redis. */
export function resp(port: number): Speech {
  const command = (...words: readonly string[]): Buffer =>
    text(`*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join('')}`);
  return {
    subscribe(pump, topics) {
      const socket = pump.socket('tcp', port);
      const send = command('SUBSCRIBE', ...topics.map(nameOf));
      pump.ask(socket, { send, until: 'subscribe\r\n', times: topics.length });
      pump.read(socket, 'stream');
    },
    publish: (pump, topic) =>
      pump.topic(pump.socket('tcp', port), command('PUBLISH', nameOf(topic), BODY.toString('latin1'))),
  };
}

/** A client's frame must be masked; by zeros it can still be read [RFC6455-5.3]. */
function masked(isBinary: boolean, payload: Uint8Array): Buffer {
  const { length } = payload;
  const head = [isBinary ? 0x82 : 0x81, ...(length < 126 ? [0x80 | length] : [0xfe, length >> 8, length & 0xff])];
  return Buffer.concat([Buffer.from([...head, 0, 0, 0, 0]), payload]);
}

function upgrade(pump: Pump, port: number, path: string, subprotocol: string | undefined): number {
  const socket = pump.socket('tcp', port);
  const lines = [
    `GET ${path} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    ...(subprotocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${subprotocol}`]),
  ];
  pump.ask(socket, { send: text(`${lines.join('\r\n')}\r\n\r\n`), until: '\r\n\r\n' });
  return socket;
}

/** What peer-ws.ts takes: `S topic topic ...`, answered, and `P topic body`, of which the body goes on. */
export const plainWs = (port: number): Speech => ({
  subscribe(pump, topics) {
    const socket = upgrade(pump, port, '/', undefined);
    pump.ask(socket, { send: masked(false, text(`S ${topics.map(nameOf).join(' ')}`)), until: 'subscribed' });
    pump.read(socket, 'websocket');
  },
  publish: (pump, topic) =>
    pump.topic(upgrade(pump, port, '/', undefined), masked(true, Buffer.concat([text(`P ${nameOf(topic)} `), BODY]))),
});

/** Ends the token of an observer, and begins none: what is waited for. */
const tokenOf = (topic: number): Buffer => Buffer.from([0xa5, 0x5a, topic >> 8, topic & 0xff]);
/** [RFC7967] not interested in any class of answer. */
const NO_ANSWER = 26;
const ID_OFFSET = 2;

interface CoapPlaces {
  readonly observed: (topic: number) => readonly string[];
  /** Of the registration. */
  readonly query?: readonly string[];
  readonly published: (topic: number) => readonly string[];
  readonly method: number;
}
export const PEER_PLACES: CoapPlaces = {
  observed: (topic) => ['t', String(topic)],
  published: (topic) => ['t', String(topic)],
  method: CODE.put,
};

/** Non-confirmable on both sides. */
export const coap = (port: number, { observed, query = [], published, method }: CoapPlaces): Speech => ({
  subscribe(pump, topics) {
    const socket = pump.socket('udp', port);
    topics.forEach((topic, index) => {
      const terms = query.map((term) => option(OPTION.uriQuery, term));
      const tail = encodeTail([option(OPTION.observe, 0), ...pathOptions(...observed(topic)), ...terms], NOTHING);
      const send = compose(TYPE.nonConfirmable, CODE.get, index, tokenOf(topic), tail);
      pump.ask(socket, { send, until: tokenOf(topic), tries: 10 });
    });
    pump.read(socket, 'coap');
  },
  publish(pump, topic) {
    const options = [
      ...pathOptions(...published(topic)),
      option(OPTION.contentFormat, FORMATS.text.coap),
      option(OPTION.noResponse, NO_ANSWER),
    ];
    const message = compose(TYPE.nonConfirmable, method, 0, tokenOf(topic), encodeTail(options, BODY));
    if (message.length <= HEADER_BYTES) throw new Error('a message without a body');
    pump.topic(pump.socket('udp', port), message, ID_OFFSET);
  },
});

/** Gridcast over WebSocket: what is published comes by CoAP, which is how PMUs publish. */
export function gridcastWs(
  port: number,
  subprotocol: Subprotocol,
  pathOf: (topic: number) => string,
): Speech['subscribe'] {
  const codec = FRAME_CODECS[subprotocol];
  return (pump, topics) => {
    const socket = upgrade(pump, port, WS_PATH, subprotocol);
    topics.forEach((topic, index) => {
      const frame = Buffer.from(codec.encode({ t: 'sub', id: index + 1, to: pathOf(topic) }));
      // What only the answer has: its kind, or the media type that notifications do not repeat.
      pump.ask(socket, { send: masked(codec.isBinary, frame), until: codec.isBinary ? 'text/plain' : '"t":"res"' });
    });
    pump.read(socket, 'websocket');
  };
}

/** A channel of its own for each subscriber, polled without a pause. */
export function longPolling(port: number, collectionOf: (topic: number) => string): Speech['subscribe'] {
  const create = async (to: string, document: object): Promise<unknown> => {
    const response = await fetch(`http://127.0.0.1:${port}${to}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(document),
    });
    if (!response.ok) throw new Error(`POST ${to}: ${response.status} ${await response.text()}`);
    return response.json();
  };
  return async (pump, topics) => {
    const { notificationChannel } = (await create('/m2m/notificationChannels', {
      notificationChannel: { channelType: 'LONG_POLLING' },
    })) as {
      notificationChannel: { contactURI: string; channelData: { longPollingURI: string } };
    };
    for (const topic of topics)
      await create(`${collectionOf(topic)}/subscriptions`, {
        subscription: {
          contact: notificationChannel.contactURI,
          filterCriteria: { attributeAccessor: 'latest/content' },
        },
      });
    const poll = `GET ${notificationChannel.channelData.longPollingURI} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`;
    pump.poll(pump.socket('tcp', port), poll);
  };
}
