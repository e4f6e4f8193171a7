/** One page of what a query means of a contentInstances, and the way to the next. */
import type { Refusal } from '../errors.js';
import type { Reading } from '../resources/attribute.js';
import { instanceFields } from '../resources/instance.js';
import { checkCursor, nextPage, type InstanceQuery } from '../resources/instance-query.js';
import { Page, type PageForm } from '../resources/page.js';
import { mediaTypesOf } from '../routing/negotiation.js';
import type { BindingName, Request } from '../routing/primitive.js';
import type { Sample } from '../routing/sample.js';
import type { Node } from './resources.js';

type InstancePage = NonNullable<Reading<Sample>['page']>;

const KIB = 1024;
/** Bytes of the instances in one answer. CoAP's is what an answer in blocks may keep waiting for its reader. */
const PAGE_BYTES: Readonly<Record<BindingName, number>> = {
  coap: 64 * KIB,
  ws: 256 * KIB,
  http: 1024 * KIB,
  c37118: 64 * KIB,
};

/** @param content how a reader sees the content of an instance */
export function readPage(
  { query: parameters, binding }: Request,
  query: InstanceQuery,
  contentInstances: Node,
  content: Reading<Sample>['content'],
): InstancePage | Refusal | Promise<InstancePage | Refusal> {
  const { history, reference } = contentInstances;
  if (!history) throw new Error(`${reference} has no instances`);
  const { archive, epoch } = history;
  const stale = checkCursor(query.after, archive?.epoch ?? epoch);
  if (stale) return stale;
  const page = new Page(query, formOf(query, PAGE_BYTES[binding], content));
  const end = (life: number): InstancePage => ({
    instances: page.instances,
    next: nextPage(reference, parameters, page.next(life)),
  });
  if (archive) return archive.fill(query, page).then((refusal) => refusal ?? end(archive.epoch));
  for (const record of history.after(query.after?.ordinal ?? 0)) if (!page.offer(record, record.sequence)) break;
  return end(epoch);
}

function formOf(query: InstanceQuery, bytes: number, content: Reading<Sample>['content']): PageForm<Sample> {
  return {
    bytes,
    fields: (record) => instanceFields(record, query.isMetadataOnly ? undefined : content(record)),
    types: ({ value }) => mediaTypesOf(value.content),
  };
}
