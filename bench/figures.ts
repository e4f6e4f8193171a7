/** The arithmetic and the typography of the benches: percentiles of one run, medians of several, tables. */
import { readdirSync, readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';

/** What is lower than a fraction `p` of `sorted`, nearest rank; NaN of nothing. */
export const percentile = (sorted: ArrayLike<number>, p: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? NaN;

export function median(values: readonly number[]): number {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? NaN)
    : ((sorted[middle - 1] ?? NaN) + (sorted[middle] ?? NaN)) / 2;
}

export const microseconds = (us: number): string =>
  us < 1000 ? `${us.toFixed(0)} us` : us < 1e6 ? `${(us / 1000).toFixed(1)} ms` : `${(us / 1e6).toFixed(2)} s`;

/** A Markdown table, its columns aligned as the formatter leaves them. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((name, column) => Math.max(3, name.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n');
}

/** The machine, as far as it matters to the figures. */
export function machine(): string {
  const [{ model } = { model: 'unknown' }] = cpus();
  const memoryGib = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} cores (${model.trim()}), ${memoryGib} GiB, Linux ${release().split('.', 2).join('.')}, Node ${process.version}`;
}

/** USER_HZ is 100 on every Linux that Node runs on. */
const US_PER_TICK = 10_000;

/**
 * User and system time of a process since its start, microseconds: the sum of its threads, as the scheduler counts it. It is what
 * /proc/PID/stat tells, but not rounded to 10 ms; of the few threads that have ended it knows nothing.
 */
export function cpuUsOf(pid: number): number {
  let ns = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      ns += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ', 1)[0]);
    } catch {
      // It has ended between the two readings.
    }
  }
  return ns / 1000;
}

/** Resident memory of a process. */
export const rssMibOf = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]) / 1024;

/** What all processes have used of the machine since it started, and what its host has withheld; microseconds. */
export function machineCpu(): { readonly busyUs: number; readonly stolenUs: number } {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] =
    readFileSync('/proc/stat', 'latin1').split('\n', 1)[0]?.split(/ +/).slice(1).map(Number) ?? [];
  return { busyUs: (user + nice + system + irq + softirq) * US_PER_TICK, stolenUs: steal * US_PER_TICK };
}
