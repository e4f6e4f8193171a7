/** Who is meant by an IDCODE: the PMU whose newest measurement says that it is its own. Of two the one that was there first. */
import type { OutgoingStream } from '../routing/outgoing.js';
import type { Node, Resources } from './resources.js';

export function findOutgoing({ tree }: Resources, idCode: number): OutgoingStream | undefined {
  for (const application of tree.root.child('applications')?.known ?? []) {
    const stream = pmuStream(application);
    if (stream?.newest.descriptor.idCode === idCode) return stream;
  }
  return undefined;
}

/** The measurements of a PMU's application. */
function pmuStream(application: Node) {
  const contentInstances = application.child('containers')?.child('measurements')?.child('contentInstances');
  const content = contentInstances?.history?.latest?.value.content;
  if (!contentInstances || content?.kind !== 'measurement') return undefined;
  const newest = content.measurement;
  return { to: [...contentInstances.path, 'latest', 'content'], rate: newest.descriptor.reportingRate, newest };
}
