/**
 * The system calls for many datagrams at once, of the C library that Node itself is linked to. Linux on x86-64 and arm64: the
 * structures' layouts (mmsg.ts) are theirs. Elsewhere, or without the optional package `koffi`, there is none of this.
 */
import { createRequire } from 'node:module';
import { endianness } from 'node:os';
import { getSystemErrorName } from 'node:util';

/** Each answers as the system call does: -1 is a failure whose number `errno` tells. */
export interface Libc {
  socket(family: number, type: number, protocol: number): number;
  bind(fd: number, name: Uint8Array, bytes: number): number;
  close(fd: number): number;
  sendmmsg(fd: number, messages: Uint8Array, count: number, flags: number): number;
  /** The same on a thread of libuv's pool. @param done given what it has answered; why it failed, nobody can tell */
  sendmmsgAside(fd: number, messages: Uint8Array, count: number, flags: number, done: (sent: number) => void): void;
  recvmmsg(fd: number, messages: Uint8Array, count: number, flags: number, timeout: null): number;
  getsockopt(fd: number, level: number, name: number, value: Uint8Array, bytes: Uint8Array): number;
  inet_pton(family: number, text: string, bytes: Uint8Array): number;
  errno(): number;
  /** Where bytes lie. They stay there as long as somebody holds them. */
  addressOf(bytes: Uint8Array): number;
}

type Sendmmsg = Libc['sendmmsg'] & {
  async(...args: [...Parameters<Libc['sendmmsg']>, (error: unknown, sent: number) => void]): void;
};

interface Koffi {
  load(library: null): { func(prototype: string): never };
  address(bytes: Uint8Array): bigint;
  errno(): number;
}

let loaded: Libc | undefined;

/** The calls; or why there are none, in a sentence. */
export function loadLibc(): Libc | string {
  if (loaded) return loaded;
  if (process.platform !== 'linux' || endianness() !== 'LE' || !['x64', 'arm64'].includes(process.arch))
    return `sendmmsg and recvmmsg are not used on ${process.platform} ${process.arch}`;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as Koffi;
    const library = koffi.load(null);
    const sendmmsg: Sendmmsg = library.func('int sendmmsg(int, void *, unsigned int, int)');
    loaded = {
      socket: library.func('int socket(int, int, int)'),
      bind: library.func('int bind(int, void *, unsigned int)'),
      close: library.func('int close(int)'),
      sendmmsg,
      sendmmsgAside: (fd, messages, count, flags, done) =>
        sendmmsg.async(fd, messages, count, flags, (error, sent) => done(error ? -1 : sent)),
      recvmmsg: library.func('int recvmmsg(int, void *, unsigned int, int, void *)'),
      getsockopt: library.func('int getsockopt(int, int, int, void *, void *)'),
      inet_pton: library.func('int inet_pton(int, const char *, void *)'),
      errno: () => koffi.errno(),
      addressOf: (bytes) => Number(koffi.address(bytes)),
    };
    return loaded;
  } catch (error) {
    return `the package koffi could not be loaded (${(error as Error).message.split('\n', 1)[0]})`;
  }
}

/** Bytes that all lie in one stretch of 4 GiB, so that of a pointer into them only the lower half ever changes. */
export function arena(
  libc: Libc,
  length: number,
): { readonly bytes: Uint8Array; readonly low: number; readonly high: number } {
  for (;;) {
    const bytes = new Uint8Array(length);
    const at = libc.addressOf(bytes);
    const high = Math.floor(at / 2 ** 32);
    if (Math.floor((at + length) / 2 ** 32) === high) return { bytes, low: at % 2 ** 32, high };
  }
}

/** As Node would have thrown it. */
export function systemError(syscall: string, errno: number, what: string): NodeJS.ErrnoException {
  const code = getSystemErrorName(-errno);
  return Object.assign(new Error(`${syscall} ${code} ${what}`), { code, errno: -errno, syscall });
}
