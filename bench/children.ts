/** Processes of the benches end with them: also when one is interrupted, and nobody is left to close what it has opened. */
import type { ChildProcess } from 'node:child_process';

const EXIT_INTERRUPTED = 130;
const living = new Set<ChildProcess>();

process.once('exit', () => {
  for (const child of living) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(EXIT_INTERRUPTED));

/** Returns the process, which from now on does not outlive this one. */
export function endingWithUs<Child extends ChildProcess>(child: Child): Child {
  living.add(child);
  child.once('exit', () => living.delete(child));
  return child;
}
