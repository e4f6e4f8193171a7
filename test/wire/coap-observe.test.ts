import { TYPE, type Message } from '../../src/protocols/coap/message.js';
import { firstOf, OPTION, option, uintOption } from '../../src/protocols/coap/options.js';
import { ack, CLIENT, rst } from '../protocols/coap/lockstep.js';
import { CONTENT, DEREGISTER, REGISTER, RTT_MS, sequenceOf, Stage } from '../protocols/coap/stage.js';

const { confirmable: CON, nonConfirmable: NON } = TYPE;

const textOf = ({ payload }: Message): string => Buffer.from(payload).toString();

describe.each(['standard', 'provisioned'] as const)('an observe relation (%s)', (congestion) => {
  test('first notification CON, then NON with rising Observe, a CON a second', async () => {
    const stage = new Stage(congestion);
    await stage.registers('0a');
    await stage.proves('0a');
    const sequences: number[] = [];
    const confirmedAtS: number[] = [];
    for (let n = 1; n <= 90; n++) {
      await stage.wire.passes(1000 / 30);
      await stage.publishes();
      const sent = stage.next();
      stage.wire.silent();
      expect(Buffer.from(sent.token).toString('hex')).toBe('0a');
      sequences.push(sequenceOf(sent));
      if (sent.type === CON) {
        confirmedAtS.push(n / 30);
        await stage.wire.sends(ack(sent.id));
      }
    }
    expect(sequences).toEqual(sequences.map((_, n) => (sequences[0] ?? 0) + n));
    expect(confirmedAtS).toHaveLength(2);
    await stage.gets('0a', 'stream/0', [DEREGISTER]);
    await stage.closes();
  });

  test('Observe 1 ends it: an answer without Observe, then silence', async () => {
    const stage = new Stage(congestion);
    await stage.registers('0a');
    await stage.proves('0a');
    const answer = await stage.gets('0a', 'stream/0', [DEREGISTER]);
    expect([answer.code, firstOf(answer.options, OPTION.observe)]).toEqual([CONTENT, undefined]);
    await stage.publishes();
    expect(stage.site.endings).toEqual(['UNSUBSCRIBED', 'session UNSUBSCRIBED']);
    await stage.closes();
  });

  test('a GET with another token, or without Observe, does not end it', async () => {
    const stage = new Stage(congestion);
    await stage.registers('0a');
    await stage.proves('0a');
    await stage.gets('0b', 'stream/0', [DEREGISTER]);
    await stage.gets('0a', 'stream/0');
    await stage.wire.passes(40);
    await stage.publishes();
    stage.wire.expects({ type: NON, token: '0a' });
    await stage.gets('0a', 'stream/0', [DEREGISTER]);
    await stage.closes();
  });

  test('the same token again replaces it: one notification per sample, Observe goes on', async () => {
    const stage = new Stage(congestion);
    const first = sequenceOf(await stage.registers('0a'));
    await stage.proves('0a');
    expect(sequenceOf(await stage.registers('0a'))).toBe(first + 1);
    expect(stage.site.endings).toEqual(['REPLACED']);
    await stage.wire.passes(40);
    await stage.publishes();
    expect(sequenceOf(stage.wire.expects({ type: NON, token: '0a' }))).toBe(first + 2);
    stage.wire.silent();
    await stage.gets('0a', 'stream/0', [DEREGISTER]);
    await stage.closes();
  });

  test('a reset to a NON ends that relation and no other', async () => {
    const stage = new Stage(congestion, { streams: 2 });
    await stage.registers('0a', 'stream/0');
    await stage.registers('0b', 'stream/1');
    await stage.publishes();
    await stage.wire.passes(RTT_MS);
    // The first is confirmable; what else of this sample has gone or waits depends on the mode.
    for (const { type, id } of [stage.next(), ...stage.wire.socket.sent.map(() => stage.next())])
      if (type === CON) await stage.wire.sends(ack(id));
    await stage.wire.passes(20);
    stage.wire.socket.sent.length = 0;
    await stage.publishes();
    await stage.wire.passes(10);
    const sent = [stage.next(), stage.next()];
    expect(sent.map(({ type }) => type)).toEqual([NON, NON]);
    const gone = sent.find(({ token }) => token[0] === 0x0a);
    await stage.wire.sends(rst(gone?.id ?? -1));
    expect(stage.site.endings).toEqual(['PEER_RESET']);
    await stage.wire.passes(40);
    await stage.publishes();
    stage.wire.expects({ type: NON, token: '0b' });
    stage.wire.silent();
    await stage.gets('0b', 'stream/1', [DEREGISTER]);
    await stage.closes();
  });

  test('a reset to a CON ends it', async () => {
    const stage = new Stage(congestion);
    await stage.registers('0a');
    await stage.publishes();
    const { id } = stage.wire.expects({ type: CON, token: '0a' });
    await stage.wire.sends(rst(id));
    expect(stage.site.endings).toEqual(['PEER_RESET', 'session UNSUBSCRIBED']);
    await stage.publishes();
    await stage.closes();
  });

  test('c.con=1 makes every notification confirmable', async () => {
    const stage = new Stage(congestion);
    await stage.registers('0a', 'stream/0?c.con=1');
    for (let n = 0; n < 5; n++) {
      await stage.publishes();
      await stage.wire.sends(ack(stage.wire.expects({ type: CON, token: '0a' }).id));
      await stage.wire.passes(33);
    }
    await stage.gets('0a', 'stream/0?c.con=1', [DEREGISTER]);
    await stage.closes();
  });

  test('beside a condition Max-Age promises no more than c.pmax does', async () => {
    const stage = new Stage(congestion);
    const maxAgeOf = async (query: string): Promise<number | undefined> =>
      uintOption((await stage.registers('0a', `stream/0?${query}`)).options, OPTION.maxAge);
    // Absent is 60 s.
    expect([await maxAgeOf('c.st=0.1'), await maxAgeOf('c.st=0.1&c.pmax=7')]).toEqual([undefined, 7]);
  });

  test('c.pmin decimates, and Max-Age says when the next is due', async () => {
    const stage = new Stage(congestion);
    const registered = await stage.registers('0a', 'stream/0?c.pmin=0.2');
    expect(uintOption(registered.options, OPTION.maxAge)).toBe(1);
    await stage.proves('0a');
    const sent = await stage.runs(0.9);
    expect(sent).toHaveLength(4);
    await stage.gets('0a', 'stream/0?c.pmin=0.2', [DEREGISTER]);
    await stage.closes();
  });

  test.each([
    ['c.gt=much', 0x80, '"much"'],
    ['c.pmin=0', 0x80, 'smallest spacing'],
    ['rate=7', 0x80, '30, 15, 10, 6, 5, 3, 2, 1'],
  ])('terms that cannot be met (%s) are refused with a sentence', async (query, code, sentence) => {
    const stage = new Stage(congestion);
    const refusal = await stage.gets('0a', `stream/0?${query}`, [REGISTER]);
    expect([refusal.code, firstOf(refusal.options, OPTION.observe)]).toEqual([code, undefined]);
    expect(textOf(refusal)).toContain(sentence);
    await stage.closes();
  });

  test('of an unknown path is 4.04 and leaves no session', async () => {
    const stage = new Stage(congestion);
    expect((await stage.gets('0a', 'nowhere', [REGISTER])).code).toBe(0x84);
    expect(stage.site.endings).toEqual(['session UNSUBSCRIBED']);
    await stage.closes();
  });

  test('ended by the broker is told once, confirmable, without Observe', async () => {
    const stage = new Stage(congestion);
    await stage.registers('0a');
    await stage.proves('0a');
    for (const delivery of stage.site.deliveries) {
      delivery.port.end(delivery, 'RESOURCE_DELETED');
      stage.site.router.unsubscribe(delivery);
    }
    await stage.wire.settles();
    const last = stage.wire.expects({ type: CON, code: 0x84, token: '0a' });
    expect(firstOf(last.options, OPTION.observe)).toBeUndefined();
    await stage.wire.sends(ack(last.id));
    stage.site.deliveries.clear();
    await stage.closes();
  });

  test('of a broker that stops is told 5.03, once and to each', async () => {
    const stage = new Stage(congestion, { streams: 2 });
    await stage.registers('0a', 'stream/0');
    await stage.registers('0b', 'stream/1');
    stage.binding.close();
    for (const token of ['0a', '0b']) stage.wire.expects({ type: NON, code: 0xa3, token });
    stage.wire.silent();
    expect([stage.site.deliveries.size, stage.wire.clock.pending]).toEqual([0, 0]);
  });

  test('longer than a block bears block 0 at the size of the registration', async () => {
    const stage = new Stage(congestion, { bodyOf: () => Buffer.alloc(200, 'x') });
    await stage.gets('0a', 'stream/0', [REGISTER, option(OPTION.block2, 2)]);
    await stage.publishes();
    const sent = stage.wire.expects({ type: CON, token: '0a' });
    expect([sent.payload.length, uintOption(sent.options, OPTION.block2)]).toEqual([64, 8 + 2]);
    await stage.wire.sends(ack(sent.id));
    await stage.gets('0a', 'stream/0', [DEREGISTER]);
    await stage.wire.passes(0);
    await stage.closes();
  });

  test('a hundred observers share one encoding', async () => {
    const stage = new Stage(congestion);
    const clients = Array.from({ length: 100 }, (_, n) => ({ ...CLIENT, port: 50_000 + n }));
    for (const client of clients) await stage.registers('0a', 'stream/0', client);
    stage.site.encodings = 0;
    await stage.publishes();
    expect(stage.wire.socket.sent).toHaveLength(100);
    expect(stage.site.encodings).toBe(1);
    // Deliveries are walked backwards.
    for (const client of clients.reverse())
      await stage.wire.sends(rst(stage.wire.expects({ type: CON, to: client }).id), client);
    await stage.closes();
  });
});
