/**
 * The load of fan-out, as words between the bench and its generator, a process of its own:
 *
 *     bench ──{open}──> generator          100 containers, 100 subscriber sockets with 10 topics each
 *           <──{ready}──
 *           ──{run}───>                    publishes at the shape's pace, notes the age of all that comes back
 *           <──{done}──
 */
import type { Subprotocol } from '../src/protocols/ws/frames.js';
import type { Site } from './daemon.js';

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

/** Even: topics take their turns within the period. Burst: all at the same instants, as PMUs do that follow GPS. */
export type Shape = 'even' | 'burst';

export type Order =
  | { readonly order: 'open'; readonly site: Site; readonly over: 'coap' | Subprotocol }
  | { readonly order: 'run'; readonly shape: Shape; readonly seconds: number };

export type Report =
  | { readonly report: 'ready' }
  | {
      readonly report: 'done';
      readonly published: number;
      readonly received: number;
      /** Microseconds from before the publisher's send to the subscriber's handler. */
      readonly ageUs: { readonly p50: number; readonly p99: number; readonly p999: number };
      /** Of the generator, user and system. */
      readonly cpuUs: number;
      readonly elapsedUs: number;
    };
export type Done = Extract<Report, { report: 'done' }>;

/**
 * A body tells when it left, in text: so one reader serves every framing, whatever stands around it.
 *
 *     at=1732412345678901.....    80 bytes
 */
const MARK = Buffer.from('at=');
const DIGITS = 16;

export const nowUs = (): number => (performance.timeOrigin + performance.now()) * 1000;
export const stampedBody = (atUs: number): Buffer =>
  Buffer.from(`at=${Math.round(atUs).toString().padStart(DIGITS, '0')}`.padEnd(BODY_BYTES, '.'), 'latin1');

/** When the body within a message left, microseconds; undefined in a message without one. */
export function stampOf(message: Buffer): number | undefined {
  const at = message.indexOf(MARK);
  if (at < 0) return undefined;
  let us = 0;
  for (let i = at + MARK.length; i < at + MARK.length + DIGITS; i++) us = us * 10 + ((message[i] ?? 0) - 48);
  return us;
}
