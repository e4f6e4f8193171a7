/**
 * A group's membersContent: one request becomes one to each member [TS 102 921 10.23; resources reference 3.6].
 *
 *     GET .../groups/line-5/membersContent/containers/health ──┬──> member 1 + /containers/health ──> dispatcher ──> status
 *                                                              ├──> member 2 ...                         16 at a time
 *                                                              └──> a group: its own membersContent, once in a request
 *
 * Each goes through the dispatcher as the asker's own: he gets from a member what he would get by asking it. The answer as a whole is
 * a success; what became of each member, its status says.
 */
import { isRefusal, refuse, type Refusal } from '../errors.js';
import { MEMBER_TYPES, membersOf } from '../resources/group.js';
import { contentField } from '../resources/instance.js';
import { INTERNAL, segmentsOf } from '../resources/node.js';
import { TYPES, type TypeRow } from '../resources/types.js';
import { FORMATS } from '../routing/format.js';
import {
  answer,
  isSuccess,
  pathText,
  refused,
  type JsonObject,
  type Request,
  type Response,
} from '../routing/primitive.js';
import type { Node, Resources } from './resources.js';

/** Members that are asked at the same time. */
const AT_ONCE = 16;

export interface MembersContentOptions {
  readonly resources: Resources;
  readonly dispatch: (request: Request) => Promise<Response>;
}

export class MembersContent {
  /** The groups that a request has come to, by its id, until it is answered. */
  private readonly asked = new Map<string, Set<Node>>();

  constructor(private readonly options: MembersContentOptions) {}

  /** @param suffix what is asked of each member, below it */
  async ask(request: Request, group: Node, suffix: readonly string[]): Promise<Response> {
    const unfit = checkSuffix(group, suffix);
    if (unfit) return refused(unfit);
    const outer = this.asked.get(request.requestId);
    if (outer?.has(group))
      return refused(refuse('STATUS_CONFLICT', `${group.reference} has been asked in this request.`));
    const asked = outer ?? new Set<Node>();
    this.asked.set(request.requestId, asked.add(group));
    try {
      const status = await this.askAll(request, membersOf(group), suffix);
      if (request.op === 'delete' && suffix.length === 0) this.dropGone(group);
      return answer('STATUS_OK', { content: { kind: 'document', document: { membersContentResponses: { status } } } });
    } finally {
      if (!outer) this.asked.delete(request.requestId);
    }
  }

  private async askAll(
    request: Request,
    members: readonly string[],
    suffix: readonly string[],
  ): Promise<readonly JsonObject[]> {
    const statuses: JsonObject[] = [];
    const waiting = members.entries();
    const worker = async (): Promise<void> => {
      for (const [index, member] of waiting)
        statuses[index] = statusOf(member, await this.askOne(request, member, suffix));
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    return statuses;
  }

  private askOne(request: Request, member: string, suffix: readonly string[]): Promise<Response> {
    const path = segmentsOf(member) ?? [];
    const isGroup = this.options.resources.tree.nodeAt(path)?.type === 'group';
    return this.options.dispatch({ ...request, to: [...path, ...(isGroup ? ['membersContent'] : []), ...suffix] });
  }

  /** What has been deleted is a member no more. */
  private dropGone(group: Node): void {
    const { resources } = this.options;
    const standing = membersOf(group).filter((member) => resources.tree.nodeAt(segmentsOf(member) ?? []));
    if (group.isRemoved || standing.length === membersOf(group).length) return;
    const target = { kind: 'attribute', node: group, name: 'members', rest: [] } as const;
    const written = resources.update(target, { members: { reference: standing } }, INTERNAL);
    if (isRefusal(written)) throw new Error(written.detail);
  }
}

/** Why no member of a group with one memberType can have something there. */
function checkSuffix(group: Node, [first]: readonly string[]): Refusal | undefined {
  const memberType = group.attributes.get('memberType');
  const type = [...MEMBER_TYPES].find(([, word]) => word === memberType)?.[0];
  const row = Object.values<TypeRow>(TYPES).find(({ name }) => name === type);
  // What an application has below itself, it says itself.
  if (first === undefined || !row || row.name === 'application') return undefined;
  const names = [...row.collections, ...row.virtual.keys(), ...row.attributes.keys()];
  return names.includes(first)
    ? undefined
    : refuse(
        'STATUS_BAD_REQUEST',
        `The members of ${group.reference} are of type ${row.name}, which has no ${JSON.stringify(first.slice(0, 100))}.`,
      );
}

function statusOf(id: string, response: Response): JsonObject {
  const { status, etag, location, content, detail } = response;
  const error = { errorInfo: { statusCode: status, ...(detail !== undefined && { additionalInfo: detail }) } };
  const body = content ?? (isSuccess(response) ? undefined : ({ kind: 'document', document: error } as const));
  return {
    id,
    statusCode: status,
    ...(etag !== undefined && { eTag: etag }),
    ...(location && { location: pathText(location) }),
    ...(body && { resultBody: contentField(body.kind === 'bytes' ? body : asText(body.document)) }),
  };
}

const asText = (document: JsonObject) => ({
  mediaType: FORMATS.json.mediaType,
  bytes: Buffer.from(JSON.stringify(document)),
});
