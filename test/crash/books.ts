/**
 * What a clerk knows of his resources: the attributes of each that stands, and the newest contents of its containers.
 *
 * A collection is born with what it belongs to, and goes with it. A channel takes the subscriptions with it that
 * notify over it, and a group those that it gathers for.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Sown } from '../support/every-type.js';

export type Entry = Readonly<Record<string, unknown>>;

interface Known {
  readonly type: string;
  readonly attributes: Entry;
  /** All attributes are known, as they were served; else those that were written. */
  readonly isWhole: boolean;
}

interface Content {
  readonly id: string;
  readonly text: string;
  readonly atMs: number;
}

/** What follows from other resources than its own. */
const DERIVED: Readonly<Record<string, readonly string[]>> = {
  scl: ['lastModifiedTime', 'onlineStatus', 'serverCapability'],
};
/** Of a collection only what is written: its times and members follow from what comes and goes. */
const WRITTEN_OF_COLLECTIONS = ['accessRightID'];
/** What the SCL may settle otherwise than it was written. */
const SETTLED: readonly string[] = ['members', 'memberType'];
/** Maximum of the containers, `maxNrOfInstances`. */
const KEPT = 3;
/** More than what one container can be given while it gathers. */
const WRITTEN_DOWN = 250;
/** A content that was answered less than this before a kill may be gone, where its container promises `grouped`: 100 ms, and the kill's own delay. */
const GATHERED_MS = 250;

export class Books {
  constructor(
    readonly entries = new Map<string, Known>(),
    private readonly rings = new Map<string, readonly Content[]>(),
  ) {}

  copy(): Books {
    return new Books(new Map(this.entries), new Map(this.rings));
  }

  /** Whether what it stands below is there, and the channel that it notifies over. */
  canCreate({ collection, type, document }: Sown, all: readonly Sown[]): boolean {
    const above = all.filter(({ path }) => `${collection}/`.startsWith(`${path}/`));
    if (type === 'subscription') {
      const needed = neededBy(document[type] as Entry);
      above.push(...all.filter(({ path }) => needed.includes(path)));
    }
    return above.every(({ path }) => this.entries.has(path));
  }

  put({ path, type, document }: Sown, born: readonly Sown[]): void {
    this.entries.set(path, { type, attributes: document[type] as Entry, isWhole: false });
    for (const { path: below, type } of born)
      if (below.slice(0, below.lastIndexOf('/')) === path)
        this.entries.set(below, { type, attributes: {}, isWhole: true });
    if (type === 'container' || type === 'locationContainer') this.rings.set(`${path}/contentInstances`, []);
  }

  write(path: string, attributes: Entry): void {
    const known = this.entries.get(path);
    if (!known) throw new Error(`${path} is not in the books`);
    this.entries.set(path, { ...known, attributes, isWhole: isCollection(known.type) });
  }

  /** It was served so. */
  show(path: string, attributes: Entry | undefined): void {
    const known = this.entries.get(path);
    if (known && attributes && !isCollection(known.type))
      this.entries.set(path, { ...known, attributes, isWhole: true });
  }

  remove(path: string): void {
    for (const each of [...this.entries.keys()]) if (`${each}/`.startsWith(`${path}/`)) this.entries.delete(each);
    for (const each of [...this.rings.keys()]) if (each.startsWith(`${path}/`)) this.rings.delete(each);
    for (const [each, { type, attributes }] of [...this.entries])
      if (type === 'subscription' && neededBy(attributes).some((needed) => !this.entries.has(needed)))
        this.entries.delete(each);
  }

  hasRing(path: string): boolean {
    return this.rings.has(path);
  }

  /** What a container has by now. */
  ring(path: string): readonly Content[] {
    return (this.rings.get(path) ?? []).slice(-KEPT);
  }

  isSynced(path: string): boolean {
    return this.entries.get(path.slice(0, path.lastIndexOf('/')))?.attributes.durability !== 'grouped';
  }

  append(path: string, content: Content): void {
    this.rings.set(path, [...(this.rings.get(path) ?? []).slice(-WRITTEN_DOWN), content]);
  }

  take(path: string, id: string): void {
    this.rings.set(
      path,
      this.ring(path).filter((each) => each.id !== id),
    );
  }

  /** What of `served` is not as it should be. */
  faults(
    served: ReadonlyMap<string, Entry>,
    rings: ReadonlyMap<string, readonly string[]>,
    killedMs: number,
  ): readonly string[] {
    const faults: string[] = [];
    for (const path of served.keys()) if (!this.entries.has(path)) faults.push(`${path} is there and was deleted`);
    for (const [path, known] of this.entries) {
      const there = served.get(path);
      if (!there) faults.push(`${path} is lost`);
      else faults.push(...differences(path, known, there));
    }
    for (const [path, contents] of this.rings) {
      const has = rings.get(path) ?? [];
      if (!this.possible(path, contents, killedMs).some((each) => isDeepStrictEqual(each, has)))
        faults.push(
          `${path} has ${has.join(', ')} and not ${contents
            .slice(-KEPT)
            .map(({ id }) => id)
            .join(', ')}`,
        );
    }
    return faults;
  }

  /** What a container may have after a crash: of what it only gathers, the last may be missing. */
  private possible(path: string, contents: readonly Content[], killedMs: number): readonly (readonly string[])[] {
    const certain = this.isSynced(path)
      ? contents.length
      : contents.filter(({ atMs }) => atMs < killedMs - GATHERED_MS).length;
    return Array.from({ length: contents.length - certain + 1 }, (_, more) =>
      contents
        .slice(0, certain + more)
        .slice(-KEPT)
        .map(({ id, text }) => `${id}: ${text}`),
    );
  }

  /** Goes on with what was found. */
  settle(served: ReadonlyMap<string, Entry>, rings: ReadonlyMap<string, readonly string[]>): void {
    for (const path of this.entries.keys()) this.show(path, served.get(path));
    for (const [path, contents] of this.rings) {
      const has = rings.get(path) ?? [];
      this.rings.set(
        path,
        contents.filter(({ id, text }) => has.includes(`${id}: ${text}`)),
      );
    }
  }
}

const isCollection = (type: string): boolean => type.endsWith('s');

/** What a subscription goes with: its channel, and the group that gathers for it. */
const neededBy = ({ contact, aggregateURI }: Entry): readonly string[] =>
  [contact, aggregateURI].filter((each) => typeof each === 'string');

function differences(path: string, { type, attributes, isWhole }: Known, served: Entry): readonly string[] {
  const left = [...(DERIVED[type] ?? []), ...(isWhole ? [] : SETTLED)];
  const names = isCollection(type)
    ? WRITTEN_OF_COLLECTIONS
    : [...new Set([...Object.keys(attributes), ...(isWhole ? Object.keys(served) : [])])];
  return names
    .filter((name) => !left.includes(name) && !isDeepStrictEqual(attributes[name], served[name]))
    .map((name) => `${path}: ${name} is ${JSON.stringify(served[name])} and not ${JSON.stringify(attributes[name])}`);
}
