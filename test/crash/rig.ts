/**
 * All that a crash test has running: a broker that can be killed, device processes that can be killed, and issuers in this
 * process. Everything it opens is closed again, whatever happens.
 *
 *     issuers (here) ──WS──> broker (killed) ──WS──> devices (killed) ──> effects: a file of lines each
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Spawned } from '../support/program.js';
import { BrokerProcess, wait, within } from './broker-process.js';
import { Issuer, type IssuedCommand, type Point } from './issuer.js';

const DEVICE = new URL('./device.ts', import.meta.url).pathname;

/** Points that can be under way at the same time, each issuer and each device with its share. */
export interface Shape {
  readonly devices: number;
  readonly applicationsPerDevice: number;
  readonly pointsPerApplication: number;
  readonly issuers: number;
  readonly deadlineMs: number;
}
/** 200 points: at 1,000 commands a second each has 200 ms for one. */
export const WIDE: Shape = {
  devices: 2,
  applicationsPerDevice: 4,
  pointsPerApplication: 25,
  issuers: 4,
  deadlineMs: 60_000,
};
export const NARROW: Shape = { ...WIDE, devices: 1, pointsPerApplication: 10, issuers: 2 };

const TICK_MS = 1;
/** A device starts within a second or two, and the broker may be starting too. */
const ATTACH_LIMIT_MS = 30_000;
const DEATH_LIMIT_MS = 120_000;

/** Issues at the pace until `isOver`; what finds no free point is not made up for. Returns how many were issued. */
export async function paceCommands(
  issuers: readonly Issuer[],
  perSecond: number,
  isOver: () => boolean,
): Promise<number> {
  let issued = 0;
  let fromMs = performance.now();
  for (let owed = 0; !isOver();) {
    await wait(TICK_MS);
    const nowMs = performance.now();
    owed = Math.min(owed + ((nowMs - fromMs) * perSecond) / 1000, perSecond / 10);
    fromMs = nowMs;
    for (let tries = 0; owed >= 1 && tries < issuers.length;) {
      if (issuers[issued % issuers.length]?.issue()) {
        issued++;
        owed--;
        tries = 0;
      } else {
        issuers = [...issuers.slice(1), ...issuers.slice(0, 1)];
        tries++;
      }
    }
  }
  return issued;
}

export class DeviceProcess {
  private program: Spawned | undefined;
  private lives = 0;

  constructor(
    private readonly broker: () => string,
    readonly applications: readonly string[],
    private readonly folder: string,
  ) {
    mkdirSync(folder, { recursive: true });
  }

  get effects(): string {
    return join(this.folder, 'effects');
  }
  get pid(): number {
    return this.program?.pid ?? 0;
  }

  /** Resolves when it has attached. @param dieAfter so many effects, by SIGKILL, before the last one is answered */
  async start(dieAfter = 0): Promise<void> {
    const program = new Spawned(process.execPath, [
      ...['--import', 'tsx', DEVICE, '--broker', this.broker(), '--die-after', `${dieAfter}`],
      ...['--effects', this.effects, '--ledger', join(this.folder, 'ledger')],
      ...this.applications.flatMap((application) => ['--application', application]),
    ]);
    this.program = program;
    this.lives++;
    const attached = this.applications.map((application) => program.told(new RegExp(`^attached ${application}$`)));
    await within(ATTACH_LIMIT_MS, `that the device ${this.folder} attaches`, Promise.all(attached));
  }

  /** Resolves when it has died, by its own switch. */
  async died(): Promise<void> {
    if (this.program) await within(DEATH_LIMIT_MS, 'the death of a device by its switch', this.program.ended());
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await this.program?.stop(signal);
  }

  /** How often each command took effect. A line that a crash cut short was never synced, and never answered. */
  effectsOf(): Map<string, number> {
    const counts = new Map<string, number>();
    if (!existsSync(this.effects)) return counts;
    for (const commandId of readFileSync(this.effects, 'utf8').split('\n').slice(0, -1))
      counts.set(commandId, (counts.get(commandId) ?? 0) + 1);
    return counts;
  }
}

export class Rig {
  readonly devices: readonly DeviceProcess[];
  readonly issuers: Issuer[] = [];
  readonly points: readonly Point[];

  private constructor(
    readonly folder: string,
    readonly broker: BrokerProcess,
    private readonly shape: Shape,
  ) {
    const applications = Array.from(
      { length: shape.devices * shape.applicationsPerDevice },
      (_, n) => `application-${n}`,
    );
    this.devices = Array.from(
      { length: shape.devices },
      (_, n) =>
        new DeviceProcess(
          () => this.uri,
          applications.filter((_name, m) => m % shape.devices === n),
          join(folder, `device-${n}`),
        ),
    );
    this.points = Array.from({ length: shape.pointsPerApplication }, (_, n) =>
      applications.map((application) => ({ application, point: `breaker-${n}` })),
    ).flat();
  }

  /** @param data where the broker's data go; default: with the rest, in a folder of its own that is removed in the end */
  static async open(shape: Shape, data?: string, flags: readonly string[] = []): Promise<Rig> {
    const folder = mkdtempSync(join(tmpdir(), 'gridcast-crash-'));
    const rig = new Rig(folder, new BrokerProcess(data ?? join(folder, 'data'), flags), shape);
    try {
      await rig.broker.start();
      await rig.furnish();
      await Promise.all(rig.devices.map((device) => device.start()));
    } catch (error) {
      await rig.close();
      throw error;
    }
    return rig;
  }

  get uri(): string {
    return `ws://127.0.0.1:${this.broker.http}`;
  }

  /** Who issues to which points: each point has one issuer. */
  openIssuers(): void {
    const { issuers, deadlineMs } = this.shape;
    for (let n = 0; n < issuers; n++)
      this.issuers.push(
        new Issuer({
          broker: this.uri,
          originator: `issuer-${n}`,
          points: this.points.filter((_, m) => m % issuers === n),
          deadlineMs,
        }),
      );
  }

  get commands(): readonly IssuedCommand[] {
    return this.issuers.flatMap(({ log }) => [...log.values()]);
  }

  /** How many commands have been answered with 201. */
  get accepted(): number {
    return this.issuers.reduce((sum, { accepted }) => sum + accepted, 0);
  }

  effects(): Map<string, number> {
    return new Map(this.devices.flatMap((device) => [...device.effectsOf()]));
  }

  async close(): Promise<void> {
    await Promise.allSettled([
      ...this.issuers.map((issuer) => issuer.close()),
      ...this.devices.map((device) => device.kill()),
      this.broker.kill(),
    ]);
    rmSync(this.folder, { recursive: true, force: true });
  }

  private async furnish(): Promise<void> {
    for (const application of this.devices.flatMap(({ applications }) => applications)) {
      await this.broker.create('/m2m/applications', { application: { appId: application } });
      await this.broker.create(`/m2m/applications/${application}/containers`, {
        container: { id: 'commands' },
      });
    }
  }
}
