import { TYPE } from '../../src/protocols/coap/message.js';
import { firstOf, OPTION } from '../../src/protocols/coap/options.js';
import { accountOf } from '../../src/routing/group.js';
import { ack, CLIENT, OTHER, rst } from '../protocols/coap/lockstep.js';
import { CONTENT, DEREGISTER, REGISTER, RTT_MS, sequenceOf, Stage } from '../protocols/coap/stage.js';

const { confirmable: CON, nonConfirmable: NON } = TYPE;

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
    expect({ delivered: delivery?.delivered, dropped: [...(delivery?.dropped ?? [])][0] }).toEqual({
      delivered: 2,
      dropped: 4,
    });
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
    stage.binding.observers.closeAll('PEER_CLOSED');
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
    stage.binding.observers.closeAll('PEER_CLOSED');
    await stage.closes();
  });

  test('a probe for which no message id is left is counted as dropped, not as delivered', async () => {
    const stage = new Stage('standard');
    await stage.registers('0a');
    const { ids } = stage.wire.endpoint.peer(CLIENT);
    while (ids.take(stage.wire.clock.monotonicUs() / 1000) !== undefined);
    await stage.publishes();
    const [delivery] = stage.site.deliveries;
    expect(delivery && accountOf(delivery)).toMatchObject({ received: 1, delivered: 0, dropped: { 'send-failed': 1 } });
    stage.binding.observers.closeAll('PEER_CLOSED');
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
    stage.binding.observers.closeAll('PEER_CLOSED');
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
    stage.binding.observers.closeAll('PEER_CLOSED');
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
    stage.binding.observers.closeAll('PEER_CLOSED');
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
    expect(row).toMatchObject({
      congestion: 'provisioned',
      relations: 148,
      idsUsed: 0,
      idsAllowed: 65_536,
      isPaused: false,
    });
    stage.binding.observers.closeAll('PEER_CLOSED');
    await stage.closes();
  });
});
