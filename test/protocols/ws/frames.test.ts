import fc from 'fast-check';
import { isRefusal, STATUSES, type Status } from '../../../src/errors.js';
import { ENDINGS, type Ending } from '../../../src/routing/endings.js';
import {
  FRAME_CODECS,
  type Frame,
  type FrameCodec,
  type NotificationFrame,
  type Payload,
  type Subprotocol,
} from '../../../src/protocols/ws/frames.js';

const count = fc.nat(2 ** 32 - 1);
const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const texts = fc.array(text, { maxLength: 3 });
/** Values that stay what they are as JSON; no `__proto__`, which no reader of ours takes. */
const json = fc
  .jsonValue({ maxDepth: 3 })
  .filter((value) => !JSON.stringify(value).includes('__proto__') && !JSON.stringify(value).includes('-0'));
const object = fc
  .dictionary(
    fc.string({ maxLength: 5 }).filter((name) => name !== '__proto__'),
    json,
    { maxKeys: 3 },
  )
  .map((value) => ({ ...value }));
const jsonBytes = json.map((value) => Buffer.from(JSON.stringify(value)));
/** JSON in another spelling than ours, as `0` before a tab, comes back as the value that it is, not as these bytes. */
function isSpeltAsOurs(bytes: Buffer): boolean {
  try {
    return JSON.stringify(JSON.parse(bytes.toString())) === bytes.toString();
  } catch {
    return true;
  }
}
const anyBytes = fc
  .uint8Array({ maxLength: 40 })
  .map((bytes) => Buffer.from(bytes))
  .filter(isSpeltAsOurs);
const payload: fc.Arbitrary<Payload> = fc.oneof(
  fc.record({
    mediaType: fc.constantFrom('application/json', 'application/senml+json', 'application/json; charset=utf-8'),
    bytes: jsonBytes,
  }),
  fc.record({
    mediaType: fc.constantFrom('application/cbor', 'application/octet-stream', 'text/plain', 'application/json'),
    bytes: anyBytes,
  }),
  fc.record({
    mediaType: fc.constantFrom('text/plain', 'text/html; charset=utf-8'),
    bytes: text.map((value) => Buffer.from(value)),
  }),
);
const status = fc.constantFrom(...(Object.keys(STATUSES) as Status[]));
const timeUs = fc.integer({ min: 0, max: Date.UTC(2255, 0) * 1000 });
const seq = count;

const notification = fc.record(
  {
    t: fc.constant('ntf' as const),
    sub: count,
    route: fc.integer({ min: 1, max: 70_000 }),
    n: count,
    missed: count,
    timeUs,
    body: fc.oneof(jsonBytes, anyBytes),
  },
  { requiredKeys: ['t', 'sub', 'n', 'missed', 'timeUs', 'body'] },
);
const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record(
    {
      t: fc.constant('hello' as const),
      originator: text,
      token: text,
      attach: texts,
      resume: text,
      heartbeatMs: count,
    },
    { requiredKeys: ['t', 'attach'] },
  ),
  fc.record(
    {
      t: fc.constant('welcome' as const),
      session: text,
      resumed: fc.boolean(),
      heartbeatMs: count,
      resumeWithinS: count,
      heard: count,
      subs: fc.array(count),
    },
    { requiredKeys: ['t', 'session', 'resumed', 'subs'] },
  ),
  fc.record(
    {
      t: fc.constant('req' as const),
      id: count,
      op: fc.constantFrom(
        'create' as const,
        'retrieve' as const,
        'update' as const,
        'delete' as const,
        'notify' as const,
      ),
      to: text,
      accept: text,
      payload,
      ifMatch: texts,
      ifNoneMatch: texts,
    },
    { requiredKeys: ['t', 'id', 'op', 'to', 'ifMatch', 'ifNoneMatch'] },
  ),
  fc.record(
    {
      t: fc.constant('res' as const),
      id: count,
      status,
      code: count,
      payload,
      etag: text,
      location: text,
      allow: texts,
      retryAfterS: fc.nat(),
      format: text,
    },
    { requiredKeys: ['t', 'id', 'status', 'code', 'allow'] },
  ),
  fc.record(
    {
      t: fc.constant('sub' as const),
      id: count,
      to: text,
      accept: text,
      rate: fc.double({ noNaN: true, noDefaultInfinity: true }).filter((rate) => !Object.is(rate, -0)),
      class: fc.constantFrom('protection' as const, 'reporting' as const),
      batchMs: fc.nat(),
      conditions: text,
      method: fc.constantFrom('mean' as const, 'first' as const),
    },
    { requiredKeys: ['t', 'id', 'to'] },
  ),
  notification,
  fc.record(
    {
      t: fc.constant('route' as const),
      ...{ sub: count, route: count, path: text, format: text, status, reason: text },
      ending: fc.constantFrom(...(Object.keys(ENDINGS) as Ending[])),
    },
    { requiredKeys: ['t', 'sub', 'path'] },
  ),
  fc.record({ t: fc.constant('batch' as const), ntf: fc.array(notification, { maxLength: 5 }) }),
  fc.record({ t: fc.constant('unsub' as const), id: count, sub: count }),
  fc.record(
    {
      t: fc.constant('end' as const),
      sub: count,
      ending: fc.constantFrom(...(Object.keys(ENDINGS) as Ending[])),
      status,
      reason: text,
    },
    { requiredKeys: ['t', 'sub', 'ending', 'reason'] },
  ),
  fc.record({
    t: fc.constant('msg' as const),
    seq,
    kind: fc.constantFrom('command' as const, 'alarm' as const, 'outcome' as const),
    body: object,
  }),
  fc.record({ t: fc.constant('ack' as const), seq }),
  fc.record({ t: fc.constantFrom('ping' as const, 'pong' as const), id: count }, { requiredKeys: ['t'] }),
  fc.record(
    { t: fc.constant('error' as const), status, reason: text, id: count },
    { requiredKeys: ['t', 'status', 'reason'] },
  ),
);

const bytesOf = (message: string | Uint8Array): Buffer => Buffer.from(message as Uint8Array);
/** Bytes as text, so that a difference can be read and a Buffer equals a Uint8Array. */
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_name, member: unknown) =>
      isBuffer(member) ? Buffer.from(member.data).toString('latin1') : member,
    ),
  );
const isBuffer = (value: unknown): value is { type: 'Buffer'; data: number[] } =>
  typeof value === 'object' && value !== null && (value as { type?: unknown }).type === 'Buffer';

const decoded = (codec: FrameCodec, message: string | Uint8Array): Frame => {
  const read = codec.decode(bytesOf(message));
  if (isRefusal(read)) throw new Error(read.detail);
  return read;
};
const fault = (codec: FrameCodec, message: string | Uint8Array) => {
  const read = codec.decode(bytesOf(message));
  if (!isRefusal(read)) throw new Error(`taken: ${JSON.stringify(read)}`);
  return read;
};

describe.each<[Subprotocol]>([['gridcast.v1'], ['gridcast.v1+json']])('frames of %s', (name) => {
  const codec = FRAME_CODECS[name];

  test('every frame comes back as it went', () => {
    fc.assert(
      fc.property(frame, (sent) => expect(plain(decoded(codec, codec.encode(sent)))).toEqual(plain(sent))),
      { numRuns: 2000 },
    );
  });

  test('a notification of a shared tail and each head written before it is what the encoder writes in one piece', () => {
    const notification = frame.filter((one): one is NotificationFrame => one.t === 'ntf');
    fc.assert(
      fc.property(notification, (sent) => {
        const { sub, route = 0, missed, n, timeUs, body } = sent;
        const shared = codec.share(n, timeUs, 'application/octet-stream', body, true);
        for (const own of [sub, 2 ** 32 - 1 - sub, sub]) {
          const message = Buffer.from(shared.to(own, route, missed));
          expect(plain(decoded(codec, message))).toEqual(plain({ ...sent, sub: own }));
        }
      }),
    );
  });

  test('a batch put together of whole messages is what the encoder writes in one piece', () => {
    fc.assert(
      fc.property(fc.array(notification, { minLength: 1, maxLength: 5 }), (ntf) => {
        const messages = ntf.map(({ sub, route = 0, missed, n, timeUs, body }) =>
          codec.share(n, timeUs, 'application/octet-stream', body, true).to(sub, route, missed),
        );
        expect(plain(decoded(codec, codec.batch(messages)))).toEqual(plain({ t: 'batch', ntf }));
      }),
    );
  });

  test('random and mutated bytes give a frame or a fault with a sentence, never a throw', () => {
    const mutated = fc.tuple(frame, fc.nat(), fc.nat(255)).map(([one, at, byte]) => {
      const bytes = bytesOf(codec.encode(one));
      bytes[at % bytes.length] = byte;
      return bytes;
    });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), mutated), (bytes) => {
        const read = codec.decode(bytes);
        if (isRefusal(read)) expect(read.detail).toMatch(/\.$/);
      }),
      { numRuns: 3000 },
    );
  });
});

describe('frames as the documents spell them', () => {
  const codec = FRAME_CODECS['gridcast.v1+json'];
  const spelt = (sent: Frame): unknown => JSON.parse(bytesOf(codec.encode(sent)).toString());

  test('JSON: a request, an answer, a subscription, a notification', () => {
    expect(
      decoded(codec, '{"t":"req","id":1,"op":"create","to":"/m2m/x","accept":"application/json","body":{"a":1}}'),
    ).toMatchObject({
      op: 'create',
      payload: { mediaType: 'application/json', bytes: Buffer.from('{"a":1}') },
    });
    const payload = { mediaType: 'application/json', bytes: Buffer.from('{"container":{}}') };
    expect(spelt({ t: 'res', id: 1, status: 'STATUS_OK', code: 200, allow: [], payload })).toEqual({
      t: 'res',
      id: 1,
      status: 'STATUS_OK',
      code: 200,
      body: { container: {} },
    });
    expect(decoded(codec, '{"t":"sub","id":2,"to":"/m2m/x","rate":5,"class":"monitoring","batchMs":0}')).toEqual({
      t: 'sub',
      id: 2,
      to: '/m2m/x',
      rate: 5,
      class: 'monitoring',
      batchMs: 0,
    });
    expect(
      spelt({ t: 'ntf', sub: 2, n: 1234, missed: 0, timeUs: 1_000_033_333, body: Buffer.from('[{"v":50.0}]') }),
    ).toEqual({
      t: 'ntf',
      sub: 2,
      n: 1234,
      missed: 0,
      time: '1970-01-01T00:16:40.033333Z',
      body: [{ v: 50 }],
    });
  });

  test('JSON: text and bytes have ETSI’s names', () => {
    const res = { t: 'res', id: 1, status: 'STATUS_OK', code: 200, allow: [] } as const;
    expect(spelt({ ...res, payload: { mediaType: 'text/plain', bytes: Buffer.from('Ω') } })).toMatchObject({
      contentType: 'text/plain',
      textContent: 'Ω',
    });
    expect(spelt({ ...res, payload: { mediaType: 'application/cbor', bytes: Buffer.from([0xa0]) } })).toMatchObject({
      contentType: 'application/cbor',
      binaryContent: 'oA==',
    });
  });

  test('JSON: what a publisher calls JSON and is none cannot break the frame around it', () => {
    const shared = codec.share(1, 0, 'application/json', Buffer.from('1},"sub":9'), true);
    expect(JSON.parse(Buffer.from(shared.to(2, 0, 0)).toString())).toMatchObject({
      sub: 2,
      binaryContent: expect.any(String) as string,
    });
  });

  test.each<[string, string, string]>([
    ['no JSON', '{"t":', 'not well-formed'],
    ['no object', '[1]', 'A frame is a JSON object'],
    ['no t', '{"id":1}', '"t" is missing'],
    ['an unknown t', '{"t":"subscribe","id":1}', '"t" is "subscribe"; it must be one of "hello"'],
    ['no id', '{"t":"req","op":"retrieve","to":"/m2m"}', 'A "req" frame needs "id"'],
    ['an id that is text', '{"t":"unsub","id":"7","sub":1}', '"id" of a "unsub" frame must be a whole number'],
    ['an unknown member', '{"t":"sub","id":1,"to":"/m2m","rte":5}', 'has no member "rte"; it has id, to, accept, rate'],
    [
      'an unknown operation',
      '{"t":"req","id":1,"op":"patch","to":"/m2m"}',
      '"op" of a "req" frame must be one of create',
    ],
    ['an unknown class', '{"t":"sub","id":1,"to":"/m2m","class":"fast"}', 'must be one of protection, control'],
    ['two bodies', '{"t":"req","id":1,"op":"create","to":"/","body":1,"textContent":"1"}', 'one of body, textContent'],
    ['bytes that are not base64', '{"t":"req","id":1,"op":"create","to":"/","binaryContent":"?"}', 'must be base64'],
    ['__proto__', '{"t":"req","id":1,"op":"create","to":"/","body":{"__proto__":{}}}', 'not well-formed'],
    ['a body 10,000 deep', `{"t":"req","id":1,"op":"create","to":"/","body":${'['.repeat(10_000)}${']'.repeat(10_000)}}`, ''], // prettier-ignore
    ['a list for a command', '{"t":"msg","seq":1,"kind":"command","body":[]}', 'must be an object'],
  ])('JSON with %s is a fault that says so', (_what, message, sentence) => {
    expect(fault(codec, message).detail).toContain(sentence);
  });

  test('a fault names the request that can be answered', () => {
    expect(fault(codec, '{"t":"sub","id":5,"to":7}').id).toBe(5);
    expect(fault(codec, '{"t":"req","id":6,"op":"create","to":"/","binaryContent":"?"}').id).toBe(6);
    expect(fault(codec, '{"t":"ack","seq":"x"}').id).toBeUndefined();
  });

  test('protobuf without a frame inside is a fault', () => {
    expect(fault(FRAME_CODECS['gridcast.v1'], Buffer.alloc(0)).detail).toContain('The frame is empty');
  });
});
