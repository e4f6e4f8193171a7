/** A profile's samples, put down to what ran. */
import { Readable } from 'node:stream';
import { createInterface } from 'node:readline';
import { sharesOf } from '../../bench/profile.js';

const MAIN = 100;
const WORKER = 101;

/** As `perf script -F tid,ip,sym,dso` writes them. */
const sample = (thread: number, ...frames: readonly string[]): string =>
  [`${thread}`.padStart(7), ...frames.map((frame) => `\t    7f0011223344 ${frame}`), ''].join('\n');

const shares = async (...samples: readonly string[]): Promise<object> =>
  Object.fromEntries(await sharesOf(createInterface({ input: Readable.from([samples.join('\n')]) }), MAIN));

test('a profile puts a sample down to the system call it is in, however deep', async () => {
  const send = sample(MAIN, 'udp_sendmsg ([kernel.kallsyms])', '__x64_sys_sendmmsg ([kernel.kallsyms])');
  const receive = sample(MAIN, '__x64_sys_recvmmsg ([kernel.kallsyms])', '__recvmmsg (/usr/lib/libc.so.6)');
  const wait = sample(MAIN, 'schedule ([kernel.kallsyms])', '__x64_sys_epoll_pwait ([kernel.kallsyms])');
  expect(await shares(send, receive, receive, wait)).toEqual({ send: 1, receive: 2, epoll: 1 });
});

test('a profile tells compiled JavaScript and the built-in from the runtime', async () => {
  const compiled = sample(MAIN, '[unknown] (//anon)', 'uv_run (/usr/bin/node)');
  const builtin = sample(MAIN, 'Builtins_MapPrototypeGet (/usr/bin/node)', '[unknown] (//anon)');
  const runtime = sample(MAIN, 'v8::internal::Factory::NewJSArray() (/usr/bin/node)', '[unknown] (//anon)');
  expect(await shares(compiled, builtin, runtime)).toEqual({ JavaScript: 2, rest: 1 });
});

test('a profile counts the collector wherever it runs, and other threads apart', async () => {
  const young = sample(WORKER, 'v8::internal::Scavenger::Process(v8::JobDelegate*) (/usr/bin/node)');
  const full = sample(MAIN, 'memset (/usr/lib/libc.so.6)', 'v8::internal::Heap::CollectGarbage() (/usr/bin/node)');
  const disk = sample(WORKER, '__x64_sys_fdatasync ([kernel.kallsyms])');
  expect(await shares(young, full, disk)).toEqual({ collector: 2, 'other threads': 1 });
});
