/** ETSI's discovery over every binding: what is found, what is left out, what is malformed. */
import { answerDiscovery } from '../../src/actors/discovery.js';
import type { Client } from '../../src/client/index.js';
import { systemClock } from '../../src/clock.js';
import { ask, clientOf, closeStage, nodeAt, retrieve, startBroker, type RunningBroker } from './stage.js';

afterEach(closeStage);

const labels = (...searchString: string[]) => ({ searchStrings: { searchString } });
const LOAD = '/m2m/applications/a/containers/load';

describe.each(['http', 'coap', 'ws'] as const)('over %s', (binding) => {
  let running: RunningBroker;
  let client: Client;
  beforeEach(async () => {
    running = await startBroker();
    client = await clientOf(running, binding);
    const make = (to: string, type: string, body: object) => ask(client, 'create', to, { [type]: { ...body } });
    await make('/m2m/applications', 'application', { appId: 'a', ...labels('meter', 'Visby') });
    await make('/m2m/applications', 'application', { appId: 'b', ...labels('meter') });
    await make('/m2m/applications/a/containers', 'container', { id: 'load', ...labels('Visby') });
    await make('/m2m/scls', 'scl', { sclId: 'g', link: 'coap://g.example/g', mgmtProtocolType: 'OMA DM' });
    await make('/m2m/scls/g/applications', 'applicationAnnc', { id: 'xAnnc', link: '/g/x', ...labels('Visby') });
    const contentInstance = (id: string, textContent: string) => ({
      id,
      content: { contentType: 'text/plain', textContent },
    });
    await make(LOAD, 'contentInstance', contentInstance('i1', '1'));
    await make(LOAD, 'contentInstance', contentInstance('i2', '22'));
  });

  const find = async (query: string) => {
    const { status, json, sentence } = await ask(client, 'retrieve', `/m2m/discovery${query}`);
    const { matchSize, truncated, discoveryURI } = (json.discovery ?? {}) as {
      matchSize?: number;
      truncated?: boolean;
      discoveryURI?: { reference: string[] };
    };
    return { status, sentence, matchSize, truncated, found: discoveryURI?.reference.sort() };
  };

  test.each([
    ['?searchString=Visby', ['/g/x', '/m2m/applications/a', LOAD]],
    ['?searchString=Visby&searchString=meter', ['/m2m/applications/a']],
    ['?searchString=Vis', []],
    ['?searchPrefix=/m2m/applications&searchString=Visby', ['/m2m/applications/a', LOAD]],
    ['?searchPrefix=/m2m/applications/a', ['/m2m/applications/a', LOAD]],
    ['?searchPrefix=/m2m/applications/a/', ['/m2m/applications/a', LOAD]],
    ['?searchPrefix=/m2m/applications/z', []],
    [`?searchPrefix=${LOAD}/contentInstances`, [`${LOAD}/contentInstances/i1`, `${LOAD}/contentInstances/i2`]],
    ['?searchPrefix=/m2m/applications/a&sizeFrom=2', [`${LOAD}/contentInstances/i2`]],
    ['?searchPrefix=/m2m/applications/a&contentType=image/png', []],
    ['?searchPrefix=/m2m/applications/a&createdAfter=2100-01-01T00:00:00Z', []],
    ['?searchPrefix=/m2m/applications/a&ifUnmodifiedSince=2020-01-01T00:00:00Z', []],
  ])('%s finds %j', async (query, expected) => {
    expect(await find(query)).toMatchObject({ matchSize: expected.length, truncated: false, found: expected });
  });

  test('without a question everything that somebody created, and the sclBase', async () => {
    const { found } = await find('');
    expect(found).toEqual(expect.arrayContaining(['/m2m', '/m2m/applications/b', '/m2m/scls/g', '/g/x', LOAD]));
    expect(found?.filter((reference) => /(containers|contentInstances|i1)$/.test(reference))).toEqual([]);
  });

  test('more than maxSize is cut, and said to be', async () => {
    expect(await find('?searchString=meter&maxSize=1')).toMatchObject({ matchSize: 1, truncated: true });
    expect(await find('?searchString=meter&maxSize=2')).toMatchObject({ matchSize: 2, truncated: false });
  });

  test.each([
    ['?maxSize=0', 'maxSize is "0"; it must be a whole number of 1 or more'],
    ['?searchPrefix=m2m', 'searchPrefix is "m2m"; it must be a path here'],
    ['?sizeFrom=x', 'sizeFrom is "x"'],
    ['?label=x', 'a query takes searchPrefix, maxSize, ifModifiedSince'],
  ])('%s is malformed', async (query, sentence) => {
    expect(await find(query)).toMatchObject({
      status: 'STATUS_BAD_REQUEST',
      sentence: expect.stringContaining(sentence) as string,
    });
  });

  test('it is read and nothing else, and has nothing below it', async () => {
    expect((await ask(client, 'delete', '/m2m/discovery')).status).toBe('STATUS_METHOD_NOT_ALLOWED');
    expect((await ask(client, 'create', '/m2m/discovery', {})).status).toBe('STATUS_METHOD_NOT_ALLOWED');
    expect((await ask(client, 'retrieve', '/m2m/discovery/x')).status).toBe('STATUS_NOT_FOUND');
    expect((await ask(client, 'retrieve', '/m2m/discoveryReference')).json).toEqual({
      discoveryReference: '/m2m/discovery',
    });
  });

  test('what the asker may not know of is not found', async () => {
    const { tree } = running.broker.resources;
    const hidden = nodeAt(running, '/m2m/applications/a');
    const request = { ...retrieve('/m2m/discovery'), query: new URLSearchParams('searchString=meter') };
    const { content } = await answerDiscovery(request, tree, systemClock, (node) => node !== hidden);
    expect(content).toMatchObject({
      document: { discovery: { discoveryURI: { reference: ['/m2m/applications/b'] } } },
    });
  });
});

test('a large tree is looked at in pieces: others have their turn', async () => {
  const running = await startBroker();
  const client = await clientOf(running, 'ws');
  const { tree } = running.broker.resources;
  const containers = nodeAt(running, '/m2m/containers');
  if (!containers) throw new Error('no containers');
  const act = { nowUs: 1, creator: { kind: 'originator', id: 'x' } } as const;
  for (let n = 0; n < 5_000; n++) tree.create(containers, { container: {} }, act);
  let turns = 0;
  const atTurnEnd = (run: () => void): void => {
    turns++;
    systemClock.atTurnEnd(run);
  };
  const clock = { ...systemClock, atTurnEnd };
  const query = new URLSearchParams('searchPrefix=/m2m/containers&maxSize=5000');
  const { content } = await answerDiscovery({ ...retrieve('/m2m/discovery'), query }, tree, clock, () => true);
  expect(content).toMatchObject({ document: { discovery: { matchSize: 5_000, truncated: false } } });
  expect(turns).toBeGreaterThanOrEqual(5);
  expect((await ask(client, 'retrieve', '/m2m/discovery?searchPrefix=/m2m/containers')).json).toMatchObject({
    discovery: { matchSize: 1_000, truncated: true },
  });
});
