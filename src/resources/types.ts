/**
 * The type table: what every resource type is. Tree, validation, representation, discovery and the lists of allowed verbs read
 * it; a new type is one row here, and code nowhere else. In schema order [TS 102 921 XSD], the XML attribute @id first.
 *
 * Rules are create / update / response: M mandatory, O optional, NP not to be present, NA operation not available, M* in every
 * response and possibly changed by the SCL, - not applicable.
 */
import { formatTime } from '../clock.js';
import { alarmRules } from './alarm-rules.js';
import { instanceFields, type InstanceContent } from './instance.js';
import type { InstanceRecord } from './history.js';
import type { ResourceNode } from './node.js';
import * as v from './values.js';
import type { Json, JsonObject, ValueType } from './values.js';

export type Verb = 'create' | 'retrieve' | 'update' | 'delete';
export type Presence = 'M' | 'O' | 'NP' | 'NA' | 'M*' | '-';

/** How a node is being read. */
export interface Reading<T> {
  /** The content to show of an instance; a record without one is shown as metadata. */
  content(record: InstanceRecord<T>): InstanceContent | undefined;
  /** Which instances a query is answered with, in place of the newest. */
  readonly page?: { readonly instances: readonly JsonObject[]; readonly next: string | undefined };
}

interface AttributeOptions {
  /** The value when none is written. */
  readonly default?: Json;
  /** What a reader sees while none is written. */
  readonly unset?: Json;
  /** Smallest and largest value; what lies outside is moved to the limit, not refused. */
  readonly clamp?: readonly [number, number];
  /** In their place for a container that keeps its instances on disk. */
  readonly onDisk?: { readonly default: Json | undefined; readonly clamp: readonly [number, number] };
  /** The same for a dateTime, in seconds from now; the past is refused. */
  readonly lifetimeS?: readonly [number, number];
  /** Peers: when one of them is given, the default of the others is their largest value. */
  readonly together?: readonly string[];
  /** May not be written together with this one. */
  readonly excludes?: string;
  /** A rule that depends on where the resource is: what is wrong, a whole sentence. */
  readonly rule?: (value: Json, collection: ResourceNode<unknown>) => string | undefined;
  /** The SCL's own value, made when read. */
  readonly derived?: (node: ResourceNode<unknown>, reading: Reading<unknown>) => Json | undefined;
  /** Not in the standard. */
  readonly origin?: 'gridcast';
}

export interface AttributeRow extends AttributeOptions {
  readonly name: string;
  readonly value: ValueType;
  readonly create: Presence;
  readonly update: Presence;
  readonly response: Presence;
}

interface TypeDefinition<Name extends string> {
  readonly verbs: readonly Verb[];
  /** Collections that are born with it. */
  readonly collections?: readonly Name[];
  /** Of a collection: what a CREATE on it makes. */
  readonly creates?: readonly Name[];
  /** Children that are not stored, and their verbs. */
  readonly virtual?: Readonly<Record<string, readonly Verb[]>>;
  /** The attribute that is its last path segment. */
  readonly idAttribute?: 'id' | 'appId' | 'sclId';
  readonly attributes: readonly AttributeRow[];
}

export interface TypeRow {
  readonly name: TypeName;
  readonly verbs: readonly Verb[];
  readonly collections: readonly TypeName[];
  readonly creates: readonly TypeName[];
  readonly virtual: ReadonlyMap<string, readonly Verb[]>;
  readonly idAttribute: string;
  /** In schema order. */
  readonly attributes: ReadonlyMap<string, AttributeRow>;
  /** Its changes can be observed. */
  readonly isSubscribable: boolean;
}

const MINUTE_S = 60;
const DAY_S = 86_400;

/** Bounds of what originators may ask [resources reference 2.2, after ONG]. The broker's own containers may exceed them. */
const LIFETIME_S = [MINUTE_S, 30 * DAY_S] as const;
const INSTANCES = { default: 20, clamp: [1, 200] } as const;
const BYTES = { default: 20_480, clamp: [10, 1_024_000] } as const;
const AGE_S = { clamp: [DAY_S, 365 * DAY_S] } as const;
/** On disk: as much as a year of a fast PMU. What says nothing has a GiB, so that no disk is filled for lack of a word. */
const ON_DISK = {
  instances: { default: 10_000_000_000, clamp: [1, 10_000_000_000] },
  bytes: { default: 2 ** 30, clamp: [10, 2 ** 40] },
  ageS: { default: undefined, clamp: [MINUTE_S, 3_650 * DAY_S] },
} as const;
/** Instances shown in one contentInstanceCollection, the newest: as many as an originator's container can hold. */
const SHOWN_INSTANCES = INSTANCES.clamp[1];

type Rules = `${Presence}/${Presence}/${Presence}`;

function attribute(name: string, value: ValueType, rules: Rules, options: AttributeOptions = {}): AttributeRow {
  const [create, update, response] = rules.split('/') as [Presence, Presence, Presence];
  return { name, value, create, update, response, ...options };
}

// The common attributes, by the reference's letters.
const X = attribute('expirationTime', v.dateTime, 'O/O/M*', { lifetimeS: LIFETIME_S });
const A = (rules: Rules = 'O/O/O'): AttributeRow => attribute('accessRightID', v.uri, rules);
const S = (rules: Rules = 'O/O/M'): AttributeRow =>
  attribute('searchStrings', v.searchStrings, rules, { unset: { searchString: [] } });
const N = attribute('announceTo', v.announceTo, 'O/O/M*', { unset: { activated: false } });
const I = (rules: Rules = 'O/NP/M*', name = 'id'): AttributeRow =>
  attribute(name, v.string, rules, { derived: ({ id }) => id });
const times = (rules: Rules): readonly AttributeRow[] => [
  attribute('creationTime', v.dateTime, rules, { derived: ({ createdUs }) => formatTime(createdUs) }),
  attribute('lastModifiedTime', v.dateTime, rules, { derived: ({ modifiedUs }) => formatTime(modifiedUs) }),
];
const T = times('NP/NP/M');
const TC = times('NA/NA/M');

const references = (...collections: readonly string[]): readonly AttributeRow[] =>
  collections.map((name) =>
    attribute(`${name}Reference`, v.uri, 'NP/NP/M', { derived: (node) => `${node.reference}/${name}` }),
  );

/** What a collection holds, as names and references. */
const members = (type: string, rules: Rules): AttributeRow =>
  attribute(`${type}Collection`, v.record({}), rules, {
    derived: (node) => ({
      namedReference: [...node.children]
        .filter((child) => child.type === type)
        .map(({ id, reference }) => ({ id, reference })),
    }),
  });

const instanceReference = (which: 'latest' | 'oldest'): AttributeRow =>
  attribute(which, v.record({}), 'NA/NA/O', {
    derived: (node) => {
      const record = node.history?.[which];
      return record && { id: record.id, reference: `${node.reference}/${encodeURIComponent(record.id)}` };
    },
  });

const RETENTION = ['maxNrOfInstances', 'maxByteSize', 'maxInstanceAge'];
const STORAGES = ['memory', 'disk'];
const DURABILITIES = ['latest', 'grouped', 'synced'];
const LATENCY_CLASSES = ['protection', 'control', 'monitoring', 'reporting'];

/** Content filters make sense on contentInstances only [TS 102 921 10.25]. */
function contentFilterRule(value: Json, subscriptions: ResourceNode<unknown>): string | undefined {
  if (subscriptions.parent?.type === 'contentInstances' || !v.isObject(value)) return undefined;
  const name = v.CONTENT_FILTER_NAMES.find((filter) => value[filter] !== undefined);
  return (
    name &&
    `filterCriteria.${name} looks into contentInstances; this is a subscription to ${subscriptions.parent?.type}.`
  );
}

/** A collection whose accessRightID can be set. */
const collection = <const Type extends string>(
  type: Type,
  rest: { readonly collections?: readonly 'subscriptions'[] } = {},
) => ({
  verbs: ['create', 'retrieve', 'update'] as const,
  creates: [type],
  ...rest,
  attributes: [A('NA/O/O'), ...TC, members(type, 'NA/NP/M'), ...references(...(rest.collections ?? []))],
});

const READ_WRITE_DELETE = ['retrieve', 'update', 'delete'] as const;

export const TYPES = define({
  sclBase: {
    verbs: ['retrieve', 'update'],
    // The standard has notificationChannels below scl and application; one who only wants to listen is neither.
    collections: ['applications', 'containers', 'subscriptions', 'notificationChannels'],
    attributes: [
      A('NA/O/O'),
      S('NA/O/M'),
      ...T,
      attribute('aPocHandling', v.oneOf('SHALLOW', 'DEEP'), 'NA/O/O'),
      ...references('applications', 'containers', 'subscriptions', 'notificationChannels'),
    ],
  },
  applications: collection('application', { collections: ['subscriptions'] }),
  application: {
    verbs: READ_WRITE_DELETE,
    collections: ['containers', 'subscriptions', 'notificationChannels'],
    idAttribute: 'appId',
    attributes: [
      I('O/NP/M', 'appId'),
      X,
      A(),
      S(),
      ...T,
      N,
      attribute('aPoC', v.uri, 'O/O/O'),
      attribute('aPoCPaths', v.aPoCPaths, 'O/O/O'),
      attribute('locRequestor', v.string, 'O/O/O'),
      ...references('containers', 'subscriptions', 'notificationChannels'),
    ],
  },
  containers: collection('container', { collections: ['subscriptions'] }),
  container: {
    verbs: READ_WRITE_DELETE,
    collections: ['contentInstances', 'subscriptions'],
    attributes: [
      I(),
      X,
      A(),
      S(),
      ...T,
      N,
      attribute('maxNrOfInstances', v.long, 'O/O/M*', {
        ...INSTANCES,
        onDisk: ON_DISK.instances,
        together: RETENTION,
      }),
      attribute('maxByteSize', v.long, 'O/O/M*', { ...BYTES, onDisk: ON_DISK.bytes, together: RETENTION }),
      attribute('maxInstanceAge', v.long, 'O/O/M*', { ...AGE_S, onDisk: ON_DISK.ageS }),
      // Samples per second: what a subscriber gets who asks for none, the most he may ask for, what the publisher declares.
      attribute('defaultRate', v.rate, 'O/O/O', { origin: 'gridcast' }),
      attribute('highestRate', v.rate, 'O/O/O', { origin: 'gridcast' }),
      attribute('reportingRate', v.rate, 'O/O/O', { origin: 'gridcast' }),
      // What a 201 promises: in memory, on disk within 100 ms, on disk.
      attribute('durability', v.oneOf(...DURABILITIES), 'O/O/M*', { default: 'synced', origin: 'gridcast' }),
      // What of its samples is an alarm.
      attribute('alarmRules', alarmRules, 'O/O/O', { origin: 'gridcast' }),
      // Where the instances are. It never changes: no UPDATE that leaves it out may delete a history.
      attribute('storage', v.oneOf(...STORAGES), 'O/NP/M*', {
        unset: 'memory',
        origin: 'gridcast',
      }),
      ...references('contentInstances', 'subscriptions'),
    ],
  },
  contentInstances: {
    verbs: ['create', 'retrieve'],
    creates: ['contentInstance'],
    collections: ['subscriptions'],
    attributes: [
      ...TC,
      attribute('currentNrOfInstances', v.long, 'NA/NA/M', { derived: ({ history }) => history?.count }),
      attribute('currentByteSize', v.long, 'NA/NA/M', { derived: ({ history }) => history?.byteSize }),
      attribute('contentInstanceCollection', v.record({}), 'NA/NA/M', {
        derived: ({ history }, reading) => ({
          contentInstance:
            reading.page?.instances ??
            history?.newest(SHOWN_INSTANCES).map((record) => instanceFields(record, reading.content(record))) ??
            [],
        }),
      }),
      // Path and query of the page that follows.
      attribute('next', v.uri, 'NA/NA/O', { origin: 'gridcast', derived: (_, reading) => reading.page?.next }),
      instanceReference('latest'),
      instanceReference('oldest'),
      ...references('subscriptions'),
    ],
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
  subscriptions: {
    verbs: ['create', 'retrieve'],
    creates: ['subscription'],
    attributes: [members('subscription', 'NA/NA/M')],
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
      attribute('rate', v.rate, 'O/O/O', { excludes: 'minimalTimeBetweenNotifications', origin: 'gridcast' }),
      attribute('latencyClass', v.oneOf(...LATENCY_CLASSES), 'O/O/O', { origin: 'gridcast' }),
      attribute('accept', v.string, 'O/O/O', { origin: 'gridcast' }), // media type of the content in notifications
    ],
  },
  notificationChannels: {
    verbs: ['create', 'retrieve'],
    creates: ['notificationChannel'],
    attributes: [...TC, members('notificationChannel', 'NA/NA/M')],
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

/** Completes the rows; a row that names a type which is not in the table does not compile. */
function define<const Name extends string>(definitions: Readonly<Record<Name, TypeDefinition<NoInfer<Name>>>>) {
  const complete = (name: Name, row: TypeDefinition<Name>) => ({
    name,
    verbs: row.verbs,
    collections: row.collections ?? [],
    creates: row.creates ?? [],
    virtual: new Map(Object.entries(row.virtual ?? {})),
    idAttribute: row.idAttribute ?? 'id',
    attributes: new Map(row.attributes.map((each) => [each.name, each])),
    isSubscribable: row.collections?.some((collection) => collection === 'subscriptions') ?? false,
  });
  const rows = Object.entries<TypeDefinition<Name>>(definitions).map(([name, row]) => [
    name,
    complete(name as Name, row),
  ]);
  return Object.fromEntries(rows) as Record<Name, ReturnType<typeof complete>>;
}
