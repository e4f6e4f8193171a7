/** A part of the crash tests, and what it is given. */
import { spawnSync } from 'node:child_process';

export interface Circumstances {
  /** Equal seeds draw equal moments; what the machine makes of them is its own. */
  readonly seed: number;
  readonly rounds: number;
  readonly isFull: boolean;
  readonly progress: (line: string) => void;
}

export interface Part {
  /** Why it can not run here; undefined where it can. */
  readonly obstacle: () => string | undefined;
  /** Returns the summary line; throws where a promise was broken. */
  readonly run: (circumstances: Circumstances) => Promise<string>;
}

export const never = (): undefined => undefined;

export const withoutRoot = (): string | undefined =>
  process.getuid?.() === 0 ? undefined : 'it mounts file systems, which takes root';

export const withoutTool = (tool: string): string | undefined =>
  spawnSync('which', [tool]).status === 0 ? undefined : `${tool} is not installed`;

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

/** Throws with all of them. */
export function insist(faults: readonly string[]): void {
  if (faults.length > 0) throw new Error(faults.join('; '));
}
