/** filterCriteria as the query of a RETRIEVE, over every binding: what is shown, what is 304 or 412, what is malformed. */
import type { Client } from '../../src/client/index.js';
import type { JsonObject } from '../../src/json.js';
import { ask, clientOf, closeStage, nodeAt, startBroker, type RunningBroker } from './stage.js';

afterEach(closeStage);

const LOAD = '/m2m/containers/load';
const labels = (...searchString: string[]) => ({ searchStrings: { searchString } });
const EARLY = '2020-01-01T00:00:00Z';
const LATE = '2100-01-01T00:00:00Z';

describe.each(['http', 'coap', 'ws'] as const)('over %s', (binding) => {
  let running: RunningBroker;
  let client: Client;
  beforeEach(async () => {
    running = await startBroker();
    client = await clientOf(running, binding);
    await ask(client, 'create', '/m2m/containers', { container: { id: 'load', ...labels('Visby', '10 kV') } });
    const instance = (id: string, textContent: string): JsonObject => ({
      contentInstance: { id, content: { contentType: 'text/plain', textContent }, ...labels(id) },
    });
    await ask(client, 'create', `${LOAD}/contentInstances`, instance('short', '1'));
    await ask(client, 'create', `${LOAD}/contentInstances`, instance('long', '1234567890'));
  });

  const read = (query: string, path = LOAD) =>
    ask(client, 'retrieve', `${path}?${new URLSearchParams(query).toString()}`);

  test.each([
    `ifModifiedSince=${EARLY}`,
    `ifUnmodifiedSince=${LATE}`,
    `createdAfter=${EARLY}&createdBefore=${LATE}`,
    `createdSince=${EARLY}&createdUntil=${LATE}`,
    'searchString=Visby',
    'searchString=Visby&searchString=10 kV',
    'ifNoneMatch=elsewhere',
    'ifMatch=elsewhere&ifMatch=*',
  ])('a resource is shown: %s', async (query) => {
    expect((await read(query)).json).toMatchObject({ container: { id: 'load' } });
  });

  test.each([
    ['NOT_MODIFIED', `ifModifiedSince=${LATE}`],
    ['PRECONDITION_FAILED', `ifUnmodifiedSince=${EARLY}`],
    ['NOT_MODIFIED', `createdAfter=${LATE}`],
    ['NOT_MODIFIED', `createdBefore=${EARLY}`],
    ['NOT_MODIFIED', 'searchString=Visby&searchString=Vis'],
    ['NOT_MODIFIED', 'ifNoneMatch=*'],
    ['PRECONDITION_FAILED', 'ifMatch=elsewhere'],
  ])('a resource is %s: %s', async (status, query) => {
    const { status: told, json } = await read(query);
    expect({ status: told, json }).toEqual({ status: `STATUS_${status}`, json: {} });
  });

  test('modified since is later than, to the microsecond; a tag may have its quotes', async () => {
    const { json } = await ask(client, 'retrieve', LOAD);
    const { lastModifiedTime } = json.container as { lastModifiedTime: string };
    expect(await read(`ifModifiedSince=${lastModifiedTime}`)).toMatchObject({ status: 'STATUS_NOT_MODIFIED' });
    expect(await read(`ifUnmodifiedSince=${lastModifiedTime}`)).toMatchObject({ status: 'STATUS_OK' });
    const etag = nodeAt(running, LOAD)?.etag;
    expect(await read(`ifNoneMatch="${etag}"`)).toMatchObject({ status: 'STATUS_NOT_MODIFIED' });
    expect(await read(`ifMatch=${etag}`)).toMatchObject({ status: 'STATUS_OK' });
    await ask(client, 'update', LOAD, { container: labels('Visby') });
    expect(await read(`ifModifiedSince=${lastModifiedTime}`)).toMatchObject({ status: 'STATUS_OK' });
    expect(await read(`ifMatch=${etag}`)).toMatchObject({ status: 'STATUS_PRECONDITION_FAILED' });
  });

  test.each([
    ['ifModifiedSince=yesterday', 'ifModifiedSince is "yesterday"; it must be a date and time with zone'],
    ['createdAfter=1', 'createdAfter is "1"; it must be a date'],
    ['createdAfter=2026-01-01T00:00:00Z&createdSince=2026-01-01T00:00:00Z', 'two spellings'],
    ['sizeFrom=3', 'The parameter "sizeFrom" is not known here; a query takes ifModifiedSince'],
    ['attributeAccessor=/latest', 'attributeAccessor is "/latest"; it must be a relative path'],
    ['attributeAccessor=contentInstances', 'is no part of /m2m/containers/load'],
    ['attributeAccessor=id&attributeAccessor=id', 'attributeAccessor is there 2 times'],
  ])('%s is malformed, and told why', async (query, sentence) => {
    const answer = await read(query);
    expect(answer.status).toBe('STATUS_BAD_REQUEST');
    expect(answer.sentence).toContain(sentence);
  });

  test.each([
    [LOAD, 'attributeAccessor=maxNrOfInstances', { maxNrOfInstances: 20 }],
    [LOAD, 'attributeAccessor=searchStrings/searchString', { searchString: ['Visby', '10 kV'] }],
    [`${LOAD}/contentInstances`, 'attributeAccessor=latest/contentSize', { contentSize: 10 }],
    [`${LOAD}/contentInstances`, 'attributeAccessor=latest/content/contentType', { contentType: 'text/plain' }],
    [`${LOAD}/contentInstances/short`, 'attributeAccessor=contentSize', { contentSize: 1 }],
  ])('%s?%s reads what stands there', async (path, query, document) => {
    expect((await read(query, path)).json).toEqual(document);
  });

  test('an accessor to what is not there is not found', async () => {
    expect((await read('attributeAccessor=colour')).status).toBe('STATUS_NOT_FOUND');
  });

  const ids = async (query: string): Promise<unknown> => {
    const { json } = await read(query, `${LOAD}/contentInstances`);
    const { contentInstanceCollection } = (json.contentInstances ?? json) as { contentInstanceCollection: JsonObject };
    return (contentInstanceCollection.contentInstance as readonly { id: string }[]).map(({ id }) => id);
  };

  test.each([
    ['sizeFrom=2', ['long']],
    ['sizeUntil=1', ['short']],
    ['searchString=short', ['short']],
    ['contentType=application/json&contentType=text/plain', ['short', 'long']],
    ['contentType=application/json', []],
    [`ifModifiedSince=${EARLY}&createdAfter=${EARLY}`, ['short', 'long']],
    [`ifModifiedSince=${EARLY}`, ['long', 'short']],
    ['sizeFrom=2&attributeAccessor=contentInstanceCollection/', ['long']],
  ])('of contentInstances, %s means %j', async (query, expected) => {
    const found = (await ids(query)) as string[];
    // Without a choice among them the newest come first or last as ever.
    expect(query.startsWith('ifModifiedSince') && !query.includes('created') ? [...found].sort() : found).toEqual(
      expected,
    );
  });

  test('one instance: shown with what is asked of it, or not modified', async () => {
    const latest = `${LOAD}/contentInstances/latest`;
    const { json } = await read('metaDataOnly=true&sizeFrom=10', latest);
    expect(json).toMatchObject({ contentInstance: { id: 'long', contentSize: 10 } });
    expect(json.contentInstance).not.toHaveProperty('content');
    expect((await read('sizeFrom=11', latest)).status).toBe('STATUS_NOT_MODIFIED');
    expect((await read(`ifModifiedSince=${LATE}`, `${latest}/content`)).status).toBe('STATUS_NOT_MODIFIED');
    expect((await read('limit=1', latest)).sentence).toContain('"limit" is not known here');
  });

  test('a collection: its members by label, a page at a time, though some go meanwhile', async () => {
    for (let n = 0; n < 7; n++)
      await ask(client, 'create', '/m2m/containers', { container: { id: `c${n}`, ...labels(n % 2 ? 'odd' : 'even') } });
    const page = async (to: string) => {
      const { containers } = (await ask(client, 'retrieve', to)).json as {
        containers: { containerCollection: { namedReference: readonly { id: string }[] }; next?: string };
      };
      return { ids: containers.containerCollection.namedReference.map(({ id }) => id), next: containers.next };
    };
    const first = await page('/m2m/containers?searchString=even&limit=2');
    expect(first.ids).toEqual(['c0', 'c2']);
    await ask(client, 'delete', '/m2m/containers/c2');
    await ask(client, 'delete', '/m2m/containers/c4');
    expect(await page(first.next ?? '')).toEqual({ ids: ['c6'], next: undefined });
    expect((await page('/m2m/containers')).ids).toHaveLength(6);
    expect((await page('/m2m/containers?limit=6')).next).toBeUndefined();
    expect((await read('after=1.1', '/m2m/containers')).sentence).toContain('after is a cursor of what is gone');
    expect((await read(`ifModifiedSince=${LATE}`, '/m2m/containers')).status).toBe('STATUS_NOT_MODIFIED');
  });

  test('the terms of an observation are no filter', async () => {
    expect((await read('rate=5&c.pmin=1')).status).toBe('STATUS_OK');
  });
});
