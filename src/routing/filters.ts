/** Which filter answers the terms of a subscription; none where they ask for nothing but a cadence. */
import { aggregateKind, type PackCodec } from './aggregate.js';
import { conditionKind } from './condition.js';
import type { ValueReader } from './field.js';
import type { Filter, FilterKind } from './filter.js';
import { Fir } from './fir.js';
import type { Terms } from './terms.js';

/** How filters look into what publishers store. */
export interface Contents {
  readonly valueOf: ValueReader;
  readonly packs: PackCodec;
}

export function filterOf(terms: Terms, contents: Contents): FilterKind | undefined {
  const { method, condition, minSpacingS, maxSpacingS } = terms;
  const made = method && (method === 'fir' ? FIR : aggregateKind(method, contents.packs));
  if (!condition) return made;
  const spacing = {
    ...(minSpacingS !== undefined && { minSpacingS }),
    ...(maxSpacingS !== undefined && { maxSpacingS }),
  };
  const judged = conditionKind(condition, spacing, contents.valueOf);
  return made ? chained(made, judged) : judged;
}

const FIR: FilterKind = {
  key: 'method=fir',
  // At the source's own rate nothing is folded.
  start: (cadence) => (cadence.stride > 1 ? new Fir(cadence) : EVERYTHING),
};

const EVERYTHING: Filter = { pass: (sample, _slot, isDue) => (isDue ? sample : undefined) };

/** What the first makes, the second judges. */
function chained(first: FilterKind, second: FilterKind): FilterKind {
  return {
    key: `${first.key} ${second.key}`,
    start(...from) {
      const [maker, judge] = [first.start(...from), second.start(...from)];
      return {
        pass(sample, slot, isDue) {
          const made = maker.pass(sample, slot, isDue);
          return made && judge.pass(made, slot, true);
        },
      };
    },
  };
}
