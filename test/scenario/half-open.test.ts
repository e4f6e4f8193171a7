/**
 * A connection that is half open by the kernel's own doing: packets are dropped, no side is told. Needs root and nft for a
 * network namespace of its own; without them it is skipped, and says so.
 */
import { spawnSync } from 'node:child_process';
import { Spawned, stopPrograms } from '../support/program.js';

afterEach(stopPrograms);

const canCut =
  spawnSync('unshare', ['-n', 'sh', '-c', 'ip link set lo up && nft list ruleset'], { stdio: 'ignore' }).status === 0;
const UNABLE = 'needs root, ip and nft (nftables) for a network namespace';

interface Noticed {
  readonly lostBefore: number;
  readonly noticed: Readonly<Record<'device' | 'application' | 'brokerOfDevice' | 'brokerOfApplication', number>>;
  readonly detached: number;
  readonly back: Readonly<Record<'device' | 'application', boolean>>;
}

// 300 ms and 3 s are what is promised; the rest is for a machine that is busy with other tests.
(canCut ? test : test.skip).each(['uws', 'node'] as const)(
  `over %s: both sides find a cut that nobody tells of, and the sessions go on afterwards${canCut ? '' : ` (${UNABLE})`}`,
  async (transport) => {
    const script = `ip link set lo up && exec node --import tsx test/scenario/half-open-network.ts ${transport}`;
    const program = new Spawned('unshare', ['-n', 'sh', '-c', script], { NODE_OPTIONS: '' });
    const code = await program.ended();
    expect({ code, complaint: program.complaint }).toMatchObject({ code: 0 });
    const { lostBefore, noticed, detached, back } = JSON.parse(program.lines.at(-1) ?? '') as Noticed;
    expect(lostBefore).toBe(0);
    for (const who of ['device', 'brokerOfDevice'] as const) expect(noticed[who]).toBeLessThan(1_000);
    for (const who of ['application', 'brokerOfApplication'] as const) {
      expect(noticed[who]).toBeGreaterThan(1_000);
      expect(noticed[who]).toBeLessThan(6_000);
    }
    expect(detached).toBe(2);
    expect(back).toEqual({ device: true, application: true });
  },
  60_000,
);
