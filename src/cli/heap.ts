/**
 * How the broker's garbage is collected: V8's own ways favour throughput and little memory, a broker's answers want short pauses.
 * What each was worth stands in docs/adr/0009-garbage.md.
 */
import { setFlagsFromString } from 'node:v8';

const FLAGS = [
  // Of 30 MiB that live V8 lets some 15 gather before it marks all that lives anew, every few seconds under load, and while it
  // marks, 40 to 50 ms on two cores, whatever has come waits. Three times as much as lives may gather.
  '--heap-growing-percent=300',
  // What is young is copied where it survives: the more has gathered, the longer it takes. The space stays as it is when the
  // program has been read, 4 MiB, and does not grow to 16.
  '--semi-space-growth-factor=1',
  // Nor does a quiet hour make it smaller, which it would be for good.
  '--no-memory-reducer',
];

/** For a process that answers in milliseconds. V8 reads these whenever it collects: to be called when the program has been read. */
export function collectForShortPauses(): void {
  for (const flag of FLAGS) setFlagsFromString(flag);
}
