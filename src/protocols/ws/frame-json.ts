/**
 * `gridcast.v1+json`: a frame is a JSON object in a text message. A body stands where it can be read by eye:
 *
 *     a JSON media type    "body": as it is          {"t":"ntf","sub":2,"missed":0,"n":7,"time":"...","body":[{"bn":...
 *     text/*               "textContent": text       ETSI's names
 *     anything else        "binaryContent": base64
 *
 * `contentType` names the media type where it is not a `body` of application/json.
 */
import { isUtf8 } from 'node:buffer';
import { formatTime, parseTime } from '../../clock.js';
import { isRefusal, refuse } from '../../errors.js';
import { bareMediaType, FORMATS } from '../../routing/format.js';
import { readValue } from '../codec.js';
import type { Frame, Payload } from './frame.js';
import { FRAME_TYPES, frameOf, isFrameType, type FrameFault } from './frame-members.js';
import type { FrameCodec } from './frames.js';
import { SharedNotification } from './shared-notification.js';

const JSON_TYPE = FORMATS.json.mediaType;

export const jsonFrames: FrameCodec = {
  subprotocol: 'gridcast.v1+json',
  isBinary: false,
  encode,
  decode,
  share(n, timeUs, mediaType, body, isFromOutside) {
    const tail = `,"n":${n},"time":"${formatTime(timeUs)}",${contentMember(mediaType, body, isFromOutside)}}`;
    const bytes = Buffer.allocUnsafe(MOST_HEAD + Buffer.byteLength(tail));
    bytes.write(tail, MOST_HEAD);
    return new SharedNotification(bytes, MOST_HEAD, writeHead);
  },
  batch: (notifications) =>
    Buffer.concat([
      BATCH_HEAD,
      ...notifications.flatMap((each, index) => (index === 0 ? [each] : [COMMA, each])),
      BATCH_END,
    ]),
};

const SUB = Buffer.from('{"t":"ntf","sub":');
const ROUTE = Buffer.from(',"route":');
const MISSED = Buffer.from(',"missed":');
const MOST_DIGITS = 16;
const MOST_HEAD = SUB.length + ROUTE.length + MISSED.length + 3 * MOST_DIGITS;
const ZERO = '0'.charCodeAt(0);

function writeHead(bytes: Uint8Array, end: number, sub: number, route: number, missed: number): number {
  let at = putMember(bytes, end, MISSED, missed);
  if (route !== 0) at = putMember(bytes, at, ROUTE, route);
  return putMember(bytes, at, SUB, sub);
}

/** Writes a name and its whole number so that they end at `end`. @returns where they begin */
function putMember(bytes: Uint8Array, end: number, name: Uint8Array, value: number): number {
  let at = end;
  let rest = value;
  do {
    bytes[--at] = ZERO + (rest % 10);
    rest = Math.floor(rest / 10);
  } while (rest > 0);
  // 20 bytes: less than a call of `set`.
  for (let i = name.length - 1; i >= 0; i--) bytes[--at] = name[i]!; // within its length
  return at;
}

const BATCH_HEAD = Buffer.from('{"t":"batch","ntf":[');
const COMMA = Buffer.from(',');
const BATCH_END = Buffer.from(']}');

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

function encode(frame: Frame): string {
  if (frame.t === 'ntf') {
    const { sub, route = 0, missed, n, timeUs, body } = frame;
    // Whatever the format was, what is JSON can stand as JSON.
    return textOf(jsonFrames.share(n, timeUs, JSON_TYPE, body, true).to(sub, route, missed));
  }
  if (frame.t === 'batch') return jsonFrames.batch(frame.ntf.map((each) => Buffer.from(encode(each)))).toString();
  if (!('payload' in frame)) return JSON.stringify(withoutEmptyLists(frame));
  const { payload, ...rest } = frame;
  const content = contentMember(payload.mediaType, payload.bytes, true);
  const contentType = payload.mediaType === JSON_TYPE && content.startsWith('"body"') ? undefined : payload.mediaType;
  return `${JSON.stringify(withoutEmptyLists({ ...rest, contentType })).slice(0, -1)},${content}}`;
}

const withoutEmptyLists = (members: object): object =>
  Object.fromEntries(Object.entries(members).filter(([, value]) => !(Array.isArray(value) && value.length === 0)));

/** @param isFromOutside whether what calls itself JSON must be looked at before it may stand inside JSON of ours */
function contentMember(mediaType: string, bytes: Uint8Array, isFromOutside: boolean): string {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const type = bareMediaType(mediaType);
  const isJson = type === JSON_TYPE || type.endsWith('+json');
  if (isJson && (!isFromOutside || !isRefusal(readValue(JSON_TYPE, bytes)))) return `"body":${buffer.toString()}`;
  if (type.startsWith('text/') && isUtf8(buffer)) return `"textContent":${JSON.stringify(buffer.toString())}`;
  return `"binaryContent":"${buffer.toString('base64')}"`;
}

function decode(bytes: Uint8Array): Frame | FrameFault {
  const value = readValue(JSON_TYPE, bytes);
  if (isRefusal(value)) return refuse('STATUS_BAD_REQUEST', value.detail.replace('body', 'frame'));
  const object = value.parsed;
  if (typeof object !== 'object' || object === null || Array.isArray(object)) {
    return refuse('STATUS_BAD_REQUEST', 'A frame is a JSON object, such as {"t":"ping"}.');
  }
  const { t, ...members } = object as Readonly<Record<string, unknown>>;
  if (!isFrameType(t)) {
    return refuse(
      'STATUS_BAD_REQUEST',
      `"t" is ${t === undefined ? 'missing' : JSON.stringify(t)}; it must be one of ${FRAME_TYPES}.`,
    );
  }
  if (t === 'req' || t === 'res') {
    const { contentType, body, textContent, binaryContent, ...rest } = members;
    const payload = payloadOf(contentType, { body, textContent, binaryContent });
    if (isRefusal(payload)) return { ...payload, ...idOf(t, rest) };
    return frameOf(t, { ...rest, payload });
  }
  if (t === 'ntf') return notificationOf(members);
  if (t === 'batch' && Array.isArray(members.ntf)) {
    const notifications: (Frame | FrameFault)[] = [];
    for (const each of members.ntf as readonly unknown[]) {
      const isNotification = typeof each === 'object' && each !== null && 't' in each && each.t === 'ntf';
      if (!isNotification)
        return refuse('STATUS_BAD_REQUEST', '"ntf" of a "batch" frame must be a list of "ntf" frames.');
      const { t: _ntf, ...own } = each;
      const notification = notificationOf(own);
      if (isRefusal(notification)) return notification;
      notifications.push(notification);
    }
    return frameOf(t, { ...members, ntf: notifications });
  }
  return frameOf(t, members);
}

function notificationOf(members: Readonly<Record<string, unknown>>): Frame | FrameFault {
  const { time, body, textContent, binaryContent, ...rest } = members;
  const payload = payloadOf(undefined, { body, textContent, binaryContent });
  if (isRefusal(payload)) return payload;
  return frameOf('ntf', { ...rest, timeUs: typeof time === 'string' ? parseTime(time) : time, body: payload?.bytes });
}

const idOf = (t: 'req' | 'res', { id }: Readonly<Record<string, unknown>>): { readonly id?: number } =>
  t === 'req' && typeof id === 'number' && id >= 0 ? { id } : {};

interface ContentMembers {
  readonly body: unknown;
  readonly textContent: unknown;
  readonly binaryContent: unknown;
}

function payloadOf(
  contentType: unknown,
  { body, textContent, binaryContent }: ContentMembers,
): Payload | undefined | FrameFault {
  const bad = (detail: string): FrameFault => refuse('STATUS_BAD_REQUEST', detail);
  const given = [body, textContent, binaryContent].filter((value) => value !== undefined);
  if (given.length > 1) return bad('A frame has one of body, textContent and binaryContent, not several.');
  if (contentType !== undefined && typeof contentType !== 'string') return bad('"contentType" must be a media type.');
  if (given.length === 0) return undefined;
  if (textContent !== undefined) {
    if (typeof textContent !== 'string') return bad('"textContent" must be text.');
    return { mediaType: contentType ?? FORMATS.text.mediaType, bytes: Buffer.from(textContent) };
  }
  if (binaryContent !== undefined) {
    if (typeof binaryContent !== 'string' || !BASE64.test(binaryContent)) return bad('"binaryContent" must be base64.');
    return { mediaType: contentType ?? FORMATS.octets.mediaType, bytes: Buffer.from(binaryContent, 'base64') };
  }
  return { mediaType: contentType ?? JSON_TYPE, bytes: Buffer.from(JSON.stringify(body)) };
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
