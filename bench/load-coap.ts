/** CoAP observers that take what comes, acknowledge what is confirmable, and look at nothing else. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { CODE, compose, encodeEmpty, HEADER_BYTES, TYPE } from '../src/protocols/coap/message.js';
import { encodeTail, OPTION, option, type Option } from '../src/protocols/coap/options.js';

const NOTHING = new Uint8Array(0);
/** A burst for one socket must fit while the process does something else. */
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

export interface SubscriberOptions {
  /** Options that name the contentInstances of a topic. */
  readonly placeOf: (topic: number) => readonly Option[];
  /** Closes the socket. */
  readonly signal: AbortSignal;
}

/** Observes the topics from one socket; resolves when each has been answered. */
export async function openCoapSubscriber(
  port: number,
  topics: readonly number[],
  { placeOf, signal }: SubscriberOptions,
): Promise<void> {
  const socket = await openSocket(port);
  signal.addEventListener('abort', () => socket.close());
  const unanswered = new Set(topics);
  let allAnswered = (): void => {};
  let id = topics[0] ?? 0;
  socket.on('message', (datagram: Buffer) => {
    const type = ((datagram[0] ?? 0) >>> 4) & 3;
    if (type === TYPE.confirmable) socket.send(encodeEmpty(TYPE.acknowledgement, datagram.readUInt16BE(2)));
    // The token is the number of the topic, in two bytes.
    if (unanswered.size > 0 && datagram.length >= HEADER_BYTES + 2) {
      if (unanswered.delete(datagram.readUInt16BE(HEADER_BYTES)) && unanswered.size === 0) allAnswered();
    }
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
