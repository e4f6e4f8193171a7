/**
 * Ours: commands to an application whose device is away; what was accepted must be executed when it is there, once.
 *
 *     CREATE .../commands/contentInstances ──> 201       device ──> effects, a line each
 */
import { join } from 'node:path';
import { GridcastError, open } from '../src/client/index.js';
import { BrokerProcess, wait } from '../test/crash/broker-process.js';
import { DeviceProcess } from '../test/crash/rig.js';
import { collect, type Peer, type PeerKind, type Publisher, type Received } from './peer.js';

const APPLICATION = 'crash';
/** Longer than a round. */
const DEADLINE_MS = 120_000;
/** Of many: one command is under way per point. */
const POINTS = 50;
const LOOK_MS = 50;

class Gridcast implements Peer {
  private readonly broker: BrokerProcess;
  private readonly device: DeviceProcess;

  constructor(folder: string) {
    this.broker = new BrokerProcess(join(folder, 'data'));
    this.device = new DeviceProcess(() => this.uri, [APPLICATION], join(folder, 'device'));
  }

  private get uri(): string {
    return `ws://127.0.0.1:${this.broker.http}`;
  }

  start(): Promise<number> {
    return this.broker.start();
  }

  async furnish(): Promise<void> {
    await this.broker.create('/m2m/applications', { application: { appId: APPLICATION } });
    await this.broker.create(`/m2m/applications/${APPLICATION}/containers`, { container: { id: 'commands' } });
  }

  async publisher(acknowledged: (number: string) => void): Promise<Publisher> {
    const client = await open(this.uri, { originator: 'publisher' });
    const to = `/m2m/applications/${APPLICATION}/containers/commands/contentInstances`;
    return {
      publish: (number) => {
        const body = {
          commandId: number,
          point: `point-${Number(number) % POINTS}`,
          value: 1,
          deadlineMs: DEADLINE_MS,
        };
        client.request({ op: 'create', to, body }).then(
          () => acknowledged(number),
          (error: unknown) => {
            // Without an answer nothing is promised; a refusal is a fault of this bench.
            if (!(error instanceof GridcastError) || error.kind === 'refused') throw error;
          },
        );
      },
      close: () => client.close(),
    };
  }

  kill(): Promise<void> {
    return this.broker.kill();
  }

  async receive(expected: ReadonlySet<string>): Promise<Received> {
    await this.device.start();
    let isOver = false;
    const received = await collect(expected, (arrived) => {
      const seen = new Map<string, number>();
      const look = async (): Promise<void> => {
        while (!isOver) {
          for (const [number, count] of this.device.effectsOf())
            for (let n = seen.get(number) ?? 0; n < count; n++) {
              seen.set(number, n + 1);
              arrived(number);
            }
          await wait(LOOK_MS);
        }
      };
      void look();
    });
    isOver = true;
    return received;
  }

  async close(): Promise<void> {
    await Promise.all([this.device.kill(), this.broker.kill()]);
  }
}

export const gridcast: PeerKind = {
  name: 'Gridcast, commands',
  command: 'gridcast serve --data FOLDER/data',
  open: (folder) => new Gridcast(folder),
};
