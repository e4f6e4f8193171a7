/** WebSocket's side of the load: subscribers that read of a message the stamp in its body and nothing else. */
import { once } from 'node:events';
import WebSocket from 'ws';
import { isRefusal } from '../src/errors.js';
import { FRAME_CODECS, WS_PATH, type Frame, type Subprotocol } from '../src/protocols/ws/frames.js';
import { FOLDER, stampOf, topicId } from './load.js';

/** Subscribes to the topics on one socket; resolves when each has been answered, throws when one is refused. */
export async function openWsSubscriber(
  port: number,
  subprotocol: Subprotocol,
  topics: readonly number[],
  arrived: (stampUs: number) => void,
): Promise<void> {
  const codec = FRAME_CODECS[subprotocol];
  const socket = new WebSocket(`ws://127.0.0.1:${port}${WS_PATH}`, subprotocol, { perMessageDeflate: false });
  await once(socket, 'open');
  let unanswered = topics.length;
  await new Promise<void>((done, fail) => {
    socket.on('close', (code, reason) => fail(new Error(`closed: ${code} ${reason.toString()}`)));
    socket.on('message', (message: Buffer) => {
      if (unanswered > 0) {
        const frame = codec.decode(message);
        if (!isRefusal(frame) && frame.t === 'res') {
          if (frame.code >= 400) fail(new Error(`subscription refused: ${message.toString()}`));
          if (--unanswered === 0) done();
          return;
        }
      }
      const stampUs = stampOf(message);
      if (stampUs !== undefined) arrived(stampUs);
    });
    topics.forEach((topic, index) => {
      const frame: Frame = {
        t: 'sub',
        id: index + 1,
        to: `/${FOLDER.join('/')}/${topicId(topic)}/contentInstances/latest/content`,
      };
      socket.send(codec.encode(frame));
    });
  });
}
