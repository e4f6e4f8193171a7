/**
 * How a registered SCL can be reached, which nobody writes: it follows from its m2mPocs [resources reference 3.9]. A new scl has none, and is
 * OFFLINE.
 */
import type { ResourceNode } from './node.js';
import type { Json } from './values.js';

export const ONLINE_STATUSES = ['ONLINE', 'OFFLINE', 'NOT_REACHABLE'];

export function onlineStatusOf(scl: ResourceNode<unknown>): string {
  const statuses = pocStatuses(scl);
  if (statuses.includes('ONLINE')) return 'ONLINE';
  return statuses.includes('NOT_REACHABLE') && !statuses.includes('OFFLINE') ? 'NOT_REACHABLE' : 'OFFLINE';
}

/** serverCapability: it takes requests, at some point of contact. */
export const takesRequests = (scl: ResourceNode<unknown>): boolean => pocStatuses(scl).length > 0;

const pocStatuses = (scl: ResourceNode<unknown>): readonly (Json | undefined)[] =>
  [...(scl.standing('m2mPocs')?.known ?? [])].map(({ attributes }) => attributes.get('onlineStatus'));
