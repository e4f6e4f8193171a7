/**
 * A broker as a process of its own, on one folder of data and on the same ports in all its lives, so that its clients find it
 * again. It may be killed at any moment.
 *
 *     start ── spawn ──> /readyz answers 200 ──> kill -9 | SIGTERM ──> start ...
 */
import { Agent, request } from 'node:http';
import { Program } from '../support/program.js';

/** Asked this often whether it is ready: what the figure is exact to. */
const PROBE_INTERVAL_MS = 5;
/** Well above the target of 10 s for a million resources. */
const START_LIMIT_MS = 120_000;

/**
 * Below the range from which Linux gives ports to those who connect: a client that looks for a dead broker may be given the very
 * port it looks for, be connected to itself, and keep the port from the broker's next life.
 */
const FIRST_PORT = 20_000;
const PORTS = 10_000;
/** Runs that go on beside each other begin apart. */
let lastPort = (process.pid * 16) % PORTS;
export const nextPort = (): number => FIRST_PORT + (lastPort++ % PORTS);

/** Longer than a long poll is held by the daemons started here. */
const ANSWER_LIMIT_MS = 5_000;

export const wait = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Throws, naming what did not come, when the time is over. */
export async function within<Result>(limitMs: number, what: string, promise: Promise<Result>): Promise<Result> {
  let timer: NodeJS.Timeout | undefined;
  const overdue = new Promise<never>((_, fail) => {
    timer = setTimeout(() => fail(new Error(`${what} did not happen within ${limitMs / 1000} s`)), limitMs);
  });
  try {
    return await Promise.race([promise, overdue]);
  } finally {
    clearTimeout(timer);
  }
}

export interface Answer {
  readonly status: number;
  readonly body: string;
}

export class BrokerProcess {
  private program: Program | undefined;
  private readonly agent = new Agent({ keepAlive: true });
  private readonly ports = { http: nextPort(), coap: nextPort() };

  /** @param flags of `serve`, beyond data and ports */
  constructor(
    readonly data: string,
    private readonly flags: readonly string[] = [],
  ) {}

  get http(): number {
    return this.ports.http;
  }
  get coap(): number {
    return this.ports.coap;
  }
  get root(): string {
    return `http://127.0.0.1:${this.http}`;
  }
  get pid(): number {
    return this.program?.pid ?? 0;
  }
  /** What it wrote to stderr in this life: its log. */
  get complaint(): string {
    return this.program?.complaint ?? '';
  }

  /**
   * @param served what must have been answered with 200 for it to be up; default: that it is ready
   * @returns milliseconds from the spawn to that answer
   */
  async start(served = '/readyz'): Promise<number> {
    const from = performance.now();
    const { http, coap } = this.ports;
    const program = new Program(
      ...['serve', '--data', this.data, '--http', `${http}`, '--coap', `${coap}`, '--log-level', 'warn'],
      ...this.flags,
    );
    this.program = program;
    let last: Answer | undefined;
    while ((last = await this.ask('GET', served).catch(() => undefined))?.status !== 200) {
      const { exitCode, signalCode } = program.process;
      if ((exitCode ?? signalCode) !== null)
        throw new Error(`the broker ended with ${exitCode ?? signalCode}: ${program.complaint}`);
      if (performance.now() - from > START_LIMIT_MS)
        throw new Error(`the broker is not up: ${served} says ${last?.status} ${last?.body}; ${program.complaint}`);
      await wait(PROBE_INTERVAL_MS);
    }
    return performance.now() - from;
  }

  async kill(): Promise<void> {
    await this.program?.stop('SIGKILL');
  }

  async stop(): Promise<number | NodeJS.Signals | undefined> {
    return this.program?.stop();
  }

  /** One HTTP exchange; rejects when there is no answer. */
  ask(method: string, path: string, document?: object): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = request(
        { port: this.http, host: '127.0.0.1', method, path, agent: this.agent, timeout: ANSWER_LIMIT_MS },
        (response) => {
          let body = '';
          response.on('data', (bytes: Buffer) => (body += bytes.toString()));
          response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
          response.on('error', reject);
        },
      );
      sent.on('error', reject);
      sent.on('timeout', () => sent.destroy(new Error(`${method} ${path}: no answer`)));
      if (document) sent.setHeader('content-type', 'application/json');
      sent.end(document && JSON.stringify(document));
    });
  }

  async create(path: string, document: object): Promise<void> {
    const { status, body } = await this.ask('POST', path, document);
    if (status !== 201) throw new Error(`POST ${path}: ${status} ${body}`);
  }
}
