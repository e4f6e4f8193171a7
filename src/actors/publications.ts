/**
 * The ways of publishers. A PMU's gateway says with each sample the same path, format and name; what a request of that kind is checked
 * for is checked once, and again when something may have changed it:
 *
 *     its actor ended (removed, or a row now) · a right changed · the container promises more than memory ──> as a request again
 *
 * What is accepted this way is promised nothing but to be the latest, so it is for containers of durability `latest` alone.
 */
import type { Clock } from '../clock.js';
import type { Cell } from '../kernel/cell.js';
import { COMMANDS_CONTAINER } from '../routing/command.js';
import type { FoundTarget } from '../routing/dispatcher.js';
import type { Request } from '../routing/primitive.js';
import type { Publication } from '../routing/publication.js';
import { Sample, type SampleEncoder } from '../routing/sample.js';
import { isAlarmsContainer } from './alarm-places.js';
import { isRepresentation, type ResourceMessage } from './resource.js';
import type { Node } from './resources.js';

export interface PublicationsOptions {
  readonly clock: Clock;
  readonly newId: () => string;
  readonly encoder: SampleEncoder;
  readonly measuredTimeOf: (mediaType: string, bytes: Uint8Array) => number | undefined;
  /** Moves with every change of a right. */
  readonly generation: () => number;
  readonly actorOf: (container: Node) => Cell<ResourceMessage>;
  readonly used: (container: Node) => void;
}

/** The way of a request that has been answered with success; undefined where each one must be looked at. */
export function publicationOf(
  request: Request,
  target: FoundTarget,
  options: PublicationsOptions,
): Publication | undefined {
  const { op, body, query, originator, ifMatch, ifNoneMatch, via } = request;
  if (op !== 'create' || target.kind !== 'resource' || !body || isRepresentation(body.mediaType)) return undefined;
  if (ifMatch ?? ifNoneMatch ?? via) return undefined;
  const { node } = target;
  const container = node.type === 'contentInstances' ? node.parent : node;
  if (query.size > 0 || !container?.row.isContainer || !isPromisedMemoryAlone(container)) return undefined;
  // What comes there is more than contents.
  if (container.id === COMMANDS_CONTAINER || isAlarmsContainer(container)) return undefined;
  const { clock, newId, encoder, measuredTimeOf, generation, actorOf, used } = options;
  const { mediaType } = body;
  const actor = actorOf(container);
  const foundIn = generation();
  return {
    publish(datagram, start) {
      if (actor.state !== 'up' || generation() !== foundIn) return false;
      if (datagram.length <= start || !isPromisedMemoryAlone(container)) return false;
      used(container);
      const bytes = Buffer.allocUnsafe(datagram.length - start);
      // A loop: set() would need a view of the source, 100 bytes of garbage.
      for (let n = 0; n < bytes.length; n++) bytes[n] = datagram[start + n]!; // as the length says
      const measuredUs = measuredTimeOf(mediaType, bytes) ?? clock.wallUs();
      const content = { kind: 'stored', mediaType, bytes } as const;
      actor.tell(new Sample(content, measuredUs, clock.monotonicUs(), 0, encoder, newId(), originator));
      return true;
    },
  };
}

const isPromisedMemoryAlone = (container: Node): boolean => container.attributes.get('durability') === 'latest';
