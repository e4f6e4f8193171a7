/**
 * The resource tree [TS 102 690, TS 102 921] of one SCL as data: create, update, delete, resolve. Nothing here waits, reads a clock
 * or does I/O: the moment and the asker come with each call, and what changed is returned.
 *
 *     path ──> resolve ──> Target ──> checkVerb ──> create | update | remove ──> what changed
 *                             └─────> represent (representation.ts)
 *
 * Rights, events, expiry by timer and storage belong to those who call.
 */
import { isRefusal, refuse, type Refusal } from '../errors.js';
import { randomId, type Random } from '../random.js';
import { checkId, isWritable, readBody, readRoot, type Draft } from './document.js';
import { History } from './history.js';
import type { InstanceContent } from './instance.js';
import { INTERNAL, NO_ATTRIBUTES, ResourceNode, type Births, type Creator, type OpenRow } from './node.js';
import { PassiveChildren } from './passive-children.js';
import { PassiveForm } from './passive-form.js';
import type { ValueForm } from './passive-history.js';
import { ringOf } from './retention.js';
import { Revisions } from './revision.js';
import { resolve, type AttributeTarget, type Target } from './target.js';
import { TYPES, type TypeName, type TypeRow } from './types.js';
import { isObject, shown, type Json, type JsonObject } from './values.js';

/** When, and by whom. */
export interface Act {
  /** Microseconds since the epoch. */
  readonly nowUs: number;
  readonly creator: Creator;
  /** Whether he may know of a resource that his document refers to; where nothing says so, of all. */
  mayKnow?(node: ResourceNode<unknown>): boolean;
}

export interface Written<T> {
  readonly node: ResourceNode<T>;
  /** The SCL set or clamped a value: the representation belongs into the answer [resources reference 2.2]. */
  readonly isAltered: boolean;
}

/** A contentInstance as its creator described it; who knows what a value is makes it a record and appends it. */
export interface InstanceDraft {
  /** Given, or generated: then `isAltered`. */
  readonly id: string;
  readonly content: InstanceContent;
  readonly attributes: ReadonlyMap<string, Json> | undefined;
  readonly isAltered: boolean;
}

/** A resource as an earlier run left it; the collections that belong to it are born with it as at its creation. */
export interface KeptResource {
  readonly type: TypeName;
  readonly attributes: ReadonlyMap<string, Json>;
  readonly creator: Creator;
  /** Microseconds since the epoch. */
  readonly createdUs: number;
  readonly modifiedUs: number;
  readonly revision: number;
}

export interface TreeOptions<T> {
  /** Id of the sclBase, the first segment of every path. */
  readonly sclBaseId?: string;
  readonly random: Random;
  readonly nowUs: number;
  /** How values stand in rows and rings; without it no resource becomes a row, and each record stays as it came. */
  readonly values?: ValueForm<T>;
}

/** Entity tags start anywhere below this: a start without memory gives none that an earlier run gave. */
const REVISION_STARTS = 2 ** 40;

export class ResourceTree<T> implements Births<T> {
  readonly root: ResourceNode<T>;
  readonly revisions: Revisions;
  /** Which life of the tree this is: cursors of another mean nothing here. */
  readonly epoch: number;
  /** Told of a resource that was a row, before it is given to whoever asked for it. */
  onActivated?: (node: ResourceNode<T>) => void;
  private readonly withRows = new Set<PassiveChildren<T>>();
  private planted = 0;
  private readonly random: Random;
  private readonly values: ValueForm<T> | undefined;
  private readonly form: PassiveForm<T> | undefined;

  constructor({ sclBaseId = 'm2m', random, nowUs, values }: TreeOptions<T>) {
    this.random = random;
    // In two halves: `below` takes at most 48 bits, and a seeded one has 32.
    this.revisions = new Revisions(random.below(REVISION_STARTS / 2 ** 20) * 2 ** 20 + random.below(2 ** 20));
    this.epoch = this.revisions.latest;
    this.values = values;
    this.form = values && new PassiveForm<T>(this.revisions, this, values, (node) => this.onActivated?.(node));
    this.root = this.plant(TYPES.sclBase, sclBaseId, undefined, { nowUs, creator: INTERNAL }, NO_ATTRIBUTES);
  }

  /** What a path points at. @param to decoded segments from the root */
  resolve(to: readonly string[], nowUs: number): Target<T> {
    return resolve(this.root, to, nowUs);
  }

  /** The resource at a path, which ends at it. @param to decoded segments from the root */
  nodeAt(to: readonly string[]): ResourceNode<T> | undefined {
    let node: ResourceNode<T> | undefined = to[0] === this.root.id ? this.root : undefined;
    for (const id of to.slice(1)) node = node?.child(id);
    return node;
  }

  /**
   * Creates a resource in a collection, with the collections that belong to it. Contents are not created here: see `draftInstance`.
   *
   * @returns 400 for a document or id that breaks a rule, 409 for an id that is taken
   */
  create(collection: ResourceNode<T>, document: JsonObject, act: Act): Written<T> | Refusal {
    const read = this.read(collection, document, act);
    if (isRefusal(read)) return read;
    const { row, draft } = read;
    const id = draft.id ?? this.newId(collection);
    if (collection.child(id))
      return refuse('STATUS_CONFLICT', `${JSON.stringify(id)} is taken in ${collection.reference}; choose another id.`);
    const node = this.place(row, id, collection, act, draft.attributes);
    return { node, isAltered: draft.isAltered || draft.id === undefined };
  }

  /** Shows in a collection what stands for something else, with an id of its own. @param attributes as a document would have come to have them */
  show(collection: ResourceNode<T>, type: TypeName, attributes: ReadonlyMap<string, Json>, act: Act): ResourceNode<T> {
    return this.place(TYPES[type], this.newId(collection), collection, act, attributes);
  }

  /** To be called before anything is put back. @param highest revision that an earlier run gave and that is still known */
  resume(highest: number): void {
    this.revisions.resume(highest);
  }

  /**
   * Puts back what an earlier run left, parents before children. A collection's tag is a new one: what left it meanwhile is not
   * known any more.
   *
   * @param parent undefined for the sclBase itself
   */
  restore(parent: ResourceNode<T> | undefined, id: string, kept: KeptResource): ResourceNode<T> {
    const { creator, createdUs } = kept;
    const isMember = parent?.row.creates.includes(kept.type) ?? false;
    // What its collection creates nobody else has put there; to look for it among a million costs more than to put it back.
    const standing = isMember ? undefined : parent ? parent.child(id) : this.root;
    const node = standing ?? this.plant(TYPES[kept.type], id, parent, { nowUs: createdUs, creator }, kept.attributes);
    node.attributes = kept.attributes;
    node.createdUs = createdUs;
    // Of what it shows of others, what went meanwhile is not known any more.
    node.touch(kept.modifiedUs, node.row.shows ? this.revisions.next() : kept.revision);
    if (parent && isMember) parent.touch(Math.max(parent.modifiedUs, createdUs), this.revisions.next());
    return node;
  }

  /** Replaces the whole writable part of a resource [resources reference 1.2]. */
  update(node: ResourceNode<T>, document: JsonObject, act: Act): Written<T> | Refusal {
    const root = readRoot([node.row], document);
    return isRefusal(root) ? root : this.rewrite(node, root.body, act);
  }

  /** Replaces one attribute: `{"searchStrings":{...}}` written to `.../searchStrings` [TS 102 921 10.39]. */
  updateAttribute({ node, name, rest }: AttributeTarget<T>, document: JsonObject, act: Act): Written<T> | Refusal {
    if (rest.length > 0)
      return refuse(
        'STATUS_BAD_REQUEST',
        `A part of ${name} cannot be written alone; write ${node.reference}/${name}.`,
      );
    const keys = Object.keys(document);
    if (keys.length !== 1 || document[name] === undefined) {
      return refuse('STATUS_BAD_REQUEST', `The document has ${shown(keys)} at its root; it must have ${name} alone.`);
    }
    const body: Record<string, Json> = { [name]: document[name] };
    for (const [other, value] of node.attributes) {
      const row = node.row.attributes.get(other);
      if (other !== name && row && isWritable(row, 'update')) body[other] = value;
    }
    return this.rewrite(node, body, act);
  }

  /** Removes a resource and everything below it. @returns all of them, parents before children, as iterating the tree does */
  remove(node: ResourceNode<T>, nowUs: number): readonly ResourceNode<T>[] {
    if (!node.parent) throw new Error('the sclBase is never removed'); // its row has no DELETE
    node.parent.disown(node);
    node.parent.touch(nowUs, this.revisions.next());
    this.touchOwner(node.parent, nowUs);
    const removed = [...withDescendants(node)];
    for (const each of removed) each.isRemoved = true;
    for (const rows of this.withRows) if (rows.isGone) this.withRows.delete(rows);
    return removed;
  }

  /**
   * Lets an idle resource become a row, with all below it: nobody may hold it, or anything below it, any longer. Its path leads to
   * it as before. False for one that cannot be a row.
   *
   * @param wakeAt which `wake` is to make it live again, above 0; undefined: none
   */
  passivate(node: ResourceNode<T>, wakeAt?: number): boolean {
    const { form } = this;
    const collection = node.parent;
    if (!form || !collection) return false;
    return collection.passivate(node, wakeAt, (children) => {
      const rows = new PassiveChildren(collection, form, children);
      this.withRows.add(rows);
      return rows;
    });
  }

  /** The contents of a container that is a row or stands in one. @param to decoded segments from the root, to its contentInstances */
  openRow(to: readonly string[]): OpenRow<T> | undefined {
    if (this.withRows.size === 0 || to[0] !== this.root.id) return undefined;
    let node: ResourceNode<T> | undefined = this.root;
    for (let n = 1; node && n < to.length; n++) {
      const opened: OpenRow<T> | undefined = node.hasRows ? node.openRow(to[n]!, to.slice(n + 1)) : undefined; // below its length
      if (opened) return opened;
      node = node.standing(to[n]!);
    }
    return undefined;
  }

  /** Makes what was to be woken then live again, one at each step. */
  *wake(at: number): Generator<void> {
    for (const rows of this.withRows) yield* rows.wake(at);
  }

  /** Resources that are rows now, and the bytes that they take with all that finds them. */
  get passive(): { readonly count: number; readonly bytes: number } {
    let [count, bytes] = [0, 0];
    for (const { passive } of this.withRows) {
      count += passive.count;
      bytes += passive.bytes;
    }
    return { count, bytes };
  }

  /**
   * Reads `{"contentInstance":{...}}` for a contentInstances; nothing is stored.
   *
   * @returns 400 for a document or id that breaks a rule; whether the id is taken, `History.append` tells
   */
  draftInstance(contentInstances: ResourceNode<T>, document: JsonObject, act: Act): InstanceDraft | Refusal {
    const read = this.read(contentInstances, document, act);
    if (isRefusal(read)) return read;
    const { id, attributes, isAltered } = read.draft;
    const { content, ...others } = Object.fromEntries(attributes);
    return {
      id: id ?? randomId(this.random),
      content: storedContent(content),
      attributes: Object.keys(others).length > 0 ? new Map<string, Json>(Object.entries(others)) : undefined,
      isAltered: isAltered || id === undefined,
    };
  }

  /** All resources, parents before children, without those collections that nobody has looked at. */
  [Symbol.iterator](): Iterator<ResourceNode<T>> {
    return withDescendants(this.root);
  }

  private read(
    collection: ResourceNode<T>,
    document: JsonObject,
    act: Act,
  ): { readonly row: TypeRow; readonly draft: Draft } | Refusal {
    const root = readRoot(
      collection.row.creates.map((name) => TYPES[name]),
      document,
    );
    if (isRefusal(root)) return root;
    const draft = readBody(root.row, root.body, 'create', { ...act, collection });
    if (isRefusal(draft)) return draft;
    const refusal =
      checkPlace(root.row, collection) ?? (draft.id === undefined ? undefined : checkId(draft.id, collection));
    if (refusal) return refusal;
    const settled = settle(root.row, draft, collection, act);
    return isRefusal(settled) ? settled : { row: root.row, draft: settled };
  }

  private rewrite(node: ResourceNode<T>, body: JsonObject, act: Act): Written<T> | Refusal {
    const collection = node.parent ?? node;
    const read = readBody(node.row, body, 'update', { ...act, collection, current: node.attributes });
    const draft = isRefusal(read) ? read : settle(node.row, read, collection, act);
    if (isRefusal(draft)) return draft;
    node.attributes = draft.attributes;
    node.touch(act.nowUs, this.revisions.next());
    this.touchOwner(collection, act.nowUs);
    node.child('contentInstances')?.history?.retain(ringOf(node.attributes), act.nowUs);
    return { node, isAltered: draft.isAltered };
  }

  bear(collection: TypeName, parent: ResourceNode<T>): ResourceNode<T> {
    const act = { nowUs: parent.createdUs, creator: parent.creator };
    return this.plant(TYPES[collection], collection, parent, act, NO_ATTRIBUTES);
  }

  /** What shows its collection's members has changed with them. */
  private touchOwner(collection: ResourceNode<T>, nowUs: number): void {
    collection.showing?.touch(nowUs, this.revisions.next());
  }

  private place(
    row: TypeRow,
    id: string,
    collection: ResourceNode<T>,
    act: Act,
    attributes: ReadonlyMap<string, Json>,
  ): ResourceNode<T> {
    const node = this.plant(row, id, collection, act, attributes);
    collection.touch(act.nowUs, this.revisions.next());
    this.touchOwner(collection, act.nowUs);
    return node;
  }

  private newId(collection: ResourceNode<T>): string {
    let id = randomId(this.random);
    while (collection.child(id)) id = randomId(this.random);
    return id;
  }

  private plant(
    row: TypeRow,
    id: string,
    parent: ResourceNode<T> | undefined,
    act: Act,
    attributes: ReadonlyMap<string, Json>,
  ): ResourceNode<T> {
    const node = new ResourceNode(row, id, parent, act.creator, act.nowUs, this.revisions.next(), this, ++this.planted);
    node.attributes = attributes;
    if (parent && row.creates.includes('contentInstance'))
      node.history = new History(this.revisions, ringOf(parent.attributes), undefined, this.values);
    parent?.adopt(node);
    return node;
  }
}

function* withDescendants<T>(node: ResourceNode<T>): Generator<ResourceNode<T>> {
  yield node;
  for (const child of node.known) yield* withDescendants(child);
}

/** Why a resource of this type cannot stand in this collection, which belongs to a resource of another kind than it needs. */
function checkPlace<T>({ name, below }: TypeRow, collection: ResourceNode<T>): Refusal | undefined {
  const owner = collection.parent;
  if (!below || !owner || below.includes(owner.type)) return undefined;
  return refuse(
    'STATUS_FORBIDDEN',
    `${name} cannot be created in ${collection.reference}, below ${owner.type}; it stands below ${below.join(' or ')}.`,
  );
}

function settle<T>(row: TypeRow, draft: Draft, collection: ResourceNode<T>, act: Act): Draft | Refusal {
  const mayKnow = (node: ResourceNode<unknown>): boolean => act.mayKnow?.(node) ?? true;
  const attributes = row.settle?.(draft.attributes, collection, mayKnow) ?? draft.attributes;
  if (isRefusal(attributes)) return attributes;
  return { ...draft, attributes, isAltered: draft.isAltered || attributes !== draft.attributes };
}

/** The bytes that a checked `content` attribute stands for. */
function storedContent(content: Json | undefined): InstanceContent {
  const { contentType, textContent, binaryContent } = isObject(content) ? content : {};
  const text = (value: Json | undefined): string => (typeof value === 'string' ? value : '');
  const bytes =
    binaryContent === undefined ? Buffer.from(text(textContent)) : Buffer.from(text(binaryContent), 'base64');
  return { mediaType: text(contentType), bytes };
}
