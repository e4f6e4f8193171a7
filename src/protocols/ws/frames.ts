/** The wire format of the WebSocket binding: two subprotocols with the same frames. What servers and clients share. */
import type { Frame } from './frame.js';
import type { FrameFault } from './frame-members.js';
import { jsonFrames } from './frame-json.js';
import { protobufFrames } from './frame-protobuf.js';
import type { SharedNotification } from './shared-notification.js';

export type * from './frame.js';
export type { FrameFault } from './frame-members.js';

export type Subprotocol = 'gridcast.v1' | 'gridcast.v1+json';

/** Where on the HTTP port WebSockets are opened. */
export const WS_PATH = '/m2m';

export interface FrameCodec {
  readonly subprotocol: Subprotocol;
  /** The only kind of message that is taken and sent. */
  readonly isBinary: boolean;
  encode(frame: Frame): string | Uint8Array;
  decode(bytes: Uint8Array): Frame | FrameFault;
  /**
   * The notifications of one sample in one format.
   *
   * @param isFromOutside whether a publisher wrote the body: then it may not be what its media type says
   */
  share(n: number, timeUs: number, mediaType: string, body: Uint8Array, isFromOutside: boolean): SharedNotification;
  /** Several whole `ntf` messages as one `batch` message. */
  batch(notifications: readonly Uint8Array[]): Buffer;
}

export const FRAME_CODECS: Readonly<Record<Subprotocol, FrameCodec>> = {
  'gridcast.v1': protobufFrames,
  'gridcast.v1+json': jsonFrames,
};

export const isSubprotocol = (name: string): name is Subprotocol => Object.hasOwn(FRAME_CODECS, name);
