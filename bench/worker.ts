/** A process of a bench. */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { endingWithUs } from './children.js';

/** An order, its report, and so on. */
export class Worker<Order extends object, Report> {
  private readonly process: ChildProcess;

  constructor(file: string) {
    this.process = endingWithUs(fork(file));
  }

  async run(order: Order): Promise<Report> {
    this.process.send(order);
    const told = new AbortController();
    const { signal } = told;
    const gone = once(this.process, 'exit', { signal }).then(() => Promise.reject(new Error('a process has failed')));
    gone.catch(() => undefined);
    try {
      const [report] = (await Promise.race([once(this.process, 'message', { signal }), gone])) as [Report];
      return report;
    } finally {
      told.abort();
    }
  }

  close(): void {
    this.process.kill();
  }
}
