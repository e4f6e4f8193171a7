/**
 * The benches' own programs in C, compiled when one is needed and older than its source: the load generator, which must not be
 * what is measured, the floor, and the peer that is a library.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const SOURCES = fileURLToPath(new URL('./native/', import.meta.url));
const BUILT = `${SOURCES}build/`;

const PROGRAMS = {
  pump: { sources: ['pump.c', 'wire.c', 'wire.h'], libraries: ['-lm'] },
  floor: { sources: ['floor.c'], libraries: [] },
  'coap-server': { sources: ['coap-server.c'], libraries: ['-lcoap-3-notls'] },
  link: { sources: ['link.c'], libraries: [] },
} as const;
export type NativeProgram = keyof typeof PROGRAMS;

/** A program that this machine can not have, and why. */
export class Absent extends Error {}

/** Debian keeps servers where users do not look. */
export const SEARCHED = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;
/** Whether one of Debian's programs is there. */
export const isInstalled = (program: string): boolean =>
  SEARCHED.split(':').some((folder) => existsSync(`${folder}/${program}`));

/** Where the program is. Throws `Absent` where it can not be compiled. */
export function nativeProgram(name: NativeProgram): string {
  const { sources, libraries } = PROGRAMS[name];
  const built = BUILT + name;
  const paths = sources.map((file) => SOURCES + file);
  const newest = Math.max(...paths.map((path) => statSync(path).mtimeMs));
  if (existsSync(built) && statSync(built).mtimeMs > newest) return built;
  mkdirSync(BUILT, { recursive: true });
  try {
    const units = paths.filter((path) => path.endsWith('.c'));
    execFileSync('cc', ['-O2', '-Wall', '-Wextra', '-o', built, ...units, ...libraries], { stdio: 'pipe' });
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    const said = /error: .*/.exec(words)?.[0] ?? words.split('\n', 1)[0];
    throw new Absent(`${name} can not be compiled (bench/setup.sh installs what it takes): ${said}`);
  }
  return built;
}
