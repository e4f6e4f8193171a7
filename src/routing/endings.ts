/** Why something that lasted is over. A connection or subscription never just ends: one of these is shown to the operator and to the peer. */
import type { Status } from '../errors.js';

interface EndingRow {
  readonly sentence: string;
  /** What a subscriber is told with it; absent where he ended it himself or is not there to be told. */
  readonly status?: Status;
}

export const ENDINGS = {
  UNSUBSCRIBED: { sentence: 'The subscriber unsubscribed.' },
  REPLACED: { sentence: 'The subscriber registered again; the new registration goes on.' },
  PEER_CLOSED: { sentence: 'The peer closed the connection.' },
  PEER_RESET: { sentence: 'The peer answered a notification with a reset.' },
  PEER_TIMEOUT: { sentence: 'The peer did not acknowledge a confirmable message.' },
  CONNECTION_LOST: { sentence: 'The connection broke without a close.' },
  HEARTBEAT_LOST: { sentence: 'The peer did not answer three heart-beats in a row.' },
  RESUME_EXPIRED: { sentence: 'The connection broke, and the peer did not come back in time.' },
  IDLE_TIMEOUT: { sentence: 'Nothing was heard from the peer for too long.' },
  SLOW_CONSUMER: { sentence: 'The peer did not take what it must not lose.', status: 'STATUS_SERVICE_UNAVAILABLE' },
  PROTOCOL_ERROR: { sentence: 'The peer broke the protocol.', status: 'STATUS_BAD_REQUEST' },
  LEASE_EXPIRED: { sentence: 'The expirationTime has passed.', status: 'STATUS_EXPIRED' },
  TOKEN_EXPIRED: { sentence: 'The token has expired; come again with another.', status: 'STATUS_PERMISSION_DENIED' },
  IDENTITY_CHANGED: { sentence: 'The endpoint is another originator’s now.', status: 'STATUS_PERMISSION_DENIED' },
  RESOURCE_DELETED: { sentence: 'The resource was deleted.', status: 'STATUS_DELETED' },
  FORMAT_CHANGED: { sentence: 'The content has another format now.', status: 'STATUS_NOT_ACCEPTABLE' },
  PERMISSION_DENIED: {
    sentence: 'You have no right to this any more.',
    status: 'STATUS_PERMISSION_DENIED',
  },
  RATE_CHANGED: {
    sentence: 'The source reports at another rate now, which the one you asked for does not divide.',
    status: 'STATUS_NOT_ACCEPTABLE',
  },
  CONTACT_REFUSED: { sentence: 'The contact answered that it does not want to be notified.' },
  CONTACT_DELETED: { sentence: 'The channel that was its contact, or the group that gathered for it, is gone.' },
  CRASHED: { sentence: 'A fault of the broker; it is logged.', status: 'STATUS_INTERNAL_SERVER_ERROR' },
  SHUTDOWN: { sentence: 'The broker is stopping.', status: 'STATUS_SERVICE_UNAVAILABLE' },
} as const satisfies Record<string, EndingRow>;

export type Ending = keyof typeof ENDINGS;
