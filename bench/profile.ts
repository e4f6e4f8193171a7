/**
 * Where a broker's time goes: the shapes of the fan-out under Linux's perf, each sample of its clock put down to what ran then.
 *
 *     perf record -p BROKER ──> perf script ──> thread and call chain of a sample ──> one of PARTS
 *
 * Nothing of the broker is built or started otherwise than for `fanout`; the sampling itself costs it a few per cent.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { wait } from '../test/crash/broker-process.js';
import { endingWithUs } from './children.js';
import { CONTENDERS, type ContenderKind } from './contenders.js';
import { close, perDeliveryUs, round, shapesOf, stand, type FanoutEffort, type Shape } from './fanout.js';
import { table } from './figures.js';
import { isInstalled } from './native.js';
import type { Outcome } from './targets.js';

export const QUICK: FanoutEffort = { rounds: 1, pacedS: 2, saturatedS: 1 };
/** The sum of the rounds' samples counts: about 7,000 of a core that is busy. */
export const FULL: FanoutEffort = { rounds: 1, pacedS: 10, saturatedS: 5 };

const SAMPLES_PER_S = 1499;
/** Until it samples. */
const ATTACH_MS = 500;
const WARM_UP: FanoutEffort = { rounds: 1, pacedS: 2, saturatedS: 1 };

/** What a call chain is looked through for, in this order; what none knows is `rest`. */
const PARTS = [
  {
    name: 'collector',
    in: /v8::internal::(Heap::CollectGarbage|Heap::Scavenge|Scavenger|MarkCompact|.*Marking|Sweeper)/,
  },
  { name: 'send', in: /(__x64|__arm64)_sys_(sendmmsg|sendmsg|sendto|writev|write)$/ },
  { name: 'receive', in: /(__x64|__arm64)_sys_(recvmmsg|recvmsg|recvfrom|readv|read)$/ },
  { name: 'epoll', in: /(__x64|__arm64)_sys_(epoll_\w+|timerfd_\w+)$/ },
  { name: 'disk, locks', in: /(__x64|__arm64)_sys_(fsync|fdatasync|pwrite\w*|futex)$/ },
] as const;
const COLUMNS = [
  'send',
  'receive',
  'epoll',
  'disk, locks',
  'JavaScript',
  'collector',
  'other threads',
  'rest',
] as const;
export type Part = (typeof COLUMNS)[number];

/** One frame of a chain, innermost first. */
export interface Frame {
  readonly symbol: string;
  /** The file whose code it is. */
  readonly object: string;
}

/** What a sample is put down to. @param isMain of the thread that runs the broker's JavaScript */
export function partOf(chain: readonly Frame[], isMain: boolean): Part {
  for (const part of PARTS) {
    if (!chain.some(({ symbol }) => part.in.test(symbol))) continue;
    return isMain || part.name === 'collector' ? part.name : 'other threads';
  }
  if (!isMain) return 'other threads';
  const [innermost] = chain;
  // Compiled code is in no file; what V8 has of it built in is in node's, under names of its own.
  const isCompiled =
    innermost &&
    (/^(\[unknown\]|\/\/anon|.*\.map|\[JIT\].*)$/.test(innermost.object) || innermost.symbol.startsWith('Builtins_'));
  return isCompiled ? 'JavaScript' : 'rest';
}

type Shares = ReadonlyMap<Part, number>;

/** Samples by part, of `perf script -F tid,ip,sym,dso`: a line with the thread, its frames, an empty line. */
export async function sharesOf(lines: AsyncIterable<string>, main: number): Promise<Shares> {
  const counts = new Map<Part, number>();
  let thread: number | undefined;
  let chain: Frame[] = [];
  const end = (): void => {
    if (thread === undefined) return;
    const part = partOf(chain, thread === main);
    counts.set(part, (counts.get(part) ?? 0) + 1);
    [thread, chain] = [undefined, []];
  };
  for await (const line of lines) {
    const [, symbol = '', object = ''] = /^\s+[0-9a-f]+ (.*) \((.*)\)$/.exec(line) ?? [];
    if (object !== '') chain.push({ symbol: symbol.replace(/\+0x[0-9a-f]+$/, ''), object });
    else if (line.trim() === '') end();
    else thread = Number(line.trim());
  }
  end();
  return counts;
}

/** Runs something while a process is sampled. */
async function sampled<Result>(pid: number, file: string, run: () => Promise<Result>): Promise<Result> {
  const words = ['record', '-q', '-e', 'cpu-clock', '-F', `${SAMPLES_PER_S}`, '-g', '-o', file, '-p', `${pid}`];
  const recorder = endingWithUs(spawn('perf', words, { stdio: 'ignore' }));
  const ended = once(recorder, 'exit');
  await wait(ATTACH_MS);
  const result = await run();
  recorder.kill('SIGINT');
  await ended;
  return result;
}

function read(file: string, main: number): Promise<Shares> {
  const script = spawn('perf', ['script', '-i', file, '-F', 'tid,ip,sym,dso'], { stdio: ['ignore', 'pipe', 'ignore'] });
  return sharesOf(createInterface({ input: script.stdout }), main);
}

interface Profile {
  readonly name: string;
  readonly shape: Shape;
  readonly perDeliveryUs: number;
  readonly samples: number;
  readonly shares: Shares;
}

async function profilesOf(kind: ContenderKind, effort: FanoutEffort, folder: string): Promise<Profile[]> {
  const stood = await stand(kind);
  const { pid } = stood.contender;
  const file = join(folder, 'samples');
  try {
    const profiles: Profile[] = [];
    for (const shape of shapesOf(kind)) {
      await round(stood, shape, WARM_UP);
      const result = await round(stood, shape, effort, (run) => sampled(pid, file, run));
      const shares = await read(file, pid);
      const samples = [...shares.values()].reduce((sum, count) => sum + count, 0);
      profiles.push({ name: kind.name, shape, perDeliveryUs: perDeliveryUs(result), samples, shares });
    }
    return profiles;
  } finally {
    await close(stood);
  }
}

export async function profile(effort: FanoutEffort, progress: (line: string) => void): Promise<Outcome> {
  const obstacle = whyNot();
  if (obstacle !== undefined) return { text: `Nothing was measured: ${obstacle}.` };
  const folder = mkdtempSync(join(tmpdir(), 'gridcast-profile-'));
  const profiles: Profile[] = [];
  try {
    for (const kind of CONTENDERS) {
      if (!kind.isOurs || !kind.name.includes(effort.only ?? '')) continue;
      profiles.push(...(await profilesOf(kind, effort, folder)));
      progress(`${kind.name}: profiled`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const rows = profiles.map(({ name, shape, perDeliveryUs: us, samples, shares }) => [
    ...[name, shape, `${us.toFixed(2)} us`],
    ...COLUMNS.map((part) => ((us * (shares.get(part) ?? 0)) / samples).toFixed(2)),
    `${samples}`,
  ]);
  const text = [
    `Broker CPU per delivery, microseconds, and what ran meanwhile: ${SAMPLES_PER_S} samples a second of each busy thread. Send, receive, epoll, disk and locks are time in the kernel on the main thread, the receiver's half of loopback included in send; JavaScript has V8's builtins in it; rest is V8's runtime, libuv and addons.`,
    '',
    table(['Gridcast', 'shape', 'CPU', ...COLUMNS, 'samples'], rows),
  ].join('\n');
  return { text, figures: profiles.map(({ shares, ...each }) => ({ ...each, shares: Object.fromEntries(shares) })) };
}

/** Why this machine can not tell; undefined where it can. */
function whyNot(): string | undefined {
  if (!isInstalled('perf')) return 'perf is not installed (bench/setup.sh)';
  try {
    execFileSync('perf', ['record', '-q', '-e', 'cpu-clock', '-g', '-o', '/dev/null', 'true'], { stdio: 'pipe' });
    return undefined;
  } catch {
    return 'perf may not record here (kernel.perf_event_paranoid)';
  }
}
