/** Which paths below an application are its own, and where they lead. */
import { retargetOf } from '../../src/resources/retarget.js';
import type { JsonObject } from '../../src/resources/values.js';
import { accepted, INTERNAL, SmallGrid } from './small-grid.js';

const BASE = 'http://10.0.0.7:8080/api/';

function target(rest: string, paths: readonly (string | JsonObject)[], aPocHandling?: string, aPoC: string = BASE) {
  const grid = new SmallGrid();
  if (aPocHandling) accepted(grid.update('/m2m', { sclBase: { aPocHandling } }, INTERNAL));
  const aPoCPath = paths.map((path) => (typeof path === 'string' ? { path } : path));
  const { node } = grid.made('/m2m/applications', { application: { appId: 'm', aPoC, aPoCPaths: { aPoCPath } } });
  return retargetOf(node, rest.split('/'));
}

test.each([
  // [resources reference 3.8]
  ['SHALLOW', 'readings', 'readings', true],
  ['SHALLOW', '/readings', 'readings', true],
  ['SHALLOW', 'readings', 'readings/today', false],
  ['SHALLOW', 'readings', 'read', false],
  ['SHALLOW', 'readings/', 'readings', false],
  ['SHALLOW', 'readings/', 'readings/today', true],
  ['SHALLOW', 'readings/', 'readings/today/1', false],
  ['SHALLOW', 'a/b', 'a/b', true],
  ['SHALLOW', '/', 'anything', true],
  ['DEEP', 'readings', 'readings', true],
  ['DEEP', 'readings/', 'readings', true],
  ['DEEP', 'readings', 'readings/today/1', true],
  ['DEEP', 'readings', 'readings2', false],
  ['DEEP', 'a/b', 'a', false],
])('%s: %s reaches %s: %s', (handling, path, asked, isReached) => {
  expect(target(asked, [path], handling)).toEqual(isReached ? { aPoC: BASE.slice(0, -1) } : undefined);
});

test('without a word it is SHALLOW', () => {
  expect(target('readings/today', ['readings'])).toBeUndefined();
});

test('the longest path that fits counts, and its right', () => {
  const paths = [
    { path: 'a', accessRightID: '/m2m/accessRights/wide' },
    { path: 'a/b', accessRightID: '/m2m/accessRights/narrow' },
  ];
  expect(target('a/b/c', paths, 'DEEP')?.accessRightID).toBe('/m2m/accessRights/narrow');
  expect(target('a/c', paths, 'DEEP')?.accessRightID).toBe('/m2m/accessRights/wide');
});

test.each(['c37118+tcp://127.0.0.1:4712?idcode=60', 'c37118+udp://127.0.0.1:4712', 'ftp://x/y', 'nonsense'])(
  'an aPoC %s is nothing to forward to',
  (aPoC) => {
    expect(target('readings', ['readings'], 'DEEP', aPoC)).toBeUndefined();
  },
);

test('a resource goes before what the application answers, and without either there is nothing', () => {
  const grid = new SmallGrid();
  const aPoCPaths = { aPoCPath: [{ path: 'readings' }] };
  grid.made('/m2m/applications', { application: { appId: 'm', aPoC: BASE, aPoCPaths } });
  expect(grid.at('/m2m/applications/m/containers').kind).toBe('resource');
  expect(grid.at('/m2m/applications/m/aPoC').kind).toBe('attribute');
  expect(grid.at('/m2m/applications/m/readings')).toMatchObject({ kind: 'virtual', rest: ['readings'] });
  expect(grid.at('/m2m/applications/m/readings/x').kind).toBe('none');
  expect(grid.at('/m2m/applications/m/containers/none').kind).toBe('none');
  expect(grid.at('/m2m/applications/pmu-1/readings').kind).toBe('none');
});
