import { silentLog } from '../../src/log.js';
import { CoapBinding } from '../../src/protocols/coap/binding.js';
import { CODE, TYPE, type Message } from '../../src/protocols/coap/message.js';
import { firstOf, OPTION, option, uintOf, uintOption } from '../../src/protocols/coap/options.js';
import type { Congestion } from '../../src/protocols/coap/parameters.js';
import { ack, CLIENT, Lockstep, message, OTHER, rst, uri } from '../protocols/coap/lockstep.js';
import { StubSite } from '../protocols/coap/stub-site.js';

const { confirmable: CON, nonConfirmable: NON, acknowledgement: ACK } = TYPE;
const CONTENT = 0x45;
const REGISTER = option(OPTION.observe, 0);
const DEREGISTER = option(OPTION.observe, 1);
const RTT_MS = 1;

class Stage {
  readonly wire: Lockstep;
  readonly site: StubSite;
  readonly binding: CoapBinding;
  private id = 0x100;

  constructor(
    congestion: Congestion,
    { streams = 1, rate = 30, bodyOf }: { streams?: number; rate?: number; bodyOf?: (n: number) => Uint8Array } = {},
  ) {
    this.wire = new Lockstep(congestion);
    this.site = new StubSite(this.wire.clock, streams, rate, bodyOf);
    this.binding = new CoapBinding(this.wire.endpoint, this.site, silentLog);
  }

  async gets(token: string, path: string, options: readonly ReturnType<typeof option>[] = [], from = CLIENT): Promise<Message> {
    const id = ++this.id;
    await this.wire.sends(message(CON, CODE.get, id, token, [...uri(path), ...options]), from);
    return this.wire.expects({ type: ACK, id, token, to: from });
  }

  /** Registers `token` on a stream; the answer bears Observe. */
  async registers(token: string, path = 'stream/0', from = CLIENT): Promise<Message> {
    const reply = await this.gets(token, path, [REGISTER], from);
    expect([reply.code, uintOption(reply.options, OPTION.observe)]).toEqual([CONTENT, expect.any(Number)]);
    return reply;
  }

  /** Publishes one sample on every stream and lets the turn end. */
  async publishes(): Promise<void> {
    this.site.publish();
    await this.wire.settles();
  }

  /** The first notification of a client, confirmable, acknowledged after `RTT_MS`: from here the path is known. */
  async proves(token: string): Promise<void> {
    await this.publishes();
    const { id } = this.wire.expects({ type: CON, code: CONTENT, token });
    await this.wire.passes(RTT_MS);
    await this.wire.sends(ack(id));
  }

  /** Publishes at the stream's rate for a span, acknowledging nothing; what was sent and when, seconds. */
  async runs(seconds: number, rate = 30): Promise<{ atS: number; message: Message }[]> {
    const sent: { atS: number; message: Message }[] = [];
    for (let n = 1; n <= seconds * rate; n++) {
      await this.wire.passes(1000 / rate);
      if (this.site.deliveries.size > 0) await this.publishes();
      while (this.wire.socket.sent.length > 0) sent.push({ atS: n / rate, message: this.next() });
    }
    return sent;
  }

  next(): Message {
    const first = this.wire.socket.sent[0]?.bytes[0] ?? 0;
    return this.wire.expects({ type: ((first >> 4) & 3) as 0 });
  }

  async closes(): Promise<void> {
    await this.wire.closes();
    expect([this.site.deliveries.size, this.binding.observers.relationCount]).toEqual([0, 0]);
  }
}

const sequenceOf = ({ options }: Message): number => uintOf(firstOf(options, OPTION.observe) ?? Buffer.alloc(0));
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
    for (const { type, id } of [stage.next(), ...stage.wire.socket.sent.map(() => stage.next())]) if (type === CON) await stage.wire.sends(ack(id));
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
    ['c.gt=3', 0x80, 'c.gt'],
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
    for (const client of clients.reverse()) await stage.wire.sends(rst(stage.wire.expects({ type: CON, to: client }).id), client);
    await stage.closes();
  });
});

describe('standard congestion control', () => {
  test('nothing goes while a CON is unacknowledged; the newest value goes when it is, the others are counted', async () => {
    const stage = new Stage('standard');
    await stage.registers('0a');
    const [delivery] = stage.site.deliveries;
    await stage.publishes();
    const { id } = stage.wire.expects({ type: CON, token: '0a', payload: 'value 0' });
    for (let n = 0; n < 5; n++) await stage.publishes();
    stage.wire.silent();
    expect(delivery?.missed).toBe(4);
    await stage.wire.passes(RTT_MS);
    await stage.wire.sends(ack(id));
    stage.wire.expects({ type: NON, token: '0a', payload: 'value 5' });
    expect({ delivered: delivery?.delivered, dropped: [...(delivery?.dropped ?? [])][0] }).toEqual({ delivered: 2, dropped: 4 });
    await stage.gets('0a', 'stream/0', [DEREGISTER]);
    await stage.closes();
  });

  test('at most one NON per RTT to a client, over all its relations; what waits goes when the path is free', async () => {
    const stage = new Stage('standard', { streams: 3 });
    for (const n of [0, 1, 2]) await stage.registers(`0${n}`, `stream/${n}`);
    await stage.publishes();
    const { id } = stage.next();
    stage.wire.silent();
    await stage.wire.passes(50);
    await stage.wire.sends(ack(id));
    // RTT 50 ms: the two that waited go 50 ms apart.
    expect(stage.next().type).toBe(NON);
    stage.wire.silent();
    await stage.wire.passes(45);
    stage.wire.silent();
    await stage.wire.passes(5);
    expect(stage.next().type).toBe(NON);
    stage.wire.silent();
    await stage.wire.passes(100);
    await stage.publishes();
    const sentAtMs: number[] = [];
    for (let ms = 0; ms <= 200; ms++) {
      while (stage.wire.socket.sent.length > 0) sentAtMs.push((stage.next(), ms));
      await stage.wire.passes(1);
    }
    expect(sentAtMs).toHaveLength(3);
    // On average: an idle moment is worth 2 ms.
    expect(sentAtMs[1]).toBeGreaterThanOrEqual(48);
    expect(sentAtMs[2]).toBeGreaterThanOrEqual(98);
    for (const n of [0, 1, 2]) await stage.gets(`0${n}`, `stream/${n}`, [DEREGISTER]);
    await stage.closes();
  });

  test('the CON of each second goes to the relations in turn', async () => {
    const stage = new Stage('standard', { streams: 3 });
    for (const n of [0, 1, 2]) await stage.registers(`0${n}`, `stream/${n}`);
    const confirmed: string[] = [];
    for (let n = 0; n < 6 * 30; n++) {
      await stage.publishes();
      // The path takes all three at once: what is acknowledged at once lets the next go in the same turn.
      while (stage.wire.socket.sent.length > 0) {
        const sent = stage.next();
        if (sent.type !== CON) continue;
        confirmed.push(Buffer.from(sent.token).toString('hex'));
        await stage.wire.sends(ack(sent.id));
      }
      await stage.wire.passes(1000 / 30);
    }
    expect(confirmed.slice(0, 3).sort()).toEqual(['00', '01', '02']);
    expect(confirmed.slice(3, 6).sort()).toEqual(['00', '01', '02']);
    stage.binding.observers.closeAll('SHUTDOWN');
    await stage.closes();
  });

  test('a killed client: after 2 s nothing but retransmissions, each with the newest value; the relation is gone within 95 s', async () => {
    const stage = new Stage('standard');
    await stage.registers('0a');
    await stage.proves('0a');
    const sent = await stage.runs(95);
    const last = sent.filter(({ message }) => message.type === NON).at(-1);
    expect(last?.atS).toBeLessThan(2);
    const confirmed = sent.filter(({ message }) => message.type === CON);
    expect(confirmed).toHaveLength(5);
    const sequences = confirmed.map(({ message }) => sequenceOf(message));
    expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
    expect(new Set(confirmed.map(({ message }) => message.id)).size).toBe(5);
    expect(new Set(sequences).size).toBe(5);
    expect(stage.site.deliveries.size).toBe(0);
    expect(stage.site.endings).toEqual(['PEER_TIMEOUT', 'session PEER_TIMEOUT']);
    await stage.closes();
  });

  test('an acknowledgement of an earlier attempt settles it, a reset of one ends the relation', async () => {
    const stage = new Stage('standard');
    await stage.registers('0a');
    await stage.publishes();
    const first = stage.wire.expects({ type: CON, token: '0a', payload: 'value 0' });
    await stage.publishes();
    await stage.wire.passes(3_000);
    const second = stage.wire.expects({ type: CON, token: '0a', payload: 'value 1' });
    expect(second.id).not.toBe(first.id);
    await stage.wire.sends(ack(first.id));
    await stage.wire.passes(1_000);
    await stage.publishes();
    const probe = stage.wire.expects({ type: CON, token: '0a', payload: 'value 2' });
    await stage.wire.sends(rst(probe.id));
    expect(stage.site.endings).toContain('PEER_RESET');
    await stage.closes();
  });

  test('eight streams of 30/s fit the message ids of a pair, the ninth is answered without Observe and counted', async () => {
    const stage = new Stage('standard', { streams: 9 });
    for (let n = 0; n < 8; n++) await stage.registers(`0${n}`, `stream/${n}`);
    const ninth = await stage.gets('08', 'stream/8', [REGISTER]);
    expect([ninth.code, firstOf(ninth.options, OPTION.observe)]).toEqual([CONTENT, undefined]);
    expect([stage.binding.observers.refusedForIds, stage.site.deliveries.size]).toEqual([1, 8]);
    // Replacing one of the eight costs nothing more, and another endpoint has ids of its own.
    await stage.registers('07', 'stream/7');
    await stage.registers('08', 'stream/8', OTHER);
    stage.binding.observers.closeAll('SHUTDOWN');
    await stage.closes();
  });
});

describe('provisioned congestion control', () => {
  test('NON go on while a CON is unacknowledged', async () => {
    const stage = new Stage('provisioned');
    await stage.registers('0a');
    await stage.publishes();
    stage.wire.expects({ type: CON, token: '0a' });
    await stage.wire.passes(33);
    await stage.publishes();
    stage.wire.expects({ type: NON, token: '0a' });
    stage.binding.observers.closeAll('SHUTDOWN');
    await stage.wire.passes(10_000);
    stage.wire.socket.sent.length = 0;
    await stage.closes();
  });

  test('all streams of one instant go in one turn', async () => {
    const stage = new Stage('provisioned', { streams: 100 });
    for (let n = 0; n < 100; n++) await stage.registers(Buffer.from([n]).toString('hex'), `stream/${n}`);
    await stage.publishes();
    expect(stage.wire.socket.sent).toHaveLength(100);
    stage.wire.socket.sent.length = 0;
    stage.binding.observers.closeAll('SHUTDOWN');
    await stage.wire.passes(10_000);
    stage.wire.socket.sent.length = 0;
    await stage.closes();
  });

  test('the wait for an acknowledgement follows the RTT within 100 to 200 ms', async () => {
    const stage = new Stage('provisioned');
    await stage.registers('0a');
    await stage.proves('0a');
    const [first, second] = (await stage.runs(3)).filter(({ message }) => message.type === CON);
    expect(first && second).toBeDefined();
    expect((second?.atS ?? 0) - (first?.atS ?? 0)).toBeLessThanOrEqual(0.3 + 1 / 30);
    stage.binding.observers.closeAll('SHUTDOWN');
    await stage.runs(10);
    await stage.closes();
  });

  test('a killed client: after 4 s nothing but retransmissions, the relation is gone within 11 s', async () => {
    const stage = new Stage('provisioned');
    await stage.registers('0a');
    await stage.proves('0a');
    const sent = await stage.runs(11);
    const lastNon = sent.filter(({ message }) => message.type === NON).at(-1);
    expect(lastNon?.atS).toBeGreaterThan(3);
    expect(lastNon?.atS).toBeLessThan(4.1);
    expect(sent.filter(({ message }) => message.type === CON)).toHaveLength(5);
    expect(stage.site.endings).toEqual(['PEER_TIMEOUT', 'session PEER_TIMEOUT']);
    await stage.closes();
  });

  test('148 streams of 30/s fit the message ids of a pair', async () => {
    const stage = new Stage('provisioned', { streams: 149 });
    for (let n = 0; n < 148; n++) await stage.registers(Buffer.from([n]).toString('hex'), `stream/${n}`);
    expect(firstOf((await stage.gets('ff', 'stream/148', [REGISTER])).options, OPTION.observe)).toBeUndefined();
    const [row] = stage.binding.figures();
    expect(row).toMatchObject({ congestion: 'provisioned', relations: 148, idsUsed: 0, idsAllowed: 65_536, isPaused: false });
    stage.binding.observers.closeAll('SHUTDOWN');
    await stage.closes();
  });
});
