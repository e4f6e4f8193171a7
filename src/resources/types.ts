/**
 * The type table: what every resource type is. Tree, validation, representation, discovery and the lists of allowed verbs read
 * it; a new type is one row here, and code nowhere else. What a row says: type-row.ts. In schema order [TS 102 921 XSD], the XML
 * attribute @id first.
 */
import { A, attribute, I, members, N, next, references, S, T, TC, times, X } from './attribute.js';
import { containerAttributes, contentInstancesAttributes } from './container-attributes.js';
import { snapshotAttributes } from './snapshot-attributes.js';
import { MEMBER_TYPE_WORDS, membersOf, settleMembers, STRATEGIES } from './group.js';
import type { ResourceNode } from './node.js';
import { ONLINE_STATUSES, onlineStatusOf, takesRequests } from './online-status.js';
import { permissions } from './permissions.js';
import { ANY_PATH } from './retarget.js';
import { completed, type Row } from './type-row.js';
import * as v from './values.js';
import type { Json } from './values.js';

export type { Verb } from './type-row.js';

const LATENCY_CLASSES = ['protection', 'control', 'monitoring', 'reporting'];
/** Members that a group has at most, and one that does not say: each of them is asked when the group is. */
const MEMBERS = { default: 1_000, clamp: [1, 10_000] } as const;
/** What ONG sends for one of the schema's own words [resources reference 1.5]. */
const TR_069 = new Map<Json, Json>([
  ['TR 069', 'BBF TR 069'],
  ['BBF', 'BBF TR 069'],
]);

/** Content filters make sense on contentInstances only [TS 102 921 10.25]. */
function contentFilterRule(value: Json, subscriptions: ResourceNode<unknown>): string | undefined {
  if (subscriptions.parent?.type === 'contentInstances' || !v.isObject(value)) return undefined;
  const name = v.CONTENT_FILTER_NAMES.find((filter) => value[filter] !== undefined);
  return (
    name &&
    `filterCriteria.${name} looks into contentInstances; this is a subscription to ${subscriptions.parent?.type}.`
  );
}

/** What the application has below itself, nothing else answers for [TS 102 921 10.8]. */
function aPoCPathsRule(value: Json): string | undefined {
  const { attributes, collections } = TYPES.application;
  const taken = v.pathsOf(value).find((path) => {
    const [first = ''] = path.split('/').filter((segment) => segment !== '');
    return attributes.has(first) || collections.some((name) => name === first);
  });
  return taken === undefined
    ? undefined
    : `application.aPoCPaths names ${v.shown(taken)}, which an application has itself.`;
}

/** A collection whose accessRightID can be set. */
const collection = <const Type extends string>(...creates: readonly Type[]) => ({
  verbs: ['create', 'retrieve', 'update'] as const,
  creates,
  collections: ['subscriptions'] as const,
  attributes: [
    A('NA/O/O'),
    ...TC,
    ...creates.map((type) => members(type, 'NA/NP/M')),
    next,
    ...references('subscriptions'),
  ],
});

const READ_WRITE_DELETE = ['retrieve', 'update', 'delete'] as const;

/** What an SCL tells of a resource of its own at another one: where it is, and how it is found [resources reference 3.7]. */
const announced = <const Owner extends string, const Collection extends string = never>(
  below: readonly Owner[],
  collections: readonly Collection[] = [],
) => ({
  verbs: READ_WRITE_DELETE,
  below,
  collections,
  attributes: [
    I(),
    attribute('link', v.uri, 'M/NP/M'),
    A(),
    attribute('searchStrings', v.searchStrings, 'M/M/M'),
    X,
    ...references(...collections),
  ],
});

export const TYPES = completed({
  sclBase: {
    verbs: ['retrieve', 'update'],
    // The standard has notificationChannels below scl and application; one who only wants to listen is neither.
    collections: [
      ...(['scls', 'applications', 'containers', 'groups', 'accessRights', 'subscriptions'] as const),
      'notificationChannels',
    ],
    virtual: { discovery: ['retrieve'] },
    attributes: [
      A('NA/O/O'),
      S('NA/O/M'),
      ...T,
      attribute('aPocHandling', v.oneOf('SHALLOW', 'DEEP'), 'NA/O/O'),
      ...references('scls', 'applications', 'containers', 'groups', 'accessRights', 'subscriptions'),
      ...references('notificationChannels', 'discovery'),
    ],
  },
  scls: collection('scl'),
  scl: {
    verbs: READ_WRITE_DELETE,
    collections: [
      ...(['containers', 'groups', 'applications', 'accessRights', 'subscriptions'] as const),
      ...(['notificationChannels', 'm2mPocs', 'attachedDevices'] as const),
    ],
    idAttribute: 'sclId',
    shows: 'm2mPocs',
    attributes: [
      I('M/NP/M', 'sclId'),
      attribute('pocs', v.uriList, 'O/O/M', { unset: { reference: [] } }),
      attribute('remTriggerAddr', v.uri, 'O/O/O'),
      attribute('onlineStatus', v.oneOf(...ONLINE_STATUSES), 'NP/NP/M', { derived: onlineStatusOf }),
      attribute('serverCapability', v.boolean, 'NP/NP/M', { derived: takesRequests }),
      attribute('link', v.absoluteUri, 'M/NP/M'),
      attribute('schedule', v.schedule, 'O/O/O'),
      X,
      A(),
      S(),
      ...T,
      attribute('locTargetDevice', v.string, 'O/O/O'),
      attribute('mgmtProtocolType', v.oneOf('OMA DM', 'BBF TR 069', 'TR 069', 'BBF'), 'M/M/M', { spellings: TR_069 }),
      attribute('integrityValResults', v.integrityValResults, 'O/O/O'),
      attribute('aPocHandling', v.oneOf('SHALLOW', 'DEEP'), 'NP/NP/O'),
      // V2.1.1, mandatory there; an SCL of V1 does not know the word.
      attribute('sclType', v.oneOf('NSCL', 'GSCL', 'DSCL'), 'O/NP/O'),
      ...references('containers', 'groups', 'applications', 'accessRights', 'subscriptions'),
      ...references('notificationChannels', 'm2mPocs', 'attachedDevices'),
    ],
  },
  m2mPocs: {
    verbs: ['create', 'retrieve'],
    creates: ['m2mPoc'],
    attributes: [...TC, members('m2mPoc', 'NA/NA/M'), next],
  },
  m2mPoc: {
    verbs: READ_WRITE_DELETE,
    attributes: [
      I(),
      attribute('contactInfo', v.contactInfo, 'M/M/M'),
      X,
      attribute('onlineStatus', v.oneOf(...ONLINE_STATUSES), 'O/O/M*', { default: 'ONLINE' }),
      ...T,
    ],
  },
  attachedDevices: collection('attachedDevice'),
  attachedDevice: {
    verbs: READ_WRITE_DELETE,
    collections: ['subscriptions'],
    attributes: [I(), A(), ...T, ...references('subscriptions')],
  },
  applications: collection('application', 'applicationAnnc'),
  application: {
    verbs: READ_WRITE_DELETE,
    below: ['sclBase'],
    collections: ['containers', 'groups', 'accessRights', 'subscriptions', 'notificationChannels'],
    virtual: { [ANY_PATH]: ['create', 'retrieve', 'update', 'delete'] },
    idAttribute: 'appId',
    attributes: [
      I('O/NP/M', 'appId'),
      X,
      A(),
      S(),
      ...T,
      N,
      attribute('aPoC', v.uri, 'O/O/O'),
      attribute('aPoCPaths', v.aPoCPaths, 'O/O/O', { rule: aPoCPathsRule }),
      attribute('locRequestor', v.string, 'O/O/O'),
      ...references('containers', 'groups', 'accessRights', 'subscriptions', 'notificationChannels'),
    ],
  },
  applicationAnnc: announced(['scl'], ['containers', 'groups', 'accessRights']),
  accessRights: collection('accessRight', 'accessRightAnnc'),
  /** It has no accessRightID: who may change it, it says itself. */
  accessRight: {
    verbs: READ_WRITE_DELETE,
    below: ['sclBase', 'application'],
    collections: ['subscriptions'],
    attributes: [
      I(),
      X,
      S(),
      ...T,
      N,
      attribute('permissions', permissions, 'O/O/M', { unset: { permission: [] } }),
      attribute('selfPermissions', permissions, 'M/M/M'),
      ...references('subscriptions'),
    ],
  },
  accessRightAnnc: announced(['scl', 'applicationAnnc']),
  containers: collection('container', 'containerAnnc', 'locationContainer', 'locationContainerAnnc'),
  container: {
    verbs: READ_WRITE_DELETE,
    below: ['sclBase', 'application'],
    collections: ['contentInstances', 'subscriptions'],
    attributes: containerAttributes(),
  },
  containerAnnc: announced(['scl', 'applicationAnnc']),
  locationContainer: {
    verbs: READ_WRITE_DELETE,
    below: ['application'],
    collections: ['contentInstances', 'subscriptions'],
    attributes: containerAttributes(
      attribute('locationContainerType', v.oneOf('LOCATION_SERVER_BASED', 'APPLICATION_GENERATED'), 'M/NP/M'),
    ),
  },
  locationContainerAnnc: announced(['scl', 'applicationAnnc']),
  contentInstances: {
    verbs: ['create', 'retrieve'],
    creates: ['contentInstance'],
    collections: ['subscriptions'],
    attributes: contentInstancesAttributes,
  },
  /** A record of its container's history, never a node; see instance.ts. */
  contentInstance: {
    verbs: ['retrieve', 'delete'],
    attributes: [
      I('O/NA/M*'),
      ...times('NP/NA/M'),
      attribute('delayTolerance', v.dateTime, 'O/NA/O'),
      attribute('contentTypes', v.contentTypes, 'O/NA/O'),
      attribute('searchStrings', v.searchStrings, 'O/NA/O'), // V2.1.1
      attribute('contentSize', v.long, 'NP/NA/M'),
      attribute('content', v.instanceContent, 'M/NA/M'),
    ],
  },
  groups: collection('group', 'groupAnnc'),
  group: {
    verbs: READ_WRITE_DELETE,
    below: ['sclBase', 'application'],
    collections: ['subscriptions'],
    virtual: { membersContent: ['create', 'retrieve', 'update', 'delete'], snapshot: ['retrieve'] },
    settle: settleMembers,
    attributes: [
      I(),
      X,
      A(),
      S(),
      ...T,
      N,
      attribute('memberType', v.oneOf(...MEMBER_TYPE_WORDS), 'M/NP/M'),
      attribute('currentNrOfMembers', v.long, 'NP/NP/M', { derived: (node) => membersOf(node).length }),
      attribute('maxNrOfMembers', v.long, 'O/O/M', MEMBERS),
      attribute('members', v.memberList, 'O/O/M', { unset: { reference: [] } }),
      // V2.1.1. Every member is asked for its type when it is written.
      attribute('memberTypeValidated', v.boolean, 'NP/NP/M', { derived: () => true }),
      attribute('consistencyStrategy', v.oneOf(...STRATEGIES), 'O/O/M', { default: 'ABANDON_MEMBER' }),
      attribute('membersContentAccessRightID', v.accessRightId, 'O/O/O'),
      ...snapshotAttributes,
      ...references('membersContent', 'subscriptions'),
    ],
  },
  groupAnnc: announced(['scl', 'applicationAnnc']),
  subscriptions: {
    verbs: ['create', 'retrieve'],
    creates: ['subscription'],
    attributes: [members('subscription', 'NA/NA/M'), next],
  },
  subscription: {
    verbs: READ_WRITE_DELETE,
    attributes: [
      I(),
      X,
      attribute('minimalTimeBetweenNotifications', v.long, 'O/O/O', { excludes: 'delayTolerance' }), // milliseconds
      attribute('delayTolerance', v.dateTime, 'O/O/O'),
      ...T,
      attribute('filterCriteria', v.filterCriteria, 'O/NP/O', { rule: contentFilterRule }),
      // SYNCHRONOUS is a held request, which leaves no resource behind.
      attribute('subscriptionType', v.oneOf('ASYNCHRONOUS', 'SYNCHRONOUS'), 'NP/NP/M', {
        derived: () => 'ASYNCHRONOUS',
      }),
      attribute('contact', v.contact, 'M/NP/M'),
      // V2.1.1. The group whose members' notifications come together.
      attribute('aggregateURI', v.localPath, 'O/NP/O'),
      attribute('rate', v.rate, 'O/O/O', { excludes: 'minimalTimeBetweenNotifications', origin: 'gridcast' }),
      attribute('latencyClass', v.oneOf(...LATENCY_CLASSES), 'O/O/O', { origin: 'gridcast' }),
      attribute('accept', v.string, 'O/O/O', { origin: 'gridcast' }), // media type of the content in notifications
    ],
  },
  notificationChannels: {
    verbs: ['create', 'retrieve', 'update'],
    creates: ['notificationChannel'],
    // The standard has no accessRightID here: nobody but the owner could listen.
    attributes: [{ ...A('NA/O/O'), origin: 'gridcast' }, ...TC, members('notificationChannel', 'NA/NA/M'), next],
  },
  notificationChannel: {
    verbs: ['retrieve', 'delete'],
    // Sources disagree on the verb of a poll: both are taken.
    virtual: { longPolling: ['create', 'retrieve'] },
    attributes: [
      I('O/NA/M*'),
      attribute('channelType', v.oneOf('LONG_POLLING'), 'M/NA/M'),
      // A path here is a contact for local delivery, so the channel itself is where notifications for it go.
      attribute('contactURI', v.uri, 'NP/NA/M', { derived: ({ reference }) => reference }),
      attribute('channelData', v.record({}), 'NP/NA/M', {
        derived: ({ reference }) => ({ longPollingURI: `${reference}/longPolling` }),
      }),
      ...times('NP/NA/M'),
    ],
  },
});

export type TypeName = keyof typeof TYPES;

export type TypeRow = Row<TypeName>;
