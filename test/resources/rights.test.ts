/** Who may do what: each rule by itself, and all of them against a model that was written from the rules alone. */
import { seededRandom } from '../../src/random.js';
import { FLAGS, type Flag } from '../../src/resources/permissions.js';
import { Rights } from '../../src/resources/rights.js';
import type { JsonObject } from '../../src/resources/values.js';
import { verdict, type ModelEntry, type ModelResource, type Verdict } from './rights-model.js';
import { refused, SmallGrid } from './small-grid.js';

const ADMINISTRATOR = 'chief';
const VERDICTS = { allowed: 200, refused: 401, hidden: 404 } as const;

const entry = (flags: readonly string[], holders: JsonObject, id?: string): JsonObject => ({
  ...(id !== undefined && { id }),
  permissionFlags: { flag: [...flags] },
  permissionHolders: holders,
});
const apps = (...ids: string[]): JsonObject => ({ applicationIDs: { applicationID: ids } });

function foundAt(grid: SmallGrid, path: string) {
  const target = grid.at(path);
  if (target.kind === 'none') throw new Error(target.refusal.detail);
  return target;
}

/** A grid with `pmu-1` and its `measurements`, and what a test adds. */
function stage() {
  const grid = new SmallGrid();
  const rights = new Rights(grid.tree, [ADMINISTRATOR]);
  const ask = (originator: string, flag: Flag, path: string): Verdict =>
    VERDICTS[rights.decide(originator, flag, grid.node(path)).outcome];
  const right = (id: string, permissions: JsonObject[], selfPermissions: JsonObject[] = []): string => {
    const body = { id, permissions: { permission: permissions }, selfPermissions: { permission: selfPermissions } };
    return grid.made('/m2m/accessRights', { accessRight: body }).node.reference;
  };
  const container = (id: string, attributes: JsonObject = {}): string =>
    grid.made('/m2m/containers', { container: { id, ...attributes } }).node.reference;
  return { grid, rights, ask, right, container };
}

describe('rights', () => {
  test('an administrator may do everything', () => {
    const { ask } = stage();
    for (const path of ['/m2m', '/m2m/applications', '/m2m/notificationChannels'])
      for (const flag of FLAGS) expect(ask(ADMINISTRATOR, flag, path)).toBe(200);
  });

  test('at the root, without an accessRightID, he alone may do anything', () => {
    const { ask } = stage();
    for (const path of [
      '/m2m',
      '/m2m/applications',
      '/m2m/containers',
      '/m2m/accessRights',
      '/m2m/notificationChannels',
    ])
      for (const originator of ['pmu-1', 'anonymous'])
        for (const flag of FLAGS) expect(ask(originator, flag, path)).toBe(404);
  });

  test('an application owns its subtree, be it named by id or by path; no other does, and no namesake', () => {
    const { ask } = stage();
    const path = '/m2m/applications/pmu-1/containers/measurements/contentInstances';
    expect(ask('pmu-1', 'DELETE', path)).toBe(200);
    expect(ask('/m2m/applications/pmu-1', 'DELETE', path)).toBe(200);
    for (const other of ['pmu-2', 'PMU-1', 'pmu-1 ', 'coap://evil/m2m/applications/pmu-1'])
      expect(ask(other, 'READ', path)).toBe(404);
  });

  test('nobody in particular owns nothing, though an application be called anonymous', () => {
    const { grid, ask, right, container } = stage();
    grid.made('/m2m/applications', { application: { appId: 'anonymous' } });
    expect(ask('anonymous', 'READ', '/m2m/applications/anonymous')).toBe(404);
    const named = container('named', { accessRightID: right('r', [entry(['READ'], apps('anonymous'))]) });
    expect(ask('anonymous', 'READ', named)).toBe(404);
  });

  test('an entry holds by reference, id, domain or for all; its flags are no others', () => {
    const { ask, right, container } = stage();
    const holders: readonly (readonly [JsonObject, readonly string[], readonly string[]])[] = [
      [{ holderRefs: { holderRef: ['/m2m/applications/a'] } }, ['a', '/m2m/applications/a'], ['b', '/m2m/scls/a']],
      [apps('a'), ['a', '/m2m/applications/a'], ['aa', '/m2m/scls/a', '/m2m/applications/a/b']],
      [{ sclIDs: { sclID: ['g'] } }, ['g', 'coap://far/m2m/scls/g'], ['gg', '/m2m/applications/g']],
      [
        { domains: { domain: ['grid.example'] } },
        ['x.grid.example', 'me@grid.example', 'coap://GRID.example:5683/m2m'],
        ['xgrid.example', 'grid.example.evil', '/grid.example'],
      ],
      [
        { domains: { domain: ['coap://far/m2m'] } },
        ['coap://far/m2m/applications/a'],
        ['coap://far/m2m-evil', 'coap://farther'],
      ],
      [{ all: true }, ['anybody', 'anonymous'], []],
      [{ all: false }, [], ['anybody', 'anonymous']],
    ];
    for (const [index, [held, inside, outside]] of holders.entries()) {
      const path = container(`c${index}`, { accessRightID: right(`r${index}`, [entry(['READ'], held)]) });
      for (const originator of inside)
        expect([originator, ask(originator, 'READ', path), ask(originator, 'WRITE', path)]).toEqual([
          originator,
          200,
          401,
        ]);
      for (const originator of outside) expect([originator, ask(originator, 'READ', path)]).toEqual([originator, 404]);
    }
  });

  test('entries are OR-ed; one without flags is none; any flag lets its holder know of the resource', () => {
    const { ask, right, container } = stage();
    const list = [entry([], { all: true }), entry(['CREATE'], apps('a')), entry(['READ'], apps('a', 'b'))];
    const path = container('c', { accessRightID: right('r', list) });
    expect([ask('a', 'CREATE', path), ask('a', 'READ', path), ask('b', 'CREATE', path)]).toEqual([200, 200, 401]);
    expect([ask('b', 'DISCOVER', path), ask('c', 'DISCOVER', path), ask('c', 'READ', path)]).toEqual([200, 404, 404]);
  });

  test('membersContent goes by its own accessRightID where it has one, else by its group’s', () => {
    const { grid, rights, right } = stage();
    const [forGroup, forMembers] = [right('g', [entry(['READ'], apps('a'))]), right('m', [entry(['READ'], apps('b'))])];
    const make = (id: string, attributes: JsonObject): string =>
      grid.made('/m2m/groups', { group: { id, memberType: 'MIXED', accessRightID: forGroup, ...attributes } }).node
        .reference;
    const [own, shared] = [make('own', { membersContentAccessRightID: forMembers }), make('shared', {})];
    const gone = make('gone', { membersContentAccessRightID: '/m2m/accessRights/none' });
    const at = (who: string, flag: Flag, path: string) =>
      VERDICTS[rights.decideAt(who, flag, foundAt(grid, path)).outcome];
    const members = (who: string, path: string) => at(who, 'READ', `${path}/membersContent/containers`);
    expect([members('a', own), members('b', own)]).toEqual([404, 200]);
    expect([members('a', shared), members('b', shared)]).toEqual([200, 404]);
    expect([members('a', gone), members('b', gone), members(ADMINISTRATOR, gone)]).toEqual([404, 404, 200]);
    expect(at('b', 'DELETE', `${own}/membersContent`)).toBe(401);
    for (const path of [own, shared, gone]) expect([at('a', 'READ', path), at('b', 'READ', path)]).toEqual([200, 404]);
  });

  test('a path of an aPoC goes by its own accessRightID where it has one, else by its application’s; all but READ is WRITE', () => {
    const { grid, rights, right } = stage();
    const [forPath, forAll] = [
      right('p', [entry(['READ', 'WRITE'], apps('a')), entry(['CREATE', 'DELETE'], apps('c'))]),
      right('q', [entry(['READ'], apps('b'))]),
    ];
    const aPoCPaths = { aPoCPath: [{ path: 'open' }, { path: 'closed', accessRightID: forPath }] };
    grid.made('/m2m/applications', {
      application: { appId: 'meter', aPoC: 'http://192.0.2.1', aPoCPaths, accessRightID: forAll },
    });
    const at = (who: string, flag: Flag, path: string) =>
      VERDICTS[rights.decideAt(who, flag, foundAt(grid, `/m2m/applications/meter/${path}`)).outcome];
    expect([at('a', 'READ', 'closed'), at('b', 'READ', 'closed'), at('c', 'READ', 'closed')]).toEqual([200, 404, 401]);
    for (const flag of ['CREATE', 'WRITE', 'DELETE'] as const)
      expect([at('a', flag, 'closed'), at('c', flag, 'closed'), at('b', flag, 'open')]).toEqual([200, 401, 401]);
    expect([at('a', 'READ', 'open'), at('b', 'READ', 'open')]).toEqual([404, 200]);
  });

  test('below an applicationAnnc the application that it links to has the owner’s rights too, by id or by its URI', () => {
    const { grid, ask } = stage();
    grid.made('/m2m/scls', { scl: { sclId: 'g', link: 'coap://g.example/m2m', mgmtProtocolType: 'OMA DM' } });
    const link = 'coap://g.example/m2m/applications/meter%207';
    const labels = { searchStrings: { searchString: [] } };
    grid.made('/m2m/scls/g/applications', { applicationAnnc: { id: 'meterAnnc', link, ...labels } });
    const annc = '/m2m/scls/g/applications/meterAnnc';
    grid.made(`${annc}/containers`, { containerAnnc: { id: 'loadAnnc', link: `${link}/containers/load`, ...labels } });
    for (const path of [annc, `${annc}/containers`, `${annc}/containers/loadAnnc`])
      for (const [who, expected] of [
        ['g', 200],
        ['meter 7', 200],
        [link, 200],
        ['meter', 404],
        ['coap://evil/m2m/applications/meter%207', 404],
        ['anonymous', 404],
      ] as const)
        expect([who, path, ask(who, 'WRITE', path)]).toEqual([who, path, expected]);
    expect([ask('meter 7', 'READ', '/m2m/scls/g'), ask('meter 7', 'READ', '/m2m/scls/g/applications')]).toEqual([
      404, 404,
    ]);
  });

  test('an accessRightID that names no accessRight means default rights, and not open ones', () => {
    const { grid, rights, ask, right } = stage();
    const path = '/m2m/applications/pmu-1/containers/measurements';
    const named = right('r', [entry(['READ'], { all: true })]);
    for (const dangling of [
      '/m2m/accessRights/none',
      '/m2m/accessRights/%72',
      'coap://far/m2m/accessRights/r',
      '/m2m/accessRights/%',
    ]) {
      grid.update(path, { container: { accessRightID: dangling } });
      rights.changed();
      expect([ask('a', 'READ', path), ask('pmu-1', 'READ', path)]).toEqual([404, 200]);
    }
    grid.update(path, { container: { accessRightID: named } });
    // What is named decides alone: its owner holds what all hold.
    expect([ask('a', 'READ', path), ask('pmu-1', 'DELETE', path)]).toEqual([200, 401]);
    expect(refused(grid.update(path, { container: { accessRightID: '/m2m/containers/load' } })).detail).toContain(
      'of an accessRight',
    );
  });

  test('who may touch an accessRight, its selfPermissions say', () => {
    const { ask, right } = stage();
    const path = right(
      'r',
      [entry(['WRITE'], { all: true })],
      [entry(['WRITE'], apps('keeper')), entry(['READ'], apps('clerk'))],
    );
    expect([ask('keeper', 'WRITE', path), ask('clerk', 'WRITE', path), ask('a', 'WRITE', path)]).toEqual([
      200, 401, 404,
    ]);
  });

  test('contents are under their container’s right, and collections under their own', () => {
    const { ask, right, container } = stage();
    const path = container('c', { accessRightID: right('r', [entry(['READ'], apps('a'))]) });
    expect(ask('a', 'READ', `${path}/contentInstances`)).toBe(200);
    expect(ask('a', 'CREATE', `${path}/contentInstances`)).toBe(401);
    expect(ask('a', 'READ', '/m2m/containers')).toBe(404);
  });

  test('subscribing takes READ; a subscription is its creator’s, its owner’s, and to be read by who may delete the resource', () => {
    const { grid, ask, right, container } = stage();
    const list = [entry(['READ'], apps('reader')), entry(['READ'], apps('other')), entry(['DELETE'], apps('sweeper'))];
    const path = container('c', { accessRightID: right('r', list) });
    const subscriptions = `${path}/contentInstances/subscriptions`;
    expect([ask('reader', 'CREATE', subscriptions), ask('sweeper', 'CREATE', subscriptions)]).toEqual([200, 401]);
    expect([ask('reader', 'READ', subscriptions), ask('sweeper', 'READ', subscriptions)]).toEqual([401, 200]);
    const { reference } = grid.made(
      subscriptions,
      { subscription: { contact: 'coap://[::1]/inbox' } },
      { kind: 'originator', id: 'reader' },
    ).node;
    expect([ask('reader', 'DELETE', reference), ask('sweeper', 'READ', reference)]).toEqual([200, 200]);
    expect([ask('other', 'READ', reference), ask('sweeper', 'DELETE', reference)]).toEqual([404, 404]);
  });

  test('a notificationChannel is its creator’s and its owner’s, whatever others hold', () => {
    const { ask } = stage();
    const path = '/m2m/applications/pmu-1/notificationChannels/c';
    expect([ask('meter-1', 'READ', path), ask('pmu-1', 'READ', path), ask('other', 'READ', path)]).toEqual([
      200, 200, 404,
    ]);
  });

  test('personal contents are read by those alone whom an entry names; the container is no secret', () => {
    const { ask, right, container } = stage();
    const accessRightID = right('r', [
      entry(['READ'], { all: true }),
      entry(['READ'], apps('doctor')),
      entry(['READ'], { domains: { domain: ['grid.example'] } }),
    ]);
    const path = container('c', { accessRightID, isPersonal: true });
    const contents = `${path}/contentInstances`;
    expect([ask('a', 'READ', path), ask('a', 'READ', contents), ask('x.grid.example', 'READ', contents)]).toEqual([
      200, 401, 401,
    ]);
    expect([ask('doctor', 'READ', contents), ask('a', 'CREATE', `${contents}/subscriptions`)]).toEqual([200, 401]);
  });

  test('a decision is remembered until a right changes', () => {
    const { grid, rights, ask, right, container } = stage();
    const reference = right('r', [entry(['READ'], apps('a'))]);
    const path = container('c', { accessRightID: reference });
    expect(ask('a', 'READ', path)).toBe(200);
    grid.update(reference, { accessRight: { selfPermissions: { permission: [] } } });
    rights.changed();
    expect(ask('a', 'READ', path)).toBe(404);
  });
});

const RANDOM_PAIRS = 100_000;
const PAIRS_A_GRID = 250;

test('100,000 random requests on random policies are decided as the model decides them', () => {
  const random = seededRandom(20261125);
  const one = <Item>(items: readonly Item[]): Item => items[random.below(items.length)]!; // below its length
  const some = <Item>(items: readonly Item[]): Item[] => items.filter(() => random.below(3) === 0);
  const NAMES = ['pmu-1', 'desk', 'gw.grid.example', 'anonymous'];
  const ORIGINATORS = [
    ...NAMES,
    ADMINISTRATOR,
    'meter-1',
    '/m2m/applications/pmu-1',
    '/m2m/scls/desk',
    'coap://gw.grid.example/m2m/scls/desk',
  ];
  const entryOf = (): ModelEntry => ({
    flags: some(['READ', 'WRITE', 'CREATE', 'DELETE', 'DISCOVER']),
    ...(random.below(3) === 0 && { refs: some(['/m2m/applications/pmu-1', '/m2m/scls/desk', 'desk']) }),
    ...(random.below(3) === 0 && { apps: some(NAMES) }),
    ...(random.below(3) === 0 && { scls: some(NAMES) }),
    ...(random.below(4) === 0 && { hosts: some(['grid.example', 'd.example', 'desk']) }),
    ...(random.below(5) === 0 && { everybody: true }),
  });
  const written = (entries: readonly ModelEntry[]): JsonObject => ({
    permission: entries.map(({ flags, refs, apps: ids, scls, hosts, everybody }) =>
      entry(flags, {
        ...(refs && { holderRefs: { holderRef: refs } }),
        ...(ids && { applicationIDs: { applicationID: ids } }),
        ...(scls && { sclIDs: { sclID: scls } }),
        ...(hosts && { domains: { domain: hosts } }),
        ...(everybody && { all: true }),
      }),
    ),
  });
  const counts = new Map<Verdict, number>();
  for (let pairs = 0; pairs < RANDOM_PAIRS; pairs += PAIRS_A_GRID) {
    const grid = new SmallGrid();
    const model = new Map<string, ModelResource>();
    for (const node of grid.tree)
      model.set(node.reference, {
        type: node.type,
        ...(node.creator.kind === 'originator' && CREATED.includes(node.type) && { creator: node.creator.id }),
      });
    for (const place of ['/m2m/accessRights', '/m2m/applications/pmu-1/accessRights'])
      for (const id of ['r', 's']) {
        const lists = { permissions: [entryOf(), entryOf(), entryOf()], self: [entryOf(), entryOf()] };
        grid.made(place, {
          accessRight: { id, permissions: written(lists.permissions), selfPermissions: written(lists.self) },
        });
        model.set(place, { type: 'accessRights' });
        model.set(`${place}/${id}`, { type: 'accessRight', lists });
      }
    const REFERENCES = [...model].filter(([, { type }]) => type === 'accessRight').map(([path]) => path);
    const rightOf = (): { accessRightID?: string } =>
      random.below(4) === 0
        ? {}
        : { accessRightID: random.below(6) === 0 ? '/m2m/accessRights/gone' : one(REFERENCES) };
    for (const place of ['/m2m/containers', '/m2m/applications/pmu-1/containers']) {
      const named = rightOf();
      const isPersonal = random.below(2) === 0;
      grid.made(place, { container: { id: 'load', isPersonal, ...named } });
      model.set(place, { type: 'containers' });
      model.set(`${place}/load`, {
        type: 'container',
        isPersonal,
        ...(named.accessRightID !== undefined && { right: named.accessRightID }),
      });
      model.set(`${place}/load/contentInstances`, { type: 'contentInstances' });
      model.set(`${place}/load/contentInstances/subscriptions`, { type: 'subscriptions' });
      const creator = one(NAMES);
      grid.made(
        `${place}/load/contentInstances/subscriptions`,
        { subscription: { id: 's', contact: 'coap://x' } },
        { kind: 'originator', id: creator },
      );
      model.set(`${place}/load/contentInstances/subscriptions/s`, { type: 'subscription', creator });
    }
    for (const path of [
      '/m2m',
      '/m2m/applications',
      '/m2m/containers',
      '/m2m/applications/pmu-1/containers',
      '/m2m/applications/pmu-1/notificationChannels',
    ]) {
      const { accessRightID } = rightOf();
      const standing = model.get(path);
      if (accessRightID === undefined || !standing) continue;
      grid.update(path, { [standing.type]: { accessRightID } });
      model.set(path, { ...standing, right: accessRightID });
    }
    const rights = new Rights(grid.tree, [ADMINISTRATOR]);
    const paths = [...model.keys()];
    for (let n = 0; n < PAIRS_A_GRID; n++) {
      const [who, flag, path] = [one(ORIGINATORS), one(['READ', 'WRITE', 'CREATE', 'DELETE'] as const), one(paths)];
      const decided = VERDICTS[rights.decide(who, flag, grid.node(path)).outcome];
      const expected = verdict(model, [ADMINISTRATOR], who, flag, path);
      counts.set(expected, (counts.get(expected) ?? 0) + 1);
      if (decided !== expected)
        throw new Error(`pair ${pairs + n}: ${who} ${flag} ${path}: ${decided}, by the model ${expected}`);
    }
  }
  // Each verdict is met often enough to mean something.
  for (const each of [200, 401, 404] as const) expect(counts.get(each)).toBeGreaterThan(RANDOM_PAIRS / 50);
}, 120_000);

const CREATED: readonly string[] = ['subscription', 'notificationChannel'];
