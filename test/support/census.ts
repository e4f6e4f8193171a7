/**
 * How many things everything holds that can be reached from an object: the sizes of all maps, sets and lists, summed by the class
 * and the field that they are found at. What does not let go of something ended shows as a number that rises. What closures hold
 * is not seen; the heap tells of that.
 */
const isCounted = (value: object): value is Map<unknown, unknown> | Set<unknown> | unknown[] =>
  value instanceof Map || value instanceof Set || Array.isArray(value);

/** @param isLeft what is none of the question, with all that it holds */
export function census(root: object, isLeft: (held: object) => boolean = () => false): Map<string, number> {
  const sizes = new Map<string, number>();
  const seen = new Set<object>([root]);
  const waiting: (readonly [place: string, value: object])[] = [['root', root]];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const [place, value] = next;
    const visit = (at: string, held: unknown): void => {
      if (typeof held !== 'object' || held === null || ArrayBuffer.isView(held) || seen.has(held) || isLeft(held))
        return;
      seen.add(held);
      waiting.push([at, held]);
    };
    if (isCounted(value)) {
      sizes.set(place, (sizes.get(place) ?? 0) + (Array.isArray(value) ? value.length : value.size));
      for (const entry of value instanceof Map ? [...value.keys(), ...value.values()] : value)
        visit(`${place}[]`, entry);
    } else {
      const owner = value.constructor?.name ?? 'Object';
      sizes.set(owner, (sizes.get(owner) ?? 0) + 1);
      for (const [name, held] of Object.entries(value)) visit(`${owner === 'Object' ? place : owner}.${name}`, held);
    }
  }
  return sizes;
}

/** What there is more or less of, `place: before -> after`. */
export const changesOf = (before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): string[] =>
  [...new Set([...before.keys(), ...after.keys()])]
    .filter((place) => (before.get(place) ?? 0) !== (after.get(place) ?? 0))
    .map((place) => `${place}: ${before.get(place) ?? 0} -> ${after.get(place) ?? 0}`)
    .sort();
