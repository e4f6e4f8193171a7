/**
 * Processes of their own and what they say: any command line, and the built program, `dist/cli/gridcast.js`, as `npm test` has
 * built it before.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { temporaryFolder } from './folder.js';

export const SCRIPT = 'dist/cli/gridcast.js';

const running = new Set<Spawned>();

/** Ends what a test that failed has left running. */
export async function stopPrograms(): Promise<void> {
  await Promise.all([...running].map((program) => program.stop()));
}

export class Spawned {
  readonly lines: string[] = [];
  complaint = '';
  readonly process: ChildProcess;
  private readonly closed: Promise<unknown[]>;
  private readonly waiting: (() => void)[] = [];
  private isOver = false;

  constructor(command: string, words: readonly string[], environment: NodeJS.ProcessEnv = {}) {
    this.process = spawn(command, words, {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(this);
    const { stdout, stderr } = this.process;
    if (!stdout || !stderr) throw new Error('a process without output');
    createInterface({ input: stdout }).on('line', (line) => {
      this.lines.push(line);
      this.wake();
    });
    stderr.on('data', (text: Buffer) => (this.complaint += text.toString()));
    this.closed = once(this.process, 'close').finally(() => {
      this.isOver = true;
      running.delete(this);
      this.wake();
    });
  }

  private wake(): void {
    for (const resolve of this.waiting.splice(0)) resolve();
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  /** The first group of the first line that matches, waited for. */
  async told(pattern: RegExp): Promise<string> {
    for (let at = 0; ; at++) {
      while (at >= this.lines.length) {
        if (this.isOver) throw new Error(`ended without a line like ${pattern}: ${this.complaint}`);
        await new Promise<void>((resolve) => this.waiting.push(resolve));
      }
      const found = pattern.exec(this.lines[at] ?? '');
      if (found) return found[1] ?? found[0];
    }
  }

  /** Its exit code, or the signal that ended it, waited for. */
  async ended(): Promise<number | NodeJS.Signals> {
    const [code, signal] = (await this.closed) as [number | null, NodeJS.Signals];
    return code ?? signal;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | NodeJS.Signals> {
    this.process.kill(signal);
    return this.ended();
  }
}

export class Program extends Spawned {
  constructor(...words: readonly string[]) {
    if (!existsSync(SCRIPT)) throw new Error(`${SCRIPT} is not there: run "npm run build" first.`);
    super(process.execPath, [SCRIPT, ...words], { GRIDCAST_DATA: temporaryFolder() });
  }
}

/** Runs a command line to its end. */
export async function run(...words: readonly string[]) {
  const program = new Program(...words);
  const exitCode = await program.ended();
  return { exitCode, out: program.lines.join('\n'), lines: program.lines, complaint: program.complaint.trim() };
}
