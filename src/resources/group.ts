/**
 * Who belongs to a group [TS 102 921 10.21]. Whether a member is there and of the group's type is asked when the group is written; what
 * becomes of one that is not, `consistencyStrategy` says:
 *
 *     ABANDON_MEMBER   it is left out, and the answer shows the group as it is
 *     ABANDON_GROUP    the group is not created; one that stands is deleted
 *     MODIFY_TYPE      one of another type makes the group MIXED; one that is not there is left out
 */
import { refuse, type Refusal } from '../errors.js';
import { segmentsOf, type ResourceNode } from './node.js';
import { isObject, shown, type Json } from './values.js';

/** The word for a type of resource; what has none can be a member of a MIXED group alone. */
export const MEMBER_TYPES: ReadonlyMap<string, string> = new Map([
  ['sclBase', 'SCL_BASE'],
  ['scl', 'SCL'],
  ['application', 'APPLICATION'],
  ['container', 'CONTAINER'],
  ['locationContainer', 'LOCATION_CONTAINER'],
  ['accessRight', 'ACCESS_RIGHT'],
  ['attachedDevice', 'ATTACHED_DEVICE'],
]);
const MIXED = 'MIXED';
/** The schema has both words for one thing. */
const LONG_SCL = 'SERVER_CAPABILITY_LAYER';
export const MEMBER_TYPE_WORDS = [...MEMBER_TYPES.values(), LONG_SCL, MIXED];
export const STRATEGIES = ['ABANDON_MEMBER', 'ABANDON_GROUP', 'MODIFY_TYPE'];

/** A group that its own strategy gives up: whoever was about to change it, deletes it. */
export interface Abandonment extends Refusal {
  readonly isAbandoned: true;
}

/** References of the members, as the group has them. */
export function membersOf({ attributes }: Pick<ResourceNode<unknown>, 'attributes'>): readonly string[] {
  const list = attributes.get('members');
  const references = isObject(list) ? list.reference : undefined;
  return Array.isArray(references) ? references.filter((each) => typeof each === 'string') : [];
}

/**
 * The attributes of a group with its members checked, each once and by its one reference; the same map where nothing changes.
 *
 * @returns 403 for more than maxNrOfMembers, 400 for what ABANDON_GROUP does not bear
 */
export function settleMembers(
  attributes: ReadonlyMap<string, Json>,
  groups: ResourceNode<unknown>,
  mayKnow: (node: ResourceNode<unknown>) => boolean = () => true,
): ReadonlyMap<string, Json> | Refusal | Abandonment {
  const [strategy, memberType] = [attributes.get('consistencyStrategy'), attributes.get('memberType')];
  const written = membersOf({ attributes });
  const kept = new Set<string>();
  let isMixed = memberType === MIXED;
  for (const reference of written) {
    const standing = nodeAt(groups, reference);
    // What its writer may not know of is not there, for him.
    const node = standing && mayKnow(standing) ? standing : undefined;
    const complaint = complaintOf(reference, node, isMixed ? MIXED : memberType);
    if (complaint !== undefined && strategy === 'ABANDON_GROUP')
      return { ...refuse('STATUS_BAD_REQUEST', `${complaint} The group is given up: ${strategy}.`), isAbandoned: true };
    if (complaint !== undefined && strategy === 'MODIFY_TYPE' && node) isMixed = true;
    else if (complaint !== undefined) continue;
    if (node) kept.add(node.reference);
  }
  const most = attributes.get('maxNrOfMembers');
  if (typeof most === 'number' && kept.size > most)
    return refuse('STATUS_FORBIDDEN', `group.members has ${kept.size} members; maxNrOfMembers allows ${most}.`);
  const isSame = kept.size === written.length && written.every((reference) => kept.has(reference));
  const isTypeKept = !isMixed || memberType === MIXED;
  if (isSame && isTypeKept) return attributes;
  return new Map<string, Json>([
    ...attributes,
    ...(isSame ? [] : [['members', { reference: [...kept] }] as const]),
    ...(isTypeKept ? [] : [['memberType', MIXED] as const]),
  ]);
}

function complaintOf(
  reference: string,
  node: ResourceNode<unknown> | undefined,
  memberType: Json | undefined,
): string | undefined {
  if (!node) return `The member ${shown(reference)} is no resource here.`;
  const type = MEMBER_TYPES.get(node.type);
  if (memberType === MIXED || type === memberType || (type === 'SCL' && memberType === LONG_SCL)) return undefined;
  return `The member ${shown(reference)} is of type ${node.type}, and the group's memberType is ${shown(memberType)}.`;
}

function nodeAt(groups: ResourceNode<unknown>, reference: string): ResourceNode<unknown> | undefined {
  let root = groups;
  while (root.parent) root = root.parent;
  const ids = segmentsOf(reference) ?? [];
  return ids
    .slice(1)
    .reduce<ResourceNode<unknown> | undefined>((node, id) => node?.child(id), ids[0] === root.id ? root : undefined);
}
