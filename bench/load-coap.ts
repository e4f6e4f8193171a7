/**
 * CoAP's side of the load: publishers that send NON POST and want no answer, observers that read of a datagram its type, its id
 * and the stamp in its body, and acknowledge what is confirmable.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { CODE, compose, encodeEmpty, HEADER_BYTES, TYPE } from '../src/protocols/coap/message.js';
import { encodeTail, OPTION, option, type Option } from '../src/protocols/coap/options.js';
import { FORMATS } from '../src/routing/format.js';
import { FOLDER, nowUs, stampedBody, stampOf, topicId, TOPICS } from './load.js';

/** [RFC7967] not interested in any class of answer. */
const NO_ANSWER = 26;
const NOTHING = new Uint8Array(0);
/** A burst for one socket must fit while the generator does something else. */
const BUFFER_BYTES = 4 * 1024 * 1024;
const RETRY_MS = 500;
const MOST_TRIES = 10;

async function openSocket(port: number): Promise<Socket> {
  const socket = createSocket('udp4');
  // Connected: no look-up per datagram.
  socket.connect(port, '127.0.0.1');
  await once(socket, 'connect');
  socket.setRecvBufferSize(BUFFER_BYTES);
  return socket;
}

export const pathOptions = (...path: readonly string[]): readonly Option[] =>
  path.map((segment) => option(OPTION.uriPath, segment));
const contentOf = (topic: number): readonly Option[] => pathOptions(...FOLDER, topicId(topic), 'contentInstances');

/** A socket for each topic, as for each PMU: the message ids of one pair would not suffice for all. */
export async function openCoapPublishers(port: number): Promise<(topic: number) => void> {
  const publishers = await Promise.all(
    Array.from({ length: TOPICS }, async (_, topic) => {
      const options = [
        ...contentOf(topic),
        option(OPTION.contentFormat, FORMATS.text.coap),
        option(OPTION.noResponse, NO_ANSWER),
      ];
      return { socket: await openSocket(port), options, id: topic };
    }),
  );
  return (topic) => {
    const publisher = publishers[topic];
    if (!publisher) throw new Error(`there is no topic ${topic}`);
    publisher.id = (publisher.id + 1) & 0xffff;
    const tail = encodeTail(publisher.options, stampedBody(nowUs()));
    publisher.socket.send(compose(TYPE.nonConfirmable, CODE.post, publisher.id, NOTHING, tail));
  };
}

export interface SubscriberOptions {
  /** When a message left, microseconds; undefined for what is no notification. Default: as the body tells. */
  readonly stamp?: (datagram: Buffer) => number | undefined;
  /** Options that name the contentInstances of a topic. Default: of the publishers above. */
  readonly placeOf?: (topic: number) => readonly Option[];
  /** Closes the socket. */
  readonly signal?: AbortSignal;
}

/** Observes the topics from one socket; resolves when each has been answered. */
export async function openCoapSubscriber(
  port: number,
  topics: readonly number[],
  arrived: (stampUs: number) => void,
  { stamp = stampOf, placeOf = contentOf, signal }: SubscriberOptions = {},
): Promise<void> {
  const socket = await openSocket(port);
  signal?.addEventListener('abort', () => socket.close());
  const unanswered = new Set(topics);
  let allAnswered = (): void => {};
  let id = topics[0] ?? 0;
  socket.on('message', (datagram: Buffer) => {
    const type = ((datagram[0] ?? 0) >>> 4) & 3;
    if (type === TYPE.confirmable) socket.send(encodeEmpty(TYPE.acknowledgement, datagram.readUInt16BE(2)));
    const stampUs = stamp(datagram);
    if (stampUs === undefined) return;
    arrived(stampUs);
    // The token is the number of the topic, in two bytes.
    if (unanswered.delete(datagram.readUInt16BE(HEADER_BYTES)) && unanswered.size === 0) allAnswered();
  });
  for (let tries = 0; unanswered.size > 0; tries++) {
    if (tries === MOST_TRIES) throw new Error(`no answer to ${unanswered.size} registrations`);
    const answered = new Promise<void>((done) => {
      allAnswered = done;
      setTimeout(done, RETRY_MS);
    });
    for (const topic of unanswered) {
      const token = Uint8Array.of(topic >>> 8, topic & 0xff);
      const options = [
        option(OPTION.observe, 0),
        ...placeOf(topic),
        option(OPTION.uriPath, 'latest'),
        option(OPTION.uriPath, 'content'),
      ];
      id = (id + 1) & 0xffff;
      socket.send(compose(TYPE.nonConfirmable, CODE.get, id, token, encodeTail(options, NOTHING)));
    }
    await answered;
  }
}
