/** Every attribute of every row, against every rule that the row states. */
import { isRefusal, type Refusal } from '../../src/errors.js';
import { isWritable } from '../../src/resources/document.js';
import { InstanceRecord } from '../../src/resources/history.js';
import { instanceDocument, resourceDocument } from '../../src/resources/representation.js';
import type { InstanceDraft } from '../../src/resources/tree.js';
import type { AttributeRow } from '../../src/resources/attribute.js';
import { TYPES, type TypeName } from '../../src/resources/types.js';
import type { Json, JsonObject } from '../../src/resources/values.js';
import { accepted, METER, MINIMAL, NOW_US, reading, refused, SmallGrid } from './small-grid.js';

const rows = Object.values(TYPES);
const creatable = (Object.keys(MINIMAL) as TypeName[]).map((name) => TYPES[name]);
const cases = (kept: (attribute: AttributeRow, type: TypeName) => boolean): readonly (readonly [TypeName, string])[] =>
  creatable.flatMap(({ name, attributes }) =>
    [...attributes.values()].filter((each) => kept(each, name)).map((each) => [name, each.name] as const),
  );

/** One value that each writable attribute takes as it is. */
const PROPER: Readonly<Record<string, Json>> = {
  snapshotRate: 10,
  snapshotWait: 100,
  snapshotWaitMode: 'absolute',
  idCode: 500,
  id: 'load',
  appId: 'load',
  sclId: 'gscl-7',
  link: 'coap://gscl-7.example/m2m',
  pocs: { reference: ['coap://gscl-7.example', 'http://10.0.0.7'] },
  remTriggerAddr: 'sms:+46701234567',
  schedule: { scheduleString: ['* 0-6 * * *'] },
  locTargetDevice: 'device-7',
  mgmtProtocolType: 'BBF TR 069',
  integrityValResults: { ivalResults: 0, signedIvalResult: 1, secureTimeStamp: '2026-11-23T08:00:00Z' },
  sclType: 'GSCL',
  contactInfo: { other: 'radio 7' },
  onlineStatus: 'NOT_REACHABLE',
  locationContainerType: 'LOCATION_SERVER_BASED',
  memberType: 'MIXED',
  maxNrOfMembers: 2,
  members: { reference: ['/m2m/applications/pmu-1'] },
  consistencyStrategy: 'MODIFY_TYPE',
  membersContentAccessRightID: '/m2m/accessRights/operators',
  expirationTime: '2026-11-24T08:15:00Z',
  accessRightID: '/m2m/accessRights/operators',
  searchStrings: { searchString: ['Visby', 'constructor'] },
  announceTo: { activated: true, sclList: { reference: ['coap://nscl'] } },
  aPoC: 'c37118+tcp://127.0.0.1:4712?idcode=60',
  aPoCPaths: { aPoCPath: [{ path: '/a' }, { path: '/b', searchStrings: { searchString: [] } }] },
  locRequestor: 'nobody',
  maxNrOfInstances: 3,
  maxByteSize: 3000,
  maxInstanceAge: 90_000,
  defaultRate: 5,
  highestRate: 30,
  reportingRate: 0.1,
  permissions: {
    permission: [
      {
        id: 'desk',
        permissionFlags: { flag: ['READ', 'CREATE'] },
        permissionHolders: { applicationIDs: { applicationID: ['operator-1'] }, domains: { domain: ['grid.example'] } },
      },
    ],
  },
  selfPermissions: { permission: [] },
  isPersonal: true,
  durability: 'latest',
  storage: 'disk',
  alarmRules: [{ condition: 'high', kind: 'limit', field: 'power', high: 1 }],
  contentTypes: { contentType: ['text/plain'] },
  content: { contentType: 'application/octet-stream', binaryContent: 'AAE=' },
  delayTolerance: '2026-11-24T08:15:00+01:00',
  minimalTimeBetweenNotifications: 200,
  filterCriteria: { attributeAccessor: 'latest/content', ifMatch: ['x'], sizeFrom: 1, metaDataOnly: false },
  contact: 'coap://[::1]:5683/inbox',
  aggregateURI: '/m2m/groups/feeders',
  rate: 5,
  latencyClass: 'control',
  accept: 'application/senml+cbor',
  channelType: 'LONG_POLLING',
};

const least = (type: TypeName) => MINIMAL[type] ?? fail(`no minimal ${type}`);

/** Sends a body as it stands; a contentInstance is drafted, which is what creating it means for the tree. */
function send(grid: SmallGrid, type: TypeName, body: JsonObject) {
  const act = { nowUs: NOW_US, creator: METER };
  const collection = grid.node(least(type).collection);
  const document = { [type]: body };
  return type === 'contentInstance'
    ? grid.tree.draftInstance(collection, document, act)
    : grid.tree.create(collection, document, act);
}

/** Creates one of `type` with what is mandatory and `more`; `undefined` takes a member out. */
const create = (grid: SmallGrid, type: TypeName, more: JsonObject) =>
  send(grid, type, { ...least(type).body, ...more });
const draft = (grid: SmallGrid, more: JsonObject) => create(grid, 'contentInstance', more) as InstanceDraft | Refusal;

/** The path of a fresh one of `type`, with `more` in it. */
const standing = (grid: SmallGrid, type: TypeName, more: JsonObject = {}): string =>
  accepted(create(grid, type, more) as ReturnType<SmallGrid['create']>).node.reference;

const byRule =
  (...wanted: readonly string[]) =>
  (attribute: AttributeRow): boolean =>
    wanted.includes(attribute.create);
/** An UPDATE with what is mandatory in one and `more`. */
const rewrite = (grid: SmallGrid, type: TypeName, path: string, more: JsonObject = {}) =>
  grid.update(path, { [type]: { ...least(type).update, ...more } });

const badRequest = (naming: string) => ({
  status: 'STATUS_BAD_REQUEST',
  detail: expect.stringContaining(naming) as string,
});

describe('the type table', () => {
  test.each(cases((attribute) => isWritable(attribute, 'create')))(
    '%s.%s is taken and comes back as it was sent',
    (type, name) => {
      const grid = new SmallGrid();
      const value = PROPER[name] ?? fail(`no proper value of ${name}`);
      if (type !== 'contentInstance') {
        expect(grid.fields(standing(grid, type, { [name]: value }))[name]).toEqual(value);
        return;
      }
      const { id, content, attributes } = accepted(draft(grid, { [name]: value }));
      const record = new InstanceRecord(content, NOW_US, NOW_US, content.bytes.length, id, attributes);
      expect(instanceDocument(record, reading)).toMatchObject({ contentInstance: { [name]: value } });
    },
  );

  test.each(cases(byRule('NP', 'NA')))('%s.%s sent in a CREATE is refused by name: the SCL sets it', (type, name) => {
    expect(create(new SmallGrid(), type, { [name]: 'x' })).toEqual(badRequest(`${type}.${name}`));
  });

  test.each(cases(byRule('M')))('%s.%s missing from a CREATE is refused by name', (type, name) => {
    expect(create(new SmallGrid(), type, { [name]: undefined })).toEqual(badRequest(`${type}.${name} is missing`));
  });

  test.each(cases((attribute) => isWritable(attribute, 'create')))(
    '%s.%s of a wrong type is refused by name',
    (type, name) => {
      for (const wrong of [
        null,
        -1.5,
        '',
        [],
        [1],
        { unknown: 1 },
        JSON.parse('{"__proto__":1}') as Json,
        '\u0000 \n',
      ]) {
        // Any string is an acceptable string: what an id may be has tests of its own.
        const { value } = TYPES[type].attributes.get(name) ?? fail(name);
        if (typeof wrong === 'string' && value.expected === 'a string') continue;
        expect(create(new SmallGrid(), type, { [name]: wrong })).toEqual(badRequest(name));
      }
    },
  );

  test.each(cases((attribute, type) => TYPES[type].verbs.includes('update') && attribute.update === 'NP'))(
    '%s.%s sent in an UPDATE is refused by name, and nothing changes',
    (type, name) => {
      const grid = new SmallGrid();
      const path = standing(grid, type);
      const before = grid.fields(path);
      expect(rewrite(grid, type, path, { [name]: PROPER[name] ?? 'x' })).toEqual(badRequest(`${type}.${name}`));
      expect(grid.fields(path)).toEqual(before);
    },
  );

  test.each(cases((attribute, type) => TYPES[type].verbs.includes('update') && attribute.update === 'O'))(
    '%s.%s is set by an UPDATE, and by one without it removed or back at its default',
    (type, name) => {
      const grid = new SmallGrid();
      const path = standing(grid, type);
      const untouched = grid.fields(path)[name];
      accepted(rewrite(grid, type, path, { [name]: PROPER[name] }));
      expect(grid.fields(path)[name]).toEqual(PROPER[name]);
      accepted(rewrite(grid, type, path));
      expect(grid.fields(path)[name]).toEqual(untouched);
    },
  );

  test.each(cases((attribute) => attribute.update === 'M'))(
    '%s.%s missing from an UPDATE is refused by name',
    (type, name) => {
      const grid = new SmallGrid();
      const update = { ...least(type).update, [name]: undefined };
      expect(grid.update(standing(grid, type), { [type]: update })).toEqual(badRequest(`${type}.${name} is missing`));
    },
  );

  test.each(cases((attribute) => attribute.update === 'NP' && attribute.create !== 'NP'))(
    '%s.%s outlives an UPDATE',
    (type, name) => {
      const grid = new SmallGrid();
      const path = standing(grid, type, { [name]: PROPER[name] });
      accepted(rewrite(grid, type, path));
      expect(grid.fields(path)[name]).toEqual(PROPER[name]);
    },
  );

  // Their default is "no limit", which has no written form.
  const UNLIMITED = ['expirationTime', 'maxInstanceAge'];

  test.each(rows.map((row) => [row.name, row] as const))(
    '%s shows what must be in a response, in schema order',
    (type, row) => {
      const grid = new SmallGrid().withAll();
      const record = grid.store('50.01');
      if (type.startsWith('accessRight')) standing(grid, 'accessRight');
      const node = [...grid.tree].find((each) => each.type === type);
      const document = node ? resourceDocument(node, reading) : instanceDocument(record, reading);
      const shown = Object.keys(document[type] as JsonObject);
      const known = [...row.attributes.keys()];
      const due = known.filter(
        (name) => row.attributes.get(name)?.response.startsWith('M') && !UNLIMITED.includes(name),
      );
      expect(shown).toEqual(expect.arrayContaining(due));
      expect(shown).toEqual(known.filter((name) => shown.includes(name)));
    },
  );

  test('states every default and limit with both ends, and peers that exist', () => {
    for (const { attributes } of rows) {
      for (const { clamp, lifetimeS, together, excludes } of attributes.values()) {
        for (const [least, most] of [clamp ?? [0, 1], lifetimeS ?? [0, 1]]) expect(least).toBeLessThan(most);
        for (const peer of [...(together ?? []), ...(excludes ? [excludes] : [])])
          expect(attributes.has(peer)).toBe(true);
      }
    }
  });

  test('marks what is not in the standard', () => {
    const ours = cases(({ origin }, type) => origin === 'gridcast' && type !== 'locationContainer').map(
      ([type, name]) => `${type}.${name}`,
    );
    expect(ours).toEqual([
      ...['defaultRate', 'highestRate', 'reportingRate', 'durability', 'alarmRules', 'storage', 'isPersonal'].map(
        (name) => `container.${name}`,
      ),
      ...['snapshotRate', 'snapshotWait', 'snapshotWaitMode', 'idCode'].map((name) => `group.${name}`),
      ...['rate', 'latencyClass', 'accept'].map((name) => `subscription.${name}`),
    ]);
  });

  test.each(['__proto__', 'constructor', 'toString', 'maxnrofinstances'])('knows no attribute named %s', (name) => {
    for (const type of Object.keys(MINIMAL) as TypeName[]) {
      // As a parser leaves it: an own member, which an object literal or a spread would not make of `__proto__`.
      const body = JSON.parse(JSON.stringify({ ...least(type).body, PLACE: 1 }).replace('PLACE', name)) as JsonObject;
      expect(send(new SmallGrid(), type, body)).toEqual(badRequest(`${type} has no attribute "${name}"`));
    }
  });
});

describe('values with rules of their own', () => {
  const subscribe = (body: JsonObject, to = MINIMAL.subscription?.collection ?? '') =>
    new SmallGrid().create(to, { subscription: { contact: '/m2m/x', ...body } });

  test.each(['inbox', '', 'coap:', '1http://x', 'http://a b', '/a b'])(
    'contact %j is neither an absolute URI nor a path here',
    (contact) => {
      expect(subscribe({ contact })).toEqual(badRequest('contact'));
    },
  );

  test('two ways to say how often exclude each other', () => {
    const minimalTimeBetweenNotifications = 100;
    expect(subscribe({ minimalTimeBetweenNotifications, delayTolerance: '2026-11-24T08:15:00Z' })).toEqual(
      badRequest('exclude'),
    );
    expect(subscribe({ minimalTimeBetweenNotifications, rate: 5 })).toEqual(badRequest('exclude'));
  });

  test('a filter that looks into contents is taken on contentInstances only', () => {
    const filterCriteria = { createdSince: '2026-01-01T00:00:00Z' };
    expect(isRefusal(subscribe({ filterCriteria }))).toBe(false);
    expect(subscribe({ filterCriteria }, '/m2m/applications/subscriptions')).toEqual(
      badRequest('filterCriteria.createdSince'),
    );
  });

  test('aPoCPaths names a path once', () => {
    const aPoCPaths = { aPoCPath: [{ path: '/a' }, { path: '/a' }] };
    expect(new SmallGrid().create('/m2m/applications', { application: { aPoCPaths } })).toEqual(
      badRequest('"/a" twice'),
    );
  });

  test.each([
    [{ contentType: 'text/plain' }, 'one of textContent and binaryContent'],
    [{ contentType: 'text/plain', textContent: 'a', binaryContent: 'YQ==' }, 'one of textContent and binaryContent'],
    [{ textContent: 'a' }, 'contentType is missing'],
    [{ contentType: 'x/y', binaryContent: 'a' }, 'base64'],
    [{ contentType: 'x/y', binaryContent: 'YQ=' }, 'base64'],
  ])('content %j: %s', (content, sentence) => {
    expect(create(new SmallGrid(), 'contentInstance', { content })).toEqual(badRequest(sentence));
  });

  test('a long value does not make a long sentence', () => {
    expect(refused(subscribe({ latencyClass: 'x'.repeat(100_000) })).detail.length).toBeLessThan(400);
  });
});

const fail = (why: string): never => {
  throw new Error(why);
};
