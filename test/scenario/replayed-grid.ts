/** A broker that a captured device streams into: the capture's own pace, its tags at today's date, over and over. */
import { existsSync } from 'node:fs';
import { systemClock } from '../../src/clock.js';
import type { Config } from '../../src/config.js';
import { systemDisk } from '../../src/disk.js';
import { isRefusal } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { systemNetwork } from '../../src/network.js';
import { systemRandom } from '../../src/random.js';
import { parseReplay, startReplay } from '../../src/sim/replay.js';
import type { Account } from '../../src/routing/group.js';
import { startBroker, type RunningBroker } from '../support/broker.js';

const CAPTURES = '../shared/pmu-data/pcap';
export const hasCaptures = existsSync(CAPTURES);

export interface ReplayedGrid extends RunningBroker {
  /** Of the container that the stream fills. */
  readonly contentInstances: string;
  /** Attaches the stream; its first frame has arrived then, and the rest of the pass is still to come. */
  play(): Promise<void>;
  close(): Promise<void>;
}

/** Stands, and waits for `play`. */
export async function startReplayedGrid(
  { file, stream, pmu, scheme }: { file: string; stream: number; pmu: number; scheme: 'tcp' | 'udp' },
  config: Partial<Config> = {},
): Promise<ReplayedGrid> {
  const listen = `${scheme}://127.0.0.1:0`;
  const options = parseReplay({ file: `${CAPTURES}/${file}`, listen: [listen], stream: [String(stream)], loop: true });
  if (isRefusal(options)) throw new Error(options.detail);
  const surroundings = { clock: systemClock, network: systemNetwork, random: systemRandom, log: silentLog };
  const replay = await startReplay(options, { ...surroundings, disk: systemDisk });
  if (isRefusal(replay)) throw new Error(replay.detail);
  const uri = `c37118+${replay.addresses[0] ?? ''}?idcode=${stream}`;
  const running = await startBroker(config);
  const contentInstances = `/m2m/applications/pmu-${pmu}/containers/measurements/contentInstances`;
  return {
    ...running,
    contentInstances,
    async play() {
      const refusal = running.broker.sources.configure([uri]);
      if (refusal) throw new Error(refusal.detail);
      await arrived(running, contentInstances);
    },
    async close() {
      await running.close();
      await replay.close();
    },
  };
}

/** Until there is a latest one. */
async function arrived(running: RunningBroker, contentInstances: string): Promise<void> {
  for (;;) {
    const { status } = await fetch(`${running.http}${contentInstances}/latest`);
    if (status === 200) return;
  }
}

/** received = delivered + decimated + dropped + held, of every subscription that there is or was; how many there are. */
export function checkAccounts({ broker }: RunningBroker): number {
  const { ended } = broker.subscriptions;
  expect(ended.received).toBe(
    ended.delivered + ended.decimated + [...ended.dropped.values()].reduce((a, b) => a + b, 0),
  );
  const accounts: Account[] = [...broker.subscriptions.accounts()];
  for (const { received, delivered, decimated, dropped, held } of accounts) {
    expect(received).toBe(delivered + decimated + Object.values(dropped).reduce((a, b) => a + b, 0) + held);
  }
  return accounts.length;
}
