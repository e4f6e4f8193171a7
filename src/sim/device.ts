/**
 * A device to command: it executes by writing a line to a file, synced, so that what it did can be counted whatever became of it.
 *
 *     command ──> delay ──> "c-1 breaker-1 \"open\"\n" in the effects ──> linger ──> "executed"
 */
import { dirname } from 'node:path';
import {
  attachDevice,
  type CommandHandler,
  type DeviceOptions,
  JournalLedger,
  type Device,
  type DeviceCommand,
  type LedgerOptions,
  type Verdict,
} from '../client/index.js';
import type { Clock } from '../clock.js';
import { codeOf, type Disk, type DiskFile } from '../disk.js';

export interface SimulatedDeviceOptions {
  /** Of the application. */
  readonly uri: string;
  /** What it has; absent: every point. */
  readonly points?: readonly string[];
  /** From a command to its effect. */
  readonly delayMs: number;
  /** From the effect to its word. */
  readonly lingerMs: number;
  /** It rejects every command, for this reason. */
  readonly reject?: string;
  /** Folder of its ledger; absent: it forgets when it dies. */
  readonly ledger?: string;
  /** How it shows who it is, and knows the broker. */
  readonly channel?: Pick<DeviceOptions, 'token' | 'tls'>;
  /** File of its effects; absent: they are told alone. */
  readonly effects?: string;
}

export interface DeviceSurroundings {
  readonly clock: Clock;
  readonly disk: Disk;
  /** Keeps a second device off its ledger, where another process could have it. */
  readonly lock?: LedgerOptions['lock'];
  /** Told of each command and each effect, a line each. */
  readonly tell: (line: string) => void;
}

export async function startDevice(
  options: SimulatedDeviceOptions,
  { clock, disk, lock, tell }: DeviceSurroundings,
): Promise<Device> {
  const { uri, points, delayMs, lingerMs, reject } = options;
  const effects = options.effects === undefined ? undefined : await Effects.open(disk, options.effects);
  const ledger =
    options.ledger === undefined ? undefined : new JournalLedger({ disk, clock, folder: options.ledger, lock });
  const handle: CommandHandler = async (command, signal, leftMs) => {
    tell(`command ${lineOf(command)}`);
    if (points && !points.includes(command.point)) return rejected(`there is no ${command.point} here`);
    await wait(clock, delayMs, signal);
    if (reject !== undefined) return rejected(reject);
    if (leftMs() <= 0) return rejected('the deadline passed while it waited');
    await effects?.add(lineOf(command));
    tell(`effect ${lineOf(command)}`);
    await wait(clock, lingerMs);
    return { state: 'executed' };
  };
  const recall = (command: DeviceCommand): Verdict | undefined =>
    effects && (effects.has(lineOf(command)) ? { state: 'executed' } : rejected('interrupted before it was done'));
  const device = await attachDevice(uri, handle, {
    clock,
    recall,
    ...options.channel,
    ...(ledger && { ledger }),
  });
  return {
    ...device,
    async close() {
      await device.close();
      await ledger?.close();
      await effects?.close();
    },
  };
}

const lineOf = ({ commandId, point, value }: DeviceCommand): string =>
  `${commandId} ${point} ${JSON.stringify(value ?? null)}`;
const rejected = (reason: string): Verdict => ({ state: 'rejected', reason });

const wait = (clock: Clock, ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    if (ms === 0) {
      resolve();
      return;
    }
    const cancel = clock.after(ms, resolve);
    signal?.addEventListener('abort', () => {
      cancel();
      reject(signal.reason as Error);
    });
  });

/** Lines in a file, each durable before the next. */
class Effects {
  private last: Promise<void> = Promise.resolve();

  private constructor(
    private readonly file: DiskFile,
    private readonly lines: Set<string>,
    private end: number,
  ) {}

  static async open(disk: Disk, path: string): Promise<Effects> {
    const file = await openOrCreate(disk, path);
    const size = await file.size();
    const text = Buffer.from(await file.read(0, size)).toString();
    // What a crash tore off is a line that no command has.
    const isTorn = text !== '' && !text.endsWith('\n');
    const effects = new Effects(file, new Set(text.split('\n')), size);
    if (isTorn) await effects.write('\n');
    return effects;
  }

  has(line: string): boolean {
    return this.lines.has(line);
  }

  add(line: string): Promise<void> {
    this.last = this.last.then(() => this.write(`${line}\n`));
    return this.last;
  }

  close(): Promise<void> {
    return this.file.close();
  }

  private async write(text: string): Promise<void> {
    const bytes = Buffer.from(text);
    await this.file.write(this.end, bytes);
    this.end += bytes.length;
  }
}

async function openOrCreate(disk: Disk, path: string): Promise<DiskFile> {
  try {
    return await disk.open(path, 'write-through');
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
  await (await disk.open(path, 'create')).close();
  await disk.syncFolder(dirname(path));
  return disk.open(path, 'write-through');
}
