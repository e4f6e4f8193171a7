/**
 * `gridcast.v1`: a frame is a `Frame` of proto/primitive.proto in a binary message. Notifications, of which there are
 * thousands a second, are put together by hand:
 *
 *     ┌ of one subscriber ──────────────────┐┌ of all: made once per sample and format ┐
 *     tag 6, length │ 1 sub │ 2 missed │ 6 route │ 3 n │ 4 time_us │ 5 body
 */
import { isRefusal, refuse } from '../../errors.js';
import { FORMATS } from '../../routing/format.js';
import { readValue } from '../codec.js';
import { messageCodec } from '../protobuf.js';
import { FRAME_TYPES, frameOf, isFrameType, type Frame, type FrameFault } from './frame.js';
import type { FrameCodec } from './frames.js';

const codec = messageCodec<Readonly<Record<string, unknown>>>('primitive.proto', 'gridcast.v1.Frame');

export const protobufFrames: FrameCodec = {
  subprotocol: 'gridcast.v1',
  isBinary: true,
  encode,
  decode,
  tail(n, timeUs, _mediaType, body) {
    const head: number[] = [];
    pushField(head, 3, n);
    pushField(head, 4, timeUs);
    head.push(tagOf(5, LENGTH_DELIMITED));
    pushVarint(head, body.length);
    return Buffer.concat([Uint8Array.from(head), body]);
  },
  notification(sub, route, missed, tail) {
    const own: number[] = [];
    pushField(own, 1, sub);
    pushField(own, 2, missed);
    pushField(own, 6, route);
    const frame = [tagOf(6, LENGTH_DELIMITED)];
    pushVarint(frame, own.length + tail.length);
    const message = Buffer.allocUnsafe(frame.length + own.length + tail.length);
    message.set(frame, 0);
    message.set(own, frame.length);
    message.set(tail, frame.length + own.length);
    return message;
  },
  batch(notifications) {
    const members = Buffer.concat(notifications);
    let at = 0;
    // Of a frame it is member 6, of a batch member 1; the rest is the same.
    for (const { length } of notifications) {
      members[at] = tagOf(1, LENGTH_DELIMITED);
      at += length;
    }
    const head = [tagOf(14, LENGTH_DELIMITED)];
    pushVarint(head, members.length);
    return Buffer.concat([Uint8Array.from(head), members]);
  },
};

function encode(frame: Frame): Uint8Array {
  const { t, ...members } = frame;
  return codec.encode({
    [t]: frame.t === 'msg' ? { ...members, body: Buffer.from(JSON.stringify(frame.body)) } : members,
  });
}

function decode(bytes: Uint8Array): Frame | FrameFault {
  const envelope = codec.decode(bytes);
  if (isRefusal(envelope)) return refuse(envelope.status, envelope.detail);
  const [t] = Object.keys(envelope);
  if (!isFrameType(t)) return refuse('STATUS_BAD_REQUEST', `The frame is empty; it must be one of ${FRAME_TYPES}.`);
  // An absent message is null where all other absent fields are undefined.
  const { payload, ...fields } = envelope[t] as Readonly<Record<string, unknown>>;
  const members = payload ? { ...fields, payload } : fields;
  if (t === 'batch') {
    const notifications = (members.ntf as readonly Readonly<Record<string, unknown>>[]).map((each) =>
      frameOf('ntf', each),
    );
    return notifications.find(isRefusal) ?? frameOf(t, { ntf: notifications });
  }
  if (t !== 'msg') return frameOf(t, members);
  const body = readValue(FORMATS.json.mediaType, members.body as Uint8Array);
  if (isRefusal(body)) return refuse(body.status, body.detail);
  return frameOf(t, { ...members, body: body.parsed });
}

const VARINT = 0;
const LENGTH_DELIMITED = 2;
const tagOf = (field: number, wireType: number): number => (field << 3) | wireType;

/** proto3 leaves out a field of value 0. */
function pushField(bytes: number[], field: number, value: number): void {
  if (value === 0) return;
  bytes.push(tagOf(field, VARINT));
  pushVarint(bytes, value);
}

/** For whole numbers from 0 to 2^53 - 1: beyond 2^31 bit operations no longer serve. */
function pushVarint(bytes: number[], value: number): void {
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  bytes.push(rest);
}
