/**
 * The broker's own application, `gridcast`: where it tells of itself.
 *
 *     alarms   all alarms of this SCL       canary   one a second, so that silence can be told       audit   the audit trail
 */
import { isRefusal, type Refusal } from '../errors.js';
import { INTERNAL } from '../resources/node.js';
import { ALARMS_CONTAINER, AUDIT_CONTAINER, BROKER_APPLICATION, CANARY_CONTAINER } from '../routing/alarm.js';
import type { Resources } from './resources.js';

/** The last few songs. */
const KEPT_CANARIES = 3;
const KEPT_AUDIT = 200;

const CONTAINERS = [
  { id: ALARMS_CONTAINER },
  { id: CANARY_CONTAINER, durability: 'latest', maxNrOfInstances: KEPT_CANARIES },
  { id: AUDIT_CONTAINER, durability: 'latest', maxNrOfInstances: KEPT_AUDIT },
];

/** Creates what of it is not there yet. */
export function openOwnApplication(resources: Resources): Refusal | undefined {
  const applications = resources.tree.root.child('applications');
  if (!applications) throw new Error('an sclBase without applications');
  if (!applications.child(BROKER_APPLICATION)) {
    const document = { application: { appId: BROKER_APPLICATION, searchStrings: { searchString: ['gridcast'] } } };
    const written = resources.create(applications, document, INTERNAL);
    if (isRefusal(written)) return written;
  }
  const containers = applications.child(BROKER_APPLICATION)?.child('containers');
  for (const container of CONTAINERS) {
    if (!containers || containers.child(container.id)) continue;
    const written = resources.create(containers, { container }, INTERNAL);
    if (isRefusal(written)) return written;
  }
  return undefined;
}
