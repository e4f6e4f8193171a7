/** Members of a group: what is checked when it is written, and what its strategy makes of one that does not fit. */
import type { JsonObject } from '../../src/resources/values.js';
import { accepted, refused, SmallGrid } from './small-grid.js';

const PMU = '/m2m/applications/pmu-1';
const CONTAINER = `${PMU}/containers/measurements`;
const list = (...reference: string[]) => ({ members: { reference } });

let grid: SmallGrid;
beforeEach(() => void (grid = new SmallGrid()));

const create = (group: JsonObject) => grid.create('/m2m/groups', { group: { id: 'g', ...group } });
const made = (group: JsonObject) => {
  const { isAltered } = accepted(create(group));
  return { isAltered, ...grid.fields('/m2m/groups/g') };
};

test('members of its type are counted, and the answer need not show them', () => {
  expect(
    made({ memberType: 'APPLICATION', ...list(PMU), maxNrOfMembers: 2, consistencyStrategy: 'ABANDON_GROUP' }),
  ).toMatchObject({
    isAltered: false,
    currentNrOfMembers: 1,
    memberTypeValidated: true,
    ...list(PMU),
  });
});

test('one that is named twice, or in two spellings, is a member once', () => {
  expect(made({ memberType: 'APPLICATION', ...list(PMU, '/m2m/applications/pmu%2D1', PMU) })).toMatchObject({
    isAltered: true,
    currentNrOfMembers: 1,
    ...list(PMU),
  });
});

test.each([
  ['SCL', '/m2m/scls/gscl-1'],
  ['SERVER_CAPABILITY_LAYER', '/m2m/scls/gscl-1'],
  ['SCL_BASE', '/m2m'],
  ['CONTAINER', CONTAINER],
  ['MIXED', `${CONTAINER}/contentInstances`],
])('%s takes %s', (memberType, member) => {
  expect(made({ memberType, ...list(member) })).toMatchObject(list(member));
});

test.each([
  ['of another type', CONTAINER],
  ['not there', '/m2m/applications/pmu-9'],
  ['of another sclBase', '/other/applications/pmu-1'],
  ['spelt as nothing is', '/m2m/applications/%'],
])('ABANDON_MEMBER leaves out a member that is %s, and shows the group', (_, member) => {
  expect(made({ memberType: 'APPLICATION', ...list(member, PMU) })).toMatchObject({ isAltered: true, ...list(PMU) });
});

test('ABANDON_GROUP creates no group with a member that does not fit, and says which', () => {
  const refusal = create({ memberType: 'APPLICATION', consistencyStrategy: 'ABANDON_GROUP', ...list(PMU, CONTAINER) });
  expect(refused(refusal)).toMatchObject({ status: 'STATUS_BAD_REQUEST' });
  expect(refused(refusal).detail).toContain(`"${CONTAINER}" is of type container`);
  expect(grid.at('/m2m/groups/g').kind).toBe('none');
});

test('MODIFY_TYPE makes the group MIXED for one of another type, also later', () => {
  const strategy = { consistencyStrategy: 'MODIFY_TYPE' };
  expect(made({ memberType: 'APPLICATION', ...strategy, ...list(PMU) })).toMatchObject({ memberType: 'APPLICATION' });
  accepted(grid.update('/m2m/groups/g', { group: { ...strategy, ...list(PMU, CONTAINER, '/m2m/nothing') } }));
  expect(grid.fields('/m2m/groups/g')).toMatchObject({ memberType: 'MIXED', ...list(PMU, CONTAINER) });
});

test('more members than maxNrOfMembers are forbidden, duplicates not counted', () => {
  const refusal = refused(create({ memberType: 'MIXED', maxNrOfMembers: 1, ...list(PMU, CONTAINER) }));
  expect(refusal).toEqual({ status: 'STATUS_FORBIDDEN', detail: expect.stringContaining('2 members') as string });
  expect(made({ memberType: 'MIXED', maxNrOfMembers: 1, ...list(PMU, PMU) })).toMatchObject({ currentNrOfMembers: 1 });
});

test('maxNrOfMembers has a limit of its own', () => {
  expect(made({ memberType: 'MIXED', maxNrOfMembers: 1e9 })).toMatchObject({ isAltered: true, maxNrOfMembers: 10_000 });
});

test.each(['coap://other.example/m2m', 'm2m/applications', '', '/'])('a member %j is no path here', (member) => {
  expect(refused(create({ memberType: 'MIXED', ...list(member) })).detail).toContain('a path here');
});

test('the members alone can be written, and are checked as well', () => {
  made({ memberType: 'APPLICATION' });
  const target = grid.at('/m2m/groups/g/members');
  if (target.kind !== 'attribute') throw new Error(target.kind);
  const act = { nowUs: grid.nowUs, creator: { kind: 'originator', id: 'x' } } as const;
  accepted(grid.tree.updateAttribute(target, list(PMU, CONTAINER), act));
  expect(grid.fields('/m2m/groups/g')).toMatchObject({ memberType: 'APPLICATION', ...list(PMU) });
});
