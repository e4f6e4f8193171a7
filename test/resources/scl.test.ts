/** A registered SCL: what follows from its points of contact, and where each kind of resource may stand. */
import type { JsonObject } from '../../src/resources/values.js';
import { accepted, MINIMAL, refused, SmallGrid } from './small-grid.js';

const SCL = '/m2m/scls/gscl-1';
const CONTACT = { contactInfo: { contactURI: 'coap://[::1]' } };

let grid: SmallGrid;
beforeEach(() => void (grid = new SmallGrid()));

const poc = (id: string, onlineStatus: string) =>
  grid.made(`${SCL}/m2mPocs`, { m2mPoc: { id, ...CONTACT, onlineStatus } }).node;

describe('onlineStatus and serverCapability', () => {
  test('of a new one: OFFLINE, none', () => {
    expect(grid.fields(SCL)).toMatchObject({ onlineStatus: 'OFFLINE', serverCapability: false });
  });

  test.each([
    [['ONLINE'], 'ONLINE'],
    [['OFFLINE', 'NOT_REACHABLE', 'ONLINE'], 'ONLINE'],
    [['NOT_REACHABLE'], 'NOT_REACHABLE'],
    [['NOT_REACHABLE', 'NOT_REACHABLE'], 'NOT_REACHABLE'],
    [['NOT_REACHABLE', 'OFFLINE'], 'OFFLINE'],
    [['OFFLINE'], 'OFFLINE'],
  ])('with %j: %s', (statuses, onlineStatus) => {
    statuses.forEach((status, index) => poc(`p${index}`, status));
    expect(grid.fields(SCL)).toMatchObject({ onlineStatus, serverCapability: true });
  });

  test('follow each change of a point of contact, and so does the entity tag', () => {
    const scl = grid.node(SCL);
    const tags = [scl.etag];
    const changed = (onlineStatus: string): void => {
      expect(grid.fields(SCL)).toMatchObject({ onlineStatus });
      expect(tags).not.toContain(scl.etag);
      tags.push(scl.etag);
    };
    const node = poc('p', 'ONLINE');
    changed('ONLINE');
    accepted(grid.update(node.reference, { m2mPoc: { ...CONTACT, onlineStatus: 'NOT_REACHABLE' } }));
    changed('NOT_REACHABLE');
    grid.tree.remove(node, grid.nowUs);
    changed('OFFLINE');
    expect(grid.fields(SCL)).toMatchObject({ serverCapability: false });
  });

  test('come back with the SCL under a tag that no earlier run gave', () => {
    const { type, attributes, creator, createdUs, modifiedUs, revision } = grid.node(SCL);
    const later = new SmallGrid();
    later.tree.resume(revision);
    const scls = later.node('/m2m/scls');
    const back = later.tree.restore(scls, 'gscl-9', { type, attributes, creator, createdUs, modifiedUs, revision });
    expect(back.revision).toBeGreaterThan(revision);
  });
});

test('an SCL without an id is refused: it has one', () => {
  const { sclId: _, ...body } = MINIMAL.scl?.body ?? {};
  expect(refused(grid.create('/m2m/scls', { scl: body })).detail).toContain('scl.sclId is missing');
});

test('an sclId that is registered is a conflict', () => {
  expect(refused(grid.create('/m2m/scls', { scl: { ...MINIMAL.scl?.body, sclId: 'gscl-1' } })).status).toBe(
    'STATUS_CONFLICT',
  );
});

test.each([
  ['TR 069', 'BBF TR 069'],
  ['BBF', 'BBF TR 069'],
])('mgmtProtocolType %s is taken and told as %s', (mgmtProtocolType, told) => {
  const { node, isAltered } = grid.made('/m2m/scls', { scl: { ...MINIMAL.scl?.body, mgmtProtocolType } });
  expect(isAltered).toBe(true);
  expect(grid.fields(node.reference)).toMatchObject({ mgmtProtocolType: told });
});

test.each([{}, { contactURI: 'coap://[::1]', other: 'x' }, { contactURI: 7 }])(
  'contactInfo %j is refused',
  (contactInfo) => {
    expect(refused(grid.create(`${SCL}/m2mPocs`, { m2mPoc: { contactInfo } })).detail).toContain('contactInfo');
  },
);

describe('a kind of resource stands where it belongs', () => {
  const documents: Readonly<Record<string, JsonObject>> = {
    container: {},
    containerAnnc: MINIMAL.containerAnnc?.body ?? {},
    locationContainer: MINIMAL.locationContainer?.body ?? {},
    group: { memberType: 'MIXED' },
    groupAnnc: MINIMAL.groupAnnc?.body ?? {},
    application: {},
    applicationAnnc: MINIMAL.applicationAnnc?.body ?? {},
  };

  test.each([
    ['/m2m/containers', 'container', true],
    ['/m2m/containers', 'containerAnnc', false],
    ['/m2m/containers', 'locationContainer', false],
    ['/m2m/groups', 'group', true],
    ['/m2m/groups', 'groupAnnc', false],
    ['/m2m/applications', 'applicationAnnc', false],
    ['/m2m/applications/pmu-1/containers', 'locationContainer', true],
    ['/m2m/applications/pmu-1/containers', 'containerAnnc', false],
    ['/m2m/applications/pmu-1/groups', 'group', true],
    [`${SCL}/applications`, 'application', false],
    [`${SCL}/applications`, 'applicationAnnc', true],
    [`${SCL}/containers`, 'container', false],
    [`${SCL}/containers`, 'containerAnnc', true],
    [`${SCL}/groups`, 'groupAnnc', true],
    [`${SCL}/applications/pmu-7Annc/containers`, 'containerAnnc', true],
    [`${SCL}/applications/pmu-7Annc/containers`, 'container', false],
    [`${SCL}/applications/pmu-7Annc/groups`, 'groupAnnc', true],
  ])('%s: %s %s', (collection, type, isTaken) => {
    grid.made(`${SCL}/applications`, { applicationAnnc: { id: 'pmu-7Annc', ...documents.applicationAnnc } });
    const result = grid.create(collection, { [type]: documents[type] ?? {} });
    if (isTaken) accepted(result);
    else expect(refused(result)).toMatchObject({ status: 'STATUS_FORBIDDEN' });
  });

  test('a document of no kind that the collection has is malformed', () => {
    expect(refused(grid.create('/m2m/groups', { container: {} })).detail).toContain('group or groupAnnc');
  });
});

test('an Annc has no times', () => {
  const { node } = grid.made(`${SCL}/containers`, {
    containerAnnc: { ...MINIMAL.containerAnnc?.body, id: 'loadAnnc' },
  });
  expect(Object.keys(grid.fields(node.reference))).toEqual(['id', 'link', 'searchStrings']);
});

test.each(['containers', '/containers/load', 'aPoC', '/groups/'])('an aPoCPath %j is the application’s own', (path) => {
  const refusal = refused(grid.create('/m2m/applications', { application: { aPoCPaths: { aPoCPath: [{ path }] } } }));
  expect(refusal.detail).toContain('which an application has itself');
});
