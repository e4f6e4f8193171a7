/**
 * What a command is given of the process it runs in: where to print, what time it is, and when to stop.
 *
 *     print ──> standard output     samples, answers: one line each, what a pipe gets
 *     note ───> standard error      remarks for a person, only on a terminal: quiet when piped
 *     complain > standard error     what went wrong
 *
 * SIGINT and SIGTERM abort `interrupted` and the command ends in order; a second signal ends the process at once. So does a
 * reader that has had enough (`gridcast observe ... | head -1`), which is no failure.
 */
import { styleText } from 'node:util';
import { systemClock, type Clock } from '../clock.js';

export type Style = Parameters<typeof styleText>[0];

export interface Shell {
  readonly clock: Clock;
  /** Standard output is a terminal. */
  readonly isTerminal: boolean;
  readonly interrupted: AbortSignal;
  print(line: string): void;
  /** Bytes as they are. */
  write(bytes: Uint8Array): void;
  note(line: string): void;
  complain(line: string): void;
  /** Coloured on a terminal, unless NO_COLOR is set [no-color.org]. */
  paint(style: Style, text: string): string;
}

/** The reason of `interrupted`. */
export class Interruption extends Error {
  constructor(readonly signal: keyof typeof EXIT_CODES) {
    super(`interrupted by ${signal}`);
  }

  /** As shells have it: 128 and the signal's number. */
  get exitCode(): number {
    return EXIT_CODES[this.signal];
  }
}
const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGPIPE: 0 } as const;

/** Thrown by a command that decides its exit code itself. */
export class Exit extends Error {
  constructor(readonly code: number) {
    super(`exit code ${code}`);
  }
}

/** The shell of this process. To be opened once. */
export function openShell(): Shell {
  const { stdout, stderr } = process;
  const isColoured = stdout.isTTY && (process.env.NO_COLOR ?? '') === '';
  return {
    clock: systemClock,
    isTerminal: stdout.isTTY,
    interrupted: interruption(),
    print: (line) => void stdout.write(`${line}\n`),
    write: (bytes) => void stdout.write(bytes),
    note(line) {
      if (stderr.isTTY) stderr.write(`${line}\n`);
    },
    complain: (line) => void stderr.write(`${line}\n`),
    paint: (style, text) => (isColoured ? styleText(style, text) : text),
  };
}

function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      const interrupted = new Interruption(signal);
      if (controller.signal.aborted) process.exit(interrupted.exitCode);
      controller.abort(interrupted);
    });
  }
  // Node ignores SIGPIPE; the write fails instead.
  process.stdout.on('error', () => controller.abort(new Interruption('SIGPIPE')));
  return controller.signal;
}
