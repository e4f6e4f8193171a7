/**
 * Creates containers and contentInstances, and notes each 201: what is not commanded but told to the tree must outlive a crash
 * as well. The containers promise `synced`, as all do that are not told otherwise.
 */
import type { BrokerProcess } from './broker-process.js';
import { wait } from './broker-process.js';

const FOLDER = '/m2m/applications/ledger/containers';
/** Entries of one container: fewer, and of fewer bytes, than make it forget the oldest. */
const ENTRIES = 50;
const pathOf = (n: number): string => `${FOLDER}/entries-${Math.floor(n / ENTRIES)}/contentInstances`;
const PAUSE_MS = 2;
/** Readings under way at the same time. */
const READERS = 16;
const INSTANCES_KEPT = 200;
const BYTES_KEPT = 1_024_000;

export class Creator {
  /** Numbers of what was answered with 201. */
  readonly accepted = new Set<number>();
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
  }

  /** The sentence of the refusal that came last. */
  get refusal(): string {
    return this.lastRefusal;
  }

  /** One after the other until `isOver`; each answer is waited for, if there is somebody to give it. */
  async run(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      await this.createOne(this.attempted);
      await wait(PAUSE_MS);
    }
  }

  private async createOne(n: number): Promise<void> {
    // Its container is created with the first; that may have been done without an answer, and then it is there already.
    if (n % ENTRIES === 0) {
      const container = { id: `entries-${n / ENTRIES}`, maxNrOfInstances: INSTANCES_KEPT, maxByteSize: BYTES_KEPT };
      const made = await this.ask(FOLDER, { container });
      if (made !== 201 && made !== 409) return;
    }
    this.attempted++;
    const content = { contentType: 'text/plain', textContent: textOf(n).padEnd(this.paddingBytes, '.') };
    if ((await this.ask(pathOf(n), { contentInstance: { id: `entry-${n}`, content } })) === 201) this.accepted.add(n);
  }

  private async ask(path: string, document: object): Promise<number | undefined> {
    const answer = await this.broker.ask('POST', path, document).catch(() => undefined);
    if (answer && answer.status !== 201 && answer.status !== 409) {
      this.refused.set(answer.status, (this.refused.get(answer.status) ?? 0) + 1);
      this.lastRefusal = answer.body;
    }
    return answer?.status;
  }

  /** What of `entries` a broker does not have, or has otherwise. */
  async missingAt(broker: BrokerProcess, entries: Iterable<number> = this.accepted): Promise<string[]> {
    const missing: string[] = [];
    const left = [...entries];
    await Promise.all(
      Array.from({ length: READERS }, async () => {
        for (let n = left.pop(); n !== undefined; n = left.pop()) {
          const { status, body } = await broker.ask('GET', `${pathOf(n)}/entry-${n}/content`);
          if (status !== 200 || !body.includes(textOf(n))) missing.push(`entry-${n} (${status})`);
        }
      }),
    );
    return missing;
  }
}

/** With a full stop: one is no beginning of another. */
const textOf = (n: number): string => `content of entry-${n}.`;
