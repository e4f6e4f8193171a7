/**
 * What a container is made of, with and without a location [TS 102 921 10.14, 10.16]: what it keeps, how fast it may be read, what its
 * answers promise, and its contentInstances.
 */
import { alarmRules } from './alarm-rules.js';
import { A, attribute, DAY_S, I, MINUTE_S, N, next, references, S, T, TC, X, type AttributeRow } from './attribute.js';
import { instanceFields } from './instance.js';
import * as v from './values.js';

/** Bounds of what originators may ask [resources reference 2.2, after ONG]. The broker's own containers may exceed them. */
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

const RETENTION = ['maxNrOfInstances', 'maxByteSize', 'maxInstanceAge'];
const STORAGES = ['memory', 'disk'];
const DURABILITIES = ['latest', 'grouped', 'synced'];

/** @param own attributes that the kind of container has besides, before its references */
export const containerAttributes = (...own: readonly AttributeRow[]): readonly AttributeRow[] => [
  I(),
  X,
  A(),
  S(),
  ...T,
  N,
  attribute('maxNrOfInstances', v.long, 'O/O/M*', { ...INSTANCES, onDisk: ON_DISK.instances, together: RETENTION }),
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
  attribute('storage', v.oneOf(...STORAGES), 'O/NP/M*', { unset: 'memory', origin: 'gridcast' }),
  // Its contents are of persons: a reader must be named. It never changes: no UPDATE that leaves it out may open them.
  attribute('isPersonal', v.boolean, 'O/NP/M*', { unset: false, origin: 'gridcast' }),
  ...own,
  ...references('contentInstances', 'subscriptions'),
];

const instanceReference = (which: 'latest' | 'oldest'): AttributeRow =>
  attribute(which, v.record({}), 'NA/NA/O', {
    derived: (node) => {
      const record = node.history?.[which];
      return record && { id: record.id, reference: `${node.reference}/${encodeURIComponent(record.id)}` };
    },
  });

export const contentInstancesAttributes: readonly AttributeRow[] = [
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
  next,
  instanceReference('latest'),
  instanceReference('oldest'),
  ...references('subscriptions'),
];
