/** The arithmetic and the typography of the benches: percentiles of one run, medians of several, tables. */
import { readFileSync } from 'node:fs';
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

/** User and system time of a process and of the machine: USER_HZ is 100 on every Linux that Node runs on. */
const US_PER_TICK = 10_000;
/** Of /proc/PID/stat, counted from behind the name. */
const UTIME_FIELD = 11;
const STIME_FIELD = 12;

/** User and system time of a process since its start, microseconds. */
export function cpuUsOf(pid: number): number {
  // The second field, the program's name, may contain blanks: count from the bracket that ends it.
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[UTIME_FIELD]) + Number(fields[STIME_FIELD])) * US_PER_TICK;
}

/** What all processes have used of the machine since it started, and what its host has withheld; microseconds. */
export function machineCpu(): { readonly busyUs: number; readonly stolenUs: number } {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] =
    readFileSync('/proc/stat', 'latin1').split('\n', 1)[0]?.split(/ +/).slice(1).map(Number) ?? [];
  return { busyUs: (user + nice + system + irq + softirq) * US_PER_TICK, stolenUs: steal * US_PER_TICK };
}
