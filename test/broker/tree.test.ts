/** The tree over HTTP, as a stranger with curl meets it. */
import { decode, encode } from 'cborg';
import { formatTime, parseTime, systemClock } from '../../src/clock.js';
import { ManualClock } from '../support/manual-clock.js';
import {
  closeStage,
  container,
  expectBalanced,
  http,
  startBroker,
  subscribe,
  until,
  type RunningBroker,
} from './stage.js';

let running: RunningBroker;
beforeEach(async () => void (running = await startBroker({ maxBodyBytes: 4096 })));
afterEach(closeStage);

const call = (...args: Parameters<typeof http> extends [unknown, ...infer Rest] ? Rest : never) =>
  http(running, ...args);
const textInstance = (id: string, textContent: string) => ({
  contentInstance: { id, content: { contentType: 'text/plain', textContent } },
});

describe('applications and containers', () => {
  test('are created with Location and ETag, read, replaced and deleted', async () => {
    const created = await call('POST', '/m2m/applications', { application: { appId: 'meter-7' } });
    expect(created).toMatchObject({ status: 201, location: '/m2m/applications/meter-7' });
    const made = await call('POST', `${created.location}/containers`, {
      container: { id: 'load', maxNrOfInstances: 3 },
    });
    expect(made).toMatchObject({ status: 201, location: '/m2m/applications/meter-7/containers/load' });

    const read = await call('GET', made.location);
    expect(read.json).toMatchObject({ container: { id: 'load', maxNrOfInstances: 3 } });
    const replaced = await call('PUT', made.location, { container: { maxNrOfInstances: 5 } });
    expect(replaced.status).toBeLessThan(300);
    expect((await call('GET', made.location)).json).toMatchObject({ container: { maxNrOfInstances: 5 } });

    expect((await call('DELETE', created.location)).status).toBe(204);
    expect((await call('GET', made.location)).status).toBe(404);
  });

  test('an id that is taken is a conflict, and the standing one is unchanged', async () => {
    await container(running, { id: 'load', maxNrOfInstances: 3 });
    const again = await call('POST', '/m2m/containers', { container: { id: 'load', maxNrOfInstances: 9 } });
    expect(again.status).toBe(409);
    expect(again.sentence).toContain('"load" is taken');
    expect((await call('GET', '/m2m/containers/load/maxNrOfInstances')).bytes.toString()).toContain('3');
  });

  test('without an id one is generated and told', async () => {
    const path = await container(running);
    expect(path).toMatch(/^\/m2m\/containers\/.+/);
    expect((await call('GET', path)).status).toBe(200);
  });
});

describe('contentInstances', () => {
  test('a document and its parts: by id, latest, oldest, content', async () => {
    const path = `${await container(running, { id: 'notes' })}/contentInstances`;
    for (const id of ['first', 'second'])
      expect((await call('POST', path, textInstance(id, `the ${id}`))).status).toBe(201);
    expect((await call('GET', `${path}/latest`)).json).toMatchObject({
      contentInstance: {
        id: 'second',
        contentSize: 10,
        content: { contentType: 'text/plain', textContent: 'the second' },
      },
    });
    expect((await call('GET', `${path}/oldest/content`)).bytes.toString()).toBe('the first');
    expect((await call('GET', `${path}/first/content`)).headers.get('content-type')).toBe('text/plain');
    expect((await call('GET', path)).json).toMatchObject({ contentInstances: { currentNrOfInstances: 2 } });
    expect((await call('DELETE', `${path}/first`)).status).toBe(204);
    expect((await call('GET', `${path}/oldest/content`)).bytes.toString()).toBe('the second');
  });

  test('bytes of any media type come back as they were', async () => {
    const path = `${await container(running)}/contentInstances`;
    const octets = Buffer.from([0, 255, 13, 10, 128]);
    const { location } = await call('POST', path, octets);
    const read = await call('GET', `${location}/content`);
    expect(read.bytes).toEqual(octets);
    expect(read.headers.get('content-type')).toBe('application/octet-stream');
    expect((await call('GET', `${path}/latest`)).json).toMatchObject({
      contentInstance: {
        content: { contentType: 'application/octet-stream', binaryContent: octets.toString('base64') },
      },
    });
  });

  test('CBOR in and out: a document as a document, any other as content', async () => {
    const path = `${await container(running)}/contentInstances`;
    const headers = { 'content-type': 'application/cbor' };
    expect((await call('POST', path, encode(textInstance('a', 'eins')), headers)).status).toBe(201);
    const read = await call('GET', `${path}/a`, undefined, { accept: 'application/cbor' });
    expect(read.headers.get('content-type')).toBe('application/cbor');
    expect(decode(read.bytes)).toMatchObject({ contentInstance: { id: 'a', content: { textContent: 'eins' } } });
    const raw = encode({ volts: 230 });
    const { location } = await call('POST', path, raw, headers);
    expect((await call('GET', `${location}/content`)).bytes).toEqual(Buffer.from(raw));
  });

  test('a taken id is a conflict; nothing is stored twice', async () => {
    const path = `${await container(running)}/contentInstances`;
    await call('POST', path, textInstance('one', 'a'));
    expect((await call('POST', path, textInstance('one', 'b'))).status).toBe(409);
    expect((await call('GET', `${path}/one/content`)).bytes.toString()).toBe('a');
  });

  test('a POST on the container itself means its contentInstances', async () => {
    const path = await container(running);
    const { location, status } = await call('POST', path, 'hello', { 'content-type': 'text/plain' });
    expect(status).toBe(201);
    expect(location).toContain(`${path}/contentInstances/`);
  });
});

describe('retention', () => {
  test('by count: the oldest go', async () => {
    const path = `${await container(running, { maxNrOfInstances: 2 })}/contentInstances`;
    for (const id of ['a', 'b', 'c']) await call('POST', path, textInstance(id, id));
    expect((await call('GET', `${path}/a`)).status).toBe(404);
    expect((await call('GET', `${path}/oldest/content`)).bytes.toString()).toBe('b');
  });

  test('by bytes: the oldest go, and what alone is too large is refused', async () => {
    const path = `${await container(running, { maxByteSize: 10 })}/contentInstances`;
    for (const id of ['aaaa', 'bbbb', 'cccc']) await call('POST', path, textInstance(id, id));
    expect((await call('GET', path)).json).toMatchObject({
      contentInstances: { currentNrOfInstances: 2, currentByteSize: 8 },
    });
    const refused = await call('POST', path, textInstance('d', 'd'.repeat(11)));
    expect(refused.status).toBe(400);
    expect(refused.sentence).toContain('11 bytes');
    expect((await call('GET', path)).json).toMatchObject({ contentInstances: { currentNrOfInstances: 2 } });
  });

  test('by age: what is older than a day is not there any more', async () => {
    const clock = new ManualClock();
    running = await startBroker({}, { clock });
    const path = `${await container(running, { maxInstanceAge: 86_400 })}/contentInstances`;
    await call('POST', path, textInstance('old', 'old'));
    clock.advance(86_000_000);
    await call('POST', path, textInstance('new', 'new'));
    clock.advance(500_000);
    expect((await call('GET', `${path}/old`)).status).toBe(404);
    expect((await call('GET', `${path}/latest/content`)).bytes.toString()).toBe('new');
  });

  test('expirationTime removes the container, and its subscribers hear that it expired', async () => {
    const clock = new ManualClock();
    running = await startBroker({}, { clock });
    const path = await container(running, { expirationTime: formatTime(clock.wallUs() + 120_000_000) });
    const { port } = await subscribe(running, path);
    clock.advance(119_000);
    expect((await call('GET', path)).status).toBe(200);
    clock.advance(2_000);
    expect((await call('GET', path)).status).toBe(404);
    expect(port.ended).toMatchObject([{ ending: 'LEASE_EXPIRED' }]);
    await expectBalanced(running);
  });
});

describe('what is deleted', () => {
  test('tells those who subscribed to it, over a session and over a channel', async () => {
    const path = await container(running);
    const { port } = await subscribe(running, path);
    const channel = await call('POST', '/m2m/notificationChannels', {
      notificationChannel: { channelType: 'LONG_POLLING' },
    });
    const subscription = await call('POST', `${path}/contentInstances/subscriptions`, {
      subscription: { contact: channel.location },
    });
    expect(subscription.status).toBe(201);
    await call('DELETE', path);
    expect(port.ended).toMatchObject([{ ending: 'RESOURCE_DELETED' }]);
    const told = await call('GET', `${channel.location}/longPolling`);
    expect(told).toMatchObject({
      status: 200,
      json: { notify: { statusCode: 'STATUS_DELETED', subscriptionReference: subscription.location } },
    });
    expect([...running.broker.subscriptions.accounts()]).toEqual([]);
    await until('its actors are gone', () => running.broker.subscriptions.population.size === 0);
  });
});

describe('conditions', () => {
  test('If-None-Match with the tag that stands is 304 without a body; after a change it is the new state', async () => {
    const path = `${await container(running)}/contentInstances`;
    await call('POST', path, textInstance('a', 'a'));
    const etag = (await call('GET', `${path}/latest/content`)).headers.get('etag') ?? '';
    expect(etag).toMatch(/^".+"$/);
    const same = await call('GET', `${path}/latest/content`, undefined, { 'if-none-match': etag });
    expect(same.status).toBe(304);
    expect(same.bytes).toHaveLength(0);
    expect(same.headers.get('etag')).toBe(etag);
    await call('POST', path, textInstance('b', 'b'));
    expect((await call('GET', `${path}/latest/content`, undefined, { 'if-none-match': etag })).status).toBe(200);
  });

  test('If-Match with a stale tag is 412 and changes nothing', async () => {
    const path = await container(running, { maxNrOfInstances: 3 });
    const etag = (await call('GET', path)).headers.get('etag') ?? '';
    const put = (maxNrOfInstances: number) =>
      call('PUT', path, { container: { maxNrOfInstances } }, { 'if-match': etag });
    expect((await put(4)).status).toBeLessThan(300);
    expect((await put(5)).status).toBe(412);
    expect((await call('DELETE', path, undefined, { 'if-match': etag })).status).toBe(412);
    expect((await call('GET', path)).json).toMatchObject({ container: { maxNrOfInstances: 4 } });
  });
});

describe('conditions on dates', () => {
  const AFTER = 'Sun, 06 Nov 2094 08:49:37 GMT';
  const BEFORE = 'Sunday, 06-Nov-94 08:49:37 GMT';

  test('Last-Modified given back is 304; an older date is the state', async () => {
    const path = await container(running);
    const { headers } = await call('GET', path);
    const modified = headers.get('last-modified') ?? '';
    expect(modified).toMatch(/^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
    const read = (date: string) => call('GET', path, undefined, { 'if-modified-since': date });
    expect(await read(modified)).toMatchObject({ status: 304, bytes: Buffer.alloc(0) });
    expect((await read(AFTER)).status).toBe(304);
    expect((await read(BEFORE)).status).toBe(200);
    // [RFC9110-13.1.3] what is no date is as if it were not there
    expect((await read('yesterday')).status).toBe(200);
    // A tag says more than a date.
    expect((await call('GET', path, undefined, { 'if-modified-since': AFTER, 'if-none-match': '"x"' })).status).toBe(
      200,
    );
  });

  test('an instance is as old as it is', async () => {
    const path = `${await container(running)}/contentInstances`;
    await call('POST', path, textInstance('a', 'a'));
    for (const below of ['latest', 'latest/content']) {
      const modified = (await call('GET', `${path}/${below}`)).headers.get('last-modified') ?? '';
      expect((await call('GET', `${path}/${below}`, undefined, { 'if-modified-since': modified })).status).toBe(304);
    }
  });

  test('If-Unmodified-Since of before is 412 and changes nothing', async () => {
    const path = await container(running, { maxNrOfInstances: 3 });
    const put = (maxNrOfInstances: number, date: string) =>
      call('PUT', path, { container: { maxNrOfInstances } }, { 'if-unmodified-since': date });
    expect((await put(4, BEFORE)).status).toBe(412);
    expect((await call('DELETE', path, undefined, { 'if-unmodified-since': BEFORE })).status).toBe(412);
    expect((await call('GET', path)).json).toMatchObject({ container: { maxNrOfInstances: 3 } });
    expect((await put(5, AFTER)).status).toBeLessThan(300);
  });

  test('of what has no state, and of members, who answer for themselves', async () => {
    await call('POST', '/m2m/applications', { application: { appId: 'a' } });
    await call('POST', '/m2m/applications', { application: { appId: 'b' } });
    const members = { reference: ['/m2m/applications/a', '/m2m/applications/b'] };
    await call('POST', '/m2m/groups', { group: { id: 'g', memberType: 'APPLICATION', members } });
    const etag = (await call('GET', '/m2m/applications/a')).headers.get('etag') ?? '';
    const put = await call(
      'PUT',
      '/m2m/groups/g/membersContent',
      { application: { searchStrings: { searchString: ['x'] } } },
      { 'if-match': etag },
    );
    const { status } = put.json.membersContentResponses as { status: { statusCode: string }[] };
    expect(status.map(({ statusCode }) => statusCode)).toEqual(['STATUS_OK', 'STATUS_PRECONDITION_FAILED']);
    expect((await call('GET', '/m2m/discovery', undefined, { 'if-match': '*' })).status).toBe(200);
    expect((await call('GET', '/m2m/discovery', undefined, { 'if-match': '"x"' })).status).toBe(412);
  });
});

describe('what is wrong is told by status and sentence', () => {
  test.each([
    ['an unknown path', 'GET', '/m2m/containers/nowhere', undefined, {}, 404, 'no "nowhere" below'],
    ['another sclBase', 'GET', '/other', undefined, {}, 404, 'the sclBase is /m2m'],
    ['an empty container', 'GET', '/m2m/containers/c/contentInstances/latest', undefined, {}, 404, 'it is empty'],
    [
      'an empty container’s content',
      'GET',
      '/m2m/containers/c/contentInstances/latest/content',
      undefined,
      {},
      404,
      'it is empty',
    ],
    ['a broken path', 'GET', '/m2m/%zz', undefined, {}, 400, 'broken percent escape'],
    ['a document of another type', 'POST', '/m2m/containers', { application: {} }, {}, 400, 'named container'],
    [
      'an unknown attribute',
      'POST',
      '/m2m/containers',
      { container: { colour: 'red' } },
      {},
      400,
      'no attribute "colour"',
    ],
    [
      'a wrong type',
      'POST',
      '/m2m/containers',
      { container: { maxNrOfInstances: 'many' } },
      {},
      400,
      'must be a whole number',
    ],
    [
      'an attribute of the SCL',
      'POST',
      '/m2m/containers',
      { container: { creationTime: '2026-01-01T00:00:00Z' } },
      {},
      400,
      'the SCL sets it',
    ],
    [
      'an id with a slash',
      'POST',
      '/m2m/containers',
      { container: { id: 'a/b' } },
      {},
      400,
      'cannot be a path segment',
    ],
    ['a reserved id', 'POST', '/m2m/containers', { container: { id: 'latest' } }, {}, 400, 'reserved'],
    ['no body', 'POST', '/m2m/containers', undefined, {}, 400, 'needs a body'],
    ['broken JSON', 'POST', '/m2m/containers', '{"container":', {}, 400, 'not well-formed'],
    ['a list', 'POST', '/m2m/containers', '[]', {}, 400, 'must be an object'],
    [
      'a format that is no representation',
      'POST',
      '/m2m/containers',
      '<a/>',
      { 'content-type': 'application/xml' },
      415,
      'application/json or application/cbor',
    ],
    ['a compressed body', 'POST', '/m2m/containers', '{}', { 'content-encoding': 'gzip' }, 415, 'gzip'],
    ['a body that is too large', 'POST', '/m2m/containers', 'x'.repeat(5000), {}, 413, '4096'],
    [
      'an expirationTime that has passed',
      'POST',
      '/m2m/containers',
      { container: { expirationTime: '2020-01-01T00:00:00Z' } },
      {},
      400,
      'has passed',
    ],
    ['a broken entity tag', 'GET', '/m2m', undefined, { 'if-match': 'abc' }, 400, 'entity tags in quotes'],
    [
      'a subscription without a channel',
      'POST',
      '/m2m/containers/c/contentInstances/subscriptions',
      { subscription: { contact: '/m2m/containers/c' } },
      {},
      400,
      'contactURI of a notificationChannel',
    ],
    [
      'a contact that nothing here speaks to',
      'POST',
      '/m2m/containers/subscriptions',
      { subscription: { contact: 'ftp://127.0.0.1/x' } },
      {},
      400,
      'its scheme must be one of http:, https:, coap:',
    ],
  ] as const)('%s', async (_name, method, path, body, headers, status, sentence) => {
    await container(running, { id: 'c' });
    const answer = await call(method, path, body, headers);
    expect([answer.status, answer.sentence]).toEqual([status, expect.stringContaining(sentence)]);
    expect((await call('GET', '/m2m/containers')).json).toMatchObject({
      containers: { containerCollection: { namedReference: [{ id: 'c' }] } },
    });
  });

  test.each([
    ['DELETE', '/m2m', 'GET, PUT'],
    ['POST', '/m2m', 'GET, PUT'],
    ['DELETE', '/m2m/containers', 'POST, GET, PUT'],
    ['PUT', '/m2m/containers/c/contentInstances', 'POST, GET'],
    ['PATCH', '/m2m', 'POST, GET, PUT, DELETE'],
  ])('%s %s is 405 and Allow names %s', async (method, path, allow) => {
    await container(running, { id: 'c' });
    const { status, headers } = await call(method, path, method === 'DELETE' ? undefined : {});
    expect(status).toBe(405);
    expect(headers.get('allow')).toBe(allow);
  });

  test('a format that is not to be had is 406 and the sentence says what is', async () => {
    const path = `${await container(running)}/contentInstances`;
    await call('POST', path, textInstance('a', 'a'));
    const { status, sentence } = await call('GET', `${path}/latest/content`, undefined, { accept: 'image/png' });
    expect([status, sentence]).toEqual([406, expect.stringContaining('text/plain')]);
  });
});

test('expirationTime in the answer is what was asked for or the limit', async () => {
  const wanted = formatTime(systemClock.wallUs() + 400 * 86_400e6);
  const { json } = await call('POST', '/m2m/containers', { container: { expirationTime: wanted } });
  const granted = parseTime((json.container as { expirationTime: string }).expirationTime) ?? 0;
  expect(granted).toBeLessThan(systemClock.wallUs() + 31 * 86_400e6);
});
