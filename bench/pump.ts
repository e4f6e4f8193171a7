/**
 * The load generator, a process of its own (native/pump.c), as seen from here: orders are lines, and what they compose is bytes.
 */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { nativeProgram } from './native.js';

export interface Load {
  readonly shape: 'even' | 'burst' | 'spread' | 'saturate';
  readonly seconds: number;
  /** Of each topic; unheeded when it saturates. */
  readonly rateHz: number;
  /** Deliveries that a message makes. */
  readonly fanOut: number;
  /** Messages under way when it saturates, and those of one topic that are sent at once. */
  readonly window: number;
  readonly batch: number;
  /** Of the publishers, in the order they were made. */
  readonly first: number;
  readonly count: number;
}

/** What came of a run; microseconds. */
export interface Pumped {
  readonly published: number;
  /** By the system: its buffers were full. */
  readonly refused: number;
  readonly received: number;
  /** Of these, before the run's end. */
  readonly inTime: number;
  /** When it saturates: what had not come when everything stood still. */
  readonly writtenOff: number;
  /** Of relations that are counted one by one. */
  readonly again: number;
  readonly skipped: number;
  readonly outOfOrder: number;
  /** Of the generator, user and system. */
  readonly cpuUs: number;
  readonly elapsedUs: number;
  /** From before the publisher's send to after the subscriber's receive. */
  readonly ageUs: { readonly p50: number; readonly p99: number; readonly p999: number; readonly longest: number };
}

export interface Question {
  readonly send: Uint8Array;
  readonly until: string | Uint8Array;
  readonly times?: number;
  /** Of a datagram that may be lost. */
  readonly tries?: number;
}

/** A connection waits so long for an answer, in 300 ms. */
const PATIENCE = 40;

const hex = (bytes: string | Uint8Array): string =>
  (typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : Buffer.from(bytes)).toString('hex');

export class Pump {
  private readonly child: ChildProcessByStdio<Writable, Readable, null>;
  private readonly answers: ((line: string | undefined) => void)[] = [];
  private sockets = 0;
  /** Where the next sockets connect to. */
  host = '127.0.0.1';

  constructor() {
    this.child = spawn(nativeProgram('pump'), { stdio: ['pipe', 'pipe', 'inherit'] });
    createInterface({ input: this.child.stdout }).on('line', (line) => this.answers.shift()?.(line));
    this.child.stdin.on('error', () => {});
    this.child.once('exit', () => {
      for (const answer of this.answers.splice(0)) answer(undefined);
    });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  socket(kind: 'tcp' | 'udp', port: number): number {
    this.order(`socket ${kind} ${this.host} ${port}`);
    return this.sockets++;
  }

  ask(socket: number, { send, until, times = 1, tries = PATIENCE }: Question): void {
    this.order(`ask ${socket} ${tries} ${hex(until)} ${times} ${hex(send)}`);
  }

  say(socket: number, message: Uint8Array): void {
    this.order(`say ${socket} ${hex(message)}`);
  }

  read(socket: number, as: 'stream' | 'websocket' | 'coap'): void {
    this.order(`read ${socket} ${as}`);
  }

  poll(socket: number, request: string): void {
    this.order(`poll ${socket} ${hex(request)}`);
  }

  /** A message that bears the mark of load.ts, and at `idAt` CoAP's id. */
  topic(socket: number, message: Uint8Array, idAt = -1): void {
    const stampAt = Buffer.from(message).indexOf('at=') + 3;
    this.order(`topic ${socket} ${stampAt} ${idAt} ${hex(message)}`);
  }

  frame(socket: number, message: Uint8Array): void {
    this.order(`frame ${socket} ${hex(message)}`);
  }

  relation(pmu: number, step: number): void {
    this.order(`relation ${pmu} ${step}`);
  }

  /** All orders up to here have been obeyed. */
  async sync(): Promise<void> {
    const answer = this.answer();
    this.order('sync');
    await answer;
  }

  async run(load: Load): Promise<Pumped> {
    const [pumped] = this.laps(load, 1);
    if (!pumped) throw new Error('a run without a lap'); // it was asked for one
    const { skipped, ...rest } = await pumped;
    return { ...rest, skipped: Math.max(0, skipped) };
  }

  /**
   * Runs that follow each other without a pause; each resolves when it is over. What is under way at the end of one counts in the next,
   * where `skipped` is below 0 for what had been taken for skipped.
   */
  laps(load: Load, laps: number): readonly Promise<Pumped>[] {
    const { shape, seconds, rateHz, fanOut, window, batch, first, count } = load;
    const answers = Array.from({ length: laps }, () => this.answer());
    this.order(`run ${shape} ${seconds} ${rateHz} ${fanOut} ${window} ${batch} ${first} ${count} ${laps}`);
    return answers.map((answer) => {
      const pumped = answer.then((line) => JSON.parse(line) as Pumped);
      // Whoever waits for the first of them is told.
      pumped.catch(() => {});
      return pumped;
    });
  }

  close(): void {
    this.child.stdin.end();
    this.child.kill();
  }

  private order(line: string): void {
    this.child.stdin.write(`${line}\n`);
  }

  /** The next line that nobody has been promised yet. */
  private async answer(): Promise<string> {
    const answer = await new Promise<string | undefined>((done) => {
      if (this.child.exitCode !== null) done(undefined);
      this.answers.push(done);
    });
    if (answer === undefined) throw new Error('the load generator has failed');
    return answer;
  }
}
