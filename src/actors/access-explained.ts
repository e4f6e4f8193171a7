/** Why somebody may do something or not, for `gridcast acl explain`: the same decision, with its reasons. */
import { isRefusal, refuse, type Refusal } from '../errors.js';
import type { JsonObject } from '../json.js';
import { FLAGS, type Flag } from '../resources/permissions.js';
import { announcementOf, ownerOf, type Decision } from '../resources/rights.js';
import { parsePath, pathText } from '../routing/primitive.js';
import type { Sample } from '../routing/sample.js';
import { FLAG_OF, type Access } from './access.js';
import type { Resources } from './resources.js';

/** What can be asked about: the operations, and what else takes a right. */
const FLAG_BY_WORD: ReadonlyMap<string, Flag> = new Map<string, Flag>([
  ...Object.entries(FLAG_OF),
  ['subscribe', 'READ'],
  ['attach', 'WRITE'],
  ['discover', 'DISCOVER'],
]);

const STATUS = { allowed: 'STATUS_OK', refused: 'STATUS_PERMISSION_DENIED', hidden: 'STATUS_NOT_FOUND' } as const;

/** @param query `originator`, `op` and `path`, each once */
export function explain(
  { rights, isEnforced }: Access,
  { tree }: Pick<Resources, 'tree'>,
  query: URLSearchParams,
  nowUs: number,
): JsonObject | Refusal {
  const said = (name: string): string => query.get(name) ?? '';
  const [originator, op] = [said('originator'), said('op')];
  const flag = FLAG_BY_WORD.get(op.toLowerCase()) ?? FLAGS.find((each) => each === op);
  if (originator === '' || flag === undefined) {
    const words = [...FLAG_BY_WORD.keys()].join(', ');
    return refuse('STATUS_BAD_REQUEST', `What is asked for is originator, path and op, one of ${words}.`);
  }
  const to = parsePath(said('path'));
  if (isRefusal(to)) return to;
  const target = tree.resolve(to, nowUs);
  if (target.kind === 'none') return target.refusal;
  const decision = rights.decideAt(originator, flag, target);
  const { outcome, rule, subject, right, entry, holding } = decision;
  return {
    originator,
    op,
    path: pathText(to),
    rights: isEnforced ? 'enforced' : 'open',
    outcome,
    status: STATUS[outcome],
    rule,
    subject: subject.reference,
    flag: decision.flag,
    ...(right && { right: right.reference }),
    ...(entry !== undefined && { entry }),
    ...(holding && { holding }),
    because: sentenceOf(originator, decision),
  };
}

function sentenceOf(originator: string, decision: Decision<Sample>): string {
  const { outcome, rule, subject, flag, right, entry, holding, isPersonal } = decision;
  const named = isPersonal ? ' Its contents are personal: an entry must name the reader.' : '';
  switch (rule) {
    case 'administrator':
      return `${originator} is an administrator.`;
    case 'owner':
      return `${originator} is the owner, ${ownerOf(subject)?.reference}.`;
    case 'announced':
      return `${originator} is the application that ${announcementOf(subject)?.reference} announces.`;
    case 'creator':
      return `${originator} has created ${subject.reference}.`;
    case 'default': {
      const owner = ownerOf(subject)?.reference;
      const lacks = DEFAULT_ONLY.includes(subject.type)
        ? `${subject.reference} has no rights of its own`
        : subject.attributes.has('accessRightID')
          ? `the accessRightID of ${subject.reference} names no accessRight`
          : `${subject.reference} has no accessRightID`;
      return `Default rights hold, as ${lacks}: ${owner === undefined ? 'only administrators' : `only ${owner}`} may.`;
    }
    case 'permissions':
    case 'selfPermissions': {
      const list = `the ${rule} of ${right?.reference}`;
      if (outcome === 'allowed')
        return `Entry ${entry} in ${list} holds for ${originator} by ${holding}, and gives ${flag}.`;
      return outcome === 'refused'
        ? `Entry ${entry} in ${list} holds for ${originator} by ${holding}; none that does gives ${flag}.${named}`
        : `No entry in ${list} holds for ${originator}.${named}`;
    }
  }
}

const DEFAULT_ONLY: readonly string[] = ['notificationChannel', 'subscription'];
