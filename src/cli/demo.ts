/**
 * `gridcast demo`: the whole product in one terminal, each part a process of its own, on real sockets.
 *
 *     sim pmu (3 PMUs, 30/s) ──C37.118──> serve ──CoAP──> observe pmu-1
 *                                               ──WS────> observe pmu-2      their lines are the demo's output
 *                                               ──HTTP──> observe pmu-3
 *
 * It ends when it is told to, after --seconds, or when any part dies: then it says which and why, and ends with 1.
 */
import type { Command } from 'commander';
import { systemDisk, temporaryFolder } from '../disk.js';
import { GridcastError } from '../client/error.js';
import { HttpClient } from '../client/http-client.js';
import { parseTarget } from '../client/target.js';
import { positive } from './arguments.js';
import { Child } from './child.js';
import type { Shell } from './shell.js';

const HOST = '127.0.0.1';
const HTTP_PORT = 8080;
const COAP_PORT = 5683;
const PMU_PORT = 4712;
const PMU_RATE = 30;
/** Slow enough to read along, and at most half a second until the first. */
const SHOWN_RATE = 2;
const CONSUMERS = [
  { binding: 'coap', pmu: 'pmu-1' },
  { binding: 'ws', pmu: 'pmu-2' },
  { binding: 'http', pmu: 'pmu-3' },
] as const;
const RETRY_MS = 50;
/** From the broker's start until the last PMU has a sample; on an idle machine it takes a second. */
const START_PATIENCE_MS = 30_000;

export function addDemo(program: Command, shell: Shell): void {
  program
    .command('demo')
    .description('a broker, three simulated PMUs and a consumer per binding, as processes of their own')
    .option('--seconds <N>', 'end by itself after so long', positive)
    .addHelpText('after', '\nExamples:\n  gridcast demo\n  gridcast demo --seconds 10 | grep coap')
    .action(({ seconds }: { seconds?: number }) => demo(shell, seconds));
}

async function demo(shell: Shell, seconds: number | undefined): Promise<void> {
  const cast = new Cast(shell);
  const { clock, interrupted } = shell;
  const told = new Promise<void>((resolve) => {
    interrupted.addEventListener('abort', () => resolve());
    if (seconds !== undefined) clock.after(seconds * 1000, resolve);
  });
  try {
    await Promise.race([told, cast.play().then(() => told), cast.death]);
  } finally {
    await cast.stop();
  }
}

/** The processes of a demo. */
class Cast {
  private readonly children: Child[] = [];
  private isOver = false;
  private data: string | undefined;
  private fail: (error: Error) => void = () => {};
  /** Rejects when a part ends before it was told to. */
  readonly death = new Promise<never>((_, reject) => (this.fail = reject));

  constructor(private readonly shell: Shell) {}

  /** Starts all parts, each when what it needs is there. */
  async play(): Promise<void> {
    const { shell } = this;
    const pmus = await this.start(
      'sim pmu',
      (port) => [
        'sim',
        'pmu',
        '--listen',
        `tcp://${HOST}:${port(PMU_PORT)}`,
        '--pmus',
        '3',
        '--rate',
        String(PMU_RATE),
      ],
      { at: /^listening tcp:\/\/(\S+)/ },
    );
    const data = (this.data = await temporaryFolder('gridcast-demo'));
    const broker = await this.start(
      'serve',
      (port) => [
        ...['serve', '--host', HOST, '--http', String(port(HTTP_PORT)), '--coap', String(port(COAP_PORT))],
        ...['--log-level', 'warn', '--pmu', `c37118+tcp://${pmus.at}?idcode=1`, '--data', data],
      ],
      { http: /^ +HTTP +http:\/\/([^/]+)/, coap: /^ +CoAP +coap:\/\/([^/]+)/ },
    );
    shell.note(`broker at http://${broker.http}/m2m and coap://${broker.coap}/m2m; Ctrl-C ends it`);
    await Promise.all(
      CONSUMERS.map(async ({ binding, pmu }) => {
        const path = `/m2m/applications/${pmu}/containers/measurements/contentInstances/latest/content`;
        await this.untilThere(`http://${broker.http}${path}`);
        const uri = `${binding}://${binding === 'coap' ? broker.coap : broker.http}${path}`;
        this.watch(
          this.launch(`observe ${binding}`, ['observe', uri, '--rate', String(SHOWN_RATE)], (line) =>
            shell.print(line),
          ),
        );
      }),
    );
  }

  async stop(): Promise<void> {
    this.isOver = true;
    // Consumers first, the broker and its source after them: nobody sees the other go.
    const consumers = this.children.filter(({ name }) => name.startsWith('observe'));
    for (const part of [consumers, this.children]) await Promise.all(part.map((child) => child.stop(this.shell.clock)));
    if (this.data !== undefined) await systemDisk.remove(this.data);
  }

  private launch(name: string, words: readonly string[], print: (line: string) => void): Child {
    const child = new Child(name, words, print);
    this.children.push(child);
    if (this.isOver) void child.stop(this.shell.clock);
    return child;
  }

  private watch(child: Child): void {
    void child.ended.then((reason) => {
      if (!this.isOver && !this.shell.interrupted.aborted) this.fail(new Error(`${child.name} has ended: ${reason}`));
    });
  }

  /**
   * Starts a part and waits until its output has told where it is. One that ends before that is started again on free
   * ports: its usual ones are somebody else's, and nobody can know before trying.
   */
  private async start<Name extends string>(
    name: string,
    wordsFor: (port: (usual: number) => number) => readonly string[],
    wanted: Readonly<Record<Name, RegExp>>,
  ): Promise<Record<Name, string>> {
    const found = await this.attempt(
      name,
      wordsFor((usual) => usual),
      wanted,
    );
    if (typeof found !== 'string') return found;
    this.shell.note(`${name} does not start on its usual ports and takes free ones: ${found}`);
    const second = await this.attempt(
      name,
      wordsFor(() => 0),
      wanted,
    );
    if (typeof second !== 'string') return second;
    throw new Error(`${name} has ended: ${second}`);
  }

  /** What its output told, or why it ended before. */
  private attempt<Name extends string>(
    name: string,
    words: readonly string[],
    wanted: Readonly<Record<Name, RegExp>>,
  ): Promise<Record<Name, string> | string> {
    const names = Object.keys(wanted) as Name[];
    const found: Partial<Record<Name, string>> = {};
    return new Promise((resolve) => {
      const child = this.launch(name, words, (line) => {
        for (const each of names) found[each] ??= wanted[each].exec(line)?.[1];
        if (names.some((each) => found[each] === undefined)) return;
        this.watch(child);
        resolve(found as Record<Name, string>);
      });
      void child.ended.then(resolve);
    });
  }

  /** A PMU is there when its first frame is. */
  private async untilThere(uri: string): Promise<void> {
    const { clock, interrupted } = this.shell;
    const client = new HttpClient(parseTarget(uri), { clock });
    const untilUs = clock.monotonicUs() + START_PATIENCE_MS * 1000;
    while (!this.isOver) {
      try {
        await client.request({ op: 'retrieve', to: uri, signal: interrupted });
        return;
      } catch (error) {
        if (!(error instanceof GridcastError) || error.code !== 404 || clock.monotonicUs() > untilUs) throw error;
      }
      await new Promise<void>((resolve) => clock.after(RETRY_MS, resolve));
    }
  }
}
