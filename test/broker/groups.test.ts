/** A group's membersContent over every binding: one request, one status for each member. */
import type { Client } from '../../src/client/index.js';
import { ask, clientOf, closeStage, startBroker, type RunningBroker, type Said } from './stage.js';

afterEach(closeStage);

const APPLICATIONS = ['/m2m/applications/a', '/m2m/applications/b', '/m2m/applications/c'];
const list = (...reference: string[]) => ({ members: { reference } });

interface MemberStatus {
  readonly id: string;
  readonly statusCode: string;
  readonly location?: string;
  readonly resultBody?: { readonly contentType: string; readonly textContent: string };
}
const statuses = ({ status, json }: Said): readonly MemberStatus[] => {
  expect(status).toBe('STATUS_OK');
  return (json.membersContentResponses as unknown as { status: MemberStatus[] }).status;
};
const bodies = (said: Said): unknown[] =>
  statuses(said).map(({ resultBody }) => resultBody && (JSON.parse(resultBody.textContent) as unknown));

describe.each(['http', 'coap', 'ws'] as const)('over %s', (binding) => {
  let running: RunningBroker;
  let client: Client;
  const group = (id: string, memberType: string, ...members: string[]) =>
    ask(client, 'create', '/m2m/groups', { group: { id, memberType, ...list(...members) } });
  const MEMBERS = '/m2m/groups/g/membersContent';

  beforeEach(async () => {
    running = await startBroker();
    client = await clientOf(running, binding);
    for (const appId of ['a', 'b', 'c']) {
      await ask(client, 'create', '/m2m/applications', { application: { appId } });
      await ask(client, 'create', `/m2m/applications/${appId}/containers`, { container: { id: 'load' } });
    }
    await group('g', 'APPLICATION', ...APPLICATIONS);
  });

  test('RETRIEVE: each member, in the order of the group', async () => {
    const said = await ask(client, 'retrieve', MEMBERS);
    expect(statuses(said).map(({ id, statusCode }) => [id, statusCode])).toEqual(
      APPLICATIONS.map((id) => [id, 'STATUS_OK']),
    );
    expect(bodies(said)).toMatchObject([{ application: { appId: 'a' } }, {}, { application: { appId: 'c' } }]);
  });

  test('CREATE, UPDATE and RETRIEVE below each member, with its query', async () => {
    const instance = { contentInstance: { id: 'i', content: { contentType: 'text/plain', textContent: '50.01' } } };
    const created = await ask(client, 'create', `${MEMBERS}/containers/load/contentInstances`, instance);
    expect(statuses(created).map(({ statusCode, location }) => [statusCode, location])).toEqual(
      APPLICATIONS.map((path) => ['STATUS_CREATED', `${path}/containers/load/contentInstances/i`]),
    );
    const content = await ask(client, 'retrieve', `${MEMBERS}/containers/load/contentInstances/latest/content`);
    expect(statuses(content).map(({ statusCode }) => statusCode)).toEqual(Array(3).fill('STATUS_NOT_ACCEPTABLE'));
    const size = await ask(client, 'retrieve', `${MEMBERS}/containers/load/contentInstances/latest/contentSize`);
    expect(bodies(size)).toEqual(Array(3).fill({ contentSize: 5 }));
    await ask(client, 'update', `${MEMBERS}/containers/load`, { container: { maxNrOfInstances: 7 } });
    const query = 'attributeAccessor=maxNrOfInstances';
    expect(bodies(await ask(client, 'retrieve', `${MEMBERS}/containers/load?${query}`))).toEqual(
      Array(3).fill({ maxNrOfInstances: 7 }),
    );
  });

  test('one member that fails does not fail the others, be it deleted meanwhile', async () => {
    await ask(client, 'delete', '/m2m/applications/b/containers/load');
    await ask(client, 'delete', '/m2m/applications/c');
    const said = await ask(client, 'retrieve', `${MEMBERS}/containers/load`);
    expect(statuses(said).map(({ statusCode }) => statusCode)).toEqual([
      'STATUS_OK',
      'STATUS_NOT_FOUND',
      'STATUS_NOT_FOUND',
    ]);
    expect(bodies(said)[1]).toMatchObject({
      errorInfo: { additionalInfo: expect.stringContaining('"load"') as string },
    });
  });

  test('DELETE takes the members with it, and out of the group', async () => {
    expect(statuses(await ask(client, 'delete', MEMBERS)).map(({ statusCode }) => statusCode)).toEqual(
      Array(3).fill('STATUS_OK'),
    );
    expect((await ask(client, 'retrieve', '/m2m/groups/g')).json).toMatchObject({
      group: { currentNrOfMembers: 0, ...list() },
    });
    expect((await ask(client, 'retrieve', '/m2m/applications/a')).status).toBe('STATUS_NOT_FOUND');
    expect(statuses(await ask(client, 'retrieve', MEMBERS))).toEqual([]);
  });

  test('a suffix that no member of the type can have is malformed', async () => {
    await group('boxes', 'CONTAINER', ...APPLICATIONS.map((path) => `${path}/containers/load`));
    const said = await ask(client, 'retrieve', '/m2m/groups/boxes/membersContent/containers');
    expect(said).toMatchObject({
      status: 'STATUS_BAD_REQUEST',
      sentence: expect.stringContaining('of type container, which has no "containers"') as string,
    });
    expect(statuses(await ask(client, 'retrieve', '/m2m/groups/boxes/membersContent/contentInstances'))).toHaveLength(
      3,
    );
  });

  test('groups of groups: each is asked once, though they hold each other', async () => {
    await group('inner', 'MIXED', '/m2m/applications/a', '/m2m/groups/g');
    await group('outer', 'MIXED', '/m2m/groups/inner', '/m2m/groups/g', '/m2m/applications/b');
    await ask(client, 'update', '/m2m/groups/inner', { group: list('/m2m/applications/a', '/m2m/groups/outer') });
    const said = await ask(client, 'retrieve', '/m2m/groups/outer/membersContent');
    expect(statuses(said).map(({ statusCode }) => statusCode)).toEqual(Array(3).fill('STATUS_OK'));
    const [inner, g] = bodies(said) as { membersContentResponses: { status: MemberStatus[] } }[];
    expect(inner?.membersContentResponses.status).toMatchObject([
      { id: '/m2m/applications/a', statusCode: 'STATUS_OK' },
      { id: '/m2m/groups/outer', statusCode: 'STATUS_CONFLICT' },
    ]);
    expect(g?.membersContentResponses.status).toHaveLength(3);
    // The next request is another one.
    expect(statuses(await ask(client, 'retrieve', '/m2m/groups/inner/membersContent'))).toHaveLength(2);
  });
});

test('a large group is asked 16 members at a time', async () => {
  const running = await startBroker();
  const client = await clientOf(running, 'ws');
  const applications = Array.from({ length: 100 }, (_, n) => `/m2m/applications/a${n}`);
  for (const path of applications)
    await ask(client, 'create', '/m2m/applications', { application: { appId: path.split('/').at(-1) } });
  await ask(client, 'create', '/m2m/groups', {
    group: { id: 'g', memberType: 'APPLICATION', ...list(...applications) },
  });
  const { broker } = running;
  const dispatch = broker.request.bind(broker);
  let [open, most] = [0, 0];
  broker.request = async (request) => {
    most = Math.max(most, ++open);
    return dispatch(request).finally(() => open--);
  };
  const said = await ask(client, 'retrieve', '/m2m/groups/g/membersContent/appId');
  expect(bodies(said)).toEqual(applications.map((path) => ({ appId: path.split('/').at(-1) })));
  expect(most).toBe(16);
});
