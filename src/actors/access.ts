/**
 * Access: what the rights in the tree mean for those who come.
 *
 *     request ──> authorise ──> rights.decide ──┬─> allowed
 *                                               ├─> refused: 401, hidden: 404 as if there were nothing; into the audit trail
 *                                               └─> personal contents are read: into the audit trail
 *     a right changes ──> next generation ──> soon: subscribers and devices that have lost theirs are told, and end
 *
 * With `rights: open` everybody is the administrator: nothing is refused, and what is to be audited still is.
 */
import type { Cancel } from '../clock.js';
import { refuse, type Refusal } from '../errors.js';
import type { Creator } from '../resources/node.js';
import type { Flag } from '../resources/permissions.js';
import { isPersonal, Rights } from '../resources/rights.js';
import type { Asking, Authorise, FoundTarget, SampleTarget } from '../routing/dispatcher.js';
import { pathText, type Operation } from '../routing/primitive.js';
import type { Sample } from '../routing/sample.js';
import type { Store } from '../store/store.js';
import { AccessAudit } from './access-audit.js';
import type { Schedule } from './notification-channel.js';
import type { Node, Resources } from './resources.js';

/** Many changes in a row are one: a right with thousands of subscribers is not gone through for each. A loss is to show within 1 s. */
const RECHECK_AFTER_MS = 100;
/** A path in a sentence is the asker's, and of any length. */
const LONGEST_PATH = 200;

export const FLAG_OF: Readonly<Record<Operation, Flag>> = {
  create: 'CREATE',
  retrieve: 'READ',
  update: 'WRITE',
  delete: 'DELETE',
  notify: 'CREATE',
};

export interface AccessOptions {
  readonly resources: Pick<Resources, 'tree' | 'kept'>;
  readonly store: Store;
  readonly schedule: Schedule;
  readonly isEnforced: boolean;
  readonly administrators: readonly string[];
  /** Rights have changed: whoever holds something by them is to be asked for anew. */
  readonly recheck: () => void;
}

export class Access {
  readonly rights: Rights<Sample>;
  readonly audit: AccessAudit;
  private cancelRecheck: Cancel | undefined;

  constructor(private readonly options: AccessOptions) {
    this.rights = new Rights(options.resources.tree, options.administrators);
    const { resources, store, schedule } = options;
    this.audit = new AccessAudit(store, schedule, (event) => resources.kept.audit(event));
  }

  get isEnforced(): boolean {
    return this.options.isEnforced;
  }

  /** Who may see how the broker works, and why it decides as it does. */
  isOperator(originator: string): boolean {
    return !this.isEnforced || this.rights.isAdministrator(originator);
  }

  readonly authorise: Authorise = (asking, target, purpose) => {
    const refusal = this.isOperator(asking.originator) ? undefined : this.refusalOf(asking, target);
    if (refusal) return refusal;
    const use = purpose === 'subscription' ? 'subscribed' : personalUse(asking, target);
    if (use && target.kind !== 'none' && isPersonalContent(target.node)) this.audit.personal(`personal-${use}`, asking);
    return undefined;
  };

  may(originator: string, flag: Flag, node: Node): boolean {
    return !this.isEnforced || this.rights.decide(originator, flag, node).outcome === 'allowed';
  }

  /** Whether an originator may know of a resource. */
  shows(originator: string, node: Node): boolean {
    return this.may(originator, 'DISCOVER', node);
  }

  /** @param before its attributes; undefined: it has just been created */
  written(node: Node, before: Node['attributes'] | undefined, by: Creator): void {
    if (node.type === 'accessRight') this.rightChanged(before ? 'right-changed' : 'right-created', node, by);
    this.assigned(node, before, by);
  }

  removed(node: Node, by: Creator | undefined): void {
    if (node.type === 'accessRight') this.rightChanged('right-deleted', node, by);
  }

  stop(): void {
    this.cancelRecheck?.();
    this.audit.refusals.closeWindow();
  }

  private refusalOf(asking: Asking, target: SampleTarget): Refusal | undefined {
    const { originator, to, op } = asking;
    const flag = FLAG_OF[op];
    const path = pathText(to).slice(0, LONGEST_PATH);
    const nothing = refuse('STATUS_NOT_FOUND', `There is nothing at ${path} that ${originator} may know of.`);
    // What is asked of instances holds for those too that are not there: else who may not read them could find out their names.
    const asked = target.kind === 'none' ? instancesOf(target.nearest) : target;
    if (!asked) return nothing;
    const { outcome } = this.rights.decideAt(originator, flag, asked);
    if (outcome === 'allowed') return undefined;
    const lacks = refuse('STATUS_PERMISSION_DENIED', `${originator} has no right to ${op.toUpperCase()} ${path}.`);
    const refusal = outcome === 'refused' ? lacks : nothing;
    this.audit.refused(asking, refusal);
    return refusal;
  }

  private rightChanged(event: 'right-created' | 'right-changed' | 'right-deleted', node: Node, by?: Creator): void {
    this.audit.right(event, node, by);
    this.changed();
  }

  private assigned(node: Node, before: Node['attributes'] | undefined, by: Creator): void {
    const changes = RIGHTS_OF_RESOURCES.map((name) => ({
      name,
      from: before?.get(name),
      to: node.attributes.get(name),
    }));
    for (const { name, from, to } of changes.filter(({ from, to }) => from !== to)) {
      this.audit.assigned(node, name, from, to, by);
      this.changed();
    }
  }

  private changed(): void {
    this.rights.changed();
    if (!this.isEnforced) return;
    this.cancelRecheck ??= this.options.schedule(RECHECK_AFTER_MS, () => {
      this.cancelRecheck = undefined;
      this.options.recheck();
    });
  }
}

const instancesOf = (nearest: Node | undefined): FoundTarget | undefined =>
  nearest?.type === 'contentInstances' ? { kind: 'resource', node: nearest } : undefined;

/** Attributes that name the accessRight of a resource, or of a part of it. */
const RIGHTS_OF_RESOURCES = ['accessRightID', 'membersContentAccessRightID'];

/** What a request makes of contents: it reads them, or has them told from now on. */
function personalUse({ op }: Asking, target: SampleTarget): 'read' | 'subscribed' | undefined {
  if (target.kind === 'none') return undefined;
  if (op === 'retrieve') return target.node.type === 'contentInstances' ? 'read' : undefined;
  return op === 'create' && target.node.type === 'subscriptions' ? 'subscribed' : undefined;
}

/** The instances of a personal container, or the collection of their subscriptions. */
function isPersonalContent({ type, parent }: Node): boolean {
  const container = type === 'subscriptions' ? parent?.parent : parent;
  return container?.row.isContainer === true && isPersonal(container);
}
