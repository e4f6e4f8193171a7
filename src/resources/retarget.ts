/**
 * What an application answers for itself, at its point of contact [TS 102 921 10.3.2.23; resources reference 3.8]:
 *
 *     aPoC       http://10.0.0.7:8080/api           /m2m/applications/meter/readings/today
 *     aPoCPaths  readings/                      ──>  http://10.0.0.7:8080/api/readings/today
 *
 * The sclBase's aPocHandling says how far a path reaches. SHALLOW, its default: itself; one that ends in "/": one element more. DEEP: itself
 * and all below it. The longest one that fits counts.
 */
import type { ResourceNode } from './node.js';
import { isObject, type Json } from './values.js';

/** Among a row's virtual children: any path that nothing else is at. It is no segment, so no path names it. */
export const ANY_PATH = '/';

export interface Retarget {
  /** Where to, as far as the application's own path goes; without a slash at its end. */
  readonly aPoC: string;
  /** Whoever may use this path; undefined: whoever may use the application. */
  readonly accessRightID: string | undefined;
}

/** A PMU's aPoC is where its stream comes from, and nothing to send a request to. */
const FORWARDABLE = /^(https?|coap):\/\/./i;

/** @param rest what is asked below the application, decoded segments */
export function retargetOf(application: ResourceNode<unknown>, rest: readonly string[]): Retarget | undefined {
  const aPoC = application.attributes.get('aPoC');
  if (typeof aPoC !== 'string' || !FORWARDABLE.test(aPoC)) return undefined;
  const isDeep = application.parent?.parent?.attributes.get('aPocHandling') === 'DEEP';
  const [longest] = entriesOf(application.attributes.get('aPoCPaths'))
    .filter((entry) => reaches(entry, rest, isDeep))
    .sort((a, b) => b.segments.length - a.segments.length);
  return longest && { aPoC: aPoC.replace(/\/+$/, ''), accessRightID: longest.accessRightID };
}

interface Entry {
  readonly segments: readonly string[];
  readonly isOpen: boolean;
  readonly accessRightID: string | undefined;
}

function entriesOf(aPoCPaths: Json | undefined): readonly Entry[] {
  const list = isObject(aPoCPaths) ? aPoCPaths.aPoCPath : undefined;
  if (!Array.isArray(list)) return [];
  return list.filter(isObject).map(({ path, accessRightID }) => ({
    segments: typeof path === 'string' ? path.split('/').filter((segment) => segment !== '') : [],
    isOpen: typeof path === 'string' && path.endsWith('/'),
    accessRightID: typeof accessRightID === 'string' ? accessRightID : undefined,
  }));
}

function reaches({ segments, isOpen }: Entry, rest: readonly string[], isDeep: boolean): boolean {
  if (!segments.every((segment, index) => segment === rest[index])) return false;
  const further = rest.length - segments.length;
  return isDeep ? further >= 0 : further === (isOpen ? 1 : 0);
}
