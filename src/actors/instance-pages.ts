/** Answers a query on a contentInstances with one page of it, and the way to the next. */
import { isRefusal } from '../errors.js';
import { instanceFields } from '../resources/instance.js';
import { checkCursor, readInstanceQuery, type InstanceQuery } from '../resources/instance-query.js';
import { Page, type PageForm } from '../resources/page.js';
import { resourceDocument } from '../resources/representation.js';
import type { Reading } from '../resources/attribute.js';
import { mediaTypesOf } from '../routing/negotiation.js';
import { answer, refused, type BindingName, type Request, type Response } from '../routing/primitive.js';
import type { Sample } from '../routing/sample.js';
import type { Node } from './resources.js';

const KIB = 1024;
/** Bytes of the instances in one answer. CoAP's is what an answer in blocks may keep waiting for its reader. */
const PAGE_BYTES: Readonly<Record<BindingName, number>> = {
  coap: 64 * KIB,
  ws: 256 * KIB,
  http: 1024 * KIB,
  c37118: 64 * KIB,
};

/**
 * @param content how a reader sees the content of an instance
 * @returns undefined where the request has no query: it means the resource as a whole
 */
export function readPage(
  { query: parameters, binding }: Request,
  contentInstances: Node,
  content: Reading<Sample>['content'],
): Response | Promise<Response> | undefined {
  const { history } = contentInstances;
  const query = history && readInstanceQuery(parameters);
  if (!query) return undefined;
  if (isRefusal(query)) return refused(query);
  const { archive, epoch } = history;
  const stale = checkCursor(query.after, archive?.epoch ?? epoch);
  if (stale) return refused(stale);
  const page = new Page(query, formOf(query, PAGE_BYTES[binding], content));
  if (archive) {
    return archive
      .fill(query, page)
      .then((refusal) =>
        refusal ? refused(refusal) : pageAnswer(contentInstances, parameters, page, page.next(archive.epoch), content),
      );
  }
  for (const record of history.after(query.after?.ordinal ?? 0)) if (!page.offer(record, record.sequence)) break;
  return pageAnswer(contentInstances, parameters, page, page.next(history.epoch), content);
}

function formOf(query: InstanceQuery, bytes: number, content: Reading<Sample>['content']): PageForm<Sample> {
  return {
    bytes,
    fields: (record) => instanceFields(record, query.isMetadataOnly ? undefined : content(record)),
    types: ({ value }) => mediaTypesOf(value.content),
  };
}

function pageAnswer(
  contentInstances: Node,
  parameters: URLSearchParams,
  { instances }: Page<Sample>,
  after: string | undefined,
  content: Reading<Sample>['content'],
): Response {
  const rest = new URLSearchParams(parameters);
  if (after !== undefined) rest.set('after', after);
  const next = after === undefined ? undefined : `${contentInstances.reference}?${rest.toString()}`;
  const document = resourceDocument(contentInstances, { content, page: { instances, next } });
  return answer('STATUS_OK', { content: { kind: 'document', document }, etag: contentInstances.etag });
}
