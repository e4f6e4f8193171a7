/**
 * Answers a discovery. A tree of a million resources is looked at in pieces, so that no sample waits for it.
 *
 *     a piece ──> end of the turn ──> a piece ──> ... ──> {"discovery":{"matchSize":2,"truncated":false,"discoveryURI":{...}}}
 */
import type { Clock } from '../clock.js';
import { isRefusal } from '../errors.js';
import { readSearch, search, type Searching } from '../resources/search.js';
import type { ResourceTree } from '../resources/tree.js';
import { mediaTypesOf } from '../routing/negotiation.js';
import { answer, refused, type Request, type Response } from '../routing/primitive.js';
import type { Sample } from '../routing/sample.js';

/** Nodes looked at in one turn: less than a millisecond. */
const PIECE = 1_000;

export async function answerDiscovery(
  request: Request,
  tree: ResourceTree<Sample>,
  clock: Clock,
  shows: Searching<Sample>['shows'],
): Promise<Response> {
  const asked = readSearch(request.query);
  if (isRefusal(asked)) return refused(asked);
  const start = asked.prefix ? tree.nodeAt(asked.prefix) : tree.root;
  const types: Searching<Sample>['types'] = ({ value }) => mediaTypesOf(value.content);
  const reference: string[] = [];
  let truncated = false;
  let looked = 0;
  for (const found of start ? search(start, asked, { nowUs: clock.wallUs(), shows, types }) : []) {
    if (found !== undefined) {
      truncated = reference.length === asked.maxSize;
      if (truncated) break;
      reference.push(found);
    }
    if (++looked % PIECE === 0) await new Promise<void>((next) => clock.atTurnEnd(next));
  }
  const document = { discovery: { matchSize: reference.length, truncated, discoveryURI: { reference } } };
  return answer('STATUS_OK', { content: { kind: 'document', document } });
}
