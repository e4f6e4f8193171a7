/** Notifications to a contact at `http:` or `https:`, each a POST of JSON. */
import type { Clock } from '../../clock.js';
import type { Courier } from '../../routing/courier.js';

const UNREACHABLE = 502;
const TIMED_OUT = 504;

export const httpCourier =
  (clock: Clock): Courier =>
  async (to, notify, timeoutMs) => {
    const limit = new AbortController();
    const cancel = clock.after(timeoutMs, () => limit.abort());
    try {
      const response = await fetch(to, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(notify),
        redirect: 'manual',
        signal: limit.signal,
      });
      // What it says beside its status is of no use; the connection is.
      await response.arrayBuffer();
      return response.status;
    } catch {
      return limit.signal.aborted ? TIMED_OUT : UNREACHABLE;
    } finally {
      cancel();
    }
  };
