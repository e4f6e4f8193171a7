/** A small tree to test on: one call, one line per thing that stands in it. */
import { isRefusal, type Refusal } from '../../src/errors.js';
import { seededRandom } from '../../src/random.js';
import { InstanceRecord, type History } from '../../src/resources/history.js';
import { INTERNAL, type Creator, type ResourceNode } from '../../src/resources/node.js';
import { represent, type Representation } from '../../src/resources/representation.js';
import { ResourceTree, type Written } from '../../src/resources/tree.js';
import type { Reading } from '../../src/resources/attribute.js';
import type { TypeName } from '../../src/resources/types.js';
import type { JsonObject } from '../../src/resources/values.js';

export const NOW_US = Date.UTC(2026, 10, 23, 8, 15) * 1000;
export const SECOND_US = 1_000_000;
export const METER: Creator = { kind: 'originator', id: 'meter-1' };

/** A stored content; what it is worth does not matter here. */
export interface Stored {
  readonly mediaType: string;
  readonly bytes: Uint8Array;
}
export const reading: Reading<Stored> = { content: ({ value }) => value };
export const text = (words: string, mediaType = 'text/plain'): Stored => ({ mediaType, bytes: Buffer.from(words) });

export const segments = (path: string): readonly string[] => path.split('/').filter((segment) => segment !== '');

export class SmallGrid {
  nowUs = NOW_US;
  readonly tree = new ResourceTree<Stored>({ random: seededRandom(7), nowUs: NOW_US });

  /** `/m2m/applications/pmu-1/containers/measurements`, empty, with a subscription and a channel beside it, and the registered SCL `gscl-1`. */
  constructor() {
    this.made('/m2m/applications', { application: { appId: 'pmu-1', searchStrings: { searchString: ['Visby'] } } });
    this.made('/m2m/applications/pmu-1/containers', { container: { id: 'measurements', maxNrOfInstances: 3 } });
    this.made('/m2m/applications/pmu-1/subscriptions', {
      subscription: { id: 's', contact: '/m2m/applications/pmu-1/notificationChannels/c' },
    });
    this.made('/m2m/applications/pmu-1/notificationChannels', {
      notificationChannel: { id: 'c', channelType: 'LONG_POLLING' },
    });
    this.made('/m2m/scls', { scl: { ...MINIMAL.scl?.body, sclId: 'gscl-1' } });
  }

  /** One more of each type. */
  withAll(): this {
    for (const [type, { collection, body }] of Object.entries(MINIMAL))
      if (type !== 'contentInstance') this.made(collection, { [type]: body });
    return this;
  }

  at = (path: string) => this.tree.resolve(segments(path), this.nowUs);

  node(path: string): ResourceNode<Stored> {
    const target = this.at(path);
    if (target.kind !== 'resource') throw new Error(`${path} is ${target.kind}`);
    return target.node;
  }

  history(container = '/m2m/applications/pmu-1/containers/measurements'): History<Stored> {
    const { history } = this.node(`${container}/contentInstances`);
    if (!history) throw new Error(`${container} has no history`);
    return history;
  }

  create(collection: string, document: JsonObject, creator = METER): Written<Stored> | Refusal {
    return this.tree.create(this.node(collection), document, { nowUs: this.nowUs, creator });
  }

  update(path: string, document: JsonObject, creator = METER): Written<Stored> | Refusal {
    return this.tree.update(this.node(path), document, { nowUs: this.nowUs, creator });
  }

  made(collection: string, document: JsonObject, creator = METER): Written<Stored> {
    return accepted(this.create(collection, document, creator));
  }

  /** Stores `words` as measured now, named or by its time tag. */
  store(words: string, name?: string, mediaType?: string): InstanceRecord<Stored> {
    const value = text(words, mediaType);
    const record = new InstanceRecord(value, this.nowUs, this.nowUs, value.bytes.length, name);
    accepted(this.history().append(record));
    return record;
  }

  read(path: string): Representation | Refusal {
    const target = this.at(path);
    if (target.kind === 'virtual') throw new Error(`${path} is virtual`);
    return represent(target, reading);
  }

  /** The attributes of the resource at `path`. */
  fields(path: string): JsonObject {
    const read = accepted(this.read(path));
    if (read.kind !== 'document') throw new Error(`${path} reads as bytes`);
    return Object.values(read.document)[0] as JsonObject;
  }
}

interface Least {
  readonly collection: string;
  readonly body: JsonObject;
  /** Of an UPDATE. */
  readonly update?: JsonObject;
}
const announced = (collection: string): Least => ({
  collection,
  body: { link: '/gscl/x', searchStrings: { searchString: [] } },
  update: { searchStrings: { searchString: [] } },
});

/** Where one of each type can be created, with no more than what is mandatory. */
export const MINIMAL: Readonly<Partial<Record<TypeName, Least>>> = {
  scl: {
    collection: '/m2m/scls',
    body: { sclId: 'gscl-2', link: 'coap://gscl-2.example/m2m', mgmtProtocolType: 'OMA DM' },
    update: { mgmtProtocolType: 'OMA DM' },
  },
  m2mPoc: {
    collection: '/m2m/scls/gscl-1/m2mPocs',
    body: { contactInfo: { contactURI: 'coap://[::1]' } },
    update: { contactInfo: { contactURI: 'coap://[::1]' } },
  },
  attachedDevice: { collection: '/m2m/scls/gscl-1/attachedDevices', body: {} },
  application: { collection: '/m2m/applications', body: {} },
  applicationAnnc: announced('/m2m/scls/gscl-1/applications'),
  accessRight: {
    collection: '/m2m/accessRights',
    body: { selfPermissions: { permission: [] } },
    update: { selfPermissions: { permission: [] } },
  },
  accessRightAnnc: announced('/m2m/scls/gscl-1/accessRights'),
  container: { collection: '/m2m/containers', body: {} },
  containerAnnc: announced('/m2m/scls/gscl-1/containers'),
  locationContainer: {
    collection: '/m2m/applications/pmu-1/containers',
    body: { locationContainerType: 'APPLICATION_GENERATED' },
  },
  locationContainerAnnc: announced('/m2m/scls/gscl-1/containers'),
  contentInstance: {
    collection: '/m2m/applications/pmu-1/containers/measurements/contentInstances',
    body: { content: { contentType: 'text/plain', textContent: '1' } },
  },
  group: { collection: '/m2m/groups', body: { memberType: 'APPLICATION' } },
  groupAnnc: announced('/m2m/scls/gscl-1/groups'),
  subscription: {
    collection: '/m2m/applications/pmu-1/containers/measurements/contentInstances/subscriptions',
    body: { contact: 'coap://[::1]/inbox' },
  },
  notificationChannel: {
    collection: '/m2m/applications/pmu-1/notificationChannels',
    body: { channelType: 'LONG_POLLING' },
  },
};

export function accepted<R>(result: R | Refusal): R {
  if (isRefusal(result)) throw new Error(`refused: ${result.detail}`);
  return result;
}

export function refused(result: unknown): Refusal {
  if (!isRefusal(result)) throw new Error(`not refused: ${JSON.stringify(result)?.slice(0, 200)}`);
  return result;
}

export { INTERNAL };
