/**
 * The dispatcher: the walk of every request, whichever binding it came by.
 *
 *     Request ──> authorise ──> resolve ──> verb ──> conditions ──> the resource's actor ──> Response
 *
 * Each step either passes on or answers with a row of the status table.
 */
import type { Clock } from '../clock.js';
import type { Refusal } from '../errors.js';
import { checkConditions, etagOf } from '../resources/revision.js';
import { checkVerb, type Target } from '../resources/target.js';
import type { ResourceTree } from '../resources/tree.js';
import type { Verb } from '../resources/types.js';
import { refused, type Operation, type Request, type Response } from './primitive.js';
import type { Sample } from './sample.js';

export type SampleTarget = Target<Sample>;
export type FoundTarget = Exclude<SampleTarget, { readonly kind: 'none' }>;

/** A request on its way to the actor that answers it. */
export interface Ask {
  readonly kind: 'ask';
  readonly request: Request;
  readonly target: FoundTarget;
  /** The session it came by, where there is one: where a command's outcome goes. */
  readonly session: string | undefined;
  readonly reply: (response: Response) => void;
}

/** What the dispatcher refuses or hands on. */
export type Route = (ask: Ask) => void;

/** The one decision on rights. With no security configured everybody who reaches the loopback is the administrator. */
export type Authorise = (originator: string, op: Operation, target: FoundTarget) => Refusal | undefined;
export const anonymousIsAdministrator: Authorise = () => undefined;

export class Dispatcher {
  constructor(
    private readonly tree: ResourceTree<Sample>,
    private readonly clock: Clock,
    private readonly authorise: Authorise,
    private readonly handOn: Route,
  ) {}

  dispatch(request: Request, session?: string): Promise<Response> {
    return new Promise((reply) => this.walk(request, session, reply));
  }

  /** Finds what a request points at, rights and verb checked. */
  find(request: Request): FoundTarget | Response {
    const target = this.tree.resolve(request.to, this.clock.wallUs());
    if (target.kind === 'none') return refused(target.refusal);
    const forbidden = this.authorise(request.originator, request.op, target);
    if (forbidden) return refused(forbidden);
    const verb: Verb = request.op === 'notify' ? 'create' : request.op;
    const wrong = isShorthand(target, verb) ? undefined : checkVerb(target, verb);
    if (!wrong) return target;
    const { allow, ...refusal } = wrong;
    return refused(refusal, { allow });
  }

  private walk(request: Request, session: string | undefined, reply: (response: Response) => void): void {
    const target = this.find(request);
    if (!('kind' in target)) return reply(target);
    const failed = checkConditions(etagOfTarget(target), request, request.op === 'retrieve' ? 'read' : 'write');
    if (failed) {
      const etag = etagOfTarget(target);
      return reply(refused(failed, etag === undefined ? {} : { etag }));
    }
    this.handOn({ kind: 'ask', request, target, session, reply });
  }
}

/**
 * A CREATE on a container means one on its contentInstances, and a CREATE on a notificationChannel is a notification for it:
 * neither has children of its own to be meant otherwise.
 */
const isShorthand = (target: FoundTarget, verb: Verb): boolean =>
  verb === 'create' &&
  target.kind === 'resource' &&
  (target.node.row.isContainer || target.node.type === 'notificationChannel');

/** The entity tag of what a path points at: an instance's own, else its resource's. */
export function etagOfTarget(target: FoundTarget): string | undefined {
  if (target.kind === 'instance') return target.record && etagOf(target.record.sequence);
  return target.kind === 'virtual' ? undefined : target.node.etag;
}
