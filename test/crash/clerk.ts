/**
 * A clerk creates, updates and deletes resources of all types at random, and knows what must be there: what was acknowledged, and of
 * the one request that a crash left without an answer, either outcome. He has an application and an SCL of his own, one request under
 * way, and writes nothing that another clerk writes.
 *
 *     request ── 2xx ──> the books      request ── nothing ──> a second set of books, in which it was carried out
 *
 * After a restart what is served must be what one of the two says, whole.
 */
import type { Random } from '../../src/random.js';
import { bornWith, everyType, type Sown } from '../support/every-type.js';
import { Books, type Entry } from './books.js';
import type { Answer, BrokerProcess } from './broker-process.js';

/** Out of a hundred requests on what stands. */
const DELETES = 15;
const INSTANCES = 40;
/** What a whole branch hangs on is deleted more seldom. */
const ROOT_DELETES = 2;
const UNREACHED = 'no answer';

/** Statuses that say: not now. A broker that is ending may give them, and then nothing was done. */
const NOT_DONE: readonly number[] = [503];

export class Clerk {
  readonly done = new Map<string, number>();
  private readonly sown: readonly Sown[];
  private readonly born: readonly Sown[];
  private books = new Books();
  /** As they are if the request without an answer was carried out. */
  private others: Books | undefined;
  private instances = 0;

  constructor(
    private readonly broker: BrokerProcess,
    readonly name: string,
    expirationTime: string,
    private readonly below: Random['below'],
  ) {
    this.sown = everyType(name, expirationTime);
    this.born = bornWith(name);
  }

  get types(): readonly string[] {
    return [...new Set([...this.sown, ...this.born].map(({ type }) => type))];
  }

  get standing(): number {
    return this.books.entries.size;
  }

  /** One request after the other until there is no answer. */
  async run(isOver: () => boolean): Promise<void> {
    while (!isOver() && !this.others) await this.act();
  }

  private async act(): Promise<void> {
    const all = [...this.sown, ...this.born];
    const sown = all[this.below(all.length)];
    if (!sown) throw new Error('nothing is sown');
    if (sown.type === 'contentInstance') return this.publish(sown);
    if (!this.books.entries.has(sown.path))
      return this.books.canCreate(sown, this.sown) ? this.create(sown) : undefined;
    const isRoot = sown.collection === '/m2m/scls' || sown.collection === '/m2m/applications';
    const chance = this.below(100);
    if (!this.born.includes(sown) && chance < (isRoot ? ROOT_DELETES : DELETES)) return this.remove(sown);
    return this.update(sown);
  }

  private async create(sown: Sown): Promise<void> {
    const answer = await this.ask('POST', sown.collection, sown.document, (books) => books.put(sown, this.born));
    if (answer) this.books.show(sown.path, documentIn(answer, sown.type));
  }

  /** Some labels more or less, or none; a collection's right comes and goes. */
  private async update(sown: Sown): Promise<void> {
    if (!sown.rewritten) return;
    const written = varied(sown, this.below(4));
    const answer = await this.ask('PUT', sown.path, { [sown.type]: written }, (books) =>
      books.write(sown.path, written),
    );
    if (!answer) return;
    // What it has become; what cannot be read any more, the books know without.
    const shown = await this.broker.ask('GET', sown.path).catch(() => undefined);
    if (shown?.status === 200) this.books.show(sown.path, documentIn(shown, sown.type));
  }

  private async remove(sown: Sown): Promise<void> {
    await this.ask('DELETE', sown.path, undefined, (books) => books.remove(sown.path));
  }

  private async publish({ collection }: Sown): Promise<void> {
    if (!this.books.hasRing(collection)) return;
    const some = this.books.ring(collection);
    if (some.length > 0 && this.below(100) >= INSTANCES) {
      // Of those that promise to be on disk: what was gathered only may come back.
      const going = some.at(this.below(some.length));
      if (going && this.books.isSynced(collection))
        await this.ask('DELETE', `${collection}/${going.id}`, undefined, (books) => books.take(collection, going.id));
      return;
    }
    const id = `entry-${++this.instances}`;
    const content = { contentType: 'text/plain', textContent: `content of ${id}` };
    await this.ask('POST', collection, { contentInstance: { id, content } }, (books) =>
      books.append(collection, { id, text: content.textContent, atMs: performance.now() }),
    );
  }

  /** @param enter what the books say when it has been carried out */
  private async ask(
    method: string,
    path: string,
    document: object | undefined,
    enter: (books: Books) => void,
  ): Promise<Answer | undefined> {
    const answer = await this.broker.ask(method, path, document).catch(() => undefined);
    if (answer && NOT_DONE.includes(answer.status)) return undefined;
    if (answer && answer.status >= 300)
      throw new Error(`${this.name}: ${method} ${path}: ${answer.status} ${answer.body}`);
    const word = `${method} ${answer ? answer.status : UNREACHED}`;
    this.done.set(word, (this.done.get(word) ?? 0) + 1);
    if (answer) enter(this.books);
    else {
      this.others = this.books.copy();
      enter(this.others);
    }
    return answer;
  }

  /**
   * Compares what is served with the books, and goes on with what is found.
   *
   * @param killedMs when the broker was killed
   */
  async faults(killedMs: number): Promise<readonly string[]> {
    const served = new Map<string, Entry>();
    for (const { path, type } of [...this.sown, ...this.born]) {
      if (type === 'contentInstance') continue;
      const answer = await this.broker.ask('GET', path);
      if (answer.status === 200) served.set(path, documentIn(answer, type) ?? {});
      else if (answer.status !== 404) return [`${path}: ${answer.status} ${answer.body}`];
    }
    const rings = new Map<string, readonly string[]>();
    for (const { collection, type } of this.sown) {
      if (type !== 'contentInstance') continue;
      const answer = await this.broker.ask('GET', collection);
      if (answer.status === 200) rings.set(collection, instancesIn(answer));
    }
    const faults = this.books.faults(served, rings, killedMs);
    const otherFaults = faults.length > 0 && this.others ? this.others.faults(served, rings, killedMs) : faults;
    if (faults.length > 0 && this.others && otherFaults.length === 0) this.books = this.others;
    this.others = undefined;
    this.books.settle(served, rings);
    return otherFaults.length === 0 ? [] : faults;
  }
}

function varied(sown: Sown, variant: number): Entry {
  const written = sown.rewritten?.[sown.type] as Entry;
  const { searchStrings, accessRightID, ...others } = written;
  if (variant === 0) return written;
  if (accessRightID !== undefined && searchStrings === undefined) return variant === 1 ? written : others;
  if (searchStrings === undefined) return written;
  return { ...written, searchStrings: { searchString: [`variant:${variant}`] } };
}

function documentIn({ body }: Answer, type: string): Entry | undefined {
  const document = body === '' ? undefined : (JSON.parse(body) as Readonly<Record<string, Entry>>);
  return document?.[type];
}

function instancesIn(answer: Answer): readonly string[] {
  const shown = documentIn(answer, 'contentInstances') as {
    contentInstanceCollection: { contentInstance: readonly { id: string; content: { textContent?: string } }[] };
  };
  return shown.contentInstanceCollection.contentInstance.map(({ id, content }) => `${id}: ${content.textContent}`);
}
