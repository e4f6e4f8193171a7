import { isRefusal } from '../../src/errors.js';
import { checkVerb, type Target } from '../../src/resources/target.js';
import type { Verb } from '../../src/resources/types.js';
import { accepted, refused, SECOND_US, SmallGrid, type Stored } from './small-grid.js';

const PMU = '/m2m/applications/pmu-1';
const INSTANCES = `${PMU}/containers/measurements/contentInstances`;

/** A target in one line. */
function line(target: Target<Stored>): string {
  switch (target.kind) {
    case 'resource':
      return `resource ${target.node.type} ${target.node.id}`;
    case 'attribute':
    case 'virtual':
      return [target.kind, target.node.type, target.name, ...target.rest].join(' ');
    case 'instance':
      return ['instance', target.by, target.record?.id ?? 'none', ...target.rest].join(' ');
    case 'none':
      return `none: ${target.refusal.detail}`;
  }
}

/** With instances `a` and `b`, `b` the latest. */
function stored(): SmallGrid {
  const grid = new SmallGrid();
  grid.store('first', 'a');
  grid.nowUs += SECOND_US;
  grid.store('{"hz":50.01}', 'b', 'application/json');
  return grid;
}

describe('a path', () => {
  test.each([
    ['/m2m', 'resource sclBase m2m'],
    ['/m2m/applications', 'resource applications applications'],
    [PMU, 'resource application pmu-1'],
    [INSTANCES, 'resource contentInstances contentInstances'],
    [`${INSTANCES}/subscriptions`, 'resource subscriptions subscriptions'],
    [`${PMU}/searchStrings`, 'attribute application searchStrings'],
    [`${PMU}/searchStrings/searchString`, 'attribute application searchStrings searchString'],
    [`${PMU}/appId`, 'attribute application appId'],
    [`${INSTANCES}/currentNrOfInstances`, 'attribute contentInstances currentNrOfInstances'],
    [`${INSTANCES}/latest`, 'instance latest b'],
    [`${INSTANCES}/oldest`, 'instance oldest a'],
    [`${INSTANCES}/a`, 'instance id a'],
    [`${INSTANCES}/latest/content`, 'instance latest b content'],
    [`${INSTANCES}/latest/content/textContent`, 'instance latest b content textContent'],
    [`${INSTANCES}/a/contentSize`, 'instance id a contentSize'],
    [`${PMU}/notificationChannels/c/longPolling`, 'virtual notificationChannel longPolling'],
    ['/', 'none: There is nothing at /; the sclBase is /m2m.'],
    ['/etsi', 'none: There is nothing at /etsi; the sclBase is /m2m.'],
    ['/m2m/nix', 'none: There is no "nix" below /m2m.'],
    [`/m2m/applications/pmu-2/containers`, 'none: There is no "pmu-2" below /m2m/applications.'],
    [`${PMU}/breaker/open`, `none: There is no "breaker" below ${PMU}.`],
    [`${INSTANCES}/c`, `none: There is no "c" below ${INSTANCES}.`],
    [`${INSTANCES}/latest/nix`, `none: There is no latest/nix below ${INSTANCES}.`],
    ['/m2m/__proto__', 'none: There is no "__proto__" below /m2m.'],
    [`${PMU}/constructor`, `none: There is no "constructor" below ${PMU}.`],
    [`${INSTANCES}/latest/toString`, `none: There is no latest/toString below ${INSTANCES}.`],
  ])('%s is %s', (path, expected) => {
    expect(line(stored().at(path))).toBe(expected);
  });

  test('to the latest of an empty container leads somewhere that can be observed, and reads as 404', () => {
    const grid = new SmallGrid();
    expect(line(grid.at(`${INSTANCES}/latest/content`))).toBe('instance latest none content');
    expect(grid.read(`${INSTANCES}/latest/content`)).toEqual({
      status: 'STATUS_NOT_FOUND',
      detail: `There is no latest in ${INSTANCES}: it is empty.`,
    });
  });

  test('to an instance by its time tag, and to none that has grown too old', () => {
    const grid = new SmallGrid();
    accepted(grid.update(`${PMU}/containers/measurements`, { container: { maxInstanceAge: 86_400 } }));
    const { id } = grid.store('50.01');
    expect(id).toBe('2026-11-23T08:15:00.000000Z');
    expect(line(grid.at(`${INSTANCES}/${id}`))).toBe(`instance id ${id}`);
    grid.nowUs += 86_401 * SECOND_US;
    expect(grid.at(`${INSTANCES}/${id}`).kind).toBe('none');
    expect(line(grid.at(`${INSTANCES}/latest`))).toBe('instance latest none');
  });

  test('a nearest resource is given with what is not there, for whoever retargets', () => {
    expect(new SmallGrid().at(`${PMU}/breaker/open`)).toMatchObject({ nearest: { id: 'pmu-1' } });
  });
});

describe('reading', () => {
  test('a resource, an attribute, a part of it: each under its own name', () => {
    const grid = stored();
    expect(grid.read(PMU)).toMatchObject({
      document: { application: { appId: 'pmu-1', searchStrings: { searchString: ['Visby'] } } },
    });
    expect(grid.read(`${PMU}/searchStrings`)).toEqual({
      kind: 'document',
      document: { searchStrings: { searchString: ['Visby'] } },
    });
    expect(grid.read(`${PMU}/searchStrings/searchString`)).toEqual({
      kind: 'document',
      document: { searchString: ['Visby'] },
    });
    expect(grid.read(`${INSTANCES}/latest/id`)).toEqual({ kind: 'document', document: { id: 'b' } });
    expect(grid.read(`${INSTANCES}/contentInstanceCollection`)).toMatchObject({
      document: { contentInstanceCollection: { contentInstance: [{ id: 'a' }, { id: 'b' }] } },
    });
  });

  test('references lead to what they name', () => {
    const grid = stored();
    const references = [...grid.tree].flatMap((node) =>
      [
        ...JSON.stringify(grid.fields(node.reference)).matchAll(
          /"(?:\w*[rR]eference|contactURI|longPollingURI)":"([^"]+)"/g,
        ),
      ].map(([, path]) => path ?? ''),
    );
    expect(references.length).toBeGreaterThan(15);
    for (const path of references) expect(`${path} ${grid.at(decodeURIComponent(path)).kind}`).not.toMatch(/none$/);
  });

  test('an absent attribute and a part that is not there: 404', () => {
    const grid = stored();
    for (const path of [
      'aPoC',
      'searchStrings/nix',
      'searchStrings/searchString/0',
      'searchStrings/__proto__',
      'searchStrings/constructor',
      'appId/length',
    ]) {
      expect(refused(grid.read(`${PMU}/${path}`)).status).toBe('STATUS_NOT_FOUND');
    }
    for (const part of ['content/nix', 'content/textContent/x', 'delayTolerance', 'content/__proto__']) {
      expect(refused(grid.read(`${INSTANCES}/latest/${part}`)).status).toBe('STATUS_NOT_FOUND');
    }
  });

  test('content comes as the bytes it was stored as, text by name where it is text, else 406', () => {
    const grid = stored();
    const json = { kind: 'bytes', mediaType: 'application/json', bytes: Buffer.from('{"hz":50.01}') };
    for (const part of ['content', 'content/textContent', 'content/binaryContent'])
      expect(grid.read(`${INSTANCES}/latest/${part}`)).toEqual(json);
    expect(grid.read(`${INSTANCES}/latest/content/contentType`)).toEqual({
      kind: 'document',
      document: { contentType: 'application/json' },
    });
    grid.store('\u0001', 'raw', 'application/octet-stream');
    expect(refused(grid.read(`${INSTANCES}/latest/content/textContent`)).status).toBe('STATUS_NOT_ACCEPTABLE');
    expect(grid.read(`${INSTANCES}/raw`)).toMatchObject({
      document: { contentInstance: { content: { binaryContent: 'AQ==' } } },
    });
  });

  test('bytes that only claim to be text come back unharmed', () => {
    const grid = new SmallGrid();
    const record = grid.store('', 'x', 'text/plain');
    const bytes = Uint8Array.of(0xff, 0xfe);
    Object.assign(record.value, { bytes });
    expect(grid.read(`${INSTANCES}/x`)).toMatchObject({
      document: { contentInstance: { content: { binaryContent: '//4=' } } },
    });
  });

  test('the counters, latest and oldest of contentInstances move with what is stored and evicted', () => {
    const grid = stored();
    const { etag } = grid.node(INSTANCES);
    grid.store('three', 'c');
    grid.store('four', 'd');
    expect(grid.fields(INSTANCES)).toMatchObject({
      currentNrOfInstances: 3,
      currentByteSize: 12 + 5 + 4,
      latest: { id: 'd', reference: `${INSTANCES}/d` },
      oldest: { id: 'b', reference: `${INSTANCES}/b` },
      lastModifiedTime: '2026-11-23T08:15:01.000000Z',
    });
    expect(grid.node(INSTANCES).etag).not.toBe(etag);
  });
});

describe('verbs', () => {
  const LETTERS: Readonly<Record<Verb, string>> = { create: 'C', retrieve: 'R', update: 'U', delete: 'D' };
  const VERBS = Object.keys(LETTERS) as Verb[];

  // C create, R retrieve, U update, D delete [resources reference 1.2].
  test.each([
    ['/m2m', 'RU'],
    ['/m2m/applications', 'CRU'],
    ['/m2m/containers', 'CRU'],
    [INSTANCES, 'CR'],
    [`${PMU}/subscriptions`, 'CR'],
    [`${PMU}/notificationChannels`, 'CRU'],
    [PMU, 'RUD'],
    [`${PMU}/containers/measurements`, 'RUD'],
    [`${PMU}/subscriptions/s`, 'RUD'],
    [`${PMU}/notificationChannels/c`, 'RD'],
    [`${PMU}/notificationChannels/c/longPolling`, 'CR'],
    [`${INSTANCES}/a`, 'RD'],
    [`${INSTANCES}/latest`, 'RD'],
    [`${INSTANCES}/latest/content`, 'R'],
    [`${PMU}/searchStrings`, 'RU'],
    [`${PMU}/creationTime`, 'R'],
  ])('%s takes %s and refuses the rest, saying what it takes', (path, taken) => {
    const target = stored().at(path);
    const allow = VERBS.filter((verb) => taken.includes(LETTERS[verb]));
    for (const verb of VERBS) {
      const refusal = checkVerb(target, verb);
      if (allow.includes(verb)) expect(refusal).toBeUndefined();
      else
        expect(refusal).toMatchObject({
          allow,
          detail: expect.stringContaining(allow.join(', ').toUpperCase()) as string,
        });
    }
  });

  test.each<[string, Verb, number]>([
    [`${INSTANCES}/latest`, 'create', 400],
    [`${INSTANCES}/latest`, 'update', 405],
    [`${INSTANCES}/a`, 'create', 405],
    [`${INSTANCES}/a`, 'update', 405],
    [`${PMU}/searchStrings`, 'create', 400],
    [`${PMU}/creationTime`, 'update', 400],
    [`${PMU}/searchStrings`, 'delete', 405],
    [PMU, 'create', 405],
    ['/m2m', 'delete', 405],
    ['/m2m/nix', 'retrieve', 404],
  ])('%s %s: %d', (path, verb, status) => {
    const refusal = checkVerb(stored().at(path), verb);
    const statuses = { 400: 'STATUS_BAD_REQUEST', 404: 'STATUS_NOT_FOUND', 405: 'STATUS_METHOD_NOT_ALLOWED' };
    expect(refusal?.status).toBe(statuses[status as keyof typeof statuses]);
    expect(isRefusal(refusal)).toBe(true);
  });
});
