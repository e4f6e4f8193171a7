/**
 * One resource of every type that can be created, with every attribute that may be written, and each told where it goes. What
 * stands above another comes first. Knows nothing of the broker's own table, so that a test can ask whether one of them is missing.
 */
import type { JsonObject } from '../../src/json.js';

export interface Sown {
  readonly type: string;
  /** The collection it is created in. */
  readonly collection: string;
  /** Where it is then. */
  readonly path: string;
  readonly document: JsonObject;
  /** What an UPDATE may write anew; undefined: nothing. */
  readonly rewritten: JsonObject | undefined;
}

/** In its CREATE alone. */
const IMMUTABLE = [
  'id',
  'appId',
  'sclId',
  'link',
  'memberType',
  'contact',
  'aggregateURI',
  'filterCriteria',
  'locationContainerType',
];
const CREATED_ONLY: readonly string[] = [...IMMUTABLE, 'sclType', 'storage', 'isPersonal'];
const NEVER_UPDATED: readonly string[] = ['contentInstance', 'notificationChannel'];

/**
 * @param n told apart from those of other numbers
 * @param expirationTime of all that have one
 */
export function everyType(n: number | string, expirationTime: string): readonly Sown[] {
  const [scl, application] = [`/m2m/scls/gscl-${n}`, `/m2m/applications/meter-${n}`];
  const searchStrings = { searchString: [`kind:${n}`, 'Visby'] };
  const right = `${application}/accessRights/readers`;
  const shared = { expirationTime, accessRightID: right, searchStrings };
  const announceTo = { activated: false, sclList: { reference: ['/m2m/scls/elsewhere'] }, global: false };
  const announced = (link: string) => ({ link, ...shared });
  const channel = `${application}/notificationChannels/inbox`;
  const limits = { maxNrOfInstances: 3, maxByteSize: 4096, maxInstanceAge: 86_400 };
  const everybody = { permissionFlags: { flag: ['READ', 'DISCOVER'] }, permissionHolders: { all: true } };
  const owner = {
    permissionFlags: { flag: ['WRITE', 'DELETE'] },
    permissionHolders: { domains: { domain: ['a.se'] } },
  };
  const alarmRules = [
    { condition: 'high', kind: 'limit', field: 'kw', high: 40, hysteresis: 1, delayS: 1, priority: 3 },
  ];
  const load = `${application}/containers/load`;
  return [
    sown(`/m2m/scls`, 'scl', 'sclId', {
      sclId: `gscl-${n}`,
      pocs: { reference: ['coap://10.0.0.7'] },
      remTriggerAddr: 'sms:+4670',
      link: `coap://gscl-${n}.example/m2m`,
      schedule: { scheduleString: ['* 0-5 * * *'] },
      ...shared,
      locTargetDevice: 'here',
      mgmtProtocolType: 'OMA DM',
      integrityValResults: { ivalResults: 1, signedIvalResult: 2, secureTimeStamp: expirationTime },
      sclType: 'GSCL',
    }),
    sown(`${scl}/m2mPocs`, 'm2mPoc', 'id', {
      id: 'wan',
      contactInfo: { contactURI: 'coap://10.0.0.7' },
      expirationTime,
      onlineStatus: 'ONLINE',
    }),
    sown(`${scl}/attachedDevices`, 'attachedDevice', 'id', { id: 'breaker', accessRightID: right }),
    sown(`${scl}/applications`, 'applicationAnnc', 'id', { id: 'aAnnc', ...announced('coap://g.example/m2m/a') }),
    sown(`${scl}/applications/aAnnc/containers`, 'containerAnnc', 'id', {
      id: 'cAnnc',
      ...announced('coap://g.example/c'),
    }),
    sown(`${scl}/containers`, 'locationContainerAnnc', 'id', { id: 'lAnnc', ...announced('coap://g.example/l') }),
    sown(`${scl}/groups`, 'groupAnnc', 'id', { id: 'gAnnc', ...announced('coap://g.example/g') }),
    sown(`${scl}/accessRights`, 'accessRightAnnc', 'id', { id: 'rAnnc', ...announced('coap://g.example/r') }),
    sown(`/m2m/applications`, 'application', 'appId', {
      appId: `meter-${n}`,
      ...shared,
      announceTo,
      aPoC: 'http://10.0.0.7:8080/api',
      aPoCPaths: { aPoCPath: [{ path: 'readings/', accessRightID: right, searchStrings }] },
      locRequestor: 'grid',
    }),
    sown(`${application}/accessRights`, 'accessRight', 'id', {
      id: 'readers',
      expirationTime,
      searchStrings,
      announceTo,
      permissions: { permission: [{ id: 'p', ...everybody }] },
      selfPermissions: { permission: [{ id: 's', ...owner }] },
    }),
    sown(`${application}/containers`, 'container', 'id', {
      id: 'load',
      ...shared,
      announceTo,
      ...limits,
      defaultRate: 1,
      highestRate: 10,
      reportingRate: 10,
      durability: 'synced',
      alarmRules,
      isPersonal: true,
      storage: 'memory',
    }),
    sown(`${application}/containers`, 'locationContainer', 'id', {
      id: 'place',
      ...shared,
      announceTo,
      ...limits,
      durability: 'grouped',
      locationContainerType: 'APPLICATION_GENERATED',
    }),
    sown(`${application}/groups`, 'group', 'id', {
      id: 'both',
      ...shared,
      announceTo,
      memberType: 'MIXED',
      maxNrOfMembers: 5,
      members: { reference: [application, load] },
      consistencyStrategy: 'MODIFY_TYPE',
      membersContentAccessRightID: right,
    }),
    sown(`${application}/notificationChannels`, 'notificationChannel', 'id', {
      id: 'inbox',
      channelType: 'LONG_POLLING',
    }),
    ...['', `/containers/load`, '/containers', '/groups/both', '/accessRights/readers'].map((subscribed) =>
      sown(`${application}${subscribed}/subscriptions`, 'subscription', 'id', {
        id: 'told',
        expirationTime,
        minimalTimeBetweenNotifications: 1000,
        contact: channel,
        latencyClass: 'reporting',
        accept: 'application/json',
      }),
    ),
    sown(`${load}/contentInstances/subscriptions`, 'subscription', 'id', {
      id: 'filtered',
      expirationTime,
      delayTolerance: expirationTime,
      filterCriteria: { attributeAccessor: 'latest/content' },
      contact: channel,
      rate: 5,
      latencyClass: 'monitoring',
    }),
    sown(`${application}/containers/place/subscriptions`, 'subscription', 'id', {
      id: 'gathered',
      expirationTime,
      contact: channel,
      aggregateURI: `${application}/groups/both`,
    }),
    sown(`${scl}/subscriptions`, 'subscription', 'id', { id: 'told', contact: channel, expirationTime }),
    sown(`${load}/contentInstances`, 'contentInstance', 'id', {
      id: 'first',
      delayTolerance: expirationTime,
      contentTypes: { contentType: ['text/plain'] },
      searchStrings,
      content: { contentType: 'text/plain', textContent: `${n}` },
    }),
    sown(`${application}/containers/place/contentInstances`, 'contentInstance', 'id', {
      id: 'here',
      content: { contentType: 'application/octet-stream', binaryContent: 'AAEC/w==' },
    }),
  ];
}

/** Collections that are born with them: their right alone can be written. */
export function bornWith(n: number | string): readonly Sown[] {
  const [scl, application] = [`/m2m/scls/gscl-${n}`, `/m2m/applications/meter-${n}`];
  const accessRightID = `${application}/accessRights/readers`;
  return [
    [application, 'containers'],
    [application, 'groups'],
    [application, 'accessRights'],
    [scl, 'attachedDevices'],
    [scl, 'applications'],
  ].map(([above = '', type = '']) => ({
    type,
    collection: above,
    path: `${above}/${type}`,
    document: {},
    rewritten: { [type]: { accessRightID } },
  }));
}

function sown(collection: string, type: string, idAttribute: string, attributes: JsonObject): Sown {
  const written = Object.entries(attributes).filter(([name]) => !CREATED_ONLY.includes(name));
  return {
    type,
    collection,
    path: `${collection}/${String(attributes[idAttribute])}`,
    document: { [type]: attributes },
    rewritten: NEVER_UPDATED.includes(type) ? undefined : { [type]: Object.fromEntries(written) },
  };
}
