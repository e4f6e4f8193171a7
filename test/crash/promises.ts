/**
 * kill -9 of the broker at random moments while contents are created over every binding in containers of every `durability`: an
 * answer has promised what it has promised, whichever way it came.
 *
 *     latest: nothing over a restart        grouped: what was answered 100 ms before the kill        synced: what was answered
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '../../src/client/client.js';
import { open } from '../../src/client/open.js';
import { seededRandom } from '../../src/random.js';
import { BrokerProcess, wait } from './broker-process.js';
import { insist, never, type Circumstances, type Part } from './part.js';

const BINDINGS = ['http', 'coap', 'ws'] as const;
const DURABILITIES = ['latest', 'grouped', 'synced'] as const;
type Durability = (typeof DURABILITIES)[number];

const FOLDER = '/m2m/containers';
const LEAST_MS = 700;
const MOST_MORE_MS = 500;
/** As many as a container keeps: all of a round. */
const KEPT = { maxNrOfInstances: 200 };
const PAUSE_MS = 1 + (LEAST_MS + MOST_MORE_MS) / KEPT.maxNrOfInstances;
/** What `grouped` promises, and as much again as a machine that does other things as well may keep the broker from its timer. */
const GROUPED_MS = 100 + 400;

/** Creates contents in a container of its own, one after the other, and notes when each was answered. */
class Promisee {
  private readonly answered = new Map<string, number>();

  private constructor(
    private readonly client: Client,
    private readonly durability: Durability,
    private readonly path: string,
  ) {}

  static async open(
    broker: BrokerProcess,
    binding: (typeof BINDINGS)[number],
    durability: Durability,
    round: number,
  ): Promise<Promisee> {
    const id = `${binding}-${durability}-${round}`;
    await broker.create(FOLDER, { container: { id, durability, ...KEPT } });
    const client = await open(`${binding}://127.0.0.1:${binding === 'coap' ? broker.coap : broker.http}`);
    return new Promisee(client, durability, `${FOLDER}/${id}/contentInstances`);
  }

  get count(): number {
    return this.answered.size;
  }

  /** Until the signal says that the broker is gone. */
  async run(signal: AbortSignal): Promise<void> {
    for (let n = 1; !signal.aborted; n++) {
      const contentInstance = { id: `c-${n}`, content: { contentType: 'text/plain', textContent: `${n}` } };
      try {
        await this.client.request({ op: 'create', to: this.path, body: { contentInstance }, signal });
        this.answered.set(contentInstance.id, performance.now());
      } catch (error) {
        // Without an answer there is no promise; a refusal would be a fault.
        if ((error as { kind?: string }).kind === 'refused') throw error;
      }
      await wait(PAUSE_MS);
    }
    await this.client.close();
  }

  /** What was promised and is not there; those of `latest` that are gone are no fault. */
  async faults(broker: BrokerProcess, killedMs: number): Promise<string[]> {
    if (this.count === 0) return [`${this.path}: nothing was answered`];

    if (this.durability === 'latest') return [];
    const since = this.durability === 'synced' ? Infinity : killedMs - GROUPED_MS;
    const promised = [...this.answered].filter(([, atMs]) => atMs <= since).map(([id]) => id);
    if (promised.length === 0) return [`${this.path}: nothing was answered ${GROUPED_MS} ms before the kill`];
    const missing: string[] = [];
    for (const id of promised) {
      const { status, body } = await broker.ask('GET', `${this.path}/${id}/content`);
      if (status !== 200 || body !== id.slice(2)) missing.push(`${id} (${status})`);
    }
    if (missing.length === 0) return [];
    return [`${this.path} lost ${missing.length} of ${promised.length}: ${missing.slice(0, 5).join(', ')}`];
  }
}

export const promises: Part = {
  obstacle: never,
  async run({ seed, rounds, progress }: Circumstances): Promise<string> {
    const { below } = seededRandom(seed);
    const folder = mkdtempSync(join(tmpdir(), 'gridcast-promises-'));
    const broker = new BrokerProcess(join(folder, 'data'));
    let answered = 0;
    try {
      await broker.start();
      for (let n = 1; n <= rounds; n++) {
        const pairs = BINDINGS.flatMap((binding) => DURABILITIES.map((durability) => [binding, durability] as const));
        const promisees = await Promise.all(pairs.map((pair) => Promisee.open(broker, ...pair, n)));
        const gone = new AbortController();
        const load = Promise.all(promisees.map((promisee) => promisee.run(gone.signal)));
        await Promise.race([load, wait(LEAST_MS + below(MOST_MORE_MS))]);
        const killedMs = performance.now();
        await broker.kill();
        gone.abort();
        await load;
        await broker.start();
        insist((await Promise.all(promisees.map((promisee) => promisee.faults(broker, killedMs)))).flat());
        const count = promisees.reduce((sum, promisee) => sum + promisee.count, 0);
        progress(`round ${n}: killed after ${count} answers`);
        answered += count;
      }
    } finally {
      await broker.kill();
      rmSync(folder, { recursive: true, force: true });
    }
    return `killed ${rounds} times among ${answered} contents answered over ${BINDINGS.join(', ')}, ${DURABILITIES.join(', ')}; each promise kept`;
  },
};
