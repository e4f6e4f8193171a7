/**
 * A peer: the `coap` package with observable resources t/N; a PUT goes to all observers of its resource. Says `port N` when it
 * listens.
 */
import { createServer, type IncomingMessage, type ObserveWriteStream, type OutgoingMessage } from 'coap';

const observers = new Map<string, Set<ObserveWriteStream>>();
const bodies = new Map<string, Buffer>();
const EMPTY = Buffer.alloc(0);

const server = createServer((request: IncomingMessage, response: OutgoingMessage | ObserveWriteStream) => {
  const { url } = request;
  if (request.method === 'PUT') {
    bodies.set(url, request.payload);
    for (const observer of observers.get(url) ?? []) observer.write(request.payload);
    response.end();
    return;
  }
  if (request.headers.Observe !== 0) {
    response.end(bodies.get(url) ?? EMPTY);
    return;
  }
  const stream = response as ObserveWriteStream;
  const others = observers.get(url) ?? new Set();
  observers.set(url, others.add(stream));
  stream.on('finish', () => others.delete(stream));
  stream.write(bodies.get(url) ?? Buffer.from('-'));
});
server.listen(0, '127.0.0.1', () => {
  // It has no other word for where it listens.
  const { _sock: socket } = server as unknown as { _sock: { address(): { port: number } } };
  console.log(`port ${socket.address().port}`);
});
