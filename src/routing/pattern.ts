// A pattern: a path in which `*` stands for any one name. A subscription to one is a subscription to the newest contentInstance of
// every container that it matches, now or later.
//
//     /m2m/applications/*/containers/measurements | contentInstances/latest/content
//     └── container: matched against the tree ──┘   └── accessor: of each the same
import { refuse, type Refusal } from '../errors.js';
import type { Delivery } from './delivery.js';
import type { Ending } from './endings.js';

export const ANY_NAME = '*';
const COLLECTION = 'contentInstances';

export interface Pattern {
  /** Segments of the containers' paths. */
  readonly container: readonly string[];
  /** What follows: contentInstances, latest, and content or not. */
  readonly accessor: readonly string[];
}

/** What one is told of a pattern's routes: the resources that match, each with its delivery. */
export interface RouteSink {
  /** Its samples come on this delivery from now on. When it ends the port is told, as of any other. */
  opened(delivery: Delivery, container: readonly string[]): void;
  /** It matches, and is not to be had in these terms. Not told of what the subscriber may not read. */
  refused(container: readonly string[], refusal: Refusal): void;
  /** Of all that match at the beginning it has been told. */
  complete?(): void;
  /** The broker has ended the subscription, and all its routes with it. */
  ended(ending: Ending): void;
}

/** A subscription to a pattern. */
export interface PatternSubscription {
  /** The answer is on its way: routes may be opened. */
  open(): void;
  end(): void;
}

export const isPattern = (path: readonly string[]): boolean => path.includes(ANY_NAME);

/** Reads a path that has a `*`. */
export function patternOf(path: readonly string[]): Pattern | Refusal {
  const at = path.lastIndexOf(COLLECTION);
  const accessor = path.slice(Math.max(0, at));
  const [, latest, content, ...more] = accessor;
  const isAccessor = latest === 'latest' && (content === undefined || content === 'content') && more.length === 0;
  if (at < 0 || !isAccessor || accessor.includes(ANY_NAME))
    return refuse(
      'STATUS_BAD_REQUEST',
      'A path with "*" names containers and ends in /contentInstances/latest or /contentInstances/latest/content.',
    );
  return { container: path.slice(0, at), accessor };
}

export const isMatch = ({ container }: Pattern, path: readonly string[]): boolean =>
  path.length === container.length && container.every((name, index) => name === ANY_NAME || name === path[index]);
