/**
 * A contentInstance when it is read: what a record in the ring becomes. Its content is the caller's to give, since a PMU's
 * frame has as many contents as there are formats.
 */
import { formatTime } from '../clock.js';
import type { InstanceRecord } from './history.js';
import type { JsonObject } from './values.js';

export interface InstanceContent {
  readonly mediaType: string;
  /** As they are: contentSize counts them. */
  readonly bytes: Uint8Array;
}

/** The attributes of a contentInstance; without `content` its metadata alone. */
export function instanceFields(record: InstanceRecord<unknown>, content: InstanceContent | undefined): JsonObject {
  const created = formatTime(record.createdUs);
  return {
    id: record.id,
    creationTime: created,
    lastModifiedTime: created,
    ...(record.attributes && Object.fromEntries(record.attributes)),
    contentSize: content?.bytes.length ?? record.sizeBytes,
    ...(content && { content: contentField(content) }),
  };
}

/** JSON's form of a content: text stays readable, all else is base64. */
export function contentField({ mediaType, bytes }: InstanceContent): JsonObject {
  const text = isText(mediaType) ? decoded(bytes) : undefined;
  return text !== undefined
    ? { contentType: mediaType, textContent: text }
    : { contentType: mediaType, binaryContent: Buffer.from(bytes).toString('base64') };
}

const TEXT = /^\s*(text\/|application\/([^;]*\+)?(json|xml)\s*(;|$))/i;

/** Whether content of this media type is text. */
export const isText = (mediaType: string): boolean => TEXT.test(mediaType);

/** `undefined` for what only claims to be text: it must come back as the bytes it was. */
function decoded(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}
