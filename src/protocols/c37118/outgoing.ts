/** How a stream that goes out is asked of the broker, whoever it goes to: this protocol knows no identity. */
import { FORMATS } from '../../routing/format.js';
import type { OutgoingStream } from '../../routing/outgoing.js';
import type { Request } from '../../routing/primitive.js';
import type { Terms } from '../../routing/terms.js';

export const ORIGINATOR = 'anonymous';

export const requestOf = ({ to }: OutgoingStream, number: number): Request => ({
  op: 'retrieve',
  to,
  query: new URLSearchParams(),
  originator: ORIGINATOR,
  requestId: `c37118-${number}`,
  binding: 'c37118',
  accept: [FORMATS.c37118.mediaType],
  defaultFormat: FORMATS.c37118,
});

/** All there are: the configuration promises the source's own rate, whatever the container's default is. */
export const termsOf = ({ rate }: OutgoingStream): Terms => (rate < 1 ? {} : { rate });
