/** Fuzzed bytes into a WebSocket port: frames with nonsense in them, nonsense for frames, nonsense for a handshake. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { FRAME_CODECS, type Frame, type Subprotocol } from '../../src/protocols/ws/frames.js';
import type { Random } from '../../src/random.js';
import { Mutation } from './mutation.js';

const CONTENT = '/m2m/applications/fuzzed/containers/noise/contentInstances';
const NONE = { ifMatch: [], ifNoneMatch: [] };
const VALID: readonly Frame[] = [
  { t: 'hello', originator: 'noise', attach: ['/m2m/applications/fuzzed'] },
  { t: 'req', id: 1, op: 'retrieve', to: '/m2m', accept: 'application/cbor', ...NONE },
  {
    t: 'req',
    id: 2,
    op: 'create',
    to: CONTENT,
    payload: { mediaType: 'text/plain', bytes: Buffer.from('noise') },
    ...NONE,
  },
  { t: 'req', id: 3, op: 'delete', to: '/m2m/applications/b', ...NONE, ifMatch: ['v1'] },
  { t: 'sub', id: 4, to: `${CONTENT}/latest/content`, rate: 5, class: 'monitoring', batchMs: 0 },
  { t: 'unsub', id: 5, sub: 4 },
  { t: 'msg', seq: 1, kind: 'outcome', body: { commandId: 'c', state: 'executed' } },
  { t: 'ack', seq: 1 },
  { t: 'ping', id: 6 },
];
const [TEXT, BINARY] = [1, 2];
/** One frame in so many is broken as a frame, not only in what it bears. */
const BROKEN_SHARE = 16;
/** One handshake in so many. */
const BROKEN_HANDSHAKES = 8;
/** Of one connection, if the daemon bears with it so long. */
const MOST_FRAMES = 400;

/** Connections whose end the daemon need not have noticed yet. */
const MOST_LEAVING = 64;

/** Sends `bytes` of them, in connections one after the other, and returns when all have been taken in or refused. */
export async function fuzzWebSocket(port: number, random: Random, bytes: number): Promise<void> {
  const subprotocols = Object.keys(FRAME_CODECS) as Subprotocol[];
  const payloads = subprotocols.map(
    (name) =>
      new Mutation(
        random,
        VALID.map((frame) => Buffer.from(FRAME_CODECS[name].encode(frame))),
      ),
  );
  const requests = new Mutation(
    random,
    subprotocols.map((name) => Buffer.from(handshake(name))),
  );
  const leaving: Socket[] = [];
  for (let sent = 0, n = 0; sent < bytes; n++) {
    const kind = n % subprotocols.length;
    const subprotocol = subprotocols[kind];
    const payload = payloads[kind];
    if (!subprotocol || !payload) throw new Error('no such subprotocol');
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let isOver = false;
    socket
      .on('close', () => (isOver = true))
      .on('error', () => (isOver = true))
      .resume();
    await once(socket, 'connect');
    if (random.below(BROKEN_HANDSHAKES) === 0) {
      sent += await write(socket, requests.next());
    } else {
      sent += await write(socket, Buffer.from(handshake(subprotocol)));
      await Promise.race([once(socket, 'data'), once(socket, 'close')]).catch(() => undefined);
      for (let left = random.below(MOST_FRAMES); left > 0 && !isOver && sent < bytes; left--) {
        const opcode =
          random.below(BROKEN_SHARE) === 0 ? random.below(16) : FRAME_CODECS[subprotocol].isBinary ? BINARY : TEXT;
        const frame = frameOf(opcode, payload.next(), random);
        if (random.below(BROKEN_SHARE) === 0) frame[random.below(4)] = random.below(256);
        sent += await write(socket, frame);
      }
    }
    // What we sent is read before our end of the connection is noticed.
    socket.end();
    leaving.push(socket);
    if (leaving.length > MOST_LEAVING) leaving.shift()?.destroy();
  }
  for (const socket of leaving) if (!socket.closed) socket.destroy();
}

async function write(socket: Socket, bytes: Buffer): Promise<number> {
  if (socket.destroyed || socket.writableEnded) return 0;
  if (!socket.write(bytes)) await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => undefined);
  return bytes.length;
}

const handshake = (subprotocol: string): string =>
  [
    'GET /m2m HTTP/1.1',
    'Host: 127.0.0.1',
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    `Sec-WebSocket-Protocol: ${subprotocol}`,
    '\r\n',
  ].join('\r\n');

/** One whole masked frame [RFC6455-5.2]. */
function frameOf(opcode: number, payload: Buffer, random: Random): Buffer {
  const mask = random.bytes(4);
  const length =
    payload.length < 126
      ? Buffer.of(0x80 | payload.length)
      : Buffer.of(0xfe, payload.length >> 8, payload.length & 0xff);
  const masked = payload.map((byte, n) => byte ^ (mask[n & 3] ?? 0));
  return Buffer.concat([Buffer.of(0x80 | opcode), length, mask, masked]);
}
