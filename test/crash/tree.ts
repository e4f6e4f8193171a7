/**
 * kill -9 of the broker at random moments while clerks create, update and delete resources of every type: what is served after the
 * restart is what was acknowledged, attribute by attribute, and nothing else.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatTime, systemClock } from '../../src/clock.js';
import { seededRandom } from '../../src/random.js';
import { BrokerProcess, wait } from './broker-process.js';
import { Clerk } from './clerk.js';
import { insist, never, type Circumstances, type Part } from './part.js';

const CLERKS = 16;
/** Far beyond any run, and within what a lease may be. */
const LEASE_US = 20 * 86_400e6;
const LEAST_MS = 300;
const MOST_MORE_MS = 1_200;

export const tree: Part = {
  obstacle: never,
  async run({ seed, rounds, progress }: Circumstances): Promise<string> {
    const { below } = seededRandom(seed);
    const folder = mkdtempSync(join(tmpdir(), 'gridcast-tree-'));
    const broker = new BrokerProcess(join(folder, 'data'));
    const until = formatTime(Math.floor((systemClock.wallUs() + LEASE_US) / 1e6) * 1e6);
    const clerks = Array.from({ length: CLERKS }, (_, n) => new Clerk(broker, `${n}`, until, below));
    try {
      await broker.start();
      for (let n = 1; n <= rounds; n++) {
        const before = requestsOf(clerks);
        const load = Promise.all(clerks.map((clerk) => clerk.run(() => false)));
        await Promise.race([load, wait(LEAST_MS + below(MOST_MORE_MS))]);
        const killedMs = performance.now();
        await broker.kill();
        await load;
        await broker.start();
        const faults = (await Promise.all(clerks.map((clerk) => clerk.faults(killedMs)))).flat();
        const standing = clerks.reduce((sum, clerk) => sum + clerk.standing, 0);
        progress(`round ${n}: killed after ${requestsOf(clerks) - before} requests; ${standing} resources stand`);
        insist(faults.slice(0, 10));
      }
    } finally {
      await broker.kill();
      rmSync(folder, { recursive: true, force: true });
    }
    const types = new Set(clerks.flatMap((clerk) => clerk.types)).size;
    return `killed ${rounds} times among ${requestsOf(clerks)} requests on ${types} types (${wordsOf(clerks)}); each resource as it was acknowledged, none more`;
  },
};

const requestsOf = (clerks: readonly Clerk[]): number =>
  clerks.reduce((sum, { done }) => sum + [...done.values()].reduce((all, count) => all + count, 0), 0);

function wordsOf(clerks: readonly Clerk[]): string {
  const words = new Map<string, number>();
  for (const { done } of clerks) for (const [word, count] of done) words.set(word, (words.get(word) ?? 0) + count);
  return [...words]
    .sort()
    .map(([word, count]) => `${count} ${word}`)
    .join(', ');
}
