/** Idle resources as rows: whatever is read of one is what was read before, and its place among its siblings is the one it had. */
import fc from 'fast-check';
import { formatTime } from '../../src/clock.js';
import { isRefusal } from '../../src/errors.js';
import { packId, randomId, unpackId, seededRandom } from '../../src/random.js';
import { InstanceRecord } from '../../src/resources/history.js';
import type { ResourceNode } from '../../src/resources/node.js';
import type { ValueForm } from '../../src/resources/passive-history.js';
import { resourceDocument } from '../../src/resources/representation.js';
import { RowArena } from '../../src/resources/row-arena.js';
import { RowReader, RowWriter, SERIES, SharedWords } from '../../src/resources/row-bytes.js';
import { ResourceTree } from '../../src/resources/tree.js';
import type { JsonObject } from '../../src/resources/values.js';
import { NOW_US, reading, SECOND_US, text, type Stored } from './small-grid.js';

const ACT = { nowUs: NOW_US, creator: { kind: 'originator', id: 'gateway-owner' } } as const;
const HOUR_US = 3_600 * SECOND_US;

const values: ValueForm<Stored> = {
  write({ mediaType, bytes }, row) {
    row.word(mediaType);
    row.blob(bytes);
    return true;
  },
  read: (row) => ({ mediaType: row.word() ?? '', bytes: row.blob() }),
};

type Node = ResourceNode<Stored>;

class Fleet {
  readonly tree = new ResourceTree<Stored>({ random: seededRandom(3), nowUs: NOW_US, values });
  readonly applications = this.below(this.tree.root, 'applications');

  below(node: Node, id: string): Node {
    const child = node.child(id);
    if (!child) throw new Error(`there is no ${id} below ${node.reference}`);
    return child;
  }

  make(collection: Node, document: JsonObject, nowUs = NOW_US): Node {
    const written = this.tree.create(collection, document, { ...ACT, nowUs });
    if (isRefusal(written)) throw new Error(written.detail);
    return written.node;
  }

  /** A gateway with a container of readings. */
  gateway(appId: string, container: JsonObject = {}, application: JsonObject = {}): Node {
    const gateway = this.make(this.applications, { application: { appId, ...application } });
    this.make(this.below(gateway, 'containers'), { container: { id: 'load', ...container } }, NOW_US + SECOND_US);
    return gateway;
  }

  store(gateway: Node, record: InstanceRecord<Stored>): void {
    const { history } = this.below(this.below(this.below(gateway, 'containers'), 'load'), 'contentInstances');
    const refusal = history?.append(record);
    if (refusal) throw new Error(refusal.detail);
  }
}

/** All that anybody can read of a resource and what is below it. */
const readings = (node: Node): unknown[] => [
  [node.reference, node.etag, node.ordinal, node.creator, resourceDocument(node, reading)],
  ...(node.history ? [node.history.state, node.history.newest()] : []),
  ...[...node.known].flatMap(readings),
];

const recordOf = (content: string, createdUs: number, name?: string, measuredUs = createdUs) =>
  new InstanceRecord(text(content), measuredUs, createdUs, content.length, name, undefined, 'gateway-owner');

test('a gateway with its readings is the same after it was a row', () => {
  const fleet = new Fleet();
  const random = seededRandom(1);
  fc.assert(
    fc.property(
      fc.string({ minLength: 1, maxLength: 60 }).filter((id) => /^[^/\0]+$/.test(id) && !/^\.{1,2}$|latest/.test(id)),
      fc.array(
        fc.record({
          content: fc.string(),
          isNamed: fc.boolean(),
          apartUs: fc.double({ min: 1, max: 1e9, noNaN: true }),
        }),
        {
          maxLength: 5,
        },
      ),
      fc.option(fc.integer({ min: 61, max: 1e6 })),
      (id, contents, leaseS) => {
        if (fleet.applications.child(id)) return;
        const expirationTime = formatTime(NOW_US + (leaseS ?? 0) * SECOND_US);
        const lease = leaseS === null ? {} : { expirationTime };
        const gateway = fleet.gateway(id, { durability: 'grouped', ...lease }, lease);
        let us = NOW_US;
        for (const { content, isNamed, apartUs } of contents)
          fleet.store(
            gateway,
            recordOf(content, Math.round((us += apartUs)), isNamed ? randomId(random) : undefined, us),
          );
        const before = readings(gateway);
        expect(fleet.tree.passivate(gateway)).toBe(true);
        const again = fleet.below(fleet.applications, id);
        expect(again).not.toBe(gateway);
        expect(readings(again)).toEqual(before);
      },
    ),
  );
});

test.each([
  '2026-11-24T08:15:00Z',
  '2026-11-24T08:15:00.250Z',
  '2026-11-24T08:15:00.250001Z',
  '2026-11-24T10:15:00+02:00',
])('a lease that was written as %s is read so', (expirationTime) => {
  const fleet = new Fleet();
  const gateway = fleet.gateway('g', {}, { expirationTime });
  expect(fleet.tree.passivate(gateway)).toBe(true);
  expect(fleet.below(fleet.applications, 'g').attributes.get('expirationTime')).toBe(expirationTime);
});

test('rows keep their order among what is in use, for reading as for paging, while children come and go', () => {
  const fleet = new Fleet();
  const ids = Array.from({ length: 5000 }, (_, n) => `gateway-${n}`);
  const nodes = ids.map((id) => fleet.gateway(id));
  const gone = new Set<string>();
  nodes.forEach((node, n) => n % 3 !== 0 && expect(fleet.tree.passivate(node)).toBe(true));
  for (let n = 0; n < ids.length; n += 7) {
    const id = ids[n] ?? '';
    fleet.tree.remove(fleet.below(fleet.applications, id), NOW_US);
    gone.add(id);
  }
  const left = [...ids.filter((id) => !gone.has(id)), 'late'];
  fleet.gateway('late');
  const members = (known: Iterable<Node>) =>
    [...known].filter(({ type }) => type === 'application').map(({ id }) => id);
  expect(members(fleet.applications.known)).toEqual(left);
  const middle = fleet.below(fleet.applications, left[1000] ?? '').ordinal;
  expect(members(fleet.applications.knownAfter(middle))).toEqual(left.slice(1001));
  expect(fleet.applications.child(ids[0] ?? '')).toBeUndefined();
  // Reading makes nothing live.
  expect(fleet.tree.passive.count).toBe(
    left.filter((id) => Number(id.slice(8)) % 3 !== 0 && id !== 'late').length -
      (middle > 0 && Number((left[1000] ?? '').slice(8)) % 3 !== 0 ? 1 : 0),
  );
});

test('who reads on while children are numbered anew misses none and meets none twice', () => {
  const fleet = new Fleet();
  const first = fleet.gateway('first');
  fleet.tree.passivate(first);
  for (let n = 0; n < 900; n++) fleet.gateway(`early-${n}`);
  const met: string[] = [];
  for (const { id, type } of fleet.applications.known) {
    if (type === 'application') met.push(id);
    // Beyond the room of the first slots.
    if (met.length === 500) for (let n = 0; n < 900; n++) fleet.gateway(`late-${n}`);
    if (met.length === 600) fleet.tree.remove(fleet.below(fleet.applications, 'early-5'), NOW_US);
  }
  expect(met).toHaveLength(1 + 900 + 900);
  expect(new Set(met).size).toBe(met.length);
});

test('what is not there is not found among rows', () => {
  const fleet = new Fleet();
  const long = 'x'.repeat(255);
  for (const id of ['a', 'é', long]) fleet.tree.passivate(fleet.gateway(id));
  for (const id of ['b', 'aa', 'e', `${long}x`, 'x'.repeat(254), ''])
    expect(fleet.applications.child(id)).toBeUndefined();
  for (const id of ['a', 'é', long]) expect(fleet.applications.child(id)?.id).toBe(id);
});

test('equal attributes are one map, however many there are', () => {
  const fleet = new Fleet();
  const maps = ['a', 'b'].map((id) => {
    fleet.tree.passivate(fleet.gateway(id, { maxNrOfInstances: 1, durability: 'grouped' }));
    return fleet.below(fleet.below(fleet.below(fleet.applications, id), 'containers'), 'load').attributes;
  });
  expect(maps[0]).toBe(maps[1]);
});

test('a container that keeps 4 KiB stays as it is', () => {
  const fleet = new Fleet();
  const gateway = fleet.gateway('g');
  fleet.store(gateway, recordOf('x'.repeat(5000), NOW_US, 'large'));
  expect(fleet.tree.passivate(gateway)).toBe(false);
  expect(fleet.below(fleet.applications, 'g')).toBe(gateway);
});

test('a row is woken once, in the time that was given last', () => {
  const fleet = new Fleet();
  const woken: string[] = [];
  fleet.tree.onActivated = ({ id }) => woken.push(id);
  for (const [id, at] of [
    ['a', 5],
    ['b', 5],
    ['c', 6],
    ['d', undefined],
  ] as const)
    fleet.tree.passivate(fleet.gateway(id), at);
  const again = fleet.below(fleet.applications, 'b');
  fleet.tree.passivate(again, 5);
  fleet.tree.passivate(fleet.below(fleet.applications, 'c'), 7);
  woken.length = 0;
  const wake = (at: number) => [...fleet.tree.wake(at)].length;
  expect([wake(5), wake(6), woken.join(''), wake(7), wake(5)]).toEqual([2, 0, 'ab', 1, 0]);
  expect(woken.join('')).toBe('abc');
});

test('a row of a million costs at most 200 bytes, its reading included', () => {
  const fleet = new Fleet();
  const GATEWAYS = 20_000;
  const random = seededRandom(2);
  for (let n = 0; n < GATEWAYS; n++) {
    const gateway = fleet.gateway(`gateway-${String(n).padStart(7, '0')}`, {
      maxNrOfInstances: 1,
      durability: 'grouped',
    });
    fleet.store(
      gateway,
      recordOf(`{"n":"load","u":"kW","v":${n % 97},"s":123456}`, NOW_US + HOUR_US, randomId(random)),
    );
    fleet.tree.passivate(gateway);
  }
  const { count, bytes } = fleet.tree.passive;
  expect(count).toBe(GATEWAYS);
  expect(bytes / count).toBeLessThanOrEqual(200);
});

test('the memory of rows follows what they hold when all have grown', () => {
  const fleet = new Fleet();
  const random = seededRandom(5);
  const gateways = Array.from({ length: 5000 }, (_, n) => fleet.gateway(`gateway-${n}`));
  for (const gateway of gateways) fleet.tree.passivate(gateway);
  for (let round = 0; round < 3; round++)
    for (const { id } of gateways) {
      const gateway = fleet.below(fleet.applications, id);
      fleet.store(gateway, recordOf('x'.repeat(40 + 60 * round), NOW_US + round * HOUR_US, randomId(random)));
      fleet.tree.passivate(gateway);
    }
  const { count, bytes } = fleet.tree.passive;
  // Three readings of 40, 100 and 160 bytes, 38 bytes around each, and 100 of the gateway.
  expect(bytes / count).toBeLessThan(1.2 * 530);
  for (const { id } of gateways) expect(fleet.applications.child(id)?.id).toBe(id);
});

describe('the bytes of a row', () => {
  test('are read as they were written', () => {
    const words = new SharedWords();
    const writer = new RowWriter(words);
    const whole = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
    const near = fc.integer({ min: -(2 ** 51), max: 2 ** 51 });
    fc.assert(
      fc.property(fc.string(), fc.array(whole), fc.array(near), fc.array(fc.string()), (id, wholes, nears, texts) => {
        writer.begin(id);
        for (const each of wholes) writer.whole(each);
        for (const each of nears) writer.near(SERIES.time, each);
        for (const each of [...texts, id]) writer.word(each);
        for (const each of texts) writer.name(each);
        const bytes = Buffer.from(writer.row ?? []);
        const row = new RowReader(bytes, 0, words);
        expect(wholes.map(() => row.whole())).toEqual(wholes);
        expect(nears.map(() => row.near(SERIES.time))).toEqual(nears);
        expect([...texts, id].map(() => row.word())).toEqual([...texts, id]);
        expect(texts.map(() => row.name())).toEqual(texts);
      }),
    );
  });

  test('hold a generated id in ten', () => {
    const random = seededRandom(4);
    for (let n = 0; n < 100; n++) {
      const id = randomId(random);
      expect(unpackId(packId(id) ?? new Uint8Array(), 0)).toBe(id);
    }
    expect(packId('ABCDEFGHabcdefgh')).toBeUndefined();
  });

  test('stand in blocks that are taken again, and never share one', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.integer({ min: 1, max: 4096 }), fc.boolean()), { maxLength: 600 }), (steps) => {
        const arena = new RowArena();
        const standing = new Map<number, Buffer>();
        steps.forEach(([length, isPut], n) => {
          const row = Buffer.alloc(length, n);
          if (isPut) standing.set(arena.put(row), row);
          const [at] = standing.keys();
          if (!isPut && at !== undefined) {
            arena.release(at);
            standing.delete(at);
          }
          if (n % 50 === 49)
            arena.compact((from, to) => {
              standing.set(to, standing.get(from) ?? Buffer.alloc(0));
              standing.delete(from);
            });
        });
        for (const [at, row] of standing) {
          const start = arena.startOf(at);
          expect(
            arena
              .pieceOf(at)
              .subarray(start, start + row.length)
              .equals(row),
          ).toBe(true);
        }
      }),
    );
    const arena = new RowArena();
    for (let n = 0; n < 100_000; n++) arena.release(arena.put(Buffer.alloc(150)));
    expect(arena.bytes).toBe(256 * 1024);
  });
});
