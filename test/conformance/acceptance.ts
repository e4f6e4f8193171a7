/**
 * The acceptance list: oneM2M's test descriptions for the native protocol [TS-0013, TS 118 113: TD_M2M_NH] in the forms that ETSI M2M has
 * for them, management aside. One list, run over each binding; a case knows nothing of which.
 *
 *     AE application · CSEBase sclBase · ACP accessRight · pollingChannel notificationChannel · fanOutPoint membersContent · label searchString
 */
import type { JsonObject } from '../../src/json.js';
import type { Said } from '../broker/stage.js';

type Op = 'create' | 'retrieve' | 'update' | 'delete';
export type Ask = (op: Op, to: string, body?: JsonObject) => Promise<Said>;

/** What a case has to work with: an administrator, others who come with names, and an id that nothing else has. */
export interface Acceptance {
  readonly ask: Ask;
  readonly as: (originator: 'reader' | 'stranger') => Promise<Ask>;
  readonly id: string;
}

export interface TestDescription {
  /** Those of TD_M2M_NH that it answers to. */
  readonly ids: readonly string[];
  readonly title: string;
  readonly run: (acceptance: Acceptance) => Promise<void>;
}

const OK = 'STATUS_OK';
const CREATED = 'STATUS_CREATED';
const GONE = 'STATUS_NOT_FOUND';

const text = (id: string, textContent: string): JsonObject => ({
  contentInstance: { id, content: { contentType: 'text/plain', textContent } },
});
const labels = (...searchString: readonly string[]): JsonObject => ({
  searchStrings: { searchString: [...searchString] },
});
const may = (flags: readonly string[], ...applicationID: readonly string[]): JsonObject => ({
  permission: [
    {
      permissionFlags: { flag: [...flags] },
      permissionHolders:
        applicationID.length > 0 ? { applicationIDs: { applicationID: [...applicationID] } } : { all: true },
    },
  ],
});

async function expectStatus(said: Promise<Said>, status: string): Promise<Said> {
  const answer = await said;
  expect([answer.status, answer.sentence]).toEqual([status, status.startsWith('STATUS_OK') || status === CREATED ? '' : answer.sentence]); // prettier-ignore
  return answer;
}

/** CREATE, RETRIEVE, UPDATE and DELETE of one resource: what is written is read, what is deleted is gone. */
async function lifecycle(ask: Ask, collection: string, type: string, attributes: JsonObject, changed: JsonObject) {
  const { location } = await expectStatus(ask('create', collection, { [type]: attributes }), CREATED);
  expect(location.startsWith(`${collection}/`)).toBe(true);
  const shown = async (): Promise<unknown> => (await expectStatus(ask('retrieve', location), OK)).json[type];
  expect(await shown()).toMatchObject(attributes);
  await expectStatus(ask('update', location, { [type]: changed }), OK);
  expect(await shown()).toMatchObject(changed);
  await expectStatus(ask('delete', location), OK);
  await expectStatus(ask('retrieve', location), GONE);
}

async function container({ ask, id }: Acceptance, attributes: JsonObject = {}): Promise<string> {
  return (await expectStatus(ask('create', '/m2m/containers', { container: { id, ...attributes } }), CREATED)).location;
}

/** A container with instances `1`, `2`, ..., each as long as its number. */
async function filled(acceptance: Acceptance, count: number, attributes: JsonObject = {}): Promise<string> {
  const instances = `${await container(acceptance, attributes)}/contentInstances`;
  for (let n = 1; n <= count; n++)
    await expectStatus(acceptance.ask('create', instances, text(String(n), 'x'.repeat(n))), CREATED);
  return instances;
}

/** Number of instances, their bytes, the oldest and the latest. */
async function counters(ask: Ask, instances: string): Promise<readonly unknown[]> {
  const { contentInstances } = (await ask('retrieve', instances)).json as { contentInstances: Record<string, unknown> };
  const idAt = async (which: string): Promise<unknown> => {
    const { status, json } = await ask('retrieve', `${instances}/${which}`);
    return status === OK ? (json.contentInstance as JsonObject).id : status;
  };
  const { currentNrOfInstances, currentByteSize } = contentInstances;
  return [currentNrOfInstances, currentByteSize, await idAt('oldest'), await idAt('latest')];
}

async function channel({ ask }: Acceptance): Promise<{ location: string; contact: string; poll: () => Promise<Said> }> {
  const body = { notificationChannel: { channelType: 'LONG_POLLING' } };
  const { location, json } = await expectStatus(ask('create', '/m2m/notificationChannels', body), CREATED);
  const { contactURI, channelData } = json.notificationChannel as { contactURI: string; channelData: { longPollingURI: string } }; // prettier-ignore
  return { location, contact: contactURI, poll: () => ask('retrieve', channelData.longPollingURI) };
}

async function found({ ask, id }: Acceptance, query: string): Promise<JsonObject> {
  const prefix = `searchPrefix=/m2m/containers`;
  return (await expectStatus(ask('retrieve', `/m2m/discovery?${prefix}&searchString=${id}${query}`), OK)).json.discovery as JsonObject; // prettier-ignore
}

/** Two containers and a group of them. */
async function group(acceptance: Acceptance): Promise<{ members: readonly string[]; membersContent: string }> {
  const { id, ask } = acceptance;
  const members = [
    await container({ ...acceptance, id: `${id}-1` }),
    await container({ ...acceptance, id: `${id}-2` }),
  ];
  const body = { group: { id, memberType: 'CONTAINER', members: { reference: members } } };
  const { location } = await expectStatus(ask('create', '/m2m/groups', body), CREATED);
  return { members, membersContent: `${location}/membersContent` };
}

const statuses = async (said: Promise<Said>): Promise<readonly unknown[]> =>
  ((await expectStatus(said, OK)).json.membersContentResponses as { status: readonly { statusCode: string }[] }).status.map(({ statusCode }) => statusCode); // prettier-ignore

const td = (ids: string, title: string, run: TestDescription['run']): TestDescription => ({
  ids: ids.split(' '),
  title,
  run,
});

export const ACCEPTANCE: readonly TestDescription[] = [
  td('01', 'RETRIEVE of the sclBase', async ({ ask }) => {
    const { json } = await expectStatus(ask('retrieve', '/m2m'), OK);
    expect(json.sclBase).toMatchObject({
      applicationsReference: '/m2m/applications',
      discoveryReference: '/m2m/discovery',
    });
  }),
  td('06 07 08 09', 'application: CREATE, RETRIEVE, UPDATE, DELETE', ({ ask, id }) =>
    lifecycle(ask, '/m2m/applications', 'application', { appId: id, ...labels('a') }, labels('b')),
  ),
  td('10 11 12 13', 'container: CREATE, RETRIEVE, UPDATE, DELETE', ({ ask, id }) =>
    lifecycle(
      ask,
      '/m2m/containers',
      'container',
      { id, maxNrOfInstances: 5 },
      { maxNrOfInstances: 6, ...labels('b') },
    ),
  ),
  td('14 15 17', 'contentInstance: CREATE, RETRIEVE, DELETE; the counters follow', async (acceptance) => {
    const { ask } = acceptance;
    const instances = await filled(acceptance, 3);
    expect(await counters(ask, instances)).toEqual([3, 6, '1', '3']);
    const { json } = await expectStatus(ask('retrieve', `${instances}/2`), OK);
    expect(json.contentInstance).toMatchObject({ id: '2', contentSize: 2, content: { textContent: 'xx' } });
    await expectStatus(ask('delete', `${instances}/2`), OK);
    await expectStatus(ask('retrieve', `${instances}/2`), GONE);
    expect(await counters(ask, instances)).toEqual([2, 4, '1', '3']);
  }),
  td('49 50', 'DELETE of latest and oldest: the next takes the place', async (acceptance) => {
    const { ask } = acceptance;
    const instances = await filled(acceptance, 3);
    await expectStatus(ask('delete', `${instances}/latest`), OK);
    expect(await counters(ask, instances)).toEqual([2, 3, '1', '2']);
    await expectStatus(ask('delete', `${instances}/oldest`), OK);
    expect(await counters(ask, instances)).toEqual([1, 2, '2', '2']);
    await expectStatus(ask('delete', `${instances}/oldest`), OK);
    expect(await counters(ask, instances)).toEqual([0, 0, GONE, GONE]);
  }),
  td('71 72', 'RETRIEVE of latest and oldest; of none: not found', async (acceptance) => {
    const { ask } = acceptance;
    const instances = await filled(acceptance, 2);
    for (const [which, id] of [
      ['latest', '2'],
      ['oldest', '1'],
    ] as const)
      // prettier-ignore
      expect((await expectStatus(ask('retrieve', `${instances}/${which}`), OK)).json.contentInstance).toMatchObject({ id });
    const empty = await container({ ...acceptance, id: `${acceptance.id}-empty` });
    await expectStatus(ask('retrieve', `${empty}/contentInstances/latest`), GONE);
  }),
  td('51', 'CREATE at maxNrOfInstances drives the oldest out', async (acceptance) => {
    const instances = await filled(acceptance, 4, { maxNrOfInstances: 2 });
    expect(await counters(acceptance.ask, instances)).toEqual([2, 7, '3', '4']);
  }),
  td('18 19 20 21', 'discovery: all, by searchString, up to maxSize, by several criteria', async (acceptance) => {
    const { id } = acceptance;
    const paths = [];
    for (const [n, label] of ['odd', 'even', 'odd'].entries())
      paths.push(await container({ ...acceptance, id: `${id}-${n}` }, labels(id, label)));
    const referenced = async (query: string): Promise<unknown> => (await found(acceptance, query)).discoveryURI;
    expect(await referenced('')).toEqual({ reference: paths });
    expect(await referenced('&searchString=even')).toEqual({ reference: [paths[1]] });
    expect(await found(acceptance, '&maxSize=2')).toMatchObject({ matchSize: 2, truncated: true });
    expect(await referenced('&searchString=odd&createdSince=2020-01-01T00:00:00Z')).toEqual({
      reference: [paths[0], paths[2]],
    });
    expect(await referenced('&searchString=odd&createdUntil=2020-01-01T00:00:00Z')).toEqual({ reference: [] });
    await expectStatus(acceptance.ask('retrieve', '/m2m/discovery?maxSize=0'), 'STATUS_BAD_REQUEST');
  }),
  td('22 23 24 25', 'subscription: CREATE, RETRIEVE, UPDATE, DELETE', async (acceptance) => {
    const { contact } = await channel(acceptance);
    const subscriptions = `${await container(acceptance)}/subscriptions`;
    await lifecycle(
      acceptance.ask,
      subscriptions,
      'subscription',
      { contact },
      { minimalTimeBetweenNotifications: 500 },
    );
  }),
  td('48', 'a notification comes to the contact', async (acceptance) => {
    const { ask } = acceptance;
    const { contact, poll } = await channel(acceptance);
    const instances = await filled(acceptance, 0);
    const filterCriteria = { attributeAccessor: 'latest' };
    const body = { subscription: { contact, filterCriteria } };
    const { location } = await expectStatus(ask('create', `${instances}/subscriptions`, body), CREATED);
    await expectStatus(ask('create', instances, text('told', '50.01')), CREATED);
    const { json } = await expectStatus(poll(), OK);
    expect(json.notify).toMatchObject({
      statusCode: OK,
      subscriptionReference: location,
      representation: { textContent: expect.stringContaining('50.01') as string },
    });
  }),
  td('26 27 28 29', 'accessRight: CREATE, RETRIEVE, UPDATE, DELETE', ({ ask, id }) =>
    lifecycle(
      ask,
      '/m2m/accessRights',
      'accessRight',
      { id, permissions: may(['READ'], 'reader'), selfPermissions: may(['READ', 'WRITE']) },
      { permissions: may(['READ', 'DELETE']), selfPermissions: may(['READ', 'WRITE', 'DELETE']) },
    ),
  ),
  td(
    '30 73 74',
    'DELETE without a right: not there; with another right: refused; with its right: done',
    async (acceptance) => {
      const { ask, as, id } = acceptance;
      const right = (flags: readonly string[]): JsonObject => ({
        permissions: may(flags, 'reader'),
        selfPermissions: may(['READ', 'WRITE', 'DELETE'], 'nobody-else'),
      });
      const { location } = await expectStatus(ask('create', '/m2m/accessRights', { accessRight: { id, ...right(['READ']) } }), CREATED); // prettier-ignore
      const path = await container(acceptance, { accessRightID: location });
      const [reader, stranger] = [await as('reader'), await as('stranger')];
      await expectStatus(stranger('delete', path), GONE);
      await expectStatus(reader('delete', path), 'STATUS_PERMISSION_DENIED');
      await expectStatus(reader('retrieve', path), OK);
      await expectStatus(ask('update', location, { accessRight: right(['READ', 'DELETE']) }), OK);
      await expectStatus(reader('delete', path), OK);
      await expectStatus(ask('retrieve', path), GONE);
    },
  ),
  td('31 32 33 34', 'group: CREATE, RETRIEVE, UPDATE, DELETE', async (acceptance) => {
    const { ask, id } = acceptance;
    const members = { reference: [await container({ ...acceptance, id: `${id}-1` })] };
    await lifecycle(
      ask,
      '/m2m/groups',
      'group',
      { id, memberType: 'CONTAINER', members },
      { members: { reference: [] } },
    );
  }),
  td('44 45 46 47', 'membersContent: CREATE, RETRIEVE, UPDATE, DELETE at each member', async (acceptance) => {
    const { ask } = acceptance;
    const { members, membersContent } = await group(acceptance);
    expect(await statuses(ask('create', `${membersContent}/contentInstances`, text('i', 'x')))).toEqual([
      CREATED,
      CREATED,
    ]);
    expect(await statuses(ask('retrieve', `${membersContent}/contentInstances/latest`))).toEqual([OK, OK]);
    expect(await statuses(ask('update', membersContent, { container: { maxNrOfInstances: 7 } }))).toEqual([OK, OK]);
    for (const member of members)
      expect((await ask('retrieve', member)).json.container).toMatchObject({ maxNrOfInstances: 7 });
    expect(await statuses(ask('delete', membersContent))).toEqual([OK, OK]);
    for (const member of members) await expectStatus(ask('retrieve', member), GONE);
  }),
  td('35 36 37 38', 'attachedDevice: CREATE, RETRIEVE, UPDATE, DELETE', async ({ ask, id }) => {
    const scl = { sclId: id, link: 'coap://192.0.2.7/m2m', mgmtProtocolType: 'OMA DM' };
    const { location } = await expectStatus(ask('create', '/m2m/scls', { scl }), CREATED);
    const right = { id, permissions: may(['READ']), selfPermissions: may(['READ']) };
    const { location: accessRightID } = await expectStatus(ask('create', '/m2m/accessRights', { accessRight: right }), CREATED); // prettier-ignore
    await lifecycle(ask, `${location}/attachedDevices`, 'attachedDevice', { id: 'd' }, { accessRightID });
  }),
  td('39 40 41 42', 'notificationChannel: CREATE, RETRIEVE, UPDATE refused, DELETE', async (acceptance) => {
    const { ask } = acceptance;
    const { location, contact } = await channel(acceptance);
    const { json } = await expectStatus(ask('retrieve', location), OK);
    expect(json.notificationChannel).toMatchObject({ channelType: 'LONG_POLLING', contactURI: contact });
    await expectStatus(ask('update', location, { notificationChannel: {} }), 'STATUS_METHOD_NOT_ALLOWED');
    await expectStatus(ask('delete', location), OK);
    await expectStatus(ask('retrieve', location), GONE);
  }),
  td(
    '43',
    'a poll is answered with what came meanwhile, in order, and is held when nothing did',
    async (acceptance) => {
      const { ask } = acceptance;
      const { contact, poll } = await channel(acceptance);
      const tell = (n: number) => ask('create', contact, { told: n });
      await tell(1);
      await tell(2);
      const polled = async (): Promise<unknown> => {
        const { notify } = (await expectStatus(poll(), OK)).json as {
          notify: { representation: { textContent: string } };
        };
        return JSON.parse(notify.representation.textContent);
      };
      for (const told of [1, 2]) expect(await polled()).toEqual({ told });
      const held = polled();
      await tell(3);
      expect(await held).toEqual({ told: 3 });
    },
  ),
];
