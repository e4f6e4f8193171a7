/**
 * How much may stand in the tree, so that whoever creates without end is refused before the machine is full [resources reference
 * 2.2: 503]. The broker's own resources are not counted, and what stood before a restart stands after it, whatever the limits are then.
 *
 *     CREATE ──> resources in all, resources of the originator │ of a subscription: in all, at one resource ──> 503 and a sentence
 *     Observe, sub ──> the same limits of subscriptions
 *
 * contentInstances are not counted: their container has limits of its own.
 */
import { refuse, type Refusal } from '../errors.js';
import type { Creator } from '../resources/node.js';
import type { Node } from './resources.js';

export interface Limits {
  readonly maxResources: number;
  /** 0: none but `maxResources`. */
  readonly maxResourcesPerOriginator: number;
  readonly maxSubscriptions: number;
  readonly maxSubscriptionsPerResource: number;
}

/** What stands may be deleted, or end, at any time; there is no telling when. */
export const QUOTA_RETRY_S = 60;

export class Quotas {
  /** Refusals by the limit that was reached. */
  readonly refusals = new Map<keyof Limits, number>();
  /** That others than the broker have created, and that stand; subscriptions and contentInstances are not among them. */
  resources = 0;
  /** Only where they have a limit of their own: a million gateways that registered themselves would be a million entries. */
  private readonly byOriginator = new Map<string, number>();

  /** @param subscriptions how many there are now, whichever way they came */
  constructor(
    private readonly limits: Limits,
    private readonly subscriptions: () => number,
  ) {}

  /** Why nothing more is created there, or nobody more may subscribe: to be asked before. */
  refusalOf(collection: Node, creator: Creator): Refusal | undefined {
    if (creator.kind === 'internal') return undefined;
    const { maxResources, maxResourcesPerOriginator, maxSubscriptions, maxSubscriptionsPerResource } = this.limits;
    if (collection.type === 'subscriptions') {
      if (collection.size >= maxSubscriptionsPerResource)
        return this.refuse(
          'maxSubscriptionsPerResource',
          `${collection.reference} has ${collection.size} subscriptions`,
        );
      const standing = this.subscriptions();
      return standing >= maxSubscriptions
        ? this.refuse('maxSubscriptions', `There are ${standing} subscriptions here`)
        : undefined;
    }
    if (this.resources >= maxResources)
      return this.refuse('maxResources', `There are ${this.resources} resources here`);
    const own = this.byOriginator.get(creator.id) ?? 0;
    return maxResourcesPerOriginator > 0 && own >= maxResourcesPerOriginator
      ? this.refuse('maxResourcesPerOriginator', `${creator.id} has created ${own} resources that stand`)
      : undefined;
  }

  created(node: Node): void {
    this.count(node, 1);
  }

  removed(node: Node): void {
    this.count(node, -1);
  }

  private count({ creator, type, parent, row }: Node, change: 1 | -1): void {
    // A collection comes and goes with what it belongs to.
    if (creator.kind === 'internal' || type === 'subscription' || parent?.row.collections.includes(row.name)) return;
    this.resources += change;
    if (this.limits.maxResourcesPerOriginator === 0) return;
    const own = (this.byOriginator.get(creator.id) ?? 0) + change;
    if (own > 0) this.byOriginator.set(creator.id, own);
    else this.byOriginator.delete(creator.id);
  }

  private refuse(limit: keyof Limits, what: string): Refusal {
    this.refusals.set(limit, (this.refusals.get(limit) ?? 0) + 1);
    return refuse('STATUS_SERVICE_UNAVAILABLE', `${what}, as many as ${limit} allows; delete what is not needed.`);
  }
}
