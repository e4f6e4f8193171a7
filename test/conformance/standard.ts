/**
 * The standard as it is read [TS 102 690, TS 102 921; docs/resource-tree.md]: each resource type with its verbs and, for each
 * attribute, whether it must, may or must not be in a CREATE, an UPDATE and an answer. Written down apart from the broker's own
 * table: imports nothing of it.
 */
import type { JsonObject } from '../../src/json.js';

/** create/update/response: M, O, NP, NA, M* (the SCL may change it), - (not applicable). */
type Triple = string;

export interface StandardType {
  /** Verbs of the resource itself, and those that answer 405. */
  readonly verbs: readonly ('retrieve' | 'update' | 'delete')[];
  /** Where one is created, below `/m2m`; absent: it stands with its parent, at `at`. `{scl}` and such are made first. */
  readonly collection?: string;
  readonly at?: string;
  readonly attributes: Readonly<Record<string, Triple>>;
}

const X = { expirationTime: 'O/O/M*' };
const A = { accessRightID: 'O/O/O' };
const S = { searchStrings: 'O/O/M' };
const T = { creationTime: 'NP/NP/M', lastModifiedTime: 'NP/NP/M' };
const N = { announceTo: 'O/O/M*' };
const I = { id: 'O/NP/M*' };
const ref = (...names: readonly string[]): Record<string, Triple> =>
  Object.fromEntries(names.map((name) => [`${name}Reference`, 'NP/NP/M']));
const TC = { creationTime: 'NA/NA/M', lastModifiedTime: 'NA/NA/M' };
const READ_WRITE_DELETE = ['retrieve', 'update', 'delete'] as const;

const collection = (at: string, ...types: readonly string[]): StandardType => ({
  verbs: ['retrieve', 'update'],
  at,
  attributes: {
    accessRightID: 'NA/O/O',
    ...TC,
    ...Object.fromEntries(types.map((type) => [`${type}Collection`, 'NA/NP/M'])),
    ...ref('subscriptions'),
  },
});

const announced = (below: string, ...references: readonly string[]): StandardType => ({
  verbs: READ_WRITE_DELETE,
  collection: `{scl}/${below}`,
  attributes: { ...I, link: 'M/NP/M', ...A, searchStrings: 'M/M/M', ...X, ...ref(...references) },
});

const container = {
  ...I,
  ...X,
  ...A,
  ...S,
  ...T,
  ...N,
  maxNrOfInstances: 'O/O/M*',
  maxByteSize: 'O/O/M*',
  maxInstanceAge: 'O/O/M*',
  ...ref('contentInstances', 'subscriptions'),
};

export const STANDARD: Readonly<Record<string, StandardType>> = {
  sclBase: {
    verbs: ['retrieve', 'update'],
    at: '',
    attributes: {
      accessRightID: 'NA/O/O',
      searchStrings: 'NA/O/M',
      ...T,
      aPocHandling: 'NA/O/O',
      ...ref('scls', 'applications', 'containers', 'groups', 'accessRights', 'subscriptions', 'discovery'),
    },
  },
  scls: collection('scls', 'scl'),
  applications: collection('applications', 'application', 'applicationAnnc'),
  accessRights: collection('accessRights', 'accessRight', 'accessRightAnnc'),
  containers: collection('containers', 'container', 'containerAnnc', 'locationContainer', 'locationContainerAnnc'),
  groups: collection('groups', 'group', 'groupAnnc'),
  attachedDevices: collection('{scl}/attachedDevices', 'attachedDevice'),
  scl: {
    verbs: READ_WRITE_DELETE,
    collection: 'scls',
    attributes: {
      sclId: 'M/NP/M',
      pocs: 'O/O/M',
      remTriggerAddr: 'O/O/O',
      onlineStatus: 'NP/NP/M',
      serverCapability: 'NP/NP/M',
      link: 'M/NP/M',
      schedule: 'O/O/O',
      ...X,
      ...A,
      ...S,
      ...T,
      locTargetDevice: 'O/O/O',
      mgmtProtocolType: 'M/M/M',
      integrityValResults: 'O/O/O',
      aPocHandling: 'NP/NP/O',
      ...ref('containers', 'groups', 'applications', 'accessRights', 'subscriptions'),
      ...ref('notificationChannels', 'm2mPocs', 'attachedDevices'),
    },
  },
  application: {
    verbs: READ_WRITE_DELETE,
    collection: 'applications',
    attributes: {
      appId: 'O/NP/M',
      ...X,
      ...A,
      ...S,
      ...T,
      ...N,
      aPoC: 'O/O/O',
      aPoCPaths: 'O/O/O',
      locRequestor: 'O/O/O',
      ...ref('containers', 'groups', 'accessRights', 'subscriptions', 'notificationChannels'),
    },
  },
  accessRight: {
    verbs: READ_WRITE_DELETE,
    collection: 'accessRights',
    attributes: {
      ...I,
      ...X,
      ...S,
      ...T,
      ...N,
      permissions: 'O/O/M',
      selfPermissions: 'M/M/M',
      ...ref('subscriptions'),
    },
  },
  container: { verbs: READ_WRITE_DELETE, collection: 'containers', attributes: container },
  locationContainer: {
    verbs: READ_WRITE_DELETE,
    collection: '{application}/containers',
    attributes: { ...container, locationContainerType: 'M/NP/M' },
  },
  contentInstances: {
    verbs: ['retrieve'],
    at: '{container}/contentInstances',
    attributes: {
      ...TC,
      currentNrOfInstances: 'NA/NA/M',
      currentByteSize: 'NA/NA/M',
      contentInstanceCollection: 'NA/NA/M',
      subscriptionsReference: 'NA/NA/M',
    },
  },
  contentInstance: {
    verbs: ['retrieve', 'delete'],
    collection: '{container}/contentInstances',
    attributes: {
      id: 'O/NA/M*',
      creationTime: 'NP/NA/M',
      lastModifiedTime: 'NP/NA/M',
      delayTolerance: 'O/NA/O',
      contentTypes: 'O/NA/O',
      contentSize: 'NP/NA/M',
      content: 'M/NA/M',
    },
  },
  group: {
    verbs: READ_WRITE_DELETE,
    collection: 'groups',
    attributes: {
      ...I,
      ...X,
      ...A,
      ...S,
      ...T,
      ...N,
      memberType: 'M/NP/M',
      currentNrOfMembers: 'NP/NP/M',
      maxNrOfMembers: 'O/O/M',
      members: 'O/O/M',
      ...ref('membersContent', 'subscriptions'),
    },
  },
  subscriptions: { verbs: ['retrieve'], at: 'subscriptions', attributes: { subscriptionCollection: 'NA/NA/M' } },
  subscription: {
    verbs: READ_WRITE_DELETE,
    collection: 'containers/subscriptions',
    attributes: {
      ...X,
      minimalTimeBetweenNotifications: 'O/O/O',
      delayTolerance: 'O/O/O',
      ...T,
      filterCriteria: 'O/NP/O',
      subscriptionType: 'NP/NP/M',
      contact: 'M/NP/M',
      ...I,
    },
  },
  m2mPocs: { verbs: ['retrieve'], at: '{scl}/m2mPocs', attributes: { ...TC, m2mPocCollection: 'NA/NA/M' } },
  m2mPoc: {
    verbs: READ_WRITE_DELETE,
    collection: '{scl}/m2mPocs',
    attributes: { contactInfo: 'M/M/M', ...X, onlineStatus: 'O/O/M*', ...T, ...I },
  },
  attachedDevice: {
    verbs: READ_WRITE_DELETE,
    collection: '{scl}/attachedDevices',
    attributes: { ...A, ...T, ...ref('subscriptions'), ...I },
  },
  notificationChannels: {
    verbs: ['retrieve'],
    at: 'notificationChannels',
    attributes: { ...TC, notificationChannelCollection: 'NA/NA/M' },
  },
  notificationChannel: {
    verbs: ['retrieve', 'delete'],
    collection: 'notificationChannels',
    attributes: {
      channelType: 'M/NA/M',
      contactURI: 'NP/NA/M',
      channelData: 'NP/NA/M',
      creationTime: 'NP/NA/M',
      lastModifiedTime: 'NP/NA/M',
      id: 'O/NA/M*',
    },
  },
  applicationAnnc: announced('applications', 'containers', 'groups', 'accessRights'),
  accessRightAnnc: announced('accessRights'),
  containerAnnc: announced('containers'),
  locationContainerAnnc: announced('containers'),
  groupAnnc: announced('groups'),
};

/** Where the broker departs from what is read, knowingly; why is in the documents named. */
export const DEPARTURES: Readonly<Record<string, string>> = {
  'notificationChannels UPDATE':
    'its accessRightID may be set, so that others than its owner can listen (docs/rights.md)',
};

const soon = (): string => new Date(Date.now() + 86_400_000).toISOString();

/** A value of each attribute that is taken, and one that is not. */
export const VALUES: Readonly<Record<string, { readonly right: () => unknown; readonly wrong: unknown }>> = {
  expirationTime: { right: soon, wrong: 'tomorrow' },
  accessRightID: { right: () => '/m2m/accessRights/open', wrong: 17 },
  searchStrings: { right: () => ({ searchString: ['feeder'] }), wrong: ['feeder'] },
  creationTime: { right: soon, wrong: 1 },
  lastModifiedTime: { right: soon, wrong: 1 },
  announceTo: { right: () => ({ activated: false, sclList: { reference: [] } }), wrong: true },
  aPocHandling: { right: () => 'DEEP', wrong: 'WIDE' },
  pocs: { right: () => ({ reference: ['coap://192.0.2.7/'] }), wrong: 'coap://192.0.2.7/' },
  remTriggerAddr: { right: () => 'sms:+15105550101', wrong: {} },
  onlineStatus: { right: () => 'OFFLINE', wrong: 'AWAY' },
  serverCapability: { right: () => true, wrong: 'yes' },
  link: { right: () => 'coap://192.0.2.7/m2m', wrong: 5 },
  schedule: { right: () => ({ scheduleString: ['* 0-5 2,6,10 * * *'] }), wrong: '* *' },
  locTargetDevice: { right: () => 'device-1', wrong: [1] },
  mgmtProtocolType: { right: () => 'OMA DM', wrong: 'SNMP' },
  integrityValResults: {
    right: () => ({ ivalResults: 1, signedIvalResult: 2, secureTimeStamp: '2026-01-01T00:00:00Z' }),
    wrong: 'fine',
  },
  aPoC: { right: () => 'http://192.0.2.7:9000/', wrong: 3 },
  aPoCPaths: { right: () => ({ aPoCPath: [{ path: '/control/' }] }), wrong: '/control/' },
  locRequestor: { right: () => 'requestor', wrong: 3 },
  permissions: {
    right: () => ({
      permission: [{ id: 'p', permissionFlags: { flag: ['READ'] }, permissionHolders: { all: true } }],
    }),
    wrong: { permission: [{ permissionFlags: { flag: ['FLY'] } }] },
  },
  selfPermissions: {
    right: () => ({
      permission: [
        {
          id: 'p',
          permissionFlags: { flag: ['READ', 'WRITE', 'DELETE'] },
          permissionHolders: { all: true },
        },
      ],
    }),
    wrong: 'all',
  },
  maxNrOfInstances: { right: () => 7, wrong: 'seven' },
  maxByteSize: { right: () => 4_000, wrong: -1 },
  maxInstanceAge: { right: () => 172_800, wrong: '2d' },
  locationContainerType: { right: () => 'APPLICATION_GENERATED', wrong: 'GUESSED' },
  delayTolerance: { right: soon, wrong: 10 },
  contentTypes: { right: () => ({ contentType: ['text/plain'] }), wrong: 'text/plain' },
  contentSize: { right: () => 3, wrong: 'long' },
  content: { right: () => ({ contentType: 'text/plain', textContent: '230 V' }), wrong: '230 V' },
  memberType: { right: () => 'CONTAINER', wrong: 'ANYTHING' },
  currentNrOfMembers: { right: () => 0, wrong: 'none' },
  maxNrOfMembers: { right: () => 10, wrong: 'ten' },
  members: { right: () => ({ reference: ['/m2m/containers/standing'] }), wrong: '/m2m/containers/standing' },
  minimalTimeBetweenNotifications: { right: () => 1_000, wrong: '1s' },
  filterCriteria: { right: () => ({ ifModifiedSince: '2026-01-01T00:00:00Z' }), wrong: 'all' },
  subscriptionType: { right: () => 'ASYNCHRONOUS', wrong: 'SOMETIMES' },
  contact: { right: () => 'http://127.0.0.1:9/', wrong: 'somewhere' },
  contactInfo: { right: () => ({ contactURI: 'coap://192.0.2.7/' }), wrong: 'coap://192.0.2.7/' },
  channelType: { right: () => 'LONG_POLLING', wrong: 'CARRIER_PIGEON' },
  contactURI: { right: () => 'http://127.0.0.1:9/', wrong: 1 },
  channelData: { right: () => ({}), wrong: 1 },
};

export const bodyOf = (type: string, attributes: JsonObject): JsonObject => ({ [type]: attributes });
