/**
 * The resource actor: answers the requests on one resource, and takes in the samples of one container. A container's actor
 * also answers for its contentInstances and every instance in it, so that what concerns one ring is done by one actor.
 */
import { isRefusal, refuse, type Refusal } from '../errors.js';
import type { Behaviour, CellKind, Fault } from '../kernel/cell.js';
import { randomId, type Random } from '../random.js';
import type { Creator } from '../resources/node.js';
import { resourceDocument } from '../resources/representation.js';
import { ANY_PATH } from '../resources/retarget.js';
import { etagOf } from '../resources/revision.js';
import type { VirtualTarget } from '../resources/target.js';
import { isObject } from '../resources/values.js';
import { COMMANDS_CONTAINER } from '../routing/command.js';
import type { Ask, FoundTarget, Route } from '../routing/dispatcher.js';
import { bareMediaType, FORMATS } from '../routing/format.js';
import {
  answer,
  isSuccess,
  parsePath,
  refused,
  type Body,
  type Content,
  type Request,
  type Response,
} from '../routing/primitive.js';
import { Sample, type SampleEncoder } from '../routing/sample.js';
import { answerDiscovery } from './discovery.js';
import { isAlarmsContainer } from './alarm-places.js';
import type { MembersContent } from './members-content.js';
import { QUOTA_RETRY_S } from './quotas.js';
import type { Node } from './resources.js';
import type { Retargeting } from './retargeting.js';
import { Retrieval, type RetrievalOptions } from './retrieval.js';
import { SNAPSHOT } from './snapshots.js';

/** Whether a request brings a content, and nothing else: its container has done with it when the turn ends. */
export function isContent({ request, target: { kind, node } }: Ask): boolean {
  if (request.op !== 'create' || kind !== 'resource') return false;
  const container = node.type === 'contentInstances' ? node.parent : node;
  return container?.row.isContainer === true && container.id !== COMMANDS_CONTAINER && !isAlarmsContainer(container);
}

/** A measurement for its container: the fast path of `ResourceMessage`. */
export type ResourceMessage = Ask | Sample;

export interface ResourceOptions extends RetrievalOptions {
  readonly random: Random;
  readonly encoder: SampleEncoder;
  /** The instant of measurement that a publisher's body tells, microseconds since the epoch. */
  readonly measuredTimeOf: (mediaType: string, bytes: Uint8Array) => number | undefined;
  /** Takes a command over; its answer is the issuer's. */
  readonly command: (ask: Ask, commands: Node, body: Body) => void;
  /** Takes over a report of an alarm, or an act on one. */
  readonly alarm: (ask: Ask, alarms: Node, body: Body) => void;
  readonly membersContent: MembersContent;
  readonly retargeting: Retargeting;
  /** A group's last snapshot, or a part of it. */
  readonly snapshot: (request: Request, group: Node, rest: readonly string[]) => Response;
}

/** Which actor answers for a target: its container's, or the resource's own. */
export function actorOf(target: FoundTarget): Node {
  const { node } = target;
  return node.type === 'contentInstances' && node.parent ? node.parent : node;
}

interface ResourceKind extends CellKind<ResourceMessage> {
  /** Does what the actor of a resource would do, for one that is a row. */
  readonly take: Route;
}

export function resourceKind(options: ResourceOptions): ResourceKind {
  const retrieval = new Retrieval(options);
  const ofRows = new ResourceBehaviour(options, retrieval, 'a row');
  return {
    take: (ask) => ofRows.receive(ask),
    start: (cell) => new ResourceBehaviour(options, retrieval, cell.path),
    isConflatable: (message) => message instanceof Sample,
    undelivered(message, fault) {
      if (!(message instanceof Sample))
        message.reply(refused(FAULTS[fault], fault === 'crashed' ? {} : { retryAfterS: 1 }));
    },
  };
}

export const FAULTS: Readonly<Record<Fault, Refusal>> = {
  crashed: refuse('STATUS_INTERNAL_SERVER_ERROR', 'The resource failed while it handled this; it is being restarted.'),
  down: refuse('STATUS_SERVICE_UNAVAILABLE', 'The resource is being restarted; ask again in a second.'),
  full: refuse('STATUS_SERVICE_UNAVAILABLE', 'Too many requests wait for this resource; ask again in a second.'),
};

/** For the store to be well again: it is tried several times a second. */
const RETRY_AFTER_S = 1;

const KEPT_ON_DISK = refuse(
  'STATUS_FORBIDDEN',
  'What a container keeps on disk goes by its limits or with the container, not one by one.',
);

/** Bytes a frame's record is counted with: its form as SenML is not made before somebody reads it. */
const MEASUREMENT_BYTES = 128;

class ResourceBehaviour implements Behaviour<ResourceMessage> {
  /** Of a container whose samples come straight in: found once. */
  private contentInstances: Node | undefined;

  constructor(
    private readonly options: ResourceOptions,
    private readonly retrieval: Retrieval,
    private readonly path: string,
  ) {}

  receive(message: ResourceMessage): void {
    if (message instanceof Sample) {
      this.store(message);
      return;
    }
    const { request, reply } = message;
    const response = this.handle(message);
    if (!response) return;
    if (request.op === 'retrieve' || !isSuccess(response)) reply(response);
    // A success promises that what was changed is as durable as its container says.
    else this.options.resources.kept.commit((refusal) => reply(refusal ? notNow(refusal) : response));
  }

  /** The fast path: latest value and ring. The router has a stream's sample already, or gets it next; neither waits for the other. */
  private store(sample: Sample): void {
    const { resources } = this.options;
    const contentInstances = (this.contentInstances ??= this.ownContentInstances());
    const { content, publisher } = sample;
    if (content.kind !== 'stored') resources.append(contentInstances, sample, MEASUREMENT_BYTES);
    else if (!resources.append(contentInstances, sample, content.bytes.length, undefined, publisher))
      resources.publish(contentInstances, sample);
  }

  private ownContentInstances(): Node {
    const path = parsePath(`${this.path}/contentInstances`);
    const target = isRefusal(path) ? undefined : this.options.resources.tree.resolve(path, this.options.clock.wallUs());
    if (target?.kind !== 'resource') throw new Error(`${this.path} got a sample and is no container`);
    return target.node;
  }

  /** Undefined: somebody else will answer. */
  private handle(ask: Ask): Response | undefined {
    const { request, target } = ask;
    if (target.kind === 'virtual') return this.answerVirtual(ask, target);
    if (request.op === 'retrieve') {
      const response = this.retrieval.retrieve(request, target);
      if (!(response instanceof Promise)) return response;
      // From the disk: neither state nor order of this actor is touched by it.
      void response.catch(() => refused(FAULTS.crashed)).then(ask.reply);
      return undefined;
    }
    const refusal = isDurable(request, target.node) ? this.options.resources.kept.refusal : undefined;
    if (refusal) return notNow(refusal);
    switch (request.op) {
      case 'create':
      case 'notify':
        return this.create(ask, target.node);
      case 'update':
        return this.update(request, target);
      case 'delete':
        return this.remove(request, target);
    }
  }

  private answerVirtual({ request, reply }: Ask, { node, name, rest }: VirtualTarget<Sample>): Response | undefined {
    if (name === 'longPolling') {
      const { onGone, expiresUs } = request;
      const expiresMs = expiresUs === undefined ? undefined : (expiresUs - this.options.clock.wallUs()) / 1000;
      this.channel(node).ask({ onGone, expiresMs }, reply);
      return undefined;
    }
    if (name === SNAPSHOT) return this.options.snapshot(request, node, rest);
    if (name === 'discovery' && rest.length > 0)
      return refused(refuse('STATUS_NOT_FOUND', `There is nothing below ${name} of ${node.reference}.`));
    const { resources, clock, shows, membersContent, retargeting } = this.options;
    const answered =
      name === ANY_PATH
        ? retargeting.forward(request, node, rest)
        : name === 'discovery'
          ? answerDiscovery(request, resources.tree, clock, (each) => shows(request.originator, each))
          : membersContent.ask(request, node, rest);
    void answered.catch(() => refused(FAULTS.crashed)).then(reply);
    return undefined;
  }

  private create(ask: Ask, node: Node): Response | undefined {
    const { request } = ask;
    const { body } = request;
    if (node.type === 'notificationChannel') return this.channel(node).post(body);
    // CoAP cannot tell an empty body from none, so none of the bindings does.
    if (!body || body.bytes.length === 0)
      return refused(refuse('STATUS_BAD_REQUEST', `A CREATE on ${node.reference} needs a body.`));
    const contentInstances = node.row.isContainer ? node.child('contentInstances') : node;
    if (contentInstances?.history) return this.createInstance(ask, contentInstances, body);
    const document = body.document();
    if (isRefusal(document)) return refused(document);
    const written = this.options.resources.create(node, document, creatorOf(request));
    if (isRefusal(written))
      return refused(written, written.status === 'STATUS_SERVICE_UNAVAILABLE' ? { retryAfterS: QUOTA_RETRY_S } : {});
    return answer('STATUS_CREATED', {
      location: written.node.path,
      etag: written.node.etag,
      content: documentOf(written.node),
    });
  }

  private createInstance(ask: Ask, contentInstances: Node, body: Body): Response | undefined {
    const container = contentInstances.parent;
    if (container?.id === COMMANDS_CONTAINER && container.parent?.parent?.type === 'application') {
      this.options.command(ask, contentInstances, body);
      return undefined;
    }
    if (isAlarmsContainer(container)) {
      this.options.alarm(ask, contentInstances, body);
      return undefined;
    }
    const { resources, clock, encoder, measuredTimeOf } = this.options;
    const draft = this.draft(contentInstances, body, ask.request);
    if (isRefusal(draft)) return refused(draft);
    const { id, mediaType, bytes, attributes } = draft;
    const measuredUs = measuredTimeOf(mediaType, bytes) ?? clock.wallUs();
    const sample = new Sample({ kind: 'stored', mediaType, bytes }, measuredUs, clock.monotonicUs(), 0, encoder, id);
    const refusal = resources.append(contentInstances, sample, bytes.length, attributes, ask.request.originator);
    if (refusal) return refused(refusal);
    resources.publish(contentInstances, sample);
    return answer('STATUS_CREATED', {
      location: [...contentInstances.path, id],
      etag: etagOf(contentInstances.history?.latest?.sequence ?? 0),
    });
  }

  /** A contentInstance document describes the instance; any other body is the content itself [TS 102 921 10.19, design: spellings]. */
  private draft(contentInstances: Node, body: Body, request: Request) {
    const value = isRepresentation(body.mediaType) ? body.value() : undefined;
    if (value && isRefusal(value)) return value;
    const document = value?.parsed;
    if (!isObject(document) || document.contentInstance === undefined) {
      return { id: randomId(this.options.random), mediaType: body.mediaType, bytes: body.bytes, attributes: undefined };
    }
    const act = { nowUs: this.options.clock.wallUs(), creator: creatorOf(request) };
    const draft = this.options.resources.tree.draftInstance(contentInstances, document, act);
    if (isRefusal(draft)) return draft;
    return { id: draft.id, ...draft.content, attributes: draft.attributes as ReadonlyMap<string, string> | undefined };
  }

  private update(request: Request, target: FoundTarget): Response {
    const document = request.body ? request.body.document() : refuse('STATUS_BAD_REQUEST', 'An UPDATE needs a body.');
    if (isRefusal(document)) return refused(document);
    const written = this.options.resources.update(target, document, creatorOf(request));
    if (isRefusal(written)) return refused(written);
    return answer('STATUS_OK', {
      etag: written.node.etag,
      ...(written.isAltered && { content: documentOf(written.node) }),
    });
  }

  private remove(request: Request, target: FoundTarget): Response {
    const { resources, clock } = this.options;
    if (target.kind === 'instance' && target.node.history?.archive) return refused(KEPT_ON_DISK);
    if (target.kind !== 'instance') resources.remove(target.node, 'RESOURCE_DELETED', creatorOf(request));
    else if (!target.record || !target.node.history?.delete(target.record, clock.wallUs())) {
      return refused(refuse('STATUS_NOT_FOUND', 'There is no such contentInstance any more.'));
    } else resources.kept.withdrawn(target.node);
    return answer('STATUS_OK');
  }

  private channel(node: Node) {
    const channel = this.options.resources.channelOf(node);
    if (!channel) throw new Error(`${node.reference} has no channel`);
    return channel;
  }
}

const notNow = (refusal: Refusal): Response => refused(refusal, { retryAfterS: RETRY_AFTER_S });

/** Whether what a request changes is promised to survive a restart: all but contents of a container that promises memory alone. */
function isDurable({ op }: Request, node: Node): boolean {
  const { type, row, parent, attributes } = node;
  // An alarm is told whatever ails the disk.
  if (op === 'create' && isAlarmsContainer(type === 'contentInstances' ? parent : node)) return false;
  if (type === 'contentInstances') return parent?.attributes.get('durability') !== 'latest';
  if (op !== 'create' && op !== 'notify') return true;
  return row.isContainer ? attributes.get('durability') !== 'latest' : type !== 'notificationChannel';
}

const creatorOf = ({ originator }: Request): Creator => ({ kind: 'originator', id: originator });

/** Media types whose body may be a resource's document; all else is content as it stands. */
export function isRepresentation(mediaType: string): boolean {
  const type = bareMediaType(mediaType);
  return type === FORMATS.json.mediaType || type === FORMATS.cbor.mediaType;
}

const NO_CONTENT = { content: () => undefined };
const documentOf = (node: Node): Content => ({ kind: 'document', document: resourceDocument(node, NO_CONTENT) });
