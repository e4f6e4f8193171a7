/**
 * The broker under test: `gridcast serve` as it is built, a process of its own, on free ports of loopback. Its cost is read
 * from outside, /proc/PID, and its accounts from its own /metrics.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { endingWithUs } from './children.js';
import { cpuUsOf, rssMibOf } from './figures.js';

export const PROGRAM = fileURLToPath(new URL('../dist/cli/gridcast.js', import.meta.url));
/** Of a broker whose garbage can be collected from outside. */
export const COLLECTABLE = [
  '--expose-gc',
  '--import',
  'data:text/javascript,process.on("SIGUSR2", () => globalThis.gc())',
] as const;
const COLLECTION_MS = 2_000;

/** Where a broker is. */
export interface Site {
  readonly http: number;
  readonly coap: number;
}

/** A balance of /metrics: received = delivered + decimated + the sum of dropped + held. */
export interface Accounts {
  readonly received: number;
  readonly delivered: number;
  readonly decimated: number;
  readonly held: number;
  readonly dropped: ReadonlyMap<string, number>;
  /** Subscriptions that stand. */
  readonly subscriptions: number;
}

export class DaemonUnderTest {
  private constructor(
    private readonly child: ChildProcess,
    readonly site: Site,
  ) {}

  /** @param flags of `serve`; @param nodeFlags of its Node: none, but for a profile or COLLECTABLE; @param program another build of it */
  static async start(
    flags: readonly string[],
    nodeFlags: readonly string[] = [],
    program = PROGRAM,
  ): Promise<DaemonUnderTest> {
    const folder = flags.includes('--data') ? undefined : mkdtempSync(join(tmpdir(), 'gridcast-'));
    const ports = flags.includes('--config') ? [] : ['--http', '0', '--coap', '0'];
    const serve = [program, 'serve', ...ports, '--log-level', 'warn', ...flags];
    if (folder !== undefined) serve.push('--data', folder);
    const words = [...nodeFlags, ...serve];
    const child = endingWithUs(spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] }));
    if (folder !== undefined) child.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    const listening = new Map<string, number>();
    for await (const line of createInterface({ input: child.stdout })) {
      const [, scheme, port] = /(http|coap):\/\/127\.0\.0\.1:(\d+)/.exec(line) ?? [];
      if (scheme !== undefined && !listening.has(scheme)) listening.set(scheme, Number(port));
      if (listening.size === 2) break;
    }
    const [http, coap] = [listening.get('http'), listening.get('coap')];
    if (http === undefined || coap === undefined) throw new Error('the broker did not say where it listens');
    return new DaemonUnderTest(child, { http, coap });
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** User and system time since its start, microseconds. */
  get cpuUs(): number {
    return cpuUsOf(this.pid);
  }

  get rssMib(): number {
    return rssMibOf(this.pid);
  }

  /** Of each named metric the figures by their one label; by nothing where there is none. */
  async figures(): Promise<(name: string) => Map<string, number>> {
    const text = await textAt(`http://127.0.0.1:${this.site.http}/metrics`);
    return (name) =>
      new Map(
        Array.from(
          text.matchAll(new RegExp(`^${name}(?:\\{\\w+="([^"]*)"\\})? (\\S+)$`, 'gm')),
          ([, label = '', value]) => [label, Number(value)],
        ),
      );
  }

  /** Has all garbage collected, so that the heap is what lives. Of one that was started COLLECTABLE. */
  async collect(): Promise<void> {
    this.child.kill('SIGUSR2');
    await wait(COLLECTION_MS);
  }

  async accounts(): Promise<Accounts> {
    const figures = await this.figures();
    const outcomes = figures('gridcast_deliveries_total');
    const outcome = (name: string): number => outcomes.get(name) ?? 0;
    return {
      received: outcome('received'),
      delivered: outcome('delivered'),
      decimated: outcome('decimated'),
      held: outcome('held'),
      dropped: figures('gridcast_dropped_total'),
      subscriptions: figures('gridcast_subscriptions').get('') ?? 0,
    };
  }

  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const ended = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await ended;
  }
}

/** Over a connection of its own, which does not stay: descriptors are counted. */
async function textAt(url: string): Promise<string> {
  const [response] = (await once(get(url, { agent: false }), 'response')) as [IncomingMessage];
  return Buffer.concat(await response.toArray()).toString();
}

/** What happened between two readings. */
export function between(before: Accounts, after: Accounts): Accounts {
  return {
    received: after.received - before.received,
    delivered: after.delivered - before.delivered,
    decimated: after.decimated - before.decimated,
    held: after.held - before.held,
    dropped: new Map([...after.dropped].map(([reason, count]) => [reason, count - (before.dropped.get(reason) ?? 0)])),
    subscriptions: after.subscriptions,
  };
}

/** Throws where the broker's books do not balance: then none of its figures are to be believed. */
export function checkBalance({ received, delivered, decimated, held, dropped }: Accounts): void {
  const lost = [...dropped.values()].reduce((sum, count) => sum + count, 0);
  if (received === delivered + decimated + lost + held) return;
  throw new Error(
    `received ${received} is not delivered ${delivered} + decimated ${decimated} + dropped ${lost} + held ${held}`,
  );
}
