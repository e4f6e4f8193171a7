/**
 * Access rights once more, written from the rules and from nothing of the broker's: what the decisions are compared with. It is
 * plain and slow, and walks paths as text.
 */
export interface ModelEntry {
  readonly flags: readonly string[];
  readonly refs?: readonly string[];
  readonly apps?: readonly string[];
  readonly scls?: readonly string[];
  readonly hosts?: readonly string[];
  readonly everybody?: boolean;
}

/** A resource, by its path. */
export interface ModelResource {
  readonly type: string;
  /** What its accessRightID says. */
  readonly right?: string;
  readonly creator?: string;
  readonly isPersonal?: boolean;
  /** Of an accessRight. */
  readonly lists?: { readonly permissions: readonly ModelEntry[]; readonly self: readonly ModelEntry[] };
}

export type ModelGrid = ReadonlyMap<string, ModelResource>;
export type Verdict = 200 | 401 | 404;

const above = (path: string): string => path.slice(0, path.lastIndexOf('/'));

/** How strongly an entry is somebody's: 2 by name, 1 as one of many, 0 not at all. */
function strength(entry: ModelEntry, who: string): 0 | 1 | 2 {
  if (who !== 'anonymous') {
    const isPath = who.includes('/');
    const names = isPath ? [who] : [who, `/m2m/applications/${who}`, `/m2m/scls/${who}`];
    if (names.some((each) => entry.refs?.includes(each))) return 2;
    const app = isPath ? /\/applications\/([^/]+)$/.exec(who)?.[1] : who;
    if (app !== undefined && entry.apps?.includes(app)) return 2;
    const scl = isPath ? /\/scls\/([^/]+)$/.exec(who)?.[1] : who;
    if (scl !== undefined && entry.scls?.includes(scl)) return 2;
    const host = isPath ? /^coap:\/\/([^/]+)/.exec(who)?.[1] : who;
    if (host !== undefined && entry.hosts?.some((each) => `.${host}`.endsWith(`.${each}`))) return 1;
  }
  return entry.everybody === true ? 1 : 0;
}

function byEntries(entries: readonly ModelEntry[], who: string, flag: string, needed: 1 | 2): Verdict {
  const held = entries.filter((entry) => entry.flags.length > 0 && strength(entry, who) > 0);
  if (held.length === 0) return 404;
  return held.some((entry) => entry.flags.includes(flag) && strength(entry, who) >= needed) ? 200 : 401;
}

function isOwner(path: string, who: string): boolean {
  const owner = /^\/m2m\/(?:applications|scls)\/([^/]+)/.exec(path);
  return who !== 'anonymous' && owner !== null && (owner[1] === who || owner[0] === who);
}

/** @param flag READ, WRITE, DELETE or CREATE */
export function verdict(
  grid: ModelGrid,
  administrators: readonly string[],
  who: string,
  flag: string,
  path: string,
): Verdict {
  const at = grid.get(path);
  if (!at) return 404;
  if (administrators.includes(who)) return 200;
  const again = (otherFlag: string, other: string): Verdict => verdict(grid, administrators, who, otherFlag, other);
  const isMine = isOwner(path, who) || (who !== 'anonymous' && at.creator === who);
  switch (at.type) {
    case 'accessRight':
      return byEntries(at.lists?.self ?? [], who, flag, 1);
    case 'subscription':
      return isMine || (flag === 'READ' && again('DELETE', above(above(path))) === 200) ? 200 : 404;
    case 'subscriptions':
      return again(flag === 'CREATE' ? 'READ' : flag === 'READ' ? 'DELETE' : flag, above(path));
    case 'notificationChannel':
      return isMine ? 200 : 404;
    default: {
      const place = at.type === 'contentInstances' ? above(path) : path;
      const right = grid.get(grid.get(place)?.right ?? '');
      if (right?.type !== 'accessRight') return isOwner(place, who) ? 200 : 404;
      const isHeldBack = at.type === 'contentInstances' && flag === 'READ' && grid.get(place)?.isPersonal === true;
      return byEntries(right.lists?.permissions ?? [], who, flag, isHeldBack ? 2 : 1);
    }
  }
}
