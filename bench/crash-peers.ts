/**
 * What is left of what was acknowledged when the broker is killed?
 *
 *     publisher ──1,000/s──> broker ──x kill -9 ──> started again ──> the receiver, who was away, comes back and counts
 *         <── PUBACK | publish ack | 201: noted
 *
 * Each round is a fresh store and a moment drawn from the seed, the same for all, who take their turns.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seededRandom } from '../src/random.js';
import { wait } from '../test/crash/broker-process.js';
import { withoutTool } from '../test/crash/part.js';
import type { Effort } from './stand.js';
import { median, microseconds, table } from './figures.js';
import { gridcast } from './peer-gridcast.js';
import { jetstream } from './peer-jetstream.js';
import { mosquitto, mosquittoAutosaving } from './peer-mosquitto.js';
import type { PeerKind } from './peer.js';

/** The kill comes within so many seconds of the first message. */
export const QUICK: Effort = { rounds: 5, seconds: 2 };
export const FULL: Effort = { rounds: 20, seconds: 2 };

const KINDS: readonly PeerKind[] = [gridcast, mosquitto, mosquittoAutosaving, jetstream];
const MESSAGES_PER_S = 1_000;
const SEED = 1;
/** Acknowledgements come by then. */
const EARLIEST_MS = 300;
const TICK_MS = 1;

interface Round {
  readonly published: number;
  readonly acknowledged: number;
  readonly lost: number;
  readonly doubled: number;
  readonly readyMs: number;
}

async function round(kind: PeerKind, killAfterMs: number): Promise<Round> {
  const folder = mkdtempSync(join(tmpdir(), 'gridcast-peer-'));
  const peer = kind.open(folder);
  try {
    await peer.start();
    await peer.furnish();
    const acknowledged = new Set<string>();
    const publisher = await peer.publisher((number) => acknowledged.add(number));
    const from = performance.now();
    let published = 0;
    const killed = wait(killAfterMs).then(() => peer.kill());
    for (let elapsedMs = 0; elapsedMs < killAfterMs; elapsedMs = performance.now() - from) {
      while (published < (elapsedMs * MESSAGES_PER_S) / 1000) publisher.publish(`${published++}`);
      await wait(TICK_MS);
    }
    await killed;
    await publisher.close();
    const readyMs = await peer.start();
    const received = await peer.receive(acknowledged);
    const lost = [...acknowledged].filter((number) => !received.has(number)).length;
    const doubled = [...received.values()].filter((count) => count > 1).length;
    return { published, acknowledged: acknowledged.size, lost, doubled, readyMs };
  } finally {
    await peer.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs everything and tells it as Markdown. */
export async function crashPeers({ rounds, seconds }: Effort, progress: (line: string) => void): Promise<string> {
  const random = seededRandom(SEED);
  const kinds = KINDS.filter(({ tool }) => tool === undefined || withoutTool(tool) === undefined);
  const absent = KINDS.filter((kind) => !kinds.includes(kind));
  const taken = new Map(kinds.map((kind) => [kind, [] as Round[]]));
  for (let n = 1; n <= rounds; n++) {
    const killAfterMs = EARLIEST_MS + random.below(seconds * 1000 - EARLIEST_MS);
    for (const [kind, results] of taken) {
      const result = await round(kind, killAfterMs);
      results.push(result);
      progress(
        `round ${n} ${kind.name}, killed after ${killAfterMs} ms: ${result.acknowledged} of ${result.published} acknowledged, ${result.lost} lost, ${result.doubled} doubled`,
      );
    }
  }
  return report(taken, absent, { rounds, seconds });
}

function report(
  taken: ReadonlyMap<PeerKind, readonly Round[]>,
  absent: readonly PeerKind[],
  { rounds, seconds }: Effort,
): string {
  const rows = [...taken].map(([{ name, command }, results]) => {
    const sum = (figure: (round: Round) => number): number => results.reduce((total, each) => total + figure(each), 0);
    const [acknowledged, lost] = [sum((each) => each.acknowledged), sum((each) => each.lost)];
    const ready = results.map(({ readyMs }) => readyMs * 1000);
    return [
      name,
      String(sum(({ published }) => published)),
      String(acknowledged),
      `${lost} (${((100 * lost) / acknowledged).toFixed(1)} %)`,
      `${results.filter((each) => each.lost > 0).length} of ${results.length}`,
      String(sum(({ doubled }) => doubled)),
      microseconds(median(ready)),
      microseconds(Math.max(...ready)),
      `\`${command}\``,
    ];
  });
  return [
    `${rounds} rounds each, turn by turn: a fresh store, ${MESSAGES_PER_S} messages a second for a receiver who is away, SIGKILL at a moment drawn between ${EARLIEST_MS} ms and ${seconds} s (the same for all in a round), started again, the receiver comes back. Ready: from the spawn to the first answer.${absent.map(({ tool }) => ` ${tool} is not installed here and was left out.`).join('')}`,
    '',
    table(
      [
        'broker',
        'published',
        'acknowledged',
        'lost of these',
        'rounds with loss',
        'came twice',
        'ready',
        'longest',
        'started as',
      ],
      rows,
    ),
  ].join('\n');
}
