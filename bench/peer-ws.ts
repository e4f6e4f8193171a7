/**
 * A peer: the least that can be done with the `ws` package. `S topic topic ...` subscribes and is answered; of `P topic body` the
 * body goes to the topic's subscribers. Says `port N` when it listens.
 */
import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';

const BLANK = 0x20;
const TOPIC_AT = 2;
const topics = new Map<string, WebSocket[]>();

const server: WebSocketServer = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false }, () =>
  console.log(`port ${(server.address() as AddressInfo).port}`),
);
server.on('connection', (socket) => {
  socket.on('message', (message: Buffer, isBinary: boolean) => {
    if (!isBinary) {
      for (const topic of message.toString('latin1').split(' ').slice(1))
        topics.set(topic, [...(topics.get(topic) ?? []), socket]);
      socket.send('subscribed');
      return;
    }
    const end = message.indexOf(BLANK, TOPIC_AT);
    const body = message.subarray(end + 1);
    for (const subscriber of topics.get(message.toString('latin1', TOPIC_AT, end)) ?? []) subscriber.send(body);
  });
});
