import fc from 'fast-check';
import { blockOf, blockOption } from '../../src/protocols/coap/blocks.js';
import {
  CoapClient,
  isFailure,
  type CoapFailure,
  type CoapRequest,
  type CoapResponse,
} from '../../src/protocols/coap/client.js';
import { CODE, TYPE, type Message } from '../../src/protocols/coap/message.js';
import { isNewer, Observation, type Notification } from '../../src/protocols/coap/observation.js';
import { firstOf, OPTION, option, uintOption } from '../../src/protocols/coap/options.js';
import { CLIENT as SERVER, Lockstep, message, OTHER, rst } from '../protocols/coap/lockstep.js';

const { confirmable: CON, nonConfirmable: NON, acknowledgement: ACK, reset: RST } = TYPE;
const CONTENT = 0x45;
const GET: CoapRequest = { code: CODE.get, path: ['test'] };

const hex = (token: Uint8Array): string => Buffer.from(token).toString('hex');
const observe = (value: number) => option(OPTION.observe, value);

/** A client whose server is the script. */
function asking(): {
  wire: Lockstep;
  client: CoapClient;
  ask: (request: CoapRequest, patience?: object) => Promise<CoapResponse | CoapFailure>;
} {
  const wire = new Lockstep();
  const client = new CoapClient(wire.endpoint);
  return {
    wire,
    client,
    ask: async (request, patience) => {
      const result = client.request(SERVER, request, patience);
      await wire.settles();
      return result;
    },
  };
}

const textOf = (result: CoapResponse | CoapFailure): string =>
  isFailure(result) ? result.failure : Buffer.from(result.payload).toString();

describe('a request', () => {
  test('is answered in its acknowledgement', async () => {
    const { wire, ask } = asking();
    const result = ask({ ...GET, query: ['a=1'], accept: 0 });
    await wire.settles();
    const { id, token, options } = wire.expects({ type: CON, code: CODE.get });
    expect(options.map(({ number }) => number)).toEqual([OPTION.uriPath, OPTION.uriQuery, OPTION.accept]);
    await wire.sends(message(ACK, CONTENT, id, hex(token), [], 'hello'));
    expect(textOf(await result)).toBe('hello');
    await wire.closes();
  });

  test('lost goes out again; a separate answer ends that even if its acknowledgement was lost', async () => {
    const { wire, ask } = asking();
    const result = ask(GET);
    await wire.settles();
    const { id, token } = wire.loses({ type: CON });
    await wire.passes(3_000);
    wire.expects({ type: CON, id });
    await wire.sends(message(CON, CONTENT, 900, hex(token), [], 'separate'));
    wire.expects({ type: ACK, code: 0, id: 900 });
    expect(textOf(await result)).toBe('separate');
    await wire.sends(message(CON, CONTENT, 900, hex(token), [], 'separate'));
    wire.expects({ type: ACK, code: 0, id: 900 });
    await wire.closes();
  });

  test('unanswered fails as timed-out, reset as reset, aborted as aborted', async () => {
    const { wire, ask } = asking();
    const timedOut = ask(GET, { timeoutMs: 1_000 });
    await wire.settles();
    wire.loses({ type: CON });
    await wire.passes(1_001);
    expect(await timedOut).toEqual({ failure: 'timed-out' });

    const wasReset = ask(GET);
    await wire.settles();
    await wire.sends(rst(wire.expects({ type: CON }).id));
    expect(await wasReset).toEqual({ failure: 'reset' });

    const controller = new AbortController();
    const aborted = ask(GET, { signal: controller.signal });
    await wire.settles();
    wire.loses({ type: CON });
    controller.abort();
    expect(await aborted).toEqual({ failure: 'aborted' });
    await wire.closes();
  });

  test('takes no answer from another address', async () => {
    const { wire, ask } = asking();
    const result = ask(GET, { timeoutMs: 1_000 });
    await wire.settles();
    const { id, token } = wire.expects({ type: CON });
    await wire.sends(message(ACK, CONTENT, id, hex(token), [], 'forged'), OTHER);
    await wire.sends(message(NON, CONTENT, 5, hex(token), [], 'forged'), OTHER);
    wire.expects({ type: RST, id: 5, to: OTHER });
    await wire.passes(1_001);
    expect(await result).toEqual({ failure: 'timed-out' });
    await wire.closes();
  });

  test('with a long body goes in blocks, smaller ones if the server asks, and collects an answer in blocks', async () => {
    const { wire, ask } = asking();
    const body = Buffer.from(Array.from({ length: 2_000 }, (_, at) => at % 251));
    const result = ask({ ...GET, code: CODE.put, payload: body });
    const sent: Buffer[] = [];
    const tokens = new Set<string>();
    for (let isMore = true; isMore;) {
      await wire.settles();
      const part: Message = wire.expects({ type: CON, code: CODE.put });
      const block = blockOf(firstOf(part.options, OPTION.block1) ?? new Uint8Array(0));
      isMore = block.isMore;
      tokens.add(hex(part.token));
      sent.push(Buffer.from(part.payload));
      if (sent.length === 1) expect(uintOption(part.options, OPTION.size1)).toBe(2_000);
      const asked = blockOption(OPTION.block1, { ...block, exponent: 4 });
      const more = blockOption(OPTION.block2, { number: 0, isMore: true, exponent: 4 });
      if (isMore) await wire.sends(message(ACK, CODE.continue, part.id, hex(part.token), [asked]));
      else await wire.sends(message(ACK, 0x44, part.id, hex(part.token), [more, asked], Buffer.alloc(256, 'a')));
    }
    expect(Buffer.concat(sent)).toEqual(body);
    expect(sent.map(({ length }) => length)).toEqual([1024, 256, 256, 256, 208]);
    expect(tokens.size).toBe(5);
    const rest = wire.expects({ type: CON, code: CODE.put });
    expect([rest.payload.length, blockOf(firstOf(rest.options, OPTION.block2) ?? new Uint8Array(0)).number]).toEqual([
      0, 1,
    ]);
    const last = blockOption(OPTION.block2, { number: 1, isMore: false, exponent: 4 });
    await wire.sends(message(ACK, 0x44, rest.id, hex(rest.token), [last], 'b'));
    expect(textOf(await result)).toBe(`${'a'.repeat(256)}b`);
    await wire.closes();
  });

  test('whose answer changes between two blocks fails as changed', async () => {
    const { wire, ask } = asking();
    const result = ask(GET);
    await wire.settles();
    const block = (number: number, isMore: boolean) => blockOption(OPTION.block2, { number, isMore, exponent: 0 });
    const first = wire.expects({ type: CON });
    await wire.sends(
      message(ACK, CONTENT, first.id, hex(first.token), [option(OPTION.etag, 'v1'), block(0, true)], 'x'.repeat(16)),
    );
    const second = wire.expects({ type: CON });
    await wire.sends(
      message(ACK, CONTENT, second.id, hex(second.token), [option(OPTION.etag, 'v2'), block(1, false)], 'y'),
    );
    expect(await result).toEqual({ failure: 'changed' });
    await wire.closes();
  });
});

test('publishing sends a NON that asks for silence, and waits for nothing', async () => {
  const { wire, client } = asking();
  expect(
    client.publish(SERVER, { code: CODE.post, path: ['test'], contentFormat: 112, payload: Buffer.from('x') }),
  ).toBe(true);
  await wire.settles();
  const sent = wire.expects({ type: NON, code: CODE.post, token: '', payload: 'x' });
  expect(uintOption(sent.options, OPTION.noResponse)).toBe(26);
  await wire.closes();
});

/** An observation whose registration the script has received and answered. */
async function observing(): Promise<{
  wire: Lockstep;
  observation: Observation;
  token: string;
  got: Notification[];
  endings: string[];
}> {
  const { wire, client } = asking();
  const got: Notification[] = [];
  const endings: string[] = [];
  const observation = new Observation(client, SERVER, GET, {
    notified: (notification) => void got.push(notification),
    ended: (ending) => void endings.push(ending),
    measuredUs: ({ payload }) => Number(Buffer.from(payload).toString()),
  });
  await wire.settles();
  const { id, token } = wire.expects({ type: CON, code: CODE.get });
  await wire.sends(
    message(ACK, CONTENT, id, hex(token), [observe(10), option(OPTION.maxAge, 1)], String(wire.clock.wallUs())),
  );
  return { wire, observation, token: hex(token), got, endings };
}

describe('an observation', () => {
  test('shows newer notifications, drops older ones, acknowledges what is confirmable', async () => {
    const { wire, observation, token, got, endings } = await observing();
    const notify = (type: 0 | 1, id: number, sequence: number): Promise<void> =>
      wire.sends(
        message(
          type,
          CONTENT,
          id,
          token,
          [observe(sequence), option(OPTION.maxAge, 1)],
          String(wire.clock.wallUs() - 2_000),
        ),
      );
    await notify(NON, 1, 11);
    await notify(NON, 3, 13);
    await notify(NON, 2, 12);
    await notify(CON, 5, 14);
    wire.expects({ type: ACK, code: 0, id: 5 });
    expect(got.map(({ sequence }) => sequence)).toEqual([10, 11, 13, 14]);
    expect(observation.figures).toMatchObject({ received: 4, stale: 1, confirmables: 1, aged: 4, ageMaxUs: 2_000 });
    expect(observation.lost).toBe(1);
    observation.forget();
    await notify(NON, 6, 15);
    wire.expects({ type: RST, id: 6 });
    expect(endings).toEqual(['cancelled']);
    await wire.closes();
  });

  test('registers again with the same token after Max-Age and 5 to 15 s of silence, and takes a sequence that starts anew', async () => {
    const { wire, observation, token, got } = await observing();
    await wire.passes(5_900);
    wire.silent();
    let silentS = 5.9;
    for (; wire.socket.sent.length === 0; silentS += 0.1) await wire.passes(100);
    expect(silentS).toBeLessThan(16.2);
    const again = wire.expects({ type: CON, code: CODE.get, token });
    expect(uintOption(again.options, OPTION.observe)).toBe(0);
    await wire.sends(message(ACK, CONTENT, again.id, token, [observe(2), option(OPTION.maxAge, 1)], 'x'));
    expect(got.map(({ sequence }) => sequence)).toEqual([10, 2]);
    expect(observation.figures.reregistrations).toBe(1);
    observation.forget();
    await wire.closes();
  });

  test('is cancelled by Observe 1; notifications on the way are still shown', async () => {
    const { wire, observation, token, got, endings } = await observing();
    observation.cancel();
    await wire.settles();
    const { id, options } = wire.expects({ type: CON, code: CODE.get, token });
    expect(uintOption(options, OPTION.observe)).toBe(1);
    await wire.sends(message(NON, CONTENT, 1, token, [observe(11)], 'x'));
    await wire.sends(message(ACK, CONTENT, id, token, [], 'bye'));
    expect([got.length, endings]).toEqual([2, ['cancelled']]);
    await wire.closes();
  });

  test.each([
    ['an error', 0x84, 'ended-by-server'],
    ['an answer without Observe', CONTENT, 'ended-by-server'],
  ])('is ended by %s', async (_what, code, ending) => {
    const { wire, token, endings } = await observing();
    await wire.sends(message(CON, code, 77, token, [], 'over'));
    wire.expects({ type: ACK, id: 77 });
    expect(endings).toEqual([ending]);
    await wire.closes();
  });

  test('that the server does not register ends as not-observed', async () => {
    const { wire, client } = asking();
    const endings: string[] = [];
    new Observation(client, SERVER, GET, {
      notified: () => {},
      ended: (ending, response) => void endings.push(ending, textOf(response ?? { failure: 'closed' })),
    });
    await wire.settles();
    const { id, token } = wire.expects({ type: CON });
    await wire.sends(message(ACK, CONTENT, id, hex(token), [], 'just this'));
    expect(endings).toEqual(['not-observed', 'just this']);
    await wire.closes();
  });

  test('collects a notification that bears only block 0', async () => {
    const { wire, observation, token, got } = await observing();
    const block = (number: number, isMore: boolean) => blockOption(OPTION.block2, { number, isMore, exponent: 0 });
    await wire.sends(message(NON, CONTENT, 1, token, [observe(11), block(0, true)], 'x'.repeat(16)));
    const rest = wire.expects({ type: CON, code: CODE.get });
    expect(firstOf(rest.options, OPTION.observe)).toBeUndefined();
    await wire.sends(message(ACK, CONTENT, rest.id, hex(rest.token), [block(1, false)], 'y'));
    expect(textOf(got.at(-1) ?? { failure: 'closed' })).toBe(`${'x'.repeat(16)}y`);
    observation.forget();
    await wire.closes();
  });
});

test('of two sequence values within 128 s exactly one is newer, unless equal or half a circle apart; afterwards any is', () => {
  const value = fc.nat(2 ** 24 - 1);
  fc.assert(
    fc.property(value, value, (a, b) => {
      const isApart = a !== b && Math.abs(a - b) !== 2 ** 23;
      expect(isNewer(a, b, 0) !== isNewer(b, a, 0)).toBe(isApart);
      expect(isNewer(a, b, 128_000_001)).toBe(true);
    }),
  );
  expect([isNewer(2 ** 24 - 1, 0, 0), isNewer(0, 2 ** 24 - 1, 0), isNewer(5, 5, 0)]).toEqual([true, false, false]);
});
