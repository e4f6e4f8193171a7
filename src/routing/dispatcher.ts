/**
 * The dispatcher: the walk of every request, whichever binding it came by.
 *
 *     Request ──> authorise ──> resolve ──> verb ──> conditions ──> the resource's actor ──> Response
 *
 * Each step either passes on or answers with a row of the status table. Rights come first: no answer may tell of what the
 * originator is not to know of.
 */
import type { Clock } from '../clock.js';
import type { Refusal } from '../errors.js';
import { checkConditions, etagOf } from '../resources/revision.js';
import { checkVerb, type Target } from '../resources/target.js';
import type { ResourceTree } from '../resources/tree.js';
import type { Verb } from '../resources/types.js';
import { refused, type Request, type Response } from './primitive.js';
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

/** Who asks, for what, and by which binding. */
export type Asking = Pick<Request, 'originator' | 'op' | 'to' | 'binding'>;

/** What for: an answer; every change from now on; to be the device of an application. */
export type Purpose = 'answer' | 'subscription' | 'attachment';

/** The one decision on rights, also on a path at which there is nothing: why the asker gets no further. */
export type Authorise = (asking: Asking, target: SampleTarget, purpose: Purpose) => Refusal | undefined;

export class Dispatcher {
  constructor(
    private readonly tree: ResourceTree<Sample>,
    private readonly clock: Clock,
    private readonly authorise: Authorise,
    private readonly handOn: Route,
  ) {}

  dispatch(request: Request, session?: string): Promise<Response> {
    return new Promise((reply) => {
      const target = this.find(request);
      if ('kind' in target) this.walk(request, target, session, reply);
      else reply(target);
    });
  }

  /** Reads what was found for a subscription: its state at this moment. */
  read(request: Request, target: FoundTarget): Promise<Response> {
    return new Promise((reply) => this.walk(request, target, undefined, reply));
  }

  /** Finds what a request points at, rights and verb checked. */
  find(asking: Asking, purpose: Purpose = 'answer'): FoundTarget | Response {
    const target = this.tree.resolve(asking.to, this.clock.wallUs());
    const forbidden = this.authorise(asking, target, purpose);
    if (forbidden) return refused(forbidden);
    if (target.kind === 'none') return refused(target.refusal);
    const verb: Verb = asking.op === 'notify' ? 'create' : asking.op;
    const wrong = isShorthand(target, verb) ? undefined : checkVerb(target, verb);
    if (!wrong) return target;
    const { allow, ...refusal } = wrong;
    return refused(refusal, { allow });
  }

  private walk(
    request: Request,
    target: FoundTarget,
    session: string | undefined,
    reply: (response: Response) => void,
  ): void {
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
