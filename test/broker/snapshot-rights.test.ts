/** What a group's snapshots show where rights hold: what its maker may read, to whom may read the group. */
import { createHash } from 'node:crypto';
import { GridcastError, open, type Client } from '../../src/client/index.js';
import { isRefusal } from '../../src/errors.js';
import { readSenml } from '../../src/protocols/senml-reader.js';
import type { JsonObject } from '../../src/routing/primitive.js';
import { closeStage, measurements, startBroker, stream, until, whenStageCloses, type RunningBroker } from './stage.js';

afterEach(closeStage);

const RIGHTS = '/m2m/accessRights';
const NAMES = ['chief', 'maker', 'guest', 'stranger'];
const IDENTITY = {
  apiKeys: NAMES.map((originator) => ({ originator, sha256: createHash('sha256').update(originator).digest('hex') })),
  anonymous: true,
};

/** A broker with PMUs 7 and 8, and a group of both that `maker` has made; he and `guest` may read the group. */
async function grid() {
  const running = await startBroker({ rights: 'enforced', administrators: ['chief'], identity: IDENTITY });
  const pmus = stream(running, [7, 8], 30);
  const chief = await clientOf(running, 'chief');
  const right = (id: string, flags: readonly string[], ...ids: readonly string[]) =>
    chief.request({ op: 'create', to: RIGHTS, body: { accessRight: { id, ...permissions(flags, ids) } } });
  const assign = (to: string, id: string) =>
    chief.request({ op: 'update', to: `${to}/accessRightID`, body: { accessRightID: `${RIGHTS}/${id}` } });
  await right('known', ['DISCOVER'], 'maker');
  await right('read', ['READ'], 'maker');
  await right('groups', ['CREATE'], 'maker');
  await right('west', ['READ'], 'maker', 'guest');
  await assign('/m2m/groups', 'groups');
  for (const idCode of [7, 8]) await assign(`/m2m/applications/pmu-${idCode}`, 'known');
  const maker = await clientOf(running, 'maker');
  const reference = [7, 8].map((idCode) => `/m2m/applications/pmu-${idCode}`);
  const group = { id: 'west', memberType: 'APPLICATION', members: { reference }, snapshotRate: 30, snapshotWait: 0 };
  await maker.request({
    op: 'create',
    to: '/m2m/groups',
    body: { group: { ...group, accessRightID: `${RIGHTS}/west` } },
  });
  const guest = await clientOf(running, 'guest');
  /** Of the next set, who is in it and who is missing; `status` alone where it may not be read. */
  const shown = async (asker: Client = guest): Promise<string[] | string> => {
    const before = sets(running);
    pmus.frame();
    await until('a set has gone', () => sets(running) > before);
    return membersShownTo(asker);
  };
  return { running, right, assign, shown };
}

const permissions = (flags: readonly string[], ids: readonly string[]): JsonObject => ({
  permissions: {
    permission: [
      { permissionFlags: { flag: [...flags] }, permissionHolders: { applicationIDs: { applicationID: [...ids] } } },
    ],
  },
  selfPermissions: { permission: [] },
});

async function clientOf(running: RunningBroker, name: string): Promise<Client> {
  const client = await open(running.ws, { token: name });
  whenStageCloses(() => client.close());
  return client;
}

function sets(running: RunningBroker): number {
  const [[, figures] = []] = [...running.broker.snapshots.figures()];
  return (figures?.complete ?? 0) + (figures?.incomplete ?? 0);
}

async function membersShownTo(asker: Client): Promise<string[] | string> {
  try {
    const { bytes, mediaType = '' } = await asker.request({ op: 'retrieve', to: '/m2m/groups/west/snapshot' });
    const read = readSenml(mediaType, bytes);
    if (isRefusal(read)) throw new Error(read.detail);
    return read.map(({ name }) => name).filter((name) => /\/(frequency|missing)$/.test(name));
  } catch (error) {
    if (!(error instanceof GridcastError)) throw error;
    return error.status ?? '';
  }
}

test('a member that the group’s maker may not read is missing for all its readers, from the moment he may not', async () => {
  const { assign, shown } = await grid();
  await assign(measurements(7), 'read');
  expect(await shown()).toEqual(['pmu-7/frequency', 'pmu-8/missing']);
  await assign(measurements(8), 'read');
  expect(await shown()).toEqual(['pmu-7/frequency', 'pmu-8/frequency']);
  await assign(measurements(7), 'known');
  expect(await shown()).toEqual(['pmu-7/missing', 'pmu-8/frequency']);
});

test('who may not read the group is told of no snapshot, whatever members he may read', async () => {
  const { running, assign, right, shown } = await grid();
  await right('all', ['READ'], 'maker', 'stranger');
  for (const idCode of [7, 8]) await assign(measurements(idCode), 'all');
  expect(await shown()).toEqual(['pmu-7/frequency', 'pmu-8/frequency']);
  expect(await membersShownTo(await clientOf(running, 'stranger'))).toBe('STATUS_NOT_FOUND');
});
