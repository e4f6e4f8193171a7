import { CODE, TYPE } from '../../src/protocols/coap/message.js';
import { OPTION, option } from '../../src/protocols/coap/options.js';
import { ack, CLIENT, Lockstep, message, OTHER, ping, rst, uri } from '../protocols/coap/lockstep.js';

const CONTENT = 0x45;
const { confirmable: CON, nonConfirmable: NON, acknowledgement: ACK, reset: RST } = TYPE;

/** A server whose handler counts what it executes and answers at once, after `laterMs`, or never. */
function serving(laterMs = 0): { wire: Lockstep; executed: string[] } {
  const wire = new Lockstep();
  const executed: string[] = [];
  wire.endpoint.onRequest((exchange) => {
    executed.push(`${exchange.request.code}`);
    const respond = (): void => exchange.respond({ code: CONTENT, payload: Buffer.from(`answer ${executed.length}`) });
    if (laterMs === 0) respond();
    else wire.clock.after(laterMs, respond);
  });
  return { wire, executed };
}

describe('the message layer', () => {
  test('answers a confirmable in its acknowledgement: same id, same token', async () => {
    const { wire } = serving();
    await wire.sends(message(CON, CODE.get, 0x1111, 'aabb', uri('test')));
    wire.expects({ type: ACK, code: CONTENT, id: 0x1111, token: 'aabb', payload: 'answer 1' });
    await wire.closes();
  });

  test('a duplicate gets the same answer again and is not executed', async () => {
    const { wire, executed } = serving();
    const post = message(CON, CODE.post, 7, '01', uri('test'));
    for (let n = 0; n < 3; n++) {
      await wire.sends(post);
      wire.expects({ type: ACK, id: 7, payload: 'answer 1' });
    }
    expect(executed).toHaveLength(1);
    await wire.sends(post, OTHER);
    wire.expects({ type: ACK, id: 7, payload: 'answer 2', to: OTHER });
    await wire.closes();
  });

  test('a slow answer is separate: empty acknowledgement after 50 ms, then a confirmable of its own', async () => {
    const { wire } = serving(1_000);
    await wire.sends(message(CON, CODE.get, 7, '01', uri('separate')));
    await wire.passes(49);
    wire.silent();
    await wire.passes(2);
    wire.expects({ type: ACK, code: CODE.empty, id: 7 });
    await wire.passes(1_000);
    const { id } = wire.expects({ type: CON, code: CONTENT, token: '01', payload: 'answer 1' });
    await wire.sends(ack(id));
    await wire.closes();
  });

  test('a duplicate of a request in progress is executed once: silence first, then the empty acknowledgement again', async () => {
    const { wire, executed } = serving(1_000);
    const post = message(CON, CODE.post, 7, '01', uri('slow'));
    await wire.sends(post);
    await wire.sends(post);
    wire.silent();
    await wire.passes(60);
    wire.expects({ type: ACK, code: CODE.empty, id: 7 });
    await wire.sends(post);
    wire.expects({ type: ACK, code: CODE.empty, id: 7 });
    await wire.passes(1_000);
    const { id } = wire.expects({ type: CON, token: '01' });
    await wire.sends(ack(id));
    expect(executed).toHaveLength(1);
    await wire.closes();
  });

  test('a separate answer whose acknowledgements are lost goes out 5 times with doubled waits and is given up after 93 s at most', async () => {
    const { wire } = serving(100);
    await wire.sends(message(CON, CODE.get, 7, '01', uri('test')));
    await wire.passes(60);
    wire.expects({ type: ACK, id: 7 });
    await wire.passes(50);
    const { id } = wire.loses({ type: CON, token: '01' });
    const sentAtS: number[] = [];
    for (let tenths = 0; tenths < 1_000; tenths++) {
      await wire.passes(100);
      if (wire.socket.sent.length === 0) continue;
      wire.loses({ type: CON, id, token: '01' });
      sentAtS.push(tenths / 10);
    }
    expect(sentAtS).toHaveLength(4);
    const [first = 0, second = 0, third = 0, fourth = 0] = sentAtS;
    expect(first).toBeGreaterThanOrEqual(1.9);
    expect(first).toBeLessThanOrEqual(3);
    expect([(second - first) / first, (third - second) / first, (fourth - third) / first].map(Math.round)).toEqual([
      2, 4, 8,
    ]);
    expect(wire.endpoint.figures.givenUp).toBe(1);
    await wire.closes();
  });

  test('a second confirmable waits until the first is acknowledged [NSTART]', async () => {
    const { wire } = serving(100);
    await wire.sends(message(CON, CODE.get, 1, '01', uri('a')));
    await wire.sends(message(CON, CODE.get, 2, '02', uri('b')));
    await wire.passes(60);
    wire.expects({ type: ACK, id: 1 });
    wire.expects({ type: ACK, id: 2 });
    await wire.passes(100);
    const first = wire.expects({ type: CON, token: '01' });
    wire.silent();
    await wire.sends(ack(first.id));
    const second = wire.expects({ type: CON, token: '02' });
    await wire.sends(ack(second.id));
    await wire.closes();
  });

  test('a non-confirmable is answered by one, with an id of ours; its duplicate by nothing', async () => {
    const { wire, executed } = serving();
    const get = message(NON, CODE.get, 7, '0102', uri('test'));
    await wire.sends(get);
    wire.expects({ type: NON, code: CONTENT, token: '0102' });
    await wire.sends(get);
    expect(executed).toHaveLength(1);
    await wire.closes();
  });

  test('a slow answer to a non-confirmable comes without any acknowledgement', async () => {
    const { wire } = serving(1_000);
    await wire.sends(message(NON, CODE.get, 7, '01', uri('separate')));
    await wire.passes(999);
    wire.silent();
    await wire.passes(2);
    wire.expects({ type: NON, code: CONTENT, token: '01' });
    await wire.closes();
  });

  test('a ping is answered by a reset of four bytes and leaves no state', async () => {
    const { wire } = serving();
    await wire.sends(ping(0xabcd));
    expect(wire.socket.sent[0]?.bytes.toString('hex')).toBe('7000abcd');
    wire.expects({ type: RST, id: 0xabcd, to: CLIENT });
    expect(wire.endpoint.peerCount).toBe(0);
    await wire.closes();
  });

  test('garbage: a reset to a confirmable, silence to anything else, no state for either', async () => {
    const { wire } = serving();
    await wire.sends(Buffer.from('4901123400', 'hex'));
    wire.expects({ type: RST, id: 0x1234, to: CLIENT });
    for (const hex of ['5901123400', '6901123400', '7001123401', '80011234', 'ff', ''])
      await wire.sends(Buffer.from(hex, 'hex'));
    wire.silent();
    expect(wire.endpoint.peerCount).toBe(0);
    expect(wire.endpoint.figures).toMatchObject({ malformed: 4, foreign: 3 });
    await wire.closes();
  });

  test('stray acknowledgements and resets are swallowed; a response nobody waits for is reset', async () => {
    const { wire } = serving();
    await wire.sends(ack(1));
    await wire.sends(rst(2));
    await wire.sends(message(ACK, CONTENT, 3, '01', [], 'late'));
    wire.silent();
    await wire.sends(message(CON, CONTENT, 4, '01', [], 'late'));
    wire.expects({ type: RST, id: 4 });
    await wire.sends(message(NON, CONTENT, 5, '01', [], 'late'));
    wire.expects({ type: RST, id: 5 });
    await wire.closes();
  });

  test('an unknown critical option: 4.02 naming it to a confirmable, a reset to a non-confirmable, no execution', async () => {
    const { wire, executed } = serving();
    await wire.sends(message(CON, CODE.get, 1, '01', [...uri('test'), option(9999, 'x')]));
    const refusal = wire.expects({ type: ACK, code: 0x82, id: 1, token: '01' });
    expect(Buffer.from(refusal.payload).toString()).toContain('9999');
    await wire.sends(message(NON, CODE.get, 2, '01', [...uri('test'), option(9999, 'x')]));
    wire.expects({ type: RST, id: 2 });
    expect(executed).toEqual([]);
    await wire.closes();
  });

  test('No-Response keeps the answer back; a confirmable still gets its acknowledgement', async () => {
    const { wire, executed } = serving();
    const noResponse = option(OPTION.noResponse, 26);
    await wire.sends(message(NON, CODE.put, 1, '01', [...uri('test'), noResponse]));
    wire.silent();
    await wire.sends(message(CON, CODE.put, 2, '01', [...uri('test'), noResponse]));
    wire.expects({ type: ACK, code: CODE.empty, id: 2 });
    expect(executed).toHaveLength(2);
    await wire.closes();
  });

  test('every answer and reset goes to the sender, its port included', async () => {
    const { wire } = serving();
    await wire.sends(message(CON, CODE.get, 1, '01', uri('test')), OTHER);
    wire.expects({ type: ACK, to: OTHER });
    await wire.sends(message(CON, CODE.get, 2, '01', [option(9999, 'x')]), OTHER);
    wire.expects({ type: ACK, code: 0x82, to: OTHER });
    await wire.sends(Buffer.from('4901123400', 'hex'), OTHER);
    wire.expects({ type: RST, to: OTHER });
    await wire.closes();
  });

  test('closing ends what is under way and sets no timer again', async () => {
    const { wire } = serving(100);
    await wire.sends(message(CON, CODE.get, 1, '01', uri('test')));
    await wire.passes(200);
    wire.expects({ type: ACK, id: 1 });
    wire.loses({ type: CON, token: '01' });
    wire.endpoint.close();
    expect(wire.socket.isClosed).toBe(true);
    expect(wire.clock.pending).toBe(0);
  });
});
