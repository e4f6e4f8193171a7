/**
 * Room for the broker's garbage. V8 favours memory: of 30 MiB that live it lets some 15 gather before it marks all that lives
 * anew, every few seconds under load, and while it marks, 40 to 50 ms on two cores, whatever has come waits (docs/adr/0010-garbage.md).
 */
import { setFlagsFromString } from 'node:v8';

/** What may gather between two markings, in per cent of what lived at the first of them. */
const GROWING_PERCENT = 300;

/** Three times as much as lives may gather. V8 reads it at the end of each marking: it may be called at any time. */
export function giveHeapRoom(): void {
  setFlagsFromString(`--heap-growing-percent=${GROWING_PERCENT}`);
}
