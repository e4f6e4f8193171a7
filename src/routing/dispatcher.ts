/**
 * The dispatcher: the walk of every request, whichever binding it came by.
 *
 *     Request ──> authorise ──> resolve ──> verb ──> conditions ──> the resource's actor ──> Response
 *        └─ a content for a row ──> authorise ──> what its actor would do ──> Response
 *
 * Each step either passes on or answers with a row of the status table. Rights come first: no answer may tell of what the
 * originator is not to know of.
 */
import type { Clock } from '../clock.js';
import type { Refusal, Status } from '../errors.js';
import type { OpenRow } from '../resources/node.js';
import { ANY_PATH } from '../resources/retarget.js';
import { checkConditions, etagOf, type State } from '../resources/revision.js';
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

/** The way into idle containers, which have no actor. */
export interface IdleWay {
  /** The row that takes a request's content, if there is one. */
  readonly rowFor: (request: Request) => OpenRow<Sample> | undefined;
  /** Does what its container's actor would do, before it returns. */
  readonly take: Route;
}

export class Dispatcher {
  /** Requests answered since the start, whichever binding they came by. */
  readonly answers = new Map<Status, number>();

  constructor(
    private readonly tree: ResourceTree<Sample>,
    private readonly clock: Clock,
    private readonly authorise: Authorise,
    private readonly handOn: Route,
    private readonly idle: IdleWay,
  ) {}

  dispatch(request: Request, session?: string): Promise<Response> {
    return new Promise((answered) => {
      const reply = (response: Response): void => {
        this.answers.set(response.status, (this.answers.get(response.status) ?? 0) + 1);
        answered(response);
      };
      const row = this.idle.rowFor(request);
      if (row) return this.takeByRow(row, request, session, reply);
      const target = this.find(request);
      if ('kind' in target) this.walk(request, target, session, reply);
      else reply(target);
    });
  }

  private takeByRow(
    row: OpenRow<Sample>,
    request: Request,
    session: string | undefined,
    reply: (response: Response) => void,
  ): void {
    const target = { kind: 'resource', node: row.contentInstances } as const;
    const forbidden = this.authorise(request, target, 'answer');
    if (forbidden) return reply(refused(forbidden));
    this.idle.take({ kind: 'ask', request, target, session, reply });
    row.close();
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
    const state = stateOf(target);
    const failed = state && checkConditions(state, request, request.op === 'retrieve' ? 'read' : 'write');
    if (failed) return reply(refused(failed, known(state)));
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

/**
 * What a condition on a request is held against; undefined where it is not for us to hold: membersContent and an application's own paths
 * have no state here, the condition goes on with the request and each member, or the application, answers it for itself. What else is
 * virtual is there (`*`), and is never the same twice.
 */
export function stateOf(target: FoundTarget): State | undefined {
  if (target.kind === 'instance') {
    const { record } = target;
    return { etag: record && etagOf(record.sequence), modifiedUs: record?.createdUs };
  }
  const { node } = target;
  if (target.kind !== 'virtual') return { etag: node.etag, modifiedUs: node.modifiedUs };
  return PASSED_ON.includes(target.name) ? undefined : { etag: '' };
}
const PASSED_ON: readonly string[] = ['membersContent', ANY_PATH];

/** Of a state, what an answer tells. */
export const known = ({ etag, modifiedUs }: State): Pick<Response, 'etag' | 'modifiedUs'> => ({
  ...(etag !== undefined && etag !== '' && { etag }),
  ...(modifiedUs !== undefined && { modifiedUs }),
});
