/**
 * Reads a resource, a part of one or an instance, as its asker wants to see it.
 *
 *     path, attributeAccessor ──> target ──> filter: 304, 412 ──> a page of its members? ──> representation
 *                                   └── an instance that is on disk alone ──> the archive ──┘
 */
import type { Clock } from '../clock.js';
import { isRefusal, refuse, type Refusal } from '../errors.js';
import type { Archive } from '../resources/archive.js';
import type { Reading } from '../resources/attribute.js';
import {
  checkFilter,
  isCollection,
  memberPage as membersAsked,
  readFilter,
  type Filter,
  type Readable,
} from '../resources/filter.js';
import type { InstanceRecord } from '../resources/history.js';
import { represent } from '../resources/representation.js';
import { etagOf } from '../resources/revision.js';
import type { InstanceTarget } from '../resources/target.js';
import { known, stateOf, type FoundTarget } from '../routing/dispatcher.js';
import { contentFor, mediaTypesOf } from '../routing/negotiation.js';
import { answer, pathText, refused, type Request, type Response } from '../routing/primitive.js';
import type { Sample } from '../routing/sample.js';
import { readPage } from './instance-pages.js';
import { shownContent } from './notification.js';
import type { Node, Resources } from './resources.js';

export interface RetrievalOptions {
  readonly resources: Resources;
  readonly clock: Clock;
  /** Whether an originator may know of a resource. */
  readonly shows: (originator: string, node: Node) => boolean;
}

export class Retrieval {
  constructor(private readonly options: RetrievalOptions) {}

  /** A promise where the disk is asked: neither state nor order of an actor is touched by it. */
  retrieve(request: Request, target: Readable<Sample>): Response | Promise<Response> {
    if (request.query.size === 0) return this.read(request, target);
    const filter = readFilter(request.query, target);
    if (isRefusal(filter)) return refused(filter);
    return filter.accessor.length > 0
      ? this.access(request, target.node, filter.accessor)
      : this.read(request, target, filter);
  }

  /** What an attributeAccessor selects is read as if the path had led there. */
  private access(request: Request, node: Node, accessor: readonly string[]): Response | Promise<Response> {
    const to = [...request.to, ...accessor];
    const target = this.options.resources.tree.resolve(to, this.options.clock.wallUs());
    if (target.kind === 'none') return refused(target.refusal);
    if (target.node !== node || target.kind === 'resource' || target.kind === 'virtual')
      return refused(
        refuse('STATUS_BAD_REQUEST', `${pathText(to)} is no part of ${node.reference}; read it by its path.`),
      );
    const query = new URLSearchParams(request.query);
    query.delete('attributeAccessor');
    return this.retrieve({ ...request, to, query }, target);
  }

  private read(request: Request, target: Readable<Sample>, filter?: Filter): Response | Promise<Response> {
    if (target.kind === 'instance' && !target.record && target.node.history?.archive)
      return this.readArchived(request, target, target.node.history.archive, filter);
    const state = known(stateOf(target) ?? { etag: undefined });
    const failed = filter && checkFilter(filter, target, typesOf);
    if (failed) return refused(failed, state);
    if (target.kind === 'instance' && target.rest.join('/') === 'content' && target.record)
      return this.readContent(request, target);
    const { query } = filter ?? {};
    const content = query?.isMetadataOnly ? () => undefined : contentOf;
    const shows = (node: Node): boolean => this.options.shows(request.originator, node);
    const show = (paged: Pick<Reading<Sample>, 'page' | 'memberPage'>): Response => {
      const shown = represent(target, { content, shows, ...paged });
      if (isRefusal(shown)) return refused(shown);
      return answer('STATUS_OK', { content: shown, ...state, ...this.sequenceOf(target) });
    };
    if (!query || !isCollection(target)) return show({});
    if (!target.node.history) {
      const memberPage = membersAsked(target.node, query, request.query, {
        epoch: this.options.resources.tree.epoch,
        shows,
      });
      return isRefusal(memberPage) ? refused(memberPage) : show({ memberPage });
    }
    const showPage = (page: NonNullable<Reading<Sample>['page']> | Refusal): Response =>
      isRefusal(page) ? refused(page) : show({ page });
    const page = readPage(request, query, target.node, content);
    return page instanceof Promise ? page.then(showPage) : showPage(page);
  }

  private async readArchived(
    request: Request,
    target: InstanceTarget<Sample>,
    archive: Archive<Sample>,
    filter: Filter | undefined,
  ): Promise<Response> {
    const record = await archive.find(target.by === 'id' ? { id: target.id } : target.by);
    if (isRefusal(record)) return refused(record);
    const found = { ...target, record };
    const failed = filter && checkFilter(filter, found, typesOf);
    if (failed) return refused(failed);
    if (record && target.rest.join('/') === 'content') {
      const content = contentFor(record.value, request.accept, request.defaultFormat);
      return isRefusal(content) ? refused(content) : answer('STATUS_OK', { content: { kind: 'bytes', ...content } });
    }
    const shown = represent(found, { content: filter?.query?.isMetadataOnly ? () => undefined : contentOf });
    return isRefusal(shown) ? refused(shown) : answer('STATUS_OK', { content: shown });
  }

  private readContent(request: Request, target: InstanceTarget<Sample>): Response {
    const { record } = target;
    if (!record) return refused(refuse('STATUS_NOT_FOUND', 'There is no contentInstance yet.'));
    const content = contentFor(record.value, request.accept, request.defaultFormat);
    if (isRefusal(content)) return refused(content);
    return answer('STATUS_OK', {
      content: { kind: 'bytes', ...content },
      etag: etagOf(record.sequence),
      modifiedUs: record.createdUs,
      ...this.sequenceOf(target),
    });
  }

  private sequenceOf({ kind, node }: FoundTarget): Pick<Response, 'sequence'> {
    const isObservable = kind === 'instance' || (kind === 'resource' && !node.history);
    const sequence = isObservable ? this.options.resources.sequenceOf(node) : undefined;
    return sequence === undefined ? {} : { sequence };
  }
}

const contentOf = ({ value }: InstanceRecord<Sample>) => shownContent(value);
const typesOf = ({ value }: InstanceRecord<Sample>): readonly string[] => mediaTypesOf(value.content);
