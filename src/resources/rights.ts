/**
 * Access rights [TS 102 921 10.3.2.5-7]: may an originator do something to a resource, and by which rule. Pure.
 *
 *     administrator ──────────────────────────────────────────────> allowed
 *     accessRight ──> its selfPermissions
 *     contentInstances, contentInstance ──> what holds for their container      personal: an entry must name the reader
 *     subscription ──> creator, owner; who may DELETE what is subscribed to may READ it
 *     subscriptions ──> CREATE needs READ on what is subscribed to; READ shows subscriptions, and so needs DELETE on it
 *     notificationChannel ──> creator, owner
 *     membersContent, a path of an aPoC ──> permissions of what its own attribute names, if it has one; else as its group, its application
 *     all else ──> permissions of what accessRightID names; where it names nothing: default rights, the owner's alone
 *
 * The owner is the application or SCL in whose subtree a resource stands, and below an applicationAnnc also the application that it
 * links to; at the root only administrators are left.
 */
import { ANONYMOUS, judge, type Flag, type Holding, type Judgement, type Outcome } from './permissions.js';
import type { ResourceNode } from './node.js';
import { ANY_PATH, retargetOf } from './retarget.js';
import type { NoTarget, Target, VirtualTarget } from './target.js';
import type { ResourceTree } from './tree.js';
import type { Json } from './values.js';

export type Rule = 'administrator' | 'creator' | 'owner' | 'announced' | 'permissions' | 'selfPermissions' | 'default';

export interface Decision<T> {
  readonly outcome: Outcome;
  readonly rule: Rule;
  /** The resource whose rights were looked at, and for which flag: not always those that were asked for. */
  readonly subject: ResourceNode<T>;
  readonly flag: Flag;
  /** The accessRight that decided. */
  readonly right?: ResourceNode<T>;
  /** Its entry, by id or number, and by which of its holders it holds. */
  readonly entry?: string;
  readonly holding?: Holding;
  /** It is personal: only an entry that names the reader counted. */
  readonly isPersonal?: true;
}

/** Decisions that are remembered; beyond it all are forgotten. */
const MOST_REMEMBERED = 10_000;
/** Types whose resources own what stands below them. */
const OWNERS: readonly string[] = ['application', 'scl'];

export class Rights<T> {
  private readonly administrators: ReadonlySet<string>;
  /** By originator, list and flag; all of one generation. */
  private readonly remembered = new Map<string, Judgement>();
  private rememberedOf = 0;
  private moves = 0;

  constructor(
    private readonly tree: Pick<ResourceTree<T>, 'nodeAt'>,
    administrators: readonly string[],
  ) {
    this.administrators = new Set(administrators);
  }

  /** A right, or what a resource names as its right, is another one now. */
  changed(): void {
    this.moves++;
  }

  /** Moves with every change of an accessRight or accessRightID. */
  get generation(): number {
    return this.moves;
  }

  isAdministrator(originator: string): boolean {
    return this.administrators.has(originator);
  }

  /** @param flag for CREATE, `node` is the collection */
  decide(originator: string, flag: Flag, node: ResourceNode<T>): Decision<T> {
    if (this.isAdministrator(originator)) return found('allowed', 'administrator', flag, node);
    const { parent } = node;
    switch (node.type) {
      case 'accessRight':
        return this.byList(originator, flag, node, node, 'selfPermissions');
      case 'contentInstances':
        return parent ? this.byRight(originator, flag, parent, isPersonal(parent) && flag === 'READ') : noParent(node);
      case 'subscription':
        return this.onSubscription(originator, flag, node);
      case 'subscriptions':
        return parent ? this.decide(originator, FLAG_ABOVE[flag], parent) : noParent(node);
      case 'notificationChannel':
        return byDefault(originator, flag, node);
      default:
        return this.byRight(originator, flag, node, false);
    }
  }

  /** The same of what a path points at: a part of a resource may have a right of its own. */
  decideAt(originator: string, flag: Flag, target: Exclude<Target<T>, NoTarget<T>>): Decision<T> {
    const { node } = target;
    if (target.kind !== 'virtual' || this.isAdministrator(originator)) return this.decide(originator, flag, node);
    const named = rightOfPart(target) ?? node.attributes.get('accessRightID');
    switch (target.name) {
      case MEMBERS_CONTENT:
        return this.byRight(originator, flag, node, false, named);
      case ANY_PATH:
        // [resources reference 3.8] What an application makes of a request, it alone knows: all but reading is writing.
        return this.byRight(originator, flag === 'READ' ? 'READ' : 'WRITE', node, false, named);
      default:
        return this.decide(originator, flag, node);
    }
  }

  /** Whether an originator may know that there is such a resource: any flag will do. */
  shows(originator: string, node: ResourceNode<T>): boolean {
    return this.decide(originator, 'DISCOVER', node).outcome === 'allowed';
  }

  private onSubscription(originator: string, flag: Flag, node: ResourceNode<T>): Decision<T> {
    const own = byDefault(originator, flag, node);
    const subscribed = node.parent?.parent;
    if (own.outcome === 'allowed' || !subscribed || (flag !== 'READ' && flag !== 'DISCOVER')) return own;
    const above = this.decide(originator, 'DELETE', subscribed);
    return above.outcome === 'allowed' ? above : { ...above, outcome: 'hidden' };
  }

  private byRight(
    originator: string,
    flag: Flag,
    node: ResourceNode<T>,
    mustName: boolean,
    named = node.attributes.get('accessRightID'),
  ): Decision<T> {
    const right = typeof named === 'string' ? this.rightAt(named) : undefined;
    const decision = right
      ? this.byList(originator, flag, node, right, 'permissions', mustName)
      : byDefault(originator, flag, node);
    return mustName ? { ...decision, isPersonal: true } : decision;
  }

  private byList(
    originator: string,
    flag: Flag,
    node: ResourceNode<T>,
    right: ResourceNode<T>,
    list: 'permissions' | 'selfPermissions',
    mustName = false,
  ): Decision<T> {
    const key = JSON.stringify([originator, right.reference, list, flag, mustName]);
    const judgement =
      this.recall(key) ?? this.remember(key, judge(right.attributes.get(list), originator, flag, mustName));
    return { ...found(judgement.outcome, list, flag, node), right, ...judgement };
  }

  private recall(key: string): Judgement | undefined {
    if (this.rememberedOf !== this.moves || this.remembered.size >= MOST_REMEMBERED) this.remembered.clear();
    this.rememberedOf = this.moves;
    return this.remembered.get(key);
  }

  private remember(key: string, judgement: Judgement): Judgement {
    this.remembered.set(key, judgement);
    return judgement;
  }

  /** The accessRight of this SCL that a reference names. */
  private rightAt(reference: string): ResourceNode<T> | undefined {
    if (!reference.startsWith('/')) return undefined;
    const node = this.tree.nodeAt(segmentsOf(reference));
    // Spelt otherwise it is not looked for further: a right that is not found grants nothing.
    return node?.type === 'accessRight' && node.reference === reference ? node : undefined;
  }
}

/** What a flag on a `subscriptions` means on the resource above it. */
const FLAG_ABOVE: Readonly<Record<Flag, Flag>> = {
  CREATE: 'READ',
  READ: 'DELETE',
  WRITE: 'WRITE',
  DELETE: 'DELETE',
  DISCOVER: 'DISCOVER',
};

export const isPersonal = (container: { readonly attributes: ReadonlyMap<string, Json> }): boolean =>
  container.attributes.get('isPersonal') === true;

/** Default rights: the owner's, and of what belongs to who made it, its creator's. */
function byDefault<T>(originator: string, flag: Flag, node: ResourceNode<T>): Decision<T> {
  if (originator !== ANONYMOUS) {
    if (isOwnedBy(originator, node)) return found('allowed', 'owner', flag, node);
    if (isLinkedTo(originator, announcementOf(node))) return found('allowed', 'announced', flag, node);
    const { creator } = node;
    if (CREATORS_OWN.includes(node.type) && creator.kind === 'originator' && creator.id === originator)
      return found('allowed', 'creator', flag, node);
  }
  return found('hidden', 'default', flag, node);
}

const MEMBERS_CONTENT = 'membersContent';

/** The accessRight that a virtual part of a resource names for itself. */
function rightOfPart<T>({ node, name, rest }: VirtualTarget<T>): Json | undefined {
  if (name === MEMBERS_CONTENT) return node.attributes.get('membersContentAccessRightID');
  return name === ANY_PATH ? retargetOf(node, rest)?.accessRightID : undefined;
}

const CREATORS_OWN: readonly string[] = ['subscription', 'notificationChannel'];

/** The nearest application or SCL above, or the resource itself. */
export function ownerOf<T>(node: ResourceNode<T>): ResourceNode<T> | undefined {
  let above: ResourceNode<T> | undefined = node;
  while (above && !OWNERS.includes(above.type)) above = above.parent;
  return above;
}

function isOwnedBy<T>(originator: string, node: ResourceNode<T>): boolean {
  const owner = ownerOf(node);
  return owner !== undefined && (owner.id === originator || owner.reference === originator);
}

/** The nearest applicationAnnc above, or the resource itself: an application's place at another SCL. */
export function announcementOf<T>(node: ResourceNode<T>): ResourceNode<T> | undefined {
  let above: ResourceNode<T> | undefined = node;
  while (above && above.type !== 'applicationAnnc') above = above.parent;
  return above;
}

/** Whether an originator is the application that is announced: by the URI of it, or by its id, which no other application has. */
function isLinkedTo<T>(originator: string, announcement: ResourceNode<T> | undefined): boolean {
  const link = announcement?.attributes.get('link');
  if (typeof link !== 'string') return false;
  const [, id] = /\/applications\/([^/]+)$/.exec(link) ?? [];
  return link === originator || (id !== undefined && segmentsOf(`/${id}`)[0] === originator);
}

const found = <T>(outcome: Outcome, rule: Rule, flag: Flag, node: ResourceNode<T>): Decision<T> => ({
  outcome,
  rule,
  flag,
  subject: node,
});

function noParent<T>({ reference }: ResourceNode<T>): never {
  throw new Error(`${reference} stands below nothing`); // no row has it so
}

function segmentsOf(reference: string): readonly string[] {
  try {
    return reference.slice(1).split('/').map(decodeURIComponent);
  } catch {
    return [];
  }
}
