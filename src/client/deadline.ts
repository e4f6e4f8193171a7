/** A span that a call may take, joined with its caller's signal. */
import type { Clock } from '../clock.js';
import { GridcastError } from './error.js';

export interface Deadline {
  /** Aborted by the caller's signal, with its reason, or when the span is over, with a GridcastError (`timed-out`). */
  readonly signal: AbortSignal;
  /** Lets go of the timer and of the caller's signal. */
  cancel(): void;
}

/** @param what is waited for, as in "no answer from 127.0.0.1:8080" */
export function deadline(clock: Clock, timeoutMs: number, what: string, signal?: AbortSignal): Deadline {
  const controller = new AbortController();
  const leave = (): void => controller.abort(signal?.reason);
  const cancelTimer = clock.after(timeoutMs, () =>
    controller.abort(new GridcastError('timed-out', `${what} within ${timeoutMs} ms.`)),
  );
  if (signal?.aborted) leave();
  signal?.addEventListener('abort', leave);
  return {
    signal: controller.signal,
    cancel() {
      cancelTimer();
      signal?.removeEventListener('abort', leave);
    },
  };
}
