/** The load of fan-out: who publishes what how often, to whom. */
export const TOPICS = 100;
export const SUBSCRIBERS = 100;
/** Of each socket, and so also subscribers of each topic. */
export const TOPICS_PER_SUBSCRIBER = 10;
export const RATE_HZ = 30;
export const BODY_BYTES = 80;

export const FOLDER = ['m2m', 'applications', 'bench', 'containers'] as const;
export const topicId = (topic: number): string => `topic-${topic}`;
/** Topics of one socket: neighbours, so that each topic has as many subscribers as each socket topics. */
export const topicsOf = (subscriber: number): readonly number[] =>
  Array.from({ length: TOPICS_PER_SUBSCRIBER }, (_, n) => (subscriber + n) % TOPICS);

/**
 * A body tells when it left, in text: so one reader serves every framing, whatever stands around it.
 *
 *     at=1732412345678901.....    80 bytes
 */
export const MARK = 'at=';
const DIGITS = 16;

export const nowUs = (): number => (performance.timeOrigin + performance.now()) * 1000;
export const stampedBody = (atUs: number): Buffer =>
  Buffer.from(`${MARK}${Math.round(atUs).toString().padStart(DIGITS, '0')}`.padEnd(BODY_BYTES, '.'), 'latin1');
