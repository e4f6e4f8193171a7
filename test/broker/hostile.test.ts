/** Input that wants to break something: the right status, a sentence, nothing changed, and the broker goes on. */
import { encode } from 'cborg';
import { closeStage, container, expectBalanced, http, startBroker, subscribe } from './stage.js';

afterEach(closeStage);

const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
const named = (value: string): string => `{"container":{"id":${value}}}`;
const CBOR = { 'content-type': 'application/cbor' };

test.each<[string, string | Uint8Array, number, Record<string, string>?]>([
  ['__proto__ at the root', '{"__proto__":{"container":{}}}', 400],
  ['__proto__ beside the type', '{"container":{"id":"x"},"__proto__":{"polluted":true}}', 400],
  ['__proto__ in the attributes', '{"container":{"__proto__":{"maxNrOfInstances":9}}}', 400],
  ['__proto__ written as an escape', '{"container":{"\\u005f_proto__":{"polluted":true}}}', 400],
  ['constructor.prototype', '{"container":{"constructor":{"prototype":{"polluted":true}}}}', 400],
  [
    'an id named __proto__ below a string list',
    '{"container":{"searchStrings":{"searchString":[{"__proto__":1}]}}}',
    400,
  ],
  ['JSON 10,000 deep', nested(10_000), 400],
  ['JSON 40 deep inside the document', named(nested(40)), 400],
  ['a number where an object should be', '{"container":7}', 400],
  ['null', 'null', 400],
  ['a number as id', named('7'), 400],
  ['an id of 300 bytes', named(JSON.stringify('x'.repeat(300))), 400],
  ['an id with NUL', named('"a\\u0000b"'), 400],
  ['an id of dots', named('".."'), 400],
  ['half a surrogate pair', named('"\\ud800"'), 400],
  [
    'invalid UTF-8',
    Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d),
    400,
    { 'content-type': 'application/json' },
  ],
  ['an infinite count', '{"container":{"maxNrOfInstances":1e999}}', 400],
  ['a negative count', '{"container":{"maxByteSize":-1}}', 400],
  ['CBOR with a key twice', Buffer.from('a2616101616102', 'hex'), 400, CBOR],
  ['CBOR of an endless length', Buffer.from('9b7fffffffffffffff', 'hex'), 400, CBOR],
  ['CBOR with __proto__', encode(new Map([['__proto__', new Map([['container', 1]])]])), 400, CBOR],
  ['CBOR 5,000 deep', Buffer.concat([Buffer.alloc(5_000, 0x81), Buffer.from([0])]), 400, CBOR],
  ['a body beyond the limit', `{"container":{"id":"${'x'.repeat(2_000_000)}"}}`, 413],
])('%s', async (_name, body, status, headers = { 'content-type': 'application/json' }) => {
  const running = await startBroker();
  const { revision } = running.broker.resources.tree.root.child('containers') ?? {};
  const answer = await http(running, 'POST', '/m2m/containers', body, headers);
  expect(answer.status).toBe(status);
  expect(answer.sentence).not.toBe('');
  expect(running.broker.resources.tree.root.child('containers')?.revision).toBe(revision);
  expect((Object.prototype as { polluted?: unknown }).polluted).toBeUndefined();
  expect((await http(running, 'GET', '/m2m/containers')).status).toBe(200);
  expect(running.broker.tree()).toMatchObject({ state: 'up' });
  expect(running.fatal).toEqual([]);
});

test('__proto__ and constructor in a path are names like any other, and not there', async () => {
  const running = await startBroker();
  for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
    expect((await http(running, 'GET', `/m2m/containers/${name}`)).status).toBe(404);
    expect((await http(running, 'GET', `/m2m/searchStrings/${name}`)).status).toBe(404);
    expect((await http(running, 'GET', `/m2m/${name}/${name}`)).status).toBe(404);
  }
});

test('hostile content is content: stored and delivered as it is, and it stops nobody', async () => {
  const running = await startBroker();
  const path = await container(running);
  const { port } = await subscribe(running, path);
  for (const body of ['{"__proto__":1}', '[', nested(1_000)]) {
    const { status, location } = await http(running, 'POST', path, body, { 'content-type': 'text/plain' });
    expect(status).toBe(201);
    expect((await http(running, 'GET', `${location}/content`)).bytes.toString()).toBe(body);
  }
  expect(
    port.sent.length +
      [...running.broker.subscriptions.accounts()].reduce((sum, { dropped }) => sum + dropped['no-such-format'], 0),
  ).toBe(3);
  await expectBalanced(running);
});
