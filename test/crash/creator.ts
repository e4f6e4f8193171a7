/**
 * Creates contentInstances of a container that promises `synced`, and notes each 201: what is not commanded but told to the
 * tree must outlive a crash as well.
 */
import type { BrokerProcess } from './broker-process.js';
import { wait } from './broker-process.js';

const FOLDER = '/m2m/applications/ledger/containers';
const CONTAINER = `${FOLDER}/entries`;
const PAUSE_MS = 2;
/** Readings under way at the same time. */
const READERS = 16;
const INSTANCES_KEPT = 1_000_000;
const BYTES_KEPT = 1e12;

export class Creator {
  /** Ids of what was answered with 201. */
  readonly accepted = new Set<string>();
  /** By status: what was not. */
  readonly refused = new Map<number, number>();
  private attempted = 0;
  private lastRefusal = '';

  /** @param paddingBytes of each content, to fill a disk with */
  constructor(
    private readonly broker: BrokerProcess,
    private readonly paddingBytes = 0,
  ) {}

  async furnish(): Promise<void> {
    await this.broker.create('/m2m/applications', { application: { appId: 'ledger' } });
    await this.broker.create(FOLDER, {
      container: { id: 'entries', maxNrOfInstances: INSTANCES_KEPT, maxByteSize: BYTES_KEPT },
    });
  }

  /** The sentence of the refusal that came last. */
  get refusal(): string {
    return this.lastRefusal;
  }

  /** One after the other until `isOver`: an answer is waited for, if there is somebody to give it. */
  async run(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const id = `entry-${this.attempted++}`;
      const content = { contentType: 'text/plain', textContent: `content of ${id}`.padEnd(this.paddingBytes, '.') };
      const answer = await this.broker
        .ask('POST', `${CONTAINER}/contentInstances`, { contentInstance: { id, content } })
        .catch(() => undefined);
      if (answer?.status === 201) this.accepted.add(id);
      else if (answer) {
        this.refused.set(answer.status, (this.refused.get(answer.status) ?? 0) + 1);
        this.lastRefusal = answer.body;
      }
      await wait(PAUSE_MS);
    }
  }

  /** What of `ids` a broker does not have, or has otherwise. */
  async missingAt(broker: BrokerProcess, ids: Iterable<string> = this.accepted): Promise<string[]> {
    const missing: string[] = [];
    const left = [...ids];
    await Promise.all(
      Array.from({ length: READERS }, async () => {
        for (let id = left.pop(); id !== undefined; id = left.pop()) {
          const { status, body } = await broker.ask('GET', `${CONTAINER}/contentInstances/${id}/content`);
          if (status !== 200 || !body.includes(`content of ${id}`)) missing.push(`${id} (${status})`);
        }
      }),
    );
    return missing;
  }
}
