/** One `gridcast` process started by another: its lines, its end, and the reason of its end. The one place that starts processes. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../clock.js';

/** Found from src/cli, and from dist/chunks where the bundle has this file. */
const SCRIPT = fileURLToPath(new URL('../cli/gridcast.js', import.meta.url));
/** Two of these, for those who listen and then for those who are listened to, are less than the 5 s that all has to end in. */
const PATIENCE_MS = 2_000;

export class Child {
  private readonly process: ChildProcess;
  private lastWords = '';
  /** Resolves to the reason when the process is over, or could not be started; never rejects. */
  readonly ended: Promise<string>;

  /** @param print called for each line of its standard output */
  constructor(
    readonly name: string,
    commandLine: readonly string[],
    print: (line: string) => void,
  ) {
    this.process = spawn(process.execPath, [...process.execArgv, SCRIPT, ...commandLine], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const { stdout, stderr } = this.process;
    if (stdout) createInterface({ input: stdout }).on('line', print);
    if (stderr) createInterface({ input: stderr }).on('line', (line) => (this.lastWords = line));
    this.ended = new Promise((resolve) => {
      this.process.once('error', (error) => resolve(error.message));
      // `close` follows `exit` when its output has been read too.
      this.process.once('close', (code, signal) =>
        resolve(`${signal ?? `exit code ${code}`}${this.lastWords === '' ? '' : `: ${this.lastWords}`}`),
      );
    });
  }

  /** Asks it to end, and makes it when it does not. */
  async stop(clock: Clock): Promise<void> {
    this.process.kill('SIGTERM');
    const cancel = clock.after(PATIENCE_MS, () => this.process.kill('SIGKILL'));
    await this.ended;
    cancel();
  }
}
