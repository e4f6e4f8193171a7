/**
 * What the two sicknesses of a disk have in common: load and a stream beside it, the sickness, its end, and a restart.
 *
 *     well ──> sick: /readyz 503 with the reason, nothing accepted, the stream goes on ──> well again, without a restart
 *        └─────────────────────── kill -9, start: all that was accepted is there ───────────────────────┘
 */
import { wait } from './broker-process.js';
import { Creator } from './creator.js';
import { faultsOf, judge } from './judge.js';
import { insist, seconds } from './part.js';
import { paceCommands, type Rig } from './rig.js';
import { Stream } from './stream.js';

export const COMMANDS_PER_S = 100;
/** [faults 4] readiness is red by then. */
const RED_LIMIT_MS = 1_000;
/** [faults 5] well again by then, after space has returned. */
const WELL_LIMIT_MS = 1_000;
/** A stream of 30 samples a second may stutter beside a sick disk, but not stand. */
export const GAP_LIMIT_MS = 500;
const LOOK_MS = 10;
/** For answers to what was on the disk before it fell sick: they are true, and may arrive after the news. */
const UNDER_WAY_MS = 100;
const SETTLE_MS = 20_000;

export class SickDisk {
  private isOver = false;
  private load: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly rig: Rig,
    readonly creator: Creator,
    readonly stream: Stream,
  ) {}

  static async open(rig: Rig, paddingBytes = 0): Promise<SickDisk> {
    const creator = new Creator(rig.broker, paddingBytes);
    await creator.furnish();
    const stream = await Stream.open(rig.broker);
    rig.openIssuers();
    const disk = new SickDisk(rig, creator, stream);
    const isOver = (): boolean => disk.isOver;
    disk.load = Promise.all([paceCommands(rig.issuers, COMMANDS_PER_S, isOver), creator.run(isOver)]);
    return disk;
  }

  get accepted(): number {
    return this.creator.accepted.size + this.rig.commands.filter(({ acceptedMs }) => acceptedMs !== undefined).length;
  }

  /** Waits until /readyz says 503, and returns what it says. @param sinceMs when the sickness began */
  async red(sinceMs: number, limitMs = RED_LIMIT_MS): Promise<string> {
    const { body } = await this.readyz(503, sinceMs, limitMs);
    return body.trim();
  }

  /** Waits until /readyz says 200 and one more is accepted; milliseconds since the sickness ended. */
  async well(sinceMs: number): Promise<number> {
    await this.readyz(200, sinceMs, WELL_LIMIT_MS);
    const before = this.accepted;
    while (this.accepted === before) {
      if (performance.now() - sinceMs > WELL_LIMIT_MS + SETTLE_MS)
        throw new Error(`/readyz is well, and nothing is accepted: ${this.creator.refusal}`);
      await wait(LOOK_MS);
    }
    const tookMs = performance.now() - sinceMs;
    if (tookMs > WELL_LIMIT_MS) throw new Error(`it took ${seconds(tookMs)} until something was accepted again`);
    return tookMs;
  }

  /** Red: while it lasts nothing may be accepted, what is asked for is refused with 503 and a sentence, and the stream goes on. */
  async staysRed(forMs: number): Promise<void> {
    await wait(UNDER_WAY_MS);
    const before = this.accepted;
    const refusedBefore = this.creator.refused.get(503) ?? 0;
    this.stream.mark();
    await wait(forMs);
    const { status } = await this.rig.broker.ask('GET', '/readyz');
    const faults = this.stream.gapsAbove(GAP_LIMIT_MS);
    if (status !== 503) faults.push(`/readyz says ${status} while the disk is sick`);
    if (this.accepted > before) faults.push(`${this.accepted - before} were accepted on a sick disk`);
    const refused = (this.creator.refused.get(503) ?? 0) - refusedBefore;
    if (refused === 0) faults.push('nothing was refused with 503');
    const others = [...this.creator.refused.keys()].filter((code) => code !== 503);
    if (others.length > 0) faults.push(`refused with ${others.join(', ')}: ${this.creator.refusal}`);
    insist(faults);
  }

  /** Ends the load, kills the broker, and looks for all that was accepted in its next life. */
  async outlive(): Promise<string> {
    const { rig, creator } = this;
    this.isOver = true;
    await this.load;
    await Promise.all(rig.issuers.map((issuer) => issuer.settle(SETTLE_MS)));
    const stuck = rig.issuers
      .flatMap(({ underWay }) => underWay)
      .map(({ commandId, state }) => `${commandId} (${state})`);
    insist(
      stuck.length > 0
        ? [`${stuck.length} came to no end on a disk that is well: ${stuck.slice(0, 5).join(', ')}`]
        : [],
    );
    await rig.broker.kill();
    await rig.broker.start();
    const findings = await judge(rig.uri, rig.commands, rig.effects());
    const missing = await creator.missingAt(rig.broker);
    insist([
      ...faultsOf(findings),
      ...(missing.length > 0 ? [`${missing.length} entries lost: ${missing.slice(0, 5).join(', ')}`] : []),
    ]);
    return `${findings.accepted} commands and ${creator.accepted.size} entries accepted, 0 lost over a kill -9`;
  }

  async close(): Promise<void> {
    this.isOver = true;
    await this.stream.close();
    await this.load;
  }

  private async readyz(status: number, sinceMs: number, limitMs: number): Promise<{ readonly body: string }> {
    for (;;) {
      const answer = await this.rig.broker.ask('GET', '/readyz');
      if (answer.status === status) return answer;
      if (performance.now() - sinceMs > limitMs)
        throw new Error(`/readyz still says ${answer.status} after ${seconds(limitMs)}: ${answer.body.trim()}`);
      await wait(LOOK_MS);
    }
  }
}
