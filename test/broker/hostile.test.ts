/** Input that wants to break something: the right status, a sentence, nothing changed, and the broker goes on. */
import { encode } from 'cborg';
import type { Node } from '../../src/actors/resources.js';
import { open, type Client } from '../../src/client/index.js';
import {
  ask,
  clientOf,
  closeStage,
  container,
  expectBalanced,
  http,
  startBroker,
  subscribe,
  whenStageCloses,
  type RunningBroker,
  type Said,
} from './stage.js';

afterEach(closeStage);

const nested = (depth: number): string => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
const named = (value: string): string => `{"container":{"id":${value}}}`;
const CBOR = 'application/cbor';
const JSON_TYPE = 'application/json';

/** Everything that somebody could have changed: resources with their revisions, containers with their contents. */
function treeOf(running: RunningBroker): readonly string[] {
  const lines: string[] = [];
  const walk = (node: Node): void => {
    // A collection stands as soon as anybody has looked at it; what is in it does not.
    if (node.row.creates.length === 0)
      lines.push(`${node.reference} ${node.etag} ${JSON.stringify([...node.attributes])}`);
    // The broker's canary sings by itself.
    if (node.history && node.parent?.id !== 'canary') lines.push(`${node.reference} ${node.history.latest?.sequence}`);
    for (const child of node.known) walk(child);
  };
  walk(running.broker.resources.tree.root);
  return lines;
}

/** Names that lie in wait on Object.prototype, in every place where a name can stand. */
const NAMES: readonly [string, string][] = [
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'valueOf',
].flatMap((name): [string, string][] => [
  [`${name} at the root`, `{"${name}":{}}`],
  [`${name} as an attribute`, `{"container":{"${name}":{}}}`],
  [`${name} in an attribute`, `{"container":{"searchStrings":{"searchString":[],"${name}":1}}}`],
]);
const big = 'x'.repeat(60_000);

const BODIES: [string, string | Uint8Array, string?][] = [
  ...NAMES,
  ['__proto__ at the root', '{"__proto__":{"container":{}}}'],
  ['__proto__ beside the type', '{"container":{"id":"x"},"__proto__":{"polluted":true}}'],
  ['__proto__ in the attributes', '{"container":{"__proto__":{"maxNrOfInstances":9}}}'],
  ['__proto__ written as an escape', '{"container":{"\\u005f_proto__":{"polluted":true}}}'],
  ['constructor.prototype', '{"container":{"constructor":{"prototype":{"polluted":true}}}}'],
  ['__proto__ below a list of strings', '{"container":{"searchStrings":{"searchString":[{"__proto__":1}]}}}'],
  ['JSON 10,000 deep', nested(10_000)],
  ['lists 10,000 deep', '['.repeat(10_000) + ']'.repeat(10_000)],
  ['JSON 40 deep inside the document', named(nested(40))],
  ['a number where an object should be', '{"container":7}'],
  ['null', 'null'],
  ['nothing', ''],
  ['a number as id', named('7')],
  ['an id of 256 bytes', named(JSON.stringify('x'.repeat(256)))],
  ['an id of 60,000 bytes', named(JSON.stringify(big))],
  ['an id with NUL', named('"a\\u0000b"')],
  ['an id with a slash', named('"a/b"')],
  ['an id of dots', named('".."')],
  ['half a surrogate pair', named('"\\ud800"')],
  ['an attribute of 60,000 characters', `{"container":{"searchStrings":{"searchString":["${big}"]}}}`],
  ['a list of 10,001 items', `{"container":{"searchStrings":{"searchString":[${'"",'.repeat(10_000)}""]}}}`],
  ['a name of 60,000 characters', `{"container":{"${big}":1}}`],
  ['invalid UTF-8', Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d)],
  ['an infinite count', '{"container":{"maxNrOfInstances":1e999}}'],
  ['a negative count', '{"container":{"maxByteSize":-1}}'],
  ['CBOR with a key twice', Buffer.from('a2616101616102', 'hex'), CBOR],
  ['CBOR of an endless length', Buffer.from('9b7fffffffffffffff', 'hex'), CBOR],
  ['CBOR with __proto__', encode(new Map([['__proto__', new Map([['container', 1]])]])), CBOR],
  ['CBOR lists 10,000 deep', Buffer.concat([Buffer.alloc(10_000, 0x81), Buffer.from([0])]), CBOR],
  ['CBOR maps 10,000 deep', Buffer.concat([Buffer.from('a16161'.repeat(10_000), 'hex'), Buffer.from([0])]), CBOR],
];

describe.each(['http', 'coap', 'ws'] as const)('over %s', (binding) => {
  let running: RunningBroker;
  let client: Client;
  beforeEach(async () => {
    running = await startBroker();
    // The binary subprotocol has a body as it is.
    client = await open(running[binding], binding === 'ws' ? { subprotocol: 'gridcast.v1' } : {});
    whenStageCloses(() => client.close());
    await container(running, { id: 'standing', searchStrings: { searchString: ['before'] } });
  });
  const put = async (op: 'create' | 'update', bytes: Uint8Array | string, mediaType: string): Promise<Said> => {
    const to = op === 'create' ? '/m2m/containers' : '/m2m/containers/standing';
    return ask(client, op, to, { mediaType, bytes: Buffer.from(bytes) });
  };
  const expectWell = async (): Promise<void> => {
    expect((Object.prototype as { polluted?: unknown }).polluted).toBeUndefined();
    expect((await ask(client, 'retrieve', '/m2m/containers/standing')).status).toBe('STATUS_OK');
    expect(running.broker.tree()).toMatchObject({ state: 'up' });
    expect(running.fatal).toEqual([]);
  };

  test.each(BODIES.map(([name, body, mediaType = JSON_TYPE]) => [name, body, mediaType] as const))(
    '%s: 400 with a sentence, and nothing is changed',
    async (_name, body, mediaType) => {
      const before = treeOf(running);
      for (const op of ['create', 'update'] as const) {
        const { status, sentence } = await put(op, body, mediaType);
        expect(status).toBe('STATUS_BAD_REQUEST');
        expect(sentence.length).toBeGreaterThan(20);
        expect(sentence.length).toBeLessThan(1_000);
      }
      expect(treeOf(running)).toEqual(before);
      await expectWell();
    },
  );

  test('a body of 1 MB is taken by nobody', async () => {
    const before = treeOf(running);
    const attribute = `{"container":{"searchStrings":{"searchString":["${'x'.repeat(1_000_000)}"]}}}`;
    // HTTP has room for contents of that size; a WebSocket that sends more than it may is closed, and comes again.
    const told = { http: 'STATUS_BAD_REQUEST', coap: 'STATUS_TOO_LARGE', ws: '' }[binding];
    const { status, sentence } = await put('create', attribute, JSON_TYPE);
    expect([status, sentence]).toEqual([told, expect.stringMatching(/longest text|exceeds|1009/)]);
    expect(treeOf(running)).toEqual(before);
    if (binding === 'ws') client = await clientOf(running, binding);
    await expectWell();
  });
});

test('a body beyond the limit of HTTP: 413', async () => {
  const running = await startBroker();
  const { status, sentence } = await http(
    running,
    'POST',
    '/m2m/containers',
    named(JSON.stringify('x'.repeat(2_000_000))),
  );
  expect([status, sentence]).toEqual([413, expect.stringContaining('1048576')]);
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
