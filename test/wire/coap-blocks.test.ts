import { Blockwise, blockOf, blockOption, LARGEST_BODY_BYTES } from '../../src/protocols/coap/blocks.js';
import type { Reply } from '../../src/protocols/coap/exchange.js';
import { CODE, TYPE, type Message } from '../../src/protocols/coap/message.js';
import { firstOf, OPTION, option, uintOption } from '../../src/protocols/coap/options.js';
import { CLIENT, Lockstep, message, OTHER, uri } from '../protocols/coap/lockstep.js';

const { confirmable: CON, acknowledgement: ACK } = TYPE;
const CHANGED = 0x44;
const CONTENT = 0x45;
const INCOMPLETE = 0x88;
const TOO_LARGE = 0x8d;
const UNAVAILABLE = 0xa3;

const text = (bytes: number): Buffer => Buffer.from(Array.from({ length: bytes }, (_, at) => 97 + ((at >> 4) % 26)));

/** A server that stores bodies and answers with `answer`; the script numbers ids and tokens by itself, a new one per block. */
function serving(answer: () => Reply = () => ({ code: CHANGED })): {
  wire: Lockstep;
  bodies: Buffer[];
  blockwise: Blockwise;
  asks: (
    code: number,
    path: string,
    options: Parameters<typeof message>[4],
    payload?: Buffer,
    from?: typeof CLIENT,
  ) => Promise<Message>;
} {
  const wire = new Lockstep();
  const blockwise = new Blockwise(wire.clock, wire.clock);
  const bodies: Buffer[] = [];
  wire.endpoint.onRequest((exchange) =>
    blockwise.serve(exchange, ({ payload }, respond) => {
      bodies.push(Buffer.from(payload));
      respond(answer());
    }),
  );
  let id = 0;
  return {
    wire,
    bodies,
    blockwise,
    async asks(code, path, options = [], payload, from = CLIENT) {
      id++;
      const token = Buffer.from([id]).toString('hex');
      await wire.sends(message(CON, code, id, token, [...uri(path), ...options], payload), from);
      return wire.expects({ type: ACK, id, token });
    },
  };
}

const block1 = (number: number, isMore: boolean, exponent: number) =>
  blockOption(OPTION.block1, { number, isMore, exponent });
const block2 = (number: number, exponent: number) => blockOption(OPTION.block2, { number, isMore: false, exponent });
const block2Of = (reply: Message) => blockOf(firstOf(reply.options, OPTION.block2) ?? new Uint8Array(0));

describe('a body in blocks', () => {
  test('is put together whatever the tokens, executed once, the last block named in the answer', async () => {
    const { wire, bodies, asks } = serving();
    const body = text(300);
    for (let n = 0; n < 2; n++) {
      const reply = await asks(CODE.put, 'large', [block1(n, true, 3)], body.subarray(n * 128, (n + 1) * 128));
      expect(reply.code).toBe(CODE.continue);
    }
    const last = await asks(CODE.put, 'large', [block1(2, false, 3)], body.subarray(256));
    expect(last.code).toBe(CHANGED);
    expect(blockOf(firstOf(last.options, OPTION.block1) ?? new Uint8Array(0))).toEqual({
      number: 2,
      isMore: false,
      exponent: 3,
    });
    expect(bodies).toEqual([body]);
    await wire.closes();
  });

  test('with a block missing is 4.08, and the rest of it as well', async () => {
    const { wire, bodies, asks } = serving();
    await asks(CODE.put, 'large', [block1(0, true, 2)], text(64));
    expect((await asks(CODE.put, 'large', [block1(2, true, 2)], text(64))).code).toBe(INCOMPLETE);
    expect((await asks(CODE.put, 'large', [block1(1, false, 2)], text(64))).code).toBe(INCOMPLETE);
    expect(bodies).toEqual([]);
    await wire.closes();
  });

  test('starts again at block 0', async () => {
    const { wire, bodies, asks } = serving();
    await asks(CODE.put, 'large', [block1(0, true, 2)], text(64));
    await asks(CODE.put, 'large', [block1(0, true, 2)], Buffer.alloc(64, 'b'));
    await asks(CODE.put, 'large', [block1(1, false, 2)], Buffer.alloc(3, 'c'));
    expect(bodies.map(String)).toEqual([`${'b'.repeat(64)}ccc`]);
    await wire.closes();
  });

  test('does not mix with another of the same endpoint that bears a Request-Tag, nor with another endpoint', async () => {
    const { wire, bodies, asks } = serving();
    const tag = option(OPTION.requestTag, Uint8Array.of(1));
    await asks(CODE.put, 'large', [block1(0, true, 0)], Buffer.alloc(16, 'a'));
    await asks(CODE.put, 'large', [block1(0, true, 0), tag], Buffer.alloc(16, 'b'));
    await asks(CODE.put, 'large', [block1(0, true, 0)], Buffer.alloc(16, 'c'), OTHER);
    await asks(CODE.put, 'large', [block1(1, false, 0)], Buffer.from('1'));
    await asks(CODE.put, 'large', [block1(1, false, 0), tag], Buffer.from('2'));
    await asks(CODE.put, 'large', [block1(1, false, 0)], Buffer.from('3'), OTHER);
    expect(bodies.map(String)).toEqual([`${'a'.repeat(16)}1`, `${'b'.repeat(16)}2`, `${'c'.repeat(16)}3`]);
    await wire.closes();
  });

  test('in another Content-Format midway is 4.08', async () => {
    const { wire, asks } = serving();
    await asks(CODE.put, 'large', [option(OPTION.contentFormat, 0), block1(0, true, 0)], text(16));
    const reply = await asks(CODE.put, 'large', [option(OPTION.contentFormat, 50), block1(1, false, 0)], text(3));
    expect(reply.code).toBe(INCOMPLETE);
    await wire.closes();
  });

  test('too long is 4.13 with the size that is taken, announced or not', async () => {
    const { wire, asks } = serving();
    const announced = await asks(CODE.put, 'large', [block1(0, true, 6), option(OPTION.size1, 10_000_000)], text(1024));
    expect([announced.code, uintOption(announced.options, OPTION.size1)]).toEqual([TOO_LARGE, LARGEST_BODY_BYTES]);
    for (let n = 0; n < 64; n++)
      expect((await asks(CODE.put, 'large', [block1(n, true, 6)], text(1024))).code).toBe(CODE.continue);
    expect((await asks(CODE.put, 'large', [block1(64, false, 6)], text(1))).code).toBe(TOO_LARGE);
    await wire.closes();
  });

  test('a block of another length than its option says, and an exponent of 7, are 4.00', async () => {
    const { wire, asks } = serving();
    expect((await asks(CODE.put, 'large', [block1(0, true, 2)], text(63))).code).toBe(0x80);
    expect((await asks(CODE.put, 'large', [block1(0, false, 7)], text(63))).code).toBe(0x80);
    await wire.closes();
  });

  test('a fifth unfinished one of an endpoint is put off with 5.03 and Max-Age; all are forgotten with age', async () => {
    const { wire, blockwise, asks } = serving();
    for (let n = 0; n < 4; n++)
      expect((await asks(CODE.put, `part${n}`, [block1(0, true, 0)], text(16))).code).toBe(CODE.continue);
    const refusal = await asks(CODE.put, 'part4', [block1(0, true, 0)], text(16));
    expect([refusal.code, uintOption(refusal.options, OPTION.maxAge)]).toEqual([UNAVAILABLE, 10]);
    expect(blockwise.open.assemblies).toBe(4);
    await wire.closes();
    expect(blockwise.open).toEqual({ assemblies: 0, frozen: 0 });
  });
});

describe('an answer in blocks', () => {
  test('comes from one frozen representation, with one ETag, at the size the client asks', async () => {
    let version = 0;
    const { wire, bodies, asks } = serving(() => ({
      code: CONTENT,
      payload: Buffer.concat([Buffer.from(`v${version++} `), text(200)]),
    }));
    const first = await asks(CODE.get, 'large', [block2(0, 2)]);
    const parts = [first];
    while (block2Of(parts.at(-1) ?? first).isMore) parts.push(await asks(CODE.get, 'large', [block2(parts.length, 2)]));
    expect(parts).toHaveLength(4);
    expect(Buffer.concat(parts.map(({ payload }) => payload)).toString()).toBe(`v0 ${text(200).toString()}`);
    expect(
      new Set(parts.map(({ options }) => Buffer.from(firstOf(options, OPTION.etag) ?? []).toString('hex'))).size,
    ).toBe(1);
    expect(bodies).toHaveLength(1);
    await wire.closes();
  });

  test('starts in blocks of 1,024 by itself, and the client may go on with smaller ones', async () => {
    const { wire, asks } = serving(() => ({ code: CONTENT, payload: text(1_500) }));
    const first = await asks(CODE.get, 'large', []);
    expect(block2Of(first)).toEqual({ number: 0, isMore: true, exponent: 6 });
    expect(first.payload).toHaveLength(1024);
    const next = await asks(CODE.get, 'large', [block2(16, 2)]);
    expect(Buffer.from(next.payload)).toEqual(text(1_500).subarray(1024, 1088));
    await wire.closes();
  });

  test('answers a POST in blocks; the rest is asked for without payload', async () => {
    const { wire, bodies, asks } = serving(() => ({ code: CHANGED, payload: text(1_100) }));
    await asks(CODE.post, 'large', [option(OPTION.contentFormat, 0), block1(0, true, 2)], text(64));
    const first = await asks(CODE.post, 'large', [option(OPTION.contentFormat, 0), block1(1, false, 2)], text(10));
    expect(block2Of(first)).toMatchObject({ number: 0, isMore: true });
    expect(firstOf(first.options, OPTION.block1)).toBeDefined();
    const rest = await asks(CODE.post, 'large', [block2(1, 6)]);
    expect(rest.payload).toHaveLength(76);
    expect(firstOf(rest.options, OPTION.block1)).toBeUndefined();
    expect(bodies).toHaveLength(1);
    await wire.closes();
  });

  test('a block beyond the end is 4.00; one of an answer to POST that is no longer kept 4.08', async () => {
    const { wire, asks } = serving(() => ({ code: CONTENT, payload: text(1_500) }));
    expect((await asks(CODE.get, 'large', [block2(9, 6)])).code).toBe(0x80);
    expect((await asks(CODE.post, 'large', [block2(1, 6)])).code).toBe(INCOMPLETE);
    await wire.closes();
  });
});
