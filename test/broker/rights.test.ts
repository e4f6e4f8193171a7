/** Access rights as those meet them who come over HTTP, CoAP and WebSocket. */
import { createHash } from 'node:crypto';
import { attachDevice, GridcastError, open, type Client } from '../../src/client/index.js';
import { systemClock } from '../../src/clock.js';
import { isRefusal } from '../../src/errors.js';
import type { BindingName, JsonObject } from '../../src/routing/primitive.js';
import { AuditedStore } from './command-stage.js';
import { closeStage, http, nodeAt, startBroker, until, whenStageCloses, type RunningBroker } from './stage.js';

afterEach(closeStage);

const CHIEF = 'chief';
const RIGHTS = '/m2m/accessRights';
const LATEST = 'contentInstances/latest/content';
/** What a loss of rights may take to show. */
const LOSS_US = 1_000_000;

type Op = 'create' | 'retrieve' | 'update' | 'delete';

const may = (flags: readonly string[], ...ids: readonly string[]): JsonObject => ({
  permissionFlags: { flag: [...flags] },
  permissionHolders: ids.length > 0 ? { applicationIDs: { applicationID: [...ids] } } : { all: true },
});
const granting = (...permission: readonly JsonObject[]): JsonObject => ({
  accessRight: { permissions: { permission: [...permission] }, selfPermissions: { permission: [] } },
});

async function client(uri: string, options: Parameters<typeof open>[1] = {}): Promise<Client> {
  const opened = await open(uri, options);
  whenStageCloses(() => opened.close());
  return opened;
}

const keyOf = (name: string): string => `key-of-${name}`;
/** Each shows the key of his name, over any binding; without one he is nobody in particular. */
const IDENTITY = {
  apiKeys: [CHIEF, 'reader', 'doctor', 'desk', 'rival', 'other', 'feeder'].map((originator) => ({
    originator,
    sha256: createHash('sha256').update(keyOf(originator)).digest('hex'),
  })),
  anonymous: true,
};
const ENFORCED = { rights: 'enforced', administrators: [CHIEF], identity: IDENTITY } as const;

/** A client of somebody. */
const clientOf = (
  running: RunningBroker,
  name: string,
  binding: Exclude<BindingName, 'c37118'> = 'ws',
  options: object = {},
) => client(running[binding], { token: keyOf(name), ...options });

/** A broker with rights, its administrator, and containers that each have one instance, `first`. */
async function stage(containers: Readonly<Record<string, readonly JsonObject[] | undefined>> = {}) {
  const store = new AuditedStore();
  const running = await startBroker(ENFORCED, { store });
  const chief = await clientOf(running, CHIEF);
  const ask = (op: Op, to: string, body?: JsonObject) => chief.request({ op, to, ...(body && { body }) });
  const grant = (id: string, ...permission: readonly JsonObject[]) =>
    ask('update', `${RIGHTS}/${id}`, granting(...permission));
  const container = async (id: string, permission: readonly JsonObject[] | undefined, attributes: JsonObject = {}) => {
    const { accessRight } = granting(...(permission ?? [])) as { accessRight: JsonObject };
    if (permission) await ask('create', RIGHTS, { accessRight: { id, ...accessRight } });
    await ask('create', '/m2m/containers', {
      container: { id, ...(permission && { accessRightID: `${RIGHTS}/${id}` }), ...attributes },
    });
    await publish(id, 'first');
  };
  const publish = (id: string, name: string) =>
    ask('create', `/m2m/containers/${id}/contentInstances`, {
      contentInstance: { id: name, content: { contentType: 'application/json', textContent: `"${name}"` } },
    });
  for (const [id, permission] of Object.entries(containers)) await container(id, permission);
  const audited = (event: string) => store.audited.filter((each) => each.event === event);
  return { running, store, chief, ask, grant, container, publish, audited };
}

/** What a request is answered with: a code, and what is said of it. */
async function answerTo(asker: Client, op: Op, to: string, body?: JsonObject): Promise<{ code: number; said: string }> {
  try {
    const { status } = await asker.request({ op, to, ...(body && { body }) });
    return { code: status === 'STATUS_CREATED' ? 201 : 200, said: '' };
  } catch (error) {
    if (!(error instanceof GridcastError)) throw error;
    return { code: error.code ?? 0, said: error.message };
  }
}

const C = '/m2m/containers';
const INSTANCE = { contentInstance: { content: { contentType: 'application/json', textContent: '1' } } };
const BROKEN = { nonsense: 1 };
const CASES: readonly (readonly [op: Op, to: string, code: number, body?: JsonObject])[] = [
  ['retrieve', `${C}/read`, 200],
  ['retrieve', `${C}/read/maxNrOfInstances`, 200],
  ['retrieve', `${C}/read/contentInstances`, 200],
  ['retrieve', `${C}/read/${LATEST}`, 200],
  ['retrieve', `${C}/read/contentInstances/none`, 404],
  ['create', `${C}/read`, 401, INSTANCE],
  ['create', `${C}/read/contentInstances`, 401, INSTANCE],
  ['update', `${C}/read`, 401, { container: {} }],
  ['update', `${C}/read/searchStrings`, 401, { searchStrings: { searchString: [] } }],
  ['update', `${C}/read/accessRightID`, 401, { accessRightID: `${RIGHTS}/drop` }],
  ['delete', `${C}/read`, 401],
  ['delete', `${C}/read/contentInstances/first`, 401],
  // Rights before verb, before syntax: what is not his, he is not told how to ask for.
  ['delete', `${C}/read/contentInstances`, 401],
  ['update', `${C}/read`, 401, BROKEN],
  ['create', `${C}/drop/contentInstances`, 201, INSTANCE],
  ['create', `${C}/drop`, 201, INSTANCE],
  ['retrieve', `${C}/drop`, 401],
  ['retrieve', `${C}/drop/${LATEST}`, 401],
  // Of instances that he may not read, he cannot find out the names.
  ['retrieve', `${C}/drop/contentInstances/first`, 401],
  ['retrieve', `${C}/drop/contentInstances/none`, 401],
  ['create', `${C}/drop/contentInstances/subscriptions`, 401, { subscription: { contact: 'coap://x' } }],
  ...(['hidden', 'plain', 'absent'] as const).flatMap((id): (readonly [Op, string, number, JsonObject?])[] => [
    ['retrieve', `${C}/${id}`, 404],
    ['retrieve', `${C}/${id}/maxNrOfInstances`, 404],
    ['retrieve', `${C}/${id}/nonsense`, 404],
    ['retrieve', `${C}/${id}/${LATEST}`, 404],
    ['create', `${C}/${id}/contentInstances`, 404, INSTANCE],
    ['create', `${C}/${id}/contentInstances/latest`, 404, INSTANCE],
    ['update', `${C}/${id}`, 404, BROKEN],
    ['delete', `${C}/${id}/contentInstances`, 404],
    ['create', `${C}/${id}/contentInstances/subscriptions`, 404, { subscription: { contact: 'coap://x' } }],
  ]),
  ['retrieve', '/m2m', 404],
  ['retrieve', C, 404],
  ['create', C, 404, { container: { id: 'mine' } }],
  ['create', '/m2m/applications', 404, { application: { appId: 'mine' } }],
  ['create', '/m2m/notificationChannels', 404, { notificationChannel: { channelType: 'LONG_POLLING' } }],
  ['retrieve', `${RIGHTS}/read`, 404],
  ['update', `${RIGHTS}/read`, 404, granting(may(['READ', 'WRITE']))],
  ['delete', `${RIGHTS}/read`, 404],
  ['retrieve', `${C}/READ`, 404],
  ['retrieve', `/M2M/containers/read`, 404],
  ['retrieve', `${C}/%72ead`, 200],
  ['retrieve', `${C}/%68idden`, 404],
];

describe.each(['http', 'coap', 'ws'] as const)('over %s', (binding) => {
  test('each request is answered as the rights have it, and no answer tells of what is hidden', async () => {
    const { running } = await stage({
      read: [may(['READ'])],
      drop: [may(['CREATE'])],
      hidden: [may(['READ', 'WRITE', 'CREATE', 'DELETE'], 'desk')],
      plain: undefined,
    });
    const nobody = await client(running[binding]);
    const said = new Map<string, string[]>();
    for (const [op, to, code, body] of CASES) {
      const answer = await answerTo(nobody, op, to, body);
      expect([op, to, answer.code]).toEqual([op, to, code]);
      const kind = `${op} ${to.replace(/(hidden|plain|absent)/, '*')}`;
      if (kind.includes('*'))
        said.set(kind, [...(said.get(kind) ?? []), answer.said.replace(/(hidden|plain|absent)/g, '*')]);
    }
    for (const [kind, sentences] of said) expect([kind, new Set(sentences).size]).toEqual([kind, 1]);
    // The right that names him was not rewritten by anything above.
    expect(nodeAt(running, `${RIGHTS}/read`)?.attributes.get('permissions')).toEqual({ permission: [may(['READ'])] });
    expect(nodeAt(running, `${C}/mine`)).toBeUndefined();
  });

  test('observing takes READ, and losing it ends the observation within a second, with the reason', async () => {
    const { running, grant, publish, ask } = await stage({ load: [may(['CREATE'])] });
    const reader = await clientOf(running, 'reader', binding);
    await ask('create', RIGHTS, {
      accessRight: { id: 'channels', ...(granting(may(['CREATE'], 'reader')).accessRight as JsonObject) },
    });
    await ask('update', '/m2m/notificationChannels', { notificationChannels: { accessRightID: `${RIGHTS}/channels` } });
    const denied = reader.observe(`${C}/load/${LATEST}`).next();
    await expect(denied).rejects.toMatchObject({ code: 401 });

    const losses: readonly (() => Promise<unknown>)[] = [
      () => grant('load', may(['CREATE'])),
      () => ask('update', `${C}/load/accessRightID`, { accessRightID: `${RIGHTS}/none` }),
      () => ask('delete', `${RIGHTS}/load`),
    ];
    for (const lose of losses) {
      await grant('load', may(['READ']));
      await ask('update', `${C}/load/accessRightID`, { accessRightID: `${RIGHTS}/load` });
      const observed = reader.observe(`${C}/load/${LATEST}`);
      const first = observed.next();
      await until('it stands', () => running.broker.subscriptions.population.size === 1);
      await publish('load', `seen-${losses.indexOf(lose)}`);
      expect((await first).done).toBe(false);
      const next = observed.next().then(
        () => 'delivered',
        (error: unknown) => error,
      );
      await lose();
      const lostUs = systemClock.monotonicUs();
      expect(await next).toMatchObject({ status: 'STATUS_PERMISSION_DENIED' });
      expect(systemClock.monotonicUs() - lostUs).toBeLessThan(LOSS_US);
      expect(running.broker.subscriptions.population.size).toBe(0);
      await publish('load', `unseen-${losses.indexOf(lose)}`);
    }
    expect([...(nodeAt(running, `${C}/load/contentInstances/subscriptions`)?.known ?? [])]).toEqual([]);
  });

  test('a pattern brings what may be read and nothing else: rights that come and go take its routes with them', async () => {
    const { running, ask, grant, container, publish, audited } = await stage({
      load: [may(['READ'])],
      secret: [may(['READ'], 'desk')],
    });
    for (const [id, flag, to] of [
      ['channels', 'CREATE', '/m2m/notificationChannels'],
      ['list', 'READ', C],
    ] as const) {
      await ask('create', RIGHTS, {
        accessRight: { id, ...(granting(may([flag], 'reader')).accessRight as JsonObject) },
      });
      await ask('update', `${to}/accessRightID`, { accessRightID: `${RIGHTS}/${id}` });
    }
    const reader = await clientOf(running, 'reader', binding);
    const got: (string | undefined)[] = [];
    const routes = (): number => running.broker.subscriptions.population.size;
    void (async () => {
      for await (const { from } of reader.observe(`${C}/*/${LATEST}`)) got.push(from);
    })().catch(() => undefined);
    await until('it is routed', () => got.length === 1);
    await publish('secret', 'unseen');
    expect(routes()).toBe(1);
    await grant('secret', may(['READ']));
    await until('a right has come', () => got.includes(`${C}/secret`));
    await container('new', [may(['READ'])]);
    await until('a container has come', () => got.includes(`${C}/new`));
    await grant('load', may(['READ'], 'desk'));
    await until('a right is lost', () => routes() === 2);
    await publish('load', 'unseen');
    await publish('new', 'seen');
    await until('it is told', () => got.filter((from) => from === `${C}/new`).length === 2);
    expect(got.filter((from) => from === `${C}/load`)).toHaveLength(1);
    // Named by a `*` it was not asked for: what is not his is left out without a word, to him and in the audit trail.
    expect(audited('request-refused').filter((event) => JSON.stringify(event).includes('secret'))).toEqual([]);
  });

  test('reading what is personal is audited each time, subscribing to it once; who is not named may do neither', async () => {
    const { running, container, audited, publish } = await stage();
    await container('dose', [may(['READ']), may(['READ'], 'doctor')], { isPersonal: true });
    const nobody = await client(running[binding]);
    expect((await answerTo(nobody, 'retrieve', `${C}/dose`)).code).toBe(200);
    expect((await answerTo(nobody, 'retrieve', `${C}/dose/${LATEST}`)).code).toBe(401);
    expect((await answerTo(nobody, 'retrieve', `${C}/dose/contentInstances`)).code).toBe(401);
    expect(audited('personal-read')).toEqual([]);
    const doctor = await clientOf(running, 'doctor', binding);
    for (let times = 0; times < 2; times++) await doctor.request({ op: 'retrieve', to: `${C}/dose/${LATEST}` });
    const event = { originator: 'doctor', target: `${C}/dose/${LATEST}`, details: { binding } };
    expect(audited('personal-read')).toMatchObject([event, event]);
    if (binding === 'http') return;
    const first = doctor.observe(`${C}/dose/${LATEST}`).next();
    await until('it stands', () => running.broker.subscriptions.population.size === 1);
    await publish('dose', 'second');
    await first;
    expect(audited('personal-subscribed')).toMatchObject([event]);
    expect(audited('personal-read')).toHaveLength(2);
  });
});

test('a spelling of a path that leads elsewhere leads nowhere', async () => {
  const { running } = await stage({ read: [may(['READ'])], hidden: [may(['READ'], 'desk')] });
  for (const uri of [running.ws, running.coap]) {
    const nobody = await client(uri);
    for (const to of [`${C}/read/%2e%2e/hidden`, `${C}/read%2f..%2fhidden`, `${C}/read/%2E./hidden`])
      expect([400, 404]).toContain((await answerTo(nobody, 'retrieve', to)).code);
  }
});

test('a collection shows, and discovery lists, only what the asker holds a flag on', async () => {
  const { running, ask } = await stage({
    read: [may(['READ'])],
    drop: [may(['CREATE'])],
    hidden: [may(['READ'], 'desk')],
  });
  await ask('create', RIGHTS, { accessRight: { id: 'list', ...(granting(may(['READ'])).accessRight as JsonObject) } });
  await ask('update', C, { containers: { accessRightID: `${RIGHTS}/list` } });
  const { json } = await http(running, 'GET', C);
  const { containerCollection } = json.containers as { containerCollection: { namedReference: { id: string }[] } };
  expect(containerCollection.namedReference.map(({ id }) => id)).toEqual(['read', 'drop']);
  const links = Buffer.from(
    (await (await client(running.coap)).request({ op: 'retrieve', to: '/.well-known/core' })).bytes,
  ).toString();
  expect(links).toContain('</m2m/containers/read>');
  expect(links).toContain('</m2m/containers/drop/contentInstances/latest>');
  expect(links).not.toMatch(/hidden|accessRights|applications|<\/m2m>/);
});

test('who observes a collection is told of what he may know of, and of nothing else', async () => {
  const { running, ask, container } = await stage();
  await ask('create', RIGHTS, { accessRight: { id: 'list', ...(granting(may(['READ'])).accessRight as JsonObject) } });
  await ask('update', C, { containers: { accessRightID: `${RIGHTS}/list` } });
  const reader = await clientOf(running, 'reader');
  const told = reader.observe(C);
  const first = told.next();
  await until('it stands', () => running.broker.subscriptions.population.size === 1);
  await container('hidden', [may(['READ'], 'desk')]);
  await container('shown', [may(['READ'], 'reader')]);
  let listed = Buffer.from(((await first).value as { body: Uint8Array }).body).toString();
  while (!listed.includes('shown'))
    listed = Buffer.from(((await told.next()).value as { body: Uint8Array }).body).toString();
  expect(listed).not.toContain('hidden');
  await told.return?.();
});

test('a group does not tell which resources there are that its writer may not know of', async () => {
  const { running, ask } = await stage({ shown: [may(['READ'])], hidden: [may(['READ'], 'desk')] });
  await ask('create', RIGHTS, {
    accessRight: { id: 'groups', ...(granting(may(['CREATE'])).accessRight as JsonObject) },
  });
  await ask('update', '/m2m/groups', { groups: { accessRightID: `${RIGHTS}/groups` } });
  const members = { reference: ['shown', 'hidden', 'absent'].map((id) => `${C}/${id}`) };
  const group = { memberType: 'CONTAINER', members };
  const made = await http(running, 'POST', '/m2m/groups', { group });
  expect([made.sentence, made.status]).toEqual(['', 201]);
  expect(made.json).toMatchObject({ group: { members: { reference: [`${C}/shown`] } } });
});

describe('an application', () => {
  async function registered() {
    const set = await stage();
    for (const appId of ['feeder', 'rival']) await set.ask('create', '/m2m/applications', { application: { appId } });
    return { ...set, feeder: await clientOf(set.running, 'feeder') };
  }
  const DESK = {
    accessRight: { id: 'desk', ...(granting(may(['CREATE', 'READ'], 'desk')).accessRight as JsonObject) },
  };
  const COMMAND = { commandId: 'open-1', point: 'breaker-1', value: 0 };

  test('makes what it likes below itself, and nothing below another', async () => {
    const { feeder } = await registered();
    const make = (app: string) =>
      answerTo(feeder, 'create', `/m2m/applications/${app}/containers`, { container: { id: 'c' } });
    expect([(await make('feeder')).code, (await make('rival')).code]).toEqual([201, 404]);
  });

  test('is commanded by those it lets, and by no others', async () => {
    const { feeder, running } = await registered();
    await feeder.request({ op: 'create', to: '/m2m/applications/feeder/accessRights', body: DESK });
    const container = { id: 'commands', accessRightID: '/m2m/applications/feeder/accessRights/desk' };
    await feeder.request({ op: 'create', to: '/m2m/applications/feeder/containers', body: { container } });
    const commands = '/m2m/applications/feeder/containers/commands/contentInstances';
    const issue = async (originator: string) =>
      (await answerTo(await clientOf(running, originator), 'create', commands, COMMAND)).code;
    expect([await issue('rival'), await issue('desk')]).toEqual([404, 201]);
  });

  test('alone has its devices; one that loses the right is told and closed', async () => {
    const { running, ask } = await registered();
    const attach = ['/m2m/applications/feeder'];
    await expect(clientOf(running, 'rival', 'ws', { attach })).rejects.toThrow('is no application');
    const device = await attachDevice(
      `${running.http.replace('http', 'ws')}/m2m/applications/feeder`,
      () => ({ state: 'executed' }),
      {
        token: keyOf('feeder'),
      },
    );
    whenStageCloses(() => device.close());
    await ask('create', RIGHTS, {
      accessRight: { id: 'r', ...(granting(may(['READ'], 'feeder')).accessRight as JsonObject) },
    });
    await ask('update', `${attach[0]}/accessRightID`, { accessRightID: `${RIGHTS}/r` });
    await until('it is closed', () => running.broker.sessions.endings.get('PERMISSION_DENIED') === 1);
    await expect(clientOf(running, 'feeder', 'ws', { attach })).rejects.toThrow('no right to UPDATE');
  });

  test('cannot have its notifications told over a channel that another has opened', async () => {
    const { feeder, running } = await registered();
    const rival = await clientOf(running, 'rival');
    const channel = { notificationChannel: { channelType: 'LONG_POLLING' } };
    const to = '/m2m/applications/rival/notificationChannels';
    const { location = '' } = await rival.request({ op: 'create', to, body: channel });
    await feeder.request({ op: 'create', to: '/m2m/applications/feeder/containers', body: { container: { id: 'c' } } });
    const subscribe = (contact: string) =>
      answerTo(feeder, 'create', '/m2m/applications/feeder/containers/c/contentInstances/subscriptions', {
        subscription: { contact },
      });
    const [foreign, none] = [await subscribe(location), await subscribe(`${to}/none`)];
    expect([foreign.code, none.code]).toEqual([400, 400]);
    expect(foreign.said.replace(location, '*')).toBe(none.said.replace(`${to}/none`, '*'));
  });
});

test.each(['http', 'coap', 'ws'] as const)(
  'membersContent and paths of an aPoC have rights of their own, over %s',
  async (binding) => {
    const { running, ask, grant, audited } = await stage({ load: [may(['READ'], 'desk', 'reader')] });
    const rights = { accessRight: { id: 'part', selfPermissions: { permission: [] } } };
    await ask('create', RIGHTS, rights);
    await grant('part', may(['READ'], 'reader'));
    const members = { reference: [`${C}/load`] };
    const group = { memberType: 'CONTAINER', members, accessRightID: `${RIGHTS}/load` };
    await ask('create', '/m2m/groups', {
      group: { id: 'g', ...group, membersContentAccessRightID: `${RIGHTS}/part` },
    });
    // Nobody listens there: whoever may ask hears of that.
    const aPoCPaths = { aPoCPath: [{ path: 'readings', accessRightID: `${RIGHTS}/part` }] };
    await ask('create', '/m2m/applications', {
      application: { appId: 'meter', aPoC: 'http://127.0.0.1:1', aPoCPaths },
    });
    const [reader, desk] = await Promise.all(['reader', 'desk'].map((name) => clientOf(running, name, binding)));
    if (!reader || !desk) throw new Error('no clients');
    const codes = async (op: Op, to: string) =>
      Promise.all([reader, desk].map(async (asker) => (await answerTo(asker, op, to)).code));
    expect(await codes('retrieve', '/m2m/groups/g')).toEqual([200, 200]);
    expect(await codes('retrieve', '/m2m/groups/g/membersContent')).toEqual([200, 404]);
    expect(await codes('delete', '/m2m/groups/g/membersContent')).toEqual([401, 404]);
    expect(await codes('retrieve', '/m2m/applications/meter/readings')).toEqual([502, 404]);
    expect(await codes('delete', '/m2m/applications/meter/readings')).toEqual([401, 404]);
    await ask('update', '/m2m/groups/g', { group: { members, accessRightID: `${RIGHTS}/load` } });
    expect(await codes('retrieve', '/m2m/groups/g/membersContent')).toEqual([200, 200]);
    const named = audited('right-assigned').filter(({ target }) => target === '/m2m/groups/g');
    expect(named.map(({ details }) => details)).toEqual([
      { attribute: 'accessRightID', to: `${RIGHTS}/load` },
      { attribute: 'membersContentAccessRightID', to: `${RIGHTS}/part` },
      { attribute: 'membersContentAccessRightID', from: `${RIGHTS}/part` },
    ]);
  },
);

describe('the audit trail', () => {
  test('has each change of a right, with who made it and what holds now', async () => {
    const { ask, grant, audited } = await stage({ load: [may(['READ'], 'desk')] });
    await grant('load', may(['WRITE'], 'desk'));
    await ask('delete', `${RIGHTS}/load`);
    const [created] = audited('right-created');
    expect(created).toMatchObject({
      originator: CHIEF,
      target: `${RIGHTS}/load`,
      details: { permissions: { permission: [may(['READ'], 'desk')] } },
    });
    expect(audited('right-changed')).toMatchObject([
      { originator: CHIEF, details: { permissions: { permission: [may(['WRITE'], 'desk')] } } },
    ]);
    expect(audited('right-deleted')).toMatchObject([{ originator: CHIEF, target: `${RIGHTS}/load` }]);
    expect(audited('right-assigned')).toMatchObject([
      { originator: CHIEF, target: `${C}/load`, details: { attribute: 'accessRightID', to: `${RIGHTS}/load` } },
    ]);
  });

  test('has who was refused what; of one that does not stop, so many and then their number', async () => {
    const { running, audited } = await stage({ load: [may(['READ'], 'desk')] });
    const rival = await clientOf(running, 'rival');
    const other = await clientOf(running, 'other');
    for (let times = 0; times < 25; times++) await answerTo(rival, 'retrieve', `${C}/load`);
    await answerTo(other, 'delete', `${C}/load`);
    const refusals = audited('request-refused');
    expect(refusals).toHaveLength(21);
    expect(refusals.at(-1)).toMatchObject({
      originator: 'other',
      target: `${C}/load`,
      details: { op: 'delete', binding: 'ws', status: 'STATUS_NOT_FOUND' },
    });
    const { text } = await running.broker.metrics.expose();
    expect(text).toContain('gridcast_requests_refused_total{status="STATUS_NOT_FOUND"} 26');
    await running.close();
    expect(audited('requests-refused')).toMatchObject([{ originator: 'rival', details: { more: 5 } }]);
  });
});

describe('with rights open', () => {
  test('everybody may do everything, and what a right would decide can be asked', async () => {
    const running = await startBroker();
    await http(running, 'POST', RIGHTS, {
      accessRight: { id: 'r', ...(granting(may(['READ'], 'desk')).accessRight as JsonObject) },
    });
    await http(running, 'POST', C, { container: { id: 'load', accessRightID: `${RIGHTS}/r` } });
    expect((await http(running, 'GET', `${C}/load`)).status).toBe(200);
    const explain = async (originator: string, op: string, path: string) =>
      (await http(running, 'GET', `/acl?${new URLSearchParams({ originator, op, path }).toString()}`)).json;
    expect(await explain('desk', 'retrieve', `${C}/load/${LATEST}`)).toMatchObject({
      rights: 'open',
      outcome: 'allowed',
      rule: 'permissions',
      right: `${RIGHTS}/r`,
      entry: '#1',
      holding: 'applicationID',
      because: `Entry #1 in the permissions of ${RIGHTS}/r holds for desk by applicationID, and gives READ.`,
    });
    expect(await explain('desk', 'delete', `${C}/load`)).toMatchObject({
      outcome: 'refused',
      status: 'STATUS_PERMISSION_DENIED',
    });
    expect(await explain('desk', 'create', C)).toMatchObject({
      outcome: 'hidden',
      because: `Default rights hold, as ${C} has no accessRightID: only administrators may.`,
    });
  });

  test('what is personal is audited all the same', async () => {
    const store = new AuditedStore();
    const running = await startBroker({}, { store });
    await http(running, 'POST', C, { container: { id: 'dose', isPersonal: true } });
    await http(running, 'GET', `${C}/dose/contentInstances`);
    expect(store.audited.filter(({ event }) => event === 'personal-read')).toHaveLength(1);
    const { status } = await http(running, 'PUT', `${C}/dose/isPersonal`, { isPersonal: false });
    expect(status).toBe(400);
  });
});

test('where rights are enforced, who explains them and the supervision tree are for administrators', async () => {
  const { running } = await stage();
  for (const page of ['/acl?originator=a&op=create&path=/m2m', '/supervision'])
    expect((await http(running, 'GET', page)).status).toBe(401);
});

test('rights and what stands by them hold after a restart, which is no change of rights', async () => {
  const { running, store, chief } = await stage({ load: [may(['READ'], 'desk')] });
  await chief.request({ op: 'create', to: '/m2m/applications', body: { application: { appId: 'desk' } } });
  const desk = await clientOf(running, 'desk');
  const channel = await desk.request({
    op: 'create',
    to: '/m2m/applications/desk/notificationChannels',
    body: { notificationChannel: { channelType: 'LONG_POLLING' } },
  });
  const { location = '' } = await desk.request({
    op: 'create',
    to: `${C}/load/contentInstances/subscriptions`,
    body: { subscription: { contact: channel.location ?? '' } },
  });
  // A collection that was opened and closed again stays closed.
  await chief.request({ op: 'update', to: C, body: { containers: { accessRightID: `${RIGHTS}/load` } } });
  await chief.request({ op: 'update', to: C, body: { containers: {} } });
  const before = store.audited.length;
  await running.close();
  const next = await startBroker(ENFORCED, { store });
  expect(nodeAt(next, location)).toBeDefined();
  expect((await http(next, 'GET', `${C}/load`)).status).toBe(404);
  expect(nodeAt(next, C)?.attributes.get('accessRightID')).toBeUndefined();
  // A restart is no change of rights.
  expect(store.audited.slice(before).filter(({ event }) => event.startsWith('right-'))).toEqual([]);
});

test('nobody in particular is no administrator', async () => {
  const { loadConfig } = await import('../../src/config.js');
  expect(isRefusal(loadConfig({ flags: { administrators: 'anonymous' }, environment: {} }))).toBe(true);
});
