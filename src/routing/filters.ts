/** Which filter answers the terms of a subscription; none where they ask for nothing but a cadence. */
import { conditionKind } from './condition.js';
import type { ValueReader } from './field.js';
import type { FilterKind } from './filter.js';
import type { Terms } from './terms.js';

export function filterOf({ condition, minSpacingS, maxSpacingS }: Terms, valueOf: ValueReader): FilterKind | undefined {
  if (!condition) return undefined;
  const spacing = {
    ...(minSpacingS !== undefined && { minSpacingS }),
    ...(maxSpacingS !== undefined && { maxSpacingS }),
  };
  return conditionKind(condition, spacing, valueOf);
}
