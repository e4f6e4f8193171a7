import fc from 'fast-check';
import { silentLog } from '../../../src/log.js';
import { TYPE } from '../../../src/protocols/coap/message.js';
import { Observers } from '../../../src/protocols/coap/observers.js';
import type { Delivery, Port } from '../../../src/routing/delivery.js';
import { FORMATS } from '../../../src/routing/format.js';
import type { RouteSink } from '../../../src/routing/pattern.js';
import type { Request } from '../../../src/routing/primitive.js';
import type { Peer, Session } from '../../../src/routing/site.js';
import type { Terms } from '../../../src/routing/terms.js';
import { ack, CLIENT, Lockstep, rst } from './lockstep.js';
import { StubSite } from './stub-site.js';

/** 65,536 ids in 247 s. */
const ALLOWED_PER_S = 265.3;
const RATE = 30;

const request = (...to: readonly string[]): Request => ({
  op: 'retrieve',
  to,
  query: new URLSearchParams(),
  originator: 'anonymous',
  requestId: '',
  binding: 'coap',
  accept: [],
  defaultFormat: FORMATS.octets,
});
const ONE = request('stream', '0');
const PATTERN = request('stream', '*');

/** Whose patterns match what the test says. */
class PatternSite extends StubSite {
  readonly ended: string[] = [];
  sink: RouteSink | undefined;
  session: Session | undefined;

  override connect(peer: Peer, port: Port): Session {
    this.session = {
      ...super.connect(peer, port),
      subscribePattern: ({ to }, _, sink) => {
        this.sink = sink;
        return Promise.resolve({ open: () => {}, end: () => void this.ended.push(to.join('/')) });
      },
    };
    return this.session;
  }

  async matches(count: number): Promise<Delivery[]> {
    const members: Delivery[] = [];
    for (let n = 0; n < count; n++) {
      const outcome = await this.session!.subscribe(ONE, {});
      if (!('delivery' in outcome)) throw new Error('the stub refuses none');
      this.sink!.opened(outcome.delivery, ['stream', '0']);
      members.push(outcome.delivery);
    }
    return members;
  }
}

function stage() {
  const wire = new Lockstep('standard');
  const { endpoint } = wire;
  const site = new PatternSite(wire.clock, 1, RATE);
  const observers = new Observers(endpoint, site, silentLog, () => {});
  const peer = endpoint.peer(CLIENT);
  const token = (number: number): Uint8Array => Uint8Array.of(number >>> 16, number >>> 8, number);
  return {
    wire,
    site,
    observers,
    /** Whether it was registered. */
    registers: async (number: number, terms: Terms = {}, of = ONE): Promise<boolean> => {
      const { relation, open } = await observers.register(peer, token(number), 6, of, terms);
      open();
      return relation !== undefined;
    },
    deregisters: (number: number): void => observers.deregister(peer, token(number)),
  };
}

describe('registrations of one endpoint', () => {
  test('stand as long as their rates together fit its message ids, whatever came and went before', async () => {
    const step = fc.record({ token: fc.nat(11), rate: fc.constantFrom(0, 1, 10, 30) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 100 }), async (steps) => {
        const { registers, deregisters, site } = stage();
        const standing = new Map<number, number>();
        for (const { token, rate } of steps) {
          if (rate === 0) {
            deregisters(token);
            standing.delete(token);
            continue;
          }
          let sum = rate;
          for (const [other, each] of standing) if (other !== token) sum += each;
          const isAfforded = sum <= ALLOWED_PER_S;
          expect(await registers(token, { rate })).toBe(isAfforded);
          if (isAfforded) standing.set(token, rate);
          expect(site.deliveries.size).toBe(standing.size);
        }
      }),
    );
  });

  test('the members of a pattern count each, as long as they stand', async () => {
    const { registers, deregisters, site } = stage();
    expect(await registers(1, {}, PATTERN)).toBe(true);
    const [first] = await site.matches(8);
    expect(await registers(2)).toBe(false);
    site.session!.unsubscribe(first!, 'UNSUBSCRIBED');
    first!.port.release(first!);
    expect(await registers(2)).toBe(true);
    expect(await registers(3)).toBe(false);
    deregisters(1);
    expect(site.ended).toEqual(['stream/*']);
    for (const number of [3, 4, 5, 6, 7, 8, 9]) expect(await registers(number)).toBe(true);
    expect(await registers(10)).toBe(false);
  });

  test('a pattern that was ended before it was registered leaves nothing behind', async () => {
    const { registers, deregisters, site, observers } = stage();
    await registers(1);
    const registering = registers(2, {}, PATTERN);
    deregisters(2);
    expect(await registering).toBe(false);
    expect([site.ended, observers.relationCount]).toEqual([['stream/*'], 1]);
  });

  test('are 65,535 at most; one that ends makes room for another, which is not taken for any that stands', async () => {
    const { registers, deregisters, observers, wire, site } = stage();
    await registers(0);
    site.publish();
    await wire.settles();
    await wire.sends(ack(wire.expects({ type: TYPE.confirmable }).id));
    await wire.passes(1000 / RATE);
    site.publish();
    await wire.settles();
    const { id } = wire.expects({ type: TYPE.nonConfirmable });
    const hourly = { rate: 1 / 3600 };
    for (let number = 1; number < 65_535; number++) await registers(number, hourly);
    expect(observers.relationCount).toBe(65_535);
    expect(await registers(70_000, hourly)).toBe(false);
    expect(await registers(70_000, {}, PATTERN)).toBe(false);
    expect(observers.refusedForIds).toBe(2);
    expect(await registers(5, hourly)).toBe(true);
    deregisters(9);
    expect(await registers(70_000, hourly)).toBe(true);
    const [first] = site.deliveries;
    await wire.sends(rst(id));
    expect(site.endings).toEqual(['UNSUBSCRIBED', 'REPLACED', 'UNSUBSCRIBED', 'PEER_RESET']);
    expect(site.deliveries.has(first!)).toBe(false);
  });
});
