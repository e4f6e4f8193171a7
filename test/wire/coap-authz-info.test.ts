/** Tokens over CoAP, byte by byte: bound to address and port, until they expire or the endpoint is forgotten. */
import { STATUSES } from '../../src/errors.js';
import { refuse } from '../../src/errors.js';
import { writeCbor } from '../../src/protocols/codec.js';
import { CODE, TYPE, type Message } from '../../src/protocols/coap/message.js';
import { option, OPTION, type Option } from '../../src/protocols/coap/options.js';
import type { Identify } from '../../src/protocols/identity.js';
import { CLIENT, message, OTHER, uri } from '../protocols/coap/lockstep.js';
import { CONTENT, Stage } from '../protocols/coap/stage.js';

const { confirmable: CON, nonConfirmable: NON, acknowledgement: ACK } = TYPE;
const [CREATED, BAD, UNAUTHORIZED, NOT_ALLOWED] = [0x41, 0x80, 0x81, 0x85];
const GRANTED_S = 60;

class Scene extends Stage {
  private postId = 0x4000;

  static open(): Scene {
    const identify: Identify = ({ token }) => {
      if (token === undefined) return refuse('STATUS_PERMISSION_DENIED', 'A token is needed here.');
      const [, originator, seconds] = /^good-(\w+?)(?:-(\d+))?$/.exec(token) ?? [];
      if (originator === undefined) return refuse('STATUS_PERMISSION_DENIED', 'The token is none that is taken here.');
      const { clock } = scene.wire;
      return { originator, expiresUs: clock.wallUs() + Number(seconds ?? GRANTED_S) * 1e6 };
    };
    const scene = new Scene('provisioned', { identify });
    return scene;
  }

  async posts(
    payload: string | Uint8Array,
    options: readonly Option[] = [],
    code: number = CODE.post,
  ): Promise<Message> {
    const id = ++this.postId;
    await this.wire.sends(message(CON, code, id, '', [...uri('authz-info'), ...options], payload));
    return this.wire.expects({ type: ACK, id });
  }

  async code(path = 'stream/0', from = CLIENT): Promise<number> {
    return (await this.gets('0a', path, [], from)).code;
  }
}

const format = (number: number): readonly Option[] => [option(OPTION.contentFormat, number)];

test('a token binds its address and port, and no other', async () => {
  const scene = Scene.open();
  expect(await scene.code()).toBe(UNAUTHORIZED);
  expect((await scene.posts('good-app')).code).toBe(CREATED);
  expect(await scene.code()).toBe(CONTENT);
  expect(scene.site.requests.map(({ originator }) => originator)).toEqual(['app']);
  expect(await scene.code('stream/0', OTHER)).toBe(UNAUTHORIZED);
  expect(await scene.code('stream/0', { ...CLIENT, port: CLIENT.port + 1 })).toBe(UNAUTHORIZED);
  expect(await scene.code('.well-known/core', OTHER)).toBe(UNAUTHORIZED);
  await scene.closes();
});

test.each<[string, string | Uint8Array, readonly Option[], number]>([
  ['as text', 'good-app\n', format(0), CREATED],
  ['in the map of ACE', writeCbor(new Map([[1, Buffer.from('good-app')]])), format(19), CREATED],
  ['in a CBOR map', writeCbor(new Map([[1, 'good-app']])), format(60), CREATED],
  ['that is wrong', 'bad', [], UNAUTHORIZED],
  ['under another label', writeCbor(new Map([[2, 'good-app']])), format(60), BAD],
  ['in no map', writeCbor([1]), format(60), BAD],
  ['in broken CBOR', Buffer.of(0xbf), format(19), BAD],
  ['without a byte', '', [], BAD],
])('a token %s', async (_, payload, options, code) => {
  const scene = Scene.open();
  expect((await scene.posts(payload, options)).code).toBe(code);
  expect(await scene.code()).toBe(code === CREATED ? CONTENT : UNAUTHORIZED);
  await scene.closes();
});

test('nothing can be read there, put or deleted', async () => {
  const scene = Scene.open();
  for (const code of [CODE.get, CODE.put, CODE.delete])
    expect((await scene.posts('', [], code)).code).toBe(NOT_ALLOWED);
  await scene.closes();
});

test('an observation ends with its token, and is told why', async () => {
  const scene = Scene.open();
  await scene.posts('good-app');
  await scene.registers('0b');
  await scene.wire.passes((GRANTED_S + 1) * 1000);
  const last = scene.wire.expects({ type: NON, code: STATUSES.STATUS_PERMISSION_DENIED.coap, token: '0b' });
  expect(Buffer.from(last.payload).toString()).toMatch(/token has expired/);
  expect(scene.site.endings).toContain('session TOKEN_EXPIRED');
  expect(await scene.code()).toBe(UNAUTHORIZED);
  await scene.closes();
});

test('a newer token of the same originator prolongs what it observes; a wrong one changes nothing; another’s ends it', async () => {
  const scene = Scene.open();
  await scene.posts('good-app-10');
  await scene.registers('0b');
  await scene.posts('good-app-30');
  expect((await scene.posts('bad')).code).toBe(UNAUTHORIZED);
  await scene.wire.passes(20_000);
  scene.wire.silent();
  expect(scene.site.deliveries.size).toBe(1);
  await scene.wire.sends(message(CON, CODE.post, 0x5000, '', uri('authz-info'), 'good-other'));
  scene.wire.expects({ type: NON, code: UNAUTHORIZED, token: '0b' });
  scene.wire.expects({ type: ACK, code: CREATED, id: 0x5000 });
  expect(scene.site.endings).toContain('session IDENTITY_CHANGED');
  await scene.closes();
});

test('an address that has been silent for long may be another machine’s: the token is to be shown again', async () => {
  const scene = Scene.open();
  await scene.posts('good-app-100000');
  const lifetimeMs = scene.wire.endpoint.parameters.exchangeLifetimeMs;
  await scene.wire.passes(2 * lifetimeMs + 2);
  expect(scene.wire.endpoint.peerCount).toBe(0);
  expect(await scene.code()).toBe(UNAUTHORIZED);
  await scene.closes();
});
