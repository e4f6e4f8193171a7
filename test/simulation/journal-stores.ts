/** The real store on a disk in memory, which outlives the process, forgets what was not synced, fails and fills up. */
import { isObject } from '../../src/json.js';
import { silentLog } from '../../src/log.js';
import { describeEvent } from '../../src/store/audit-chain.js';
import { JournalStore } from '../../src/store/journal-store.js';
import type { Store } from '../../src/store/store.js';
import { readTrail, verifyTrail } from '../../src/store/trail.js';
import { MemoryDisk, type MemoryDiskOptions } from '../support/memory-disk.js';
import type { StoreMaker } from './broker-host.js';
import type { Life } from './timeline.js';
import type { Chance, World } from './world.js';

const FOLDER = 'data';
/** Small, so that a minute's work fills several segments and is worth snapshots. */
const SEGMENT_BYTES = 16 * 1024;
const SNAPSHOT_BYTES = 48 * 1024;
/** A solid state disk's sync, microseconds; anything else is the kernel's memory. */
const SYNC_US = [300, 9_000] as const;
const CACHE_US = [10, 200] as const;

/** When the disk is well again the store takes everything within a second. */
const RECOVERY_US = 1_000_000;

/** A disk whose operations take virtual time, and whose crashes are the seed's. */
export function diskTiming(world: World, chance: Chance): MemoryDiskOptions {
  return {
    random: chance.fork('crashes').asRandom,
    clock: { after: (delayMs, run) => world.timeline.after(delayMs * 1000, run) },
    latencyMs: ({ kind }) => {
      const [from, below] = kind === 'sync' || kind === 'syncFolder' ? SYNC_US : CACHE_US;
      return chance.between(from, below) / 1000;
    },
  };
}

export class JournalStores implements StoreMaker {
  private disk: MemoryDisk;
  private sickFromUs = -Infinity;
  private wellFromUs = -Infinity;
  /** While it is so, each sync fails with that probability. */
  private failing = 0;

  constructor(
    private readonly world: World,
    chance: Chance,
    private readonly flawed: (store: Store) => Store = (store) => store,
  ) {
    this.disk = new MemoryDisk(diskTiming(world, chance));
    this.disk.fault = ({ kind }) => (kind === 'sync' && chance.is(this.failing) ? 'EIO' : undefined);
  }

  /** Whether it fails or is full, or did so a moment ago: a broker that starts then may say so and end. */
  get isUnreliable(): boolean {
    const { nowUs } = this.world.timeline;
    return this.reliableUntilUs(nowUs) !== nowUs;
  }

  private get isSick(): boolean {
    return this.failing > 0 || this.disk.capacityBytes !== Infinity;
  }

  make(life: Life): Store {
    const store = new JournalStore({
      disk: this.disk,
      clock: life,
      log: silentLog,
      folder: FOLDER,
      segmentBytes: SEGMENT_BYTES,
      snapshotBytes: SNAPSHOT_BYTES,
    });
    return this.flawed(store);
  }

  cutPower(): void {
    this.disk = this.disk.crash();
  }

  killed(): void {
    this.disk = this.disk.kill();
  }

  reliableUntilUs(nowUs: number): number {
    return this.isSick || nowUs < this.wellFromUs + RECOVERY_US ? this.sickFromUs : nowUs;
  }

  fail(probability: number): void {
    this.fallSick();
    this.failing = probability;
  }

  /** Nothing grows any more; what is preallocated can still be written. */
  fill(): void {
    this.fallSick();
    this.disk.capacityBytes = 0;
  }

  mend(): void {
    if (this.isSick) this.wellFromUs = this.world.timeline.nowUs;
    this.failing = 0;
    this.disk.capacityBytes = Infinity;
  }

  /** Commands that were accepted by the audit trail, whose chain is followed from its beginning. For when no broker runs. */
  async auditedCommands(): Promise<ReadonlySet<string>> {
    await verifyTrail(this.disk, FOLDER);
    const names = new Set<string>();
    for await (const bytes of readTrail(this.disk, FOLDER)) {
      const { event, details } = describeEvent(bytes);
      if (event === 'command-accepted' && isObject(details))
        names.add(`${String(details.issuer)} ${String(details.commandId)}`);
    }
    return names;
  }

  private fallSick(): void {
    const { nowUs } = this.world.timeline;
    // One illness may come before the store has got over the last one.
    if (this.reliableUntilUs(nowUs) === nowUs) this.sickFromUs = nowUs;
  }
}
