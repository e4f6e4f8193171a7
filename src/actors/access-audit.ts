/** What of access rights goes into the audit trail: who was refused, and whose token, who changed a right, who read what is personal. */
import type { Refusal } from '../errors.js';
import type { Json, JsonObject } from '../json.js';
import type { Creator } from '../resources/node.js';
import type { Asking } from '../routing/dispatcher.js';
import { pathText } from '../routing/primitive.js';
import type { AuditEvent, Store } from '../store/store.js';
import type { Schedule } from './notification-channel.js';
import { Refusals } from './refusals.js';
import type { Node } from './resources.js';

/** Who acts where nobody else does: a right expires. */
const BROKER = 'broker';
/** A path is the asker's, and of any length. */
const LONGEST_TARGET = 256;

export class AccessAudit {
  readonly refusals: Refusals;

  /** @param withChange puts an event into the write of the change that it is about */
  constructor(
    private readonly store: Store,
    schedule: Schedule,
    private readonly withChange: (event: AuditEvent) => void,
  ) {
    this.refusals = new Refusals(schedule, (event) => this.write(event));
  }

  refused({ originator, op, to, binding }: Asking, { status }: Refusal): void {
    const target = pathText(to).slice(0, LONGEST_TARGET);
    this.refusals.note({ event: 'request-refused', originator, target, details: { op, binding, status } }, status);
  }

  /** Somebody showed a token, or a certificate, that is none here; the token itself is nowhere written. */
  tokenRefused(binding: string, from: string, { status, detail }: Refusal): void {
    this.refusals.note({ event: 'token-refused', originator: from, target: '/', details: { binding, detail } }, status);
  }

  personal(event: 'personal-read' | 'personal-subscribed', { originator, to, binding }: Asking): void {
    this.write({ event, originator, target: pathText(to), details: { binding } }, true);
  }

  /** @param by undefined for the broker itself */
  right(event: 'right-created' | 'right-changed' | 'right-deleted', node: Node, by: Creator | undefined): void {
    const { attributes, reference } = node;
    const [permissions, selfPermissions] = [attributes.get('permissions'), attributes.get('selfPermissions')];
    const details = event === 'right-deleted' ? undefined : { permissions, selfPermissions };
    this.withChange({ event, originator: nameOf(by), target: reference, ...(details && { details }) });
  }

  /** A resource names another accessRight as its own, or as that of a part of it. @param attribute which names it */
  assigned(node: Node, attribute: string, from: Json | undefined, to: Json | undefined, by: Creator | undefined): void {
    const details: JsonObject = { attribute, ...(from !== undefined && { from }), ...(to !== undefined && { to }) };
    this.withChange({ event: 'right-assigned', originator: nameOf(by), target: node.reference, details });
  }

  private write(event: AuditEvent, isVital = false): void {
    this.store.write({ audit: [event], durability: 'grouped', isVital }, () => {});
  }
}

const nameOf = (by: Creator | undefined): string => (by?.kind === 'originator' ? by.id : BROKER);
