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
import type { Frame } from './frame.js';
import { FRAME_TYPES, frameOf, isFrameType, type FrameFault } from './frame-members.js';
import type { FrameCodec } from './frames.js';
import { SharedNotification } from './shared-notification.js';

const codec = messageCodec<Readonly<Record<string, unknown>>>('primitive.proto', 'gridcast.v1.Frame');

export const protobufFrames: FrameCodec = {
  subprotocol: 'gridcast.v1',
  isBinary: true,
  encode,
  decode,
  share(n, timeUs, _mediaType, body) {
    const bytes = Buffer.allocUnsafe(MOST_BEFORE_BODY + body.length);
    bytes.set(body, MOST_BEFORE_BODY);
    let at = putVarint(bytes, MOST_BEFORE_BODY, body.length);
    bytes[--at] = tagOf(5, LENGTH_DELIMITED);
    at = putField(bytes, at, 4, timeUs);
    return new SharedNotification(bytes, putField(bytes, at, 3, n), writeHead);
  },
  batch(notifications) {
    const members = Buffer.concat(notifications);
    let at = 0;
    // Of a frame it is member 6, of a batch member 1; the rest is the same.
    for (const { length } of notifications) {
      members[at] = tagOf(1, LENGTH_DELIMITED);
      at += length;
    }
    const head = Buffer.alloc(1 + MOST_VARINT);
    let headAt = putVarint(head, head.length, members.length);
    head[--headAt] = tagOf(14, LENGTH_DELIMITED);
    return Buffer.concat([head.subarray(headAt), members]);
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

/** Of a whole number up to 2^53. */
const MOST_VARINT = 8;
/** Tag and length of the frame, five numbers with their tags, tag and length of the body. */
const MOST_BEFORE_BODY = 7 * (1 + MOST_VARINT);

function writeHead(bytes: Uint8Array, end: number, sub: number, route: number, missed: number): number {
  let at = putField(bytes, end, 6, route);
  at = putField(bytes, at, 2, missed);
  at = putField(bytes, at, 1, sub);
  at = putVarint(bytes, at, bytes.length - at);
  bytes[--at] = tagOf(6, LENGTH_DELIMITED);
  return at;
}

/** Writes a field so that it ends at `end`; proto3 leaves out one of value 0. @returns where it begins */
function putField(bytes: Uint8Array, end: number, field: number, value: number): number {
  if (value === 0) return end;
  const at = putVarint(bytes, end, value) - 1;
  bytes[at] = tagOf(field, VARINT);
  return at;
}

/** For whole numbers from 0 to 2^53 - 1: beyond 2^31 bit operations no longer serve. */
function putVarint(bytes: Uint8Array, end: number, value: number): number {
  let at = end - 1;
  if (value < 128) {
    bytes[at] = value;
    return at;
  }
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) at--;
  let rest = value;
  for (let to = at; to < end - 1; to++, rest = Math.floor(rest / 128)) bytes[to] = (rest % 128) | 128;
  bytes[end - 1] = rest;
  return at;
}
