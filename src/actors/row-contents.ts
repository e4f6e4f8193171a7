/**
 * Contents for idle containers. A gateway posts now and then and does nothing else: its content goes into its row as a container's actor
 * would take it, by the same code, and neither the gateway nor an actor is made live for it.
 *
 *     CREATE of a content ──> a row, quiet for a period? ── no ──> resolved, which makes it live
 *                                        └ yes ──> its history alone is read ──> checked, appended, committed ──> row
 *
 * Of the path there are copies of the nodes meanwhile, without what else stands below them. All that could make a difference keeps a
 * resource from being a row: subscriptions, routes, rules, archives, limits that are nearly reached in time [Resources.isHeld].
 */
import type { OpenRow } from '../resources/node.js';
import { COMMANDS_CONTAINER } from '../routing/command.js';
import type { Request } from '../routing/primitive.js';
import type { Sample } from '../routing/sample.js';
import { isAlarmsContainer } from './alarm-places.js';
import type { Passivation } from './passivation.js';
import type { Resources } from './resources.js';

const CONTENTS = 'contentInstances';

export interface RowContentsOptions {
  readonly resources: Resources;
  readonly passivation: Pick<Passivation, 'isQuiet'>;
}

/** The row that takes a request's content; to be closed when that has been handled. Undefined where an actor is to have it. */
export function rowFor(request: Request, { resources, passivation }: RowContentsOptions): OpenRow<Sample> | undefined {
  if (!isPlainContent(request)) return undefined;
  const { to } = request;
  const row = resources.tree.openRow(to.at(-1) === CONTENTS ? to : [...to, CONTENTS]);
  const { contentInstances } = row ?? {};
  const container = contentInstances?.parent;
  if (!row || !contentInstances || !container) return undefined;
  if (container.id === COMMANDS_CONTAINER || isAlarmsContainer(container)) return undefined;
  // Its route, which is told of each sample, would be opened.
  if (container.attributes.has('reportingRate') || !passivation.isQuiet(contentInstances.modifiedUs)) return undefined;
  resources.kept.keep(contentInstances, true);
  return row;
}

const isPlainContent = ({ op, body, ifMatch, ifNoneMatch, ifModifiedSinceUs, ifUnmodifiedSinceUs }: Request): boolean =>
  op === 'create' &&
  body !== undefined &&
  body.bytes.length > 0 &&
  (ifMatch ?? ifNoneMatch ?? ifModifiedSinceUs ?? ifUnmodifiedSinceUs) === undefined;
