/**
 * What V8 is told about the broker's garbage. Left to itself it marks all that lives every two or three seconds under load, and while it
 * marks, 40 to 60 ms on two cores, whatever has come waits (docs/adr/0010-garbage.md, docs/adr/0013-no-pretenuring.md).
 */
import { setFlagsFromString } from 'node:v8';

/** V8 reads them again and again while it runs: they may be set at any time. */
const FLAGS = [
  // Three times as much as lives may gather from one marking to the next, in place of half as much.
  '--heap-growing-percent=300',
  // What some code made lived long once, while the broker began: V8 would make it among the old for good, where a sample, its frame and
  // its bodies stay until the next marking, and call for it.
  '--no-allocation-site-pretenuring',
];

/** Sets them; once is enough. */
export function tendHeap(): void {
  for (const flag of FLAGS) setFlagsFromString(flag);
}
