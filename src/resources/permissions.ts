/**
 * Permissions [TS 102 921]: what an accessRight grants, and to whom. The value of its attributes `permissions` and
 * `selfPermissions`, checked here when it is written, and judged here when somebody asks.
 *
 *     {"permission":[{"id":"desk","permissionFlags":{"flag":["READ","CREATE"]},
 *                     "permissionHolders":{"applicationIDs":{"applicationID":["operator-1"]},"all":true}}]}
 *
 * Entries are OR-ed: one that holds for the originator and has the flag is enough.
 */
import { boolean, listOf, oneOf, record, simple, type Json, type ValueType } from './values.js';

export const FLAGS = ['READ', 'WRITE', 'DISCOVER', 'DELETE', 'CREATE'] as const;
export type Flag = (typeof FLAGS)[number];

/** Whoever shows nothing of who he is. No entry can name him, only `all` holds for him, and he owns nothing. */
export const ANONYMOUS = 'anonymous';

interface Holders {
  readonly holderRefs?: { readonly holderRef?: readonly string[] };
  readonly applicationIDs?: { readonly applicationID?: readonly string[] };
  readonly sclIDs?: { readonly sclID?: readonly string[] };
  readonly all?: boolean;
  readonly domains?: { readonly domain?: readonly string[] };
}

interface Permission {
  readonly id?: string;
  readonly permissionFlags: { readonly flag?: readonly Flag[] };
  readonly permissionHolders: Holders;
}

const name = simple('a name without blanks', (value) => typeof value === 'string' && /^\S+$/.test(value), {
  type: 'string',
});
const holders = record({
  holderRefs: record({ holderRef: listOf(name) }),
  applicationIDs: record({ applicationID: listOf(name) }),
  sclIDs: record({ sclID: listOf(name) }),
  all: boolean,
  domains: record({ domain: listOf(name) }),
});
const permission = record(
  { id: name, permissionFlags: record({ flag: listOf(oneOf(...FLAGS)) }), permissionHolders: holders },
  ['permissionFlags', 'permissionHolders'],
);
export const permissions: ValueType = record({ permission: listOf(permission) });

/** By which of its holders an entry holds for an originator. */
export type Holding = 'holderRef' | 'applicationID' | 'sclID' | 'domain' | 'all';

/** Those that name somebody, and not the many. */
const NAMING: readonly Holding[] = ['holderRef', 'applicationID', 'sclID'];

/** `refused`: the originator holds something here, but not this. `hidden`: he holds nothing, and is not to know what is here. */
export type Outcome = 'allowed' | 'refused' | 'hidden';

export interface Judgement {
  readonly outcome: Outcome;
  /** Its id, or its number in the list, `#1`; of a refusal the first that holds for the originator. */
  readonly entry?: string;
  readonly holding?: Holding;
}

/** @param mustName only an entry that names the originator counts: the flag is asked for on what is personal */
export function judge(list: Json | undefined, originator: string, flag: Flag, mustName: boolean): Judgement {
  // Checked when it was written.
  const { permission: entries = [] } = (list ?? {}) as { readonly permission?: readonly Permission[] };
  let refusal: Judgement = { outcome: 'hidden' };
  for (const [index, { id, permissionFlags, permissionHolders }] of entries.entries()) {
    const { flag: flags = [] } = permissionFlags;
    const holding = flags.length > 0 ? holdingOf(permissionHolders, originator) : undefined;
    if (!holding) continue;
    const found = { entry: id ?? `#${index + 1}`, holding };
    // Whoever holds any flag may know of it.
    const isGranted = flag === 'DISCOVER' || flags.includes(flag);
    if (isGranted && (!mustName || NAMING.includes(holding))) return { outcome: 'allowed', ...found };
    if (refusal.outcome === 'hidden') refusal = { outcome: 'refused', ...found };
  }
  return refusal;
}

function holdingOf(
  { holderRefs, applicationIDs, sclIDs, all, domains }: Holders,
  originator: string,
): Holding | undefined {
  if (originator !== ANONYMOUS) {
    if (holderRefs?.holderRef?.some((reference) => isReferenceOf(reference, originator))) return 'holderRef';
    if (applicationIDs?.applicationID?.includes(idOf(originator, 'applications') ?? '')) return 'applicationID';
    if (sclIDs?.sclID?.includes(idOf(originator, 'scls') ?? '')) return 'sclID';
    if (domains?.domain?.some((domain) => isWithin(domain, originator))) return 'domain';
  }
  return all === true ? 'all' : undefined;
}

/** An originator is an id, which is unique among applications and SCLs, or the reference of one. */
function idOf(originator: string, collection: 'applications' | 'scls'): string | undefined {
  if (!originator.includes('/')) return originator;
  const [above, id] = originator.split('/').slice(-2);
  return above === collection ? id : undefined;
}

const isReferenceOf = (reference: string, originator: string): boolean =>
  reference === originator ||
  (!originator.includes('/') && /^\/[^/]+\/(?:applications|scls)\/([^/]+)$/.exec(reference)?.[1] === originator);

/** A prefix of the originator's URI, or a suffix of its host; either ends where a name does, so that no other name slips in. */
function isWithin(domain: string, originator: string): boolean {
  if (domain.includes('/')) return originator === domain || originator.startsWith(domain.replace(/\/?$/, '/'));
  const [, ofUri, ofName] = HOST.exec(originator) ?? [];
  const host = (ofUri ?? ofName)?.toLowerCase();
  const suffix = domain.toLowerCase();
  return host === suffix || host?.endsWith(`.${suffix}`) === true;
}

/** Of a URI, or of `name@host`, or the whole of a bare name; a path has none. */
const HOST = /^(?:[a-z][a-z0-9+.-]*:\/\/([^/:@]+)(?::\d+)?(?:\/.*)?|(?:[^/:@]+@)?([^/:@]+))$/i;
