import { parseTime } from '../../src/clock.js';
import { isRefusal } from '../../src/errors.js';
import { seededRandom } from '../../src/random.js';
import { discover } from '../../src/resources/discovery.js';
import { ResourceTree } from '../../src/resources/tree.js';
import type { JsonObject } from '../../src/resources/values.js';
import { accepted, INTERNAL, METER, MINIMAL, NOW_US, refused, SECOND_US, segments, SmallGrid } from './small-grid.js';

const DAY_US = 86_400 * SECOND_US;
const PMU = '/m2m/applications/pmu-1';
const at = (us: number): string => new Date(us / 1000).toISOString();
const container = (body: JsonObject): JsonObject => ({ container: body });

describe('creating', () => {
  test('brings the collections of the type and makes the path readable at once', () => {
    const grid = new SmallGrid();
    const { node } = grid.made('/m2m/containers', container({ id: 'load' }));
    expect(node.path).toEqual(['m2m', 'containers', 'load']);
    expect([...node.children].map(({ id }) => id)).toEqual(['contentInstances', 'subscriptions']);
    expect(grid.fields('/m2m/containers').containerCollection).toEqual({
      namedReference: [{ id: 'load', reference: '/m2m/containers/load' }],
    });
  });

  test('generates an id where none is given, and says so', () => {
    const grid = new SmallGrid();
    const [one, other] = [0, 1].map(() => grid.made('/m2m/applications', { application: {} }));
    expect(one).toMatchObject({ isAltered: true });
    expect(one?.node.id).toMatch(/^[a-z2-9]{16}$/);
    expect(other?.node.id).not.toBe(one?.node.id);
    expect(grid.made('/m2m/applications', { application: { appId: 'x' } }).isAltered).toBe(false);
  });

  test.each(['', '/', 'a/b', '.', '..', 'nul\0', '\ud800', 'x'.repeat(256), 'é'.repeat(128)])('id %j: 400', (id) => {
    const result = new SmallGrid().create('/m2m/containers', container({ id }));
    expect(result).toMatchObject({ status: 'STATUS_BAD_REQUEST', detail: expect.stringContaining('id') as string });
  });

  test.each([
    'latest',
    'oldest',
    'content',
    'subscriptions',
    'mgmtObjs',
    'accessRightID',
    'containerCollection',
    'creationTime',
  ])('id %s is reserved: 400', (id) => {
    expect(refused(new SmallGrid().create('/m2m/containers', container({ id }))).detail).toContain('reserved');
  });

  test.each(['__proto__', 'constructor', 'hasOwnProperty', 'toString', 'x'.repeat(255), 'é ü', '?a=b&c#d', '%2F'])(
    'id %j is an id like any other',
    (id) => {
      const grid = new SmallGrid();
      expect(grid.tree.resolve(['m2m', 'containers', id], NOW_US).kind).toBe('none');
      const { node } = grid.made(
        '/m2m/containers',
        container(JSON.parse(`{"id":${JSON.stringify(id)}}`) as JsonObject),
      );
      expect(grid.tree.resolve(['m2m', 'containers', id], NOW_US)).toEqual({ kind: 'resource', node });
      expect(grid.fields('/m2m/containers').containerCollection).toMatchObject({ namedReference: [{ id }] });
      expect(decodeURIComponent(node.reference)).toBe(`/m2m/containers/${id}`);
      expect(refused(grid.create('/m2m/containers', container({ id }))).status).toBe('STATUS_CONFLICT');
    },
  );

  test('an id that is taken: 409 naming it, and the first one stays', () => {
    const grid = new SmallGrid();
    const before = grid.node(PMU);
    expect(grid.create('/m2m/applications', { application: { appId: 'pmu-1' } })).toEqual({
      status: 'STATUS_CONFLICT',
      detail: '"pmu-1" is taken in /m2m/applications; choose another id.',
    });
    expect(grid.node(PMU)).toBe(before);
  });

  test.each([
    {},
    { application: {} },
    { container: {}, application: {} },
    { container: [] },
    { container: null },
    { container: 'x' },
    { Container: {} },
  ])('document %j in containers: 400 naming the root key', (document) => {
    expect(new SmallGrid().create('/m2m/containers', document as JsonObject)).toMatchObject({
      status: 'STATUS_BAD_REQUEST',
      detail: expect.stringContaining('container') as string,
    });
  });

  test('touches the collection, not the resources above it', () => {
    const grid = new SmallGrid();
    grid.nowUs += 5 * SECOND_US;
    const [above, collection] = [grid.node('/m2m').etag, grid.node('/m2m/containers').etag];
    const { node } = grid.made('/m2m/containers', container({}));
    expect(grid.fields('/m2m/containers')).toMatchObject({
      lastModifiedTime: '2026-11-23T08:15:05.000000Z',
      creationTime: '2026-11-23T08:15:00.000000Z',
    });
    expect(grid.node('/m2m/containers').etag).not.toBe(collection);
    expect(grid.node('/m2m').etag).toBe(above);
    expect(node.createdUs).toBe(grid.nowUs);
  });

  test('a refused one leaves everything as it was', () => {
    const grid = new SmallGrid();
    grid.node('/m2m/containers');
    const before = [...grid.tree].map(({ reference, revision }) => [reference, revision]);
    for (const body of [{ maxByteSize: 'x' }, { id: 'a/b' }, { unknown: 1 }])
      expect(isRefusal(grid.create('/m2m/containers', container(body)))).toBe(true);
    expect([...grid.tree].map(({ reference, revision }) => [reference, revision])).toEqual(before);
  });
});

describe('expirationTime', () => {
  const create = (expirationTime: string) =>
    new SmallGrid().create(
      '/m2m/containers',
      container({ id: 'x', expirationTime, durability: 'synced', maxNrOfInstances: 1, maxByteSize: 10 }),
    );

  test('in the past: 400', () => {
    for (const past of [at(NOW_US), at(NOW_US - 1000)]) expect(refused(create(past)).detail).toContain('has passed');
  });

  test.each([
    ['below a minute is moved to it', SECOND_US, 60 * SECOND_US],
    ['above 30 days is moved to them', 31 * DAY_US, 30 * DAY_US],
    ['between stays', DAY_US, DAY_US],
  ])('%s', (_, asked, given) => {
    const { node, isAltered } = accepted(create(at(NOW_US + asked)));
    expect(parseTime(String(node.attributes.get('expirationTime')))).toBe(NOW_US + given);
    expect(isAltered).toBe(asked !== given);
  });
});

describe('the limits of a container', () => {
  const limits = (body: JsonObject, creator = METER) => {
    const { node, isAltered } = new SmallGrid().made(
      '/m2m/containers',
      container({ id: 'x', durability: 'latest', ...body }),
      creator,
    );
    const [count, bytes, age] = ['maxNrOfInstances', 'maxByteSize', 'maxInstanceAge'].map((name) =>
      node.attributes.get(name),
    );
    return { limits: [count, bytes, age], isAltered };
  };

  test.each<[string, JsonObject, unknown[], boolean]>([
    ['none given: defaults', {}, [20, 20_480, undefined], true],
    ['count given: bytes at their largest', { maxNrOfInstances: 5 }, [5, 1_024_000, undefined], true],
    ['bytes given: count at its largest', { maxByteSize: 500 }, [200, 500, undefined], true],
    ['age given: both at their largest', { maxInstanceAge: 100_000 }, [200, 1_024_000, 100_000], true],
    ['both given: as asked', { maxNrOfInstances: 5, maxByteSize: 500 }, [5, 500, undefined], false],
    [
      'above: clamped',
      { maxNrOfInstances: 201, maxByteSize: 1_024_001, maxInstanceAge: 1e9 },
      [200, 1_024_000, 31_536_000],
      true,
    ],
    ['below: clamped', { maxNrOfInstances: 0, maxByteSize: 0, maxInstanceAge: 0 }, [1, 10, 86_400], true],
  ])('%s', (_, body, expected, isAltered) => {
    expect(limits(body)).toEqual({ limits: expected, isAltered });
  });

  test('the broker sets its own, and what it leaves open does not limit', () => {
    expect(limits({ maxInstanceAge: 600 }, INTERNAL)).toEqual({
      limits: [undefined, undefined, 600],
      isAltered: false,
    });
    expect(limits({ maxNrOfInstances: 18_000 }, INTERNAL)).toEqual({
      limits: [18_000, undefined, undefined],
      isAltered: false,
    });
    expect(limits({}, INTERNAL).limits).toEqual([20, 20_480, undefined]);
  });

  test('written back unchanged by somebody else they stay; changed, they are clamped', () => {
    const grid = new SmallGrid();
    grid.made(
      '/m2m/containers',
      container({ id: 'x', maxNrOfInstances: 18_000, maxByteSize: 100, durability: 'latest' }),
      INTERNAL,
    );
    const set = (maxNrOfInstances: number) =>
      accepted(
        grid.update('/m2m/containers/x', container({ maxNrOfInstances, maxByteSize: 100, durability: 'latest' })),
      );
    expect(set(18_000)).toMatchObject({ isAltered: false });
    expect(grid.fields('/m2m/containers/x').maxNrOfInstances).toBe(18_000);
    expect(set(17_000)).toMatchObject({ isAltered: true });
    expect(grid.fields('/m2m/containers/x').maxNrOfInstances).toBe(200);
  });

  test('lowered by an update, they evict at once', () => {
    const grid = new SmallGrid();
    for (const name of ['a', 'b', 'c']) grid.store('1', name);
    accepted(grid.update(`${PMU}/containers/measurements`, container({ maxNrOfInstances: 1 })));
    expect(grid.fields(`${PMU}/containers/measurements/contentInstances`)).toMatchObject({
      currentNrOfInstances: 1,
      currentByteSize: 1,
      latest: { id: 'c' },
      oldest: { id: 'c' },
    });
  });
});

describe('updating', () => {
  test('moves lastModifiedTime and the entity tag, not creationTime', () => {
    const grid = new SmallGrid();
    const { etag } = grid.node(PMU);
    grid.nowUs += SECOND_US;
    accepted(grid.update(PMU, { application: { locRequestor: 'x' } }));
    expect(grid.fields(PMU)).toMatchObject({
      creationTime: '2026-11-23T08:15:00.000000Z',
      lastModifiedTime: '2026-11-23T08:15:01.000000Z',
      searchStrings: { searchString: [] },
    });
    expect(grid.node(PMU).etag).not.toBe(etag);
  });

  test('accessRightID of a collection and nothing else', () => {
    const grid = new SmallGrid();
    accepted(grid.update('/m2m/applications', { applications: { accessRightID: '/m2m/accessRights/a' } }));
    expect(grid.fields('/m2m/applications').accessRightID).toBe('/m2m/accessRights/a');
    expect(
      refused(grid.update('/m2m/applications', { applications: { searchStrings: { searchString: [] } } })).detail,
    ).toContain('it takes accessRightID');
  });

  const one = (grid: SmallGrid, path: string, document: JsonObject) => {
    const target = grid.at(path);
    if (target.kind !== 'attribute') throw new Error(`${path} is ${target.kind}`);
    return grid.tree.updateAttribute(target, document, { nowUs: grid.nowUs, creator: METER });
  };

  test('one attribute leaves the others, even those that never change', () => {
    const grid = new SmallGrid();
    const path = `${PMU}/subscriptions/s`;
    accepted(grid.update(path, { subscription: { rate: 5, expirationTime: at(NOW_US + 61 * SECOND_US) } }));
    const before = grid.fields(path);
    grid.nowUs += 30 * SECOND_US; // by now the expirationTime is nearer than one may ask
    accepted(one(grid, `${path}/rate`, { rate: 10 }));
    expect(grid.fields(path)).toEqual({ ...before, rate: 10, lastModifiedTime: '2026-11-23T08:15:30.000000Z' });
  });

  test.each<[string, JsonObject]>([
    ['rate', {}],
    ['rate', { accept: 'x' }],
    ['rate', { rate: 1, accept: 'x' }],
    ['rate', { rate: 'x' }],
    ['rate', { rate: null }],
    ['contact', { contact: '/x' }],
  ])('%s by %j: 400', (name, document) => {
    const grid = new SmallGrid();
    expect(refused(one(grid, `${PMU}/subscriptions/s/${name}`, document))).toMatchObject({
      status: 'STATUS_BAD_REQUEST',
      detail: expect.stringContaining(name) as string,
    });
  });

  test('a part of an attribute is not written alone', () => {
    expect(refused(one(new SmallGrid(), `${PMU}/searchStrings/searchString`, { searchString: [] })).detail).toContain(
      `write ${PMU}/searchStrings`,
    );
  });
});

describe('removing', () => {
  test('takes everything below along that has ever been looked at, parents first, and touches the collection', () => {
    const grid = new SmallGrid();
    const { etag } = grid.node('/m2m/applications');
    const removed = grid.tree.remove(grid.node(PMU), NOW_US + SECOND_US);
    expect(removed.map(({ reference }) => reference.slice(PMU.length))).toEqual([
      '',
      '/containers',
      '/containers/measurements',
      '/subscriptions',
      '/subscriptions/s',
      '/notificationChannels',
      '/notificationChannels/c',
    ]);
    expect(grid.at(PMU).kind).toBe('none');
    expect(grid.node('/m2m/applications').etag).not.toBe(etag);
    expect(grid.fields('/m2m/applications').lastModifiedTime).toBe('2026-11-23T08:15:01.000000Z');
  });

  test('and creating anew never gives an entity tag again', () => {
    const grid = new SmallGrid();
    const tags = Array.from({ length: 5 }, () => {
      const { node } = grid.made('/m2m/containers', container({ id: 'x' }));
      const { etag } = node;
      grid.tree.remove(node, grid.nowUs);
      return etag;
    });
    expect(new Set(tags).size).toBe(5);
  });

  test('100,000 created and removed leave what was there before', () => {
    const grid = new SmallGrid();
    const before = [...grid.tree].map(({ reference }) => reference);
    const applications = grid.node('/m2m/applications');
    for (let round = 0; round < 100_000; round++) {
      const { node } = accepted(
        grid.tree.create(applications, { application: { appId: `a${round % 7}` } }, { nowUs: NOW_US, creator: METER }),
      );
      grid.tree.remove(node, NOW_US);
    }
    expect([...grid.tree].map(({ reference }) => reference)).toEqual(before);
    expect(grid.fields('/m2m/applications').applicationCollection).toMatchObject({ namedReference: [{ id: 'pmu-1' }] });
  });
});

describe('contentInstances from a document', () => {
  const draft = (body: JsonObject) => {
    const grid = new SmallGrid();
    const { collection } = MINIMAL.contentInstance ?? { collection: '' };
    return grid.tree.draftInstance(grid.node(collection), { contentInstance: body }, { nowUs: NOW_US, creator: METER });
  };

  test('text and base64 become the bytes they stand for', () => {
    const text = accepted(draft({ id: 'a', content: { contentType: 'text/plain', textContent: 'é' } }));
    expect(text).toEqual({
      id: 'a',
      content: { mediaType: 'text/plain', bytes: Buffer.from('é') },
      attributes: undefined,
      isAltered: false,
    });
    const binary = accepted(
      draft({ content: { contentType: 'x/y', binaryContent: 'AP8=' }, delayTolerance: '2026-12-01T00:00:00Z' }),
    );
    expect([...binary.content.bytes]).toEqual([0, 255]);
    expect(binary.attributes).toEqual(new Map([['delayTolerance', '2026-12-01T00:00:00Z']]));
    expect(binary).toMatchObject({ isAltered: true, id: expect.stringMatching(/^\w{16}$/) as string });
  });

  test.each(['latest', 'oldest', 'content', 'currentByteSize', 'a/b', ''])('id %j: 400', (id) => {
    expect(refused(draft({ id, content: { contentType: 'text/plain', textContent: '' } })).status).toBe(
      'STATUS_BAD_REQUEST',
    );
  });
});

test('discovery lists every path once, latest and its content as observable', () => {
  const grid = new SmallGrid();
  const found = [...discover(grid.tree.root)].map(
    ({ path, isObservable }) => `/${path.join('/')}${isObservable ? ' obs' : ''}`,
  );
  expect(new Set(found).size).toBe(found.length);
  for (const { path } of discover(grid.tree.root)) expect(grid.tree.resolve(path, NOW_US).kind).not.toBe('none');
  expect(found).toEqual(
    expect.arrayContaining([
      '/m2m obs',
      `${PMU} obs`,
      `${PMU}/subscriptions/s`,
      `${PMU}/containers/measurements/contentInstances obs`,
      `${PMU}/containers/measurements/contentInstances/latest obs`,
      `${PMU}/containers/measurements/contentInstances/latest/content obs`,
    ]),
  );
  expect([...discover(grid.tree.root)].find(({ node }) => node.id === 'pmu-1')?.searchStrings).toEqual(['Visby']);
});

test('a second tree starts at other entity tags, and its sclBase may have another id', () => {
  const tags = [1, 2, 3].map((seed) => new ResourceTree({ random: seededRandom(seed), nowUs: NOW_US }).root.etag);
  expect(new Set(tags).size).toBe(3);
  for (const tag of tags) expect(tag).toMatch(/^[0-9a-z]{1,8}$/);
  const other = new ResourceTree({ sclBaseId: 'nscl', random: seededRandom(1), nowUs: NOW_US });
  expect(other.resolve(segments('/nscl/applications'), NOW_US).kind).toBe('resource');
  expect(other.resolve(segments('/m2m'), NOW_US).kind).toBe('none');
});
