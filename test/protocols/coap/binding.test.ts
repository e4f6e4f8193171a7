import { silentLog } from '../../../src/log.js';
import { CoapBinding } from '../../../src/protocols/coap/binding.js';
import { CODE, codeText, TYPE, type Message } from '../../../src/protocols/coap/message.js';
import { firstOf, OPTION, option, uintOption, valuesOf, type Option } from '../../../src/protocols/coap/options.js';
import { writeCbor } from '../../../src/protocols/codec.js';
import { FORMATS } from '../../../src/routing/format.js';
import { answer, type Request, type Response } from '../../../src/routing/primitive.js';
import { Lockstep, message, uri } from './lockstep.js';
import { StubSite } from './stub-site.js';

/** One request to a site that answers `response`; the code, the sentence or payload, the options, and what the site was asked. */
async function asks(
  code: number,
  options: readonly Option[],
  { response, payload }: { response?: Response | Error; payload?: Uint8Array } = {},
): Promise<{ code: string; text: string; options: readonly Option[]; request: Request | undefined }> {
  const wire = new Lockstep();
  const site = new StubSite(wire.clock);
  let request: Request | undefined;
  if (response !== undefined) {
    site.request = (asked) => {
      request = asked;
      return response instanceof Error ? Promise.reject(response) : Promise.resolve(response);
    };
  }
  new CoapBinding(wire.endpoint, site, silentLog);
  await wire.sends(message(TYPE.confirmable, code, 1, '01', options, payload));
  const reply: Message = wire.expects({ type: TYPE.acknowledgement, id: 1, token: '01' });
  await wire.closes();
  return {
    code: codeText(reply.code),
    text: Buffer.from(reply.payload).toString(),
    options: reply.options,
    request: request ?? site.requests[0],
  };
}

const textOf = (options: readonly Option[], number: number): string[] =>
  valuesOf(options, number).map((value) => Buffer.from(value).toString());
const OK = answer('STATUS_OK');

describe('a request', () => {
  test('becomes a primitive', async () => {
    const { request } = await asks(
      CODE.put,
      [
        ...uri('m2m/a b/ü?rate=5&flag'),
        option(OPTION.contentFormat, 50),
        option(OPTION.accept, 60),
        option(OPTION.ifMatch, 'v1'),
        option(OPTION.uriHost, 'example.org'),
      ],
      { response: OK, payload: Buffer.from('{"container":{}}') },
    );
    expect(request).toMatchObject({
      op: 'update',
      to: ['m2m', 'a b', 'ü'],
      binding: 'coap',
      originator: 'anonymous',
      accept: ['application/cbor'],
      ifMatch: ['v1'],
    });
    expect([...(request?.query ?? [])]).toEqual([
      ['rate', '5'],
      ['flag', ''],
    ]);
    expect(request?.body?.document()).toEqual({ container: {} });
    expect(request?.defaultFormat.mediaType).toBe('application/senml+cbor');
  });

  test('conditions: If-None-Match is any, an empty If-Match is any, ETag on GET asks for what changed', async () => {
    expect(
      (await asks(CODE.put, [...uri('a'), option(OPTION.ifNoneMatch, '')], { response: OK })).request?.ifNoneMatch,
    ).toEqual(['*']);
    expect(
      (await asks(CODE.put, [...uri('a'), option(OPTION.ifMatch, '')], { response: OK })).request?.ifMatch,
    ).toEqual(['*']);
    const { request, code, options } = await asks(CODE.get, [...uri('a'), option(OPTION.etag, 'v7')], {
      response: answer('STATUS_NOT_MODIFIED'),
    });
    expect([request?.ifNoneMatch, code, textOf(options, OPTION.etag)]).toEqual([['v7'], '2.03', ['v7']]);
  });

  test.each([
    ['PATCH', 6, [...uri('a')], '4.05', 'with PUT'],
    ['iPATCH', 7, [...uri('a')], '4.05', 'with PUT'],
    ['iPATCH in blocks', 7, [...uri('a'), option(OPTION.block1, 8)], '4.05', 'GET, POST, PUT, DELETE and FETCH'],
    ['a FETCH without a body', CODE.fetch, [...uri('a')], '4.00', 'needs a body'],
    ['a FETCH of /.well-known/core', CODE.fetch, [...uri('.well-known/core')], '4.00', 'needs a body'],
    ['a FETCH of /authz-info', CODE.fetch, [...uri('authz-info')], '4.05', 'posted'],
    ['a segment "."', CODE.get, [...uri('a/./b')], '4.00', '"."'],
    ['a segment ".."', CODE.get, [...uri('..')], '4.00', '".."'],
    ['an empty segment', CODE.get, [...uri('a//b')], '4.00', '""'],
    ['a slash in a segment', CODE.get, [option(OPTION.uriPath, 'a/b')], '4.00', 'a/b'],
    ['a segment that is not UTF-8', CODE.get, [option(OPTION.uriPath, Uint8Array.of(0xff))], '4.00', 'UTF-8'],
    [
      'a query that is not UTF-8',
      CODE.get,
      [...uri('a'), option(OPTION.uriQuery, Uint8Array.of(0xff))],
      '4.00',
      'UTF-8',
    ],
    ['an Accept nobody knows', CODE.get, [...uri('a'), option(OPTION.accept, 9999)], '4.06', '9999'],
    ['a Content-Format nobody knows', CODE.put, [...uri('a'), option(OPTION.contentFormat, 9999)], '4.15', '9999'],
    ['a proxy', CODE.get, [option(OPTION.proxyUri, 'coap://elsewhere/')], '5.05', 'forwards'],
    ['an unknown path', CODE.get, [...uri('nowhere')], '4.04', '/nowhere'],
    ['an observation of an unknown path', CODE.get, [...uri('nowhere'), option(OPTION.observe, 0)], '4.04', '/nowhere'],
  ])('with %s is refused with a sentence', async (_what, code, options, expected, sentence) => {
    const refusal = await asks(code, options);
    expect(refusal.code).toBe(expected);
    expect(refusal.text).toContain(sentence);
    expect(firstOf(refusal.options, OPTION.contentFormat)).toBeUndefined();
  });

  test('that meets a fault of the broker is 5.00, and the next is served', async () => {
    expect((await asks(CODE.get, uri('a'), { response: new Error('bug') })).code).toBe('5.00');
  });
});

describe('FETCH', () => {
  const fetch = (format: number, payload: Uint8Array | string, options: readonly Option[] = []) =>
    asks(CODE.fetch, [...uri('a?limit=2'), option(OPTION.contentFormat, format), ...options], {
      response: OK,
      payload: Buffer.from(payload),
    });
  const CRITERIA = { sizeFrom: 3, metaDataOnly: true, searchString: ['x', 'y'] };

  test.each([
    ['JSON', FORMATS.json.coap, Buffer.from(JSON.stringify({ filterCriteria: CRITERIA }))],
    ['CBOR', FORMATS.cbor.coap, writeCbor({ filterCriteria: CRITERIA })],
  ])('in %s is a retrieve with that query', async (_name, format, payload) => {
    const { code, request } = await fetch(format, payload);
    expect([code, request?.op, request?.body]).toEqual(['2.05', 'retrieve', undefined]);
    expect(String(request?.query)).toBe('limit=2&sizeFrom=3&metaDataOnly=true&searchString=x&searchString=y');
  });

  test.each([
    ['of a text', FORMATS.text.coap, 'filterCriteria', '4.15', 'application/json'],
    ['of no object', FORMATS.json.coap, '[]', '4.00', 'must be an object'],
    ['with another root', FORMATS.json.coap, '{"container":{}}', '4.00', 'filterCriteria'],
    ['with two roots', FORMATS.json.coap, '{"filterCriteria":{},"more":1}', '4.00', 'one root key'],
    ['with a list as criteria', FORMATS.json.coap, '{"filterCriteria":[1]}', '4.00', 'one root key'],
    [
      'with a value that is an object',
      FORMATS.json.coap,
      '{"filterCriteria":{"a":{"b":1}}}',
      '4.00',
      'filterCriteria.a',
    ],
    ['with a null', FORMATS.json.coap, '{"filterCriteria":{"a":[null]}}', '4.00', 'filterCriteria.a'],
  ])('%s is refused with a sentence', async (_what, format, payload, code, sentence) => {
    const refusal = await fetch(format, payload);
    expect([refusal.code, refusal.request]).toEqual([code, undefined]);
    expect(refusal.text).toContain(sentence);
  });

  test('of /.well-known/core is 4.05: it is read with GET', async () => {
    const options = [...uri('.well-known/core'), option(OPTION.contentFormat, FORMATS.json.coap)];
    expect((await asks(CODE.fetch, options, { payload: Buffer.from('{"filterCriteria":{}}') })).code).toBe('4.05');
  });
});

describe('an answer', () => {
  test.each([
    [CODE.get, '2.05'],
    [CODE.put, '2.04'],
    [CODE.post, '2.04'],
    [CODE.delete, '2.02'],
  ])('OK to method %i is %s', async (method, code) => {
    expect((await asks(method, uri('a'), { response: OK })).code).toBe(code);
  });

  test('of what was created says where', async () => {
    const response = answer('STATUS_CREATED', { location: ['m2m', 'a b'], etag: 'v1' });
    const { code, options } = await asks(CODE.post, uri('m2m'), { response });
    expect([code, textOf(options, OPTION.locationPath), textOf(options, OPTION.etag)]).toEqual([
      '2.01',
      ['m2m', 'a b'],
      ['v1'],
    ]);
  });

  test('is written as JSON, or as CBOR by Accept', async () => {
    const response = answer('STATUS_OK', { content: { kind: 'document', document: { a: 1 } } });
    const json = await asks(CODE.get, uri('a'), { response });
    expect([json.text, uintOption(json.options, OPTION.contentFormat)]).toEqual(['{"a":1}', 50]);
    const cbor = await asks(CODE.get, [...uri('a'), option(OPTION.accept, 60)], { response });
    expect([Buffer.from(cbor.text).toString('hex'), uintOption(cbor.options, OPTION.contentFormat)]).toEqual([
      'efbfbd616101',
      60,
    ]);
  });

  test('Max-Age: of an answer rounded up, of a refusal when to try again, not sent where it is the default', async () => {
    const maxAge = async (response: Response): Promise<number | undefined> =>
      uintOption((await asks(CODE.get, uri('a'), { response })).options, OPTION.maxAge);
    expect(await maxAge(answer('STATUS_OK', { maxAgeS: 0.2 }))).toBe(1);
    expect(await maxAge(answer('STATUS_OK', { maxAgeS: 60 }))).toBeUndefined();
    expect(await maxAge(answer('STATUS_SERVICE_UNAVAILABLE', { retryAfterS: 7 }))).toBe(7);
  });

  test('longer than a block comes in blocks', async () => {
    const response = answer('STATUS_OK', {
      content: { kind: 'bytes', mediaType: 'text/plain', bytes: Buffer.alloc(3000, 'x') },
    });
    const { text, options } = await asks(CODE.get, uri('a'), { response });
    expect([text.length, uintOption(options, OPTION.block2)]).toEqual([1024, 8 + 6]);
  });
});

describe('/.well-known/core', () => {
  test('lists what the site lets be discovered', async () => {
    const { code, text, options } = await asks(CODE.get, uri('.well-known/core'));
    expect([code, text, uintOption(options, OPTION.contentFormat)]).toEqual(['2.05', '</stream/0>;ct=42;obs', 40]);
  });

  test.each([
    ['ct=42', '</stream/0>;ct=42;obs'],
    ['ct=4*', '</stream/0>;ct=42;obs'],
    ['href=/stream*', '</stream/0>;ct=42;obs'],
    ['obs', '</stream/0>;ct=42;obs'],
    ['rt=x', ''],
    ['unknown=1', ''],
  ])('filters by %s', async (query, expected) => {
    expect(await asks(CODE.get, uri(`.well-known/core?${query}`))).toMatchObject({ code: '2.05', text: expected });
  });

  test('is read only, and only as link-format', async () => {
    expect((await asks(CODE.put, uri('.well-known/core'))).code).toBe('4.05');
    expect((await asks(CODE.get, [...uri('.well-known/core'), option(OPTION.accept, 50)])).code).toBe('4.06');
  });
});
