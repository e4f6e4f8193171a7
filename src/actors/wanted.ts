/** What of a subscription's samples its filterCriteria want: held against what there is when it is told [TS 102 921 10.25]. */
import { isRefusal, type Refusal } from '../errors.js';
import { checkFilter, readCriteria } from '../resources/filter.js';
import type { InstanceRecord } from '../resources/history.js';
import type { FoundTarget } from '../routing/dispatcher.js';
import { mediaTypesOf } from '../routing/negotiation.js';
import type { Sample } from '../routing/sample.js';

const typesOf = ({ value }: InstanceRecord<Sample>): readonly string[] => mediaTypesOf(value.content);

/** Of a container, whether an instance is meant; of any other resource, whether its state is. */
export type IsMeant = (record?: InstanceRecord<Sample>) => boolean;

/** Undefined where nothing is asked; 400 for criteria that this target does not have. */
export function meantBy(target: FoundTarget, criteria: URLSearchParams): IsMeant | undefined | Refusal {
  if (target.kind === 'virtual') return undefined;
  const filter = readCriteria(criteria, target);
  if (!filter || isRefusal(filter)) return filter;
  if (target.kind !== 'instance') return () => checkFilter(filter, target, typesOf) === undefined;
  return (record) => checkFilter(filter, { ...target, record }, typesOf) === undefined;
}
