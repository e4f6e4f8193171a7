/** Contents for idle gateways: a broker whose gateways are rows, and one whose gateways never are, answer and keep the same. */
import fc from 'fast-check';
import { encode as cborOf } from 'cborg';
import { bodyOfBytes } from '../../src/protocols/codec.js';
import { seededRandom } from '../../src/random.js';
import { FORMATS } from '../../src/routing/format.js';
import type { JsonObject, Operation, Request, Response } from '../../src/routing/primitive.js';
import { etagOf } from '../../src/resources/revision.js';
import type { Store } from '../../src/store/store.js';
import { ManualClock } from '../support/manual-clock.js';
import { RememberingStore } from '../support/remembering-store.js';
import { closeStage, startBroker, type RunningBroker } from './stage.js';

afterEach(closeStage);

const GATEWAYS = ['gateway-0', 'gateway-1', 'gäteway'];
const CONTAINERS = {
  load: { maxNrOfInstances: 1, durability: 'grouped' },
  bytes: { maxByteSize: 40 },
  age: { maxInstanceAge: 2, durability: 'latest' },
  more: { maxNrOfInstances: 3, maxByteSize: 5_000, maxInstanceAge: 60, durability: 'grouped' },
  rated: { reportingRate: 10, durability: 'latest' },
  shared: { accessRightID: '/m2m/accessRights/writers', maxNrOfInstances: 2 },
};
const QUIET_MS = 500;

class AuditedStore extends RememberingStore {
  readonly audits: unknown[] = [];

  override write(writing: Parameters<Store['write']>[0], done: Parameters<Store['write']>[1]): void {
    this.audits.push(...(writing.audit ?? []));
    super.write(writing, done);
  }
}

interface Side {
  readonly running: RunningBroker;
  readonly clock: ManualClock;
  readonly store: AuditedStore;
  /** By entity tag, when it was first seen: collections that nobody has looked at are born at other moments in a row. */
  readonly tags: Map<string, number>;
}

type Asked = Pick<Request, 'op' | 'to'> & Partial<Request>;

const seenAt = ({ tags }: Side, tag: string): number => tags.get(tag) ?? (tags.set(tag, tags.size), tags.size - 1);

const kept = (side: Side): unknown =>
  [...side.store.tables.instance].map(([key, { document, bytes }]) => {
    return [key, { ...document, sequence: seenAt(side, etagOf(Number(document.sequence))) }, bytes];
  });

function request({ broker }: RunningBroker, asked: Asked): Promise<Response> {
  const { json } = FORMATS;
  const rest = { originator: 'admin', requestId: 'r', binding: 'http', accept: [], defaultFormat: json } as const;
  return broker.request({ query: new URLSearchParams(), ...rest, ...asked });
}

const bodyOf = (document: JsonObject) => bodyOfBytes(FORMATS.json.mediaType, Buffer.from(JSON.stringify(document)));

/** @param largeCollection children from which on idle ones are rows */
async function side(largeCollection: number): Promise<Side> {
  const [clock, store] = [new ManualClock(), new AuditedStore()];
  const passivation = { largeCollection, periodMs: QUIET_MS };
  const flags = { rights: 'enforced', administrators: ['admin'] } as const;
  const running = await startBroker(flags, { clock, store, passivation, random: seededRandom(7) });
  const create = async (to: readonly string[], document: JsonObject): Promise<void> => {
    const { status, detail } = await request(running, { op: 'create', to: ['m2m', ...to], body: bodyOf(document) });
    if (status !== 'STATUS_CREATED') throw new Error(detail);
  };
  const permission = {
    permissionFlags: { flag: ['CREATE', 'READ'] },
    permissionHolders: { applicationIDs: { applicationID: ['friend'] } },
  };
  await create(['accessRights'], {
    accessRight: {
      id: 'writers',
      permissions: { permission: [{ id: 'p', ...permission }] },
      selfPermissions: { permission: [] },
    },
  });
  for (const appId of GATEWAYS) {
    await create(['applications'], { application: { appId } });
    for (const [id, container] of Object.entries(CONTAINERS)) {
      await create(['applications', appId, 'containers'], { container: { id, ...container } });
      const content = { contentType: 'text/plain', textContent: 'first' };
      await create(['applications', appId, 'containers', id, 'contentInstances'], {
        contentInstance: { id: 'a', content },
      });
    }
  }
  return { running, clock, store, tags: new Map() };
}

const oneOf = fc.constantFrom;
const plain = fc.tuple(oneOf('text/plain', 'application/senml+json'), fc.string({ maxLength: 30 }));
const timed = fc.integer({ min: 0, max: 9 }).map((second) => {
  return ['application/senml+json', `[{"n":"load","bt":17672256${second}0.25,"v":${second}}]`] as const;
});
const document = fc
  .record(
    {
      id: oneOf('a', 'b', 'ü', 'latest', ''),
      searchStrings: fc.constant({ searchString: ['one', 'two'] }),
      content: fc.record({ contentType: oneOf('text/plain', 'a/b'), textContent: fc.string({ maxLength: 50 }) }),
      unknown: fc.constant(1),
    },
    { requiredKeys: ['content'] },
  )
  .map(({ unknown, ...known }) => ({
    contentInstance: unknown === undefined || known.id !== 'b' ? known : { ...known, unknown },
  }));
const body = fc.oneof(
  plain.map(([mediaType, text]) => bodyOfBytes(mediaType, Buffer.from(text))),
  timed.map(([mediaType, text]) => bodyOfBytes(mediaType, Buffer.from(text))),
  oneOf(10, 50, 1_400, 3_000, 6_000).map((length) => bodyOfBytes('application/octet-stream', Buffer.alloc(length, 7))),
  document.map((each) => bodyOf(each as unknown as JsonObject)),
  document.map((each) => bodyOfBytes(FORMATS.cbor.mediaType, cborOf(each))),
  oneOf(bodyOf({ reading: 7 }), bodyOfBytes('application/json', Buffer.from('{'))),
);
const container = oneOf(...Object.keys(CONTAINERS), 'none');
const place = fc
  .tuple(oneOf(...GATEWAYS, 'nobody'), container, oneOf([], ['contentInstances'], ['contentInstances', 'latest']))
  .map(([gateway, id, rest]) => ['m2m', 'applications', gateway, 'containers', id, ...rest]);
const originator = fc.oneof({ weight: 4, arbitrary: oneOf('admin') }, oneOf('friend', 'gateway-0', 'stranger'));
const asked = fc
  .record(
    {
      op: oneOf<Operation>('create', 'create', 'create', 'create', 'retrieve', 'delete'),
      to: place,
      originator,
      body,
      ifMatch: oneOf(['*'], ['x']),
    },
    { requiredKeys: ['op', 'to', 'originator', 'body'] },
  )
  .map(({ ifMatch, ...rest }): Asked => {
    // What is read has no body, and what is deleted is a content: gateways are to last.
    if (rest.op === 'create') return ifMatch === undefined || rest.to.length % 2 === 0 ? rest : { ...rest, ifMatch };
    const { body: _body, ...bare } = rest;
    return bare.op === 'delete' ? { ...bare, to: [...bare.to.slice(0, 5), 'contentInstances', 'a'] } : bare;
  });
const step = fc.oneof(
  { weight: 5, arbitrary: asked },
  { weight: 3, arbitrary: oneOf(0, 100, 1_300, 3_000) },
  { weight: 1, arbitrary: oneOf(true, false, false) },
);

test('the same is answered, kept and audited whether a gateway is a row or not', async () => {
  let byRow = 0;
  const take = async (steps: readonly (Asked | number | boolean)[]): Promise<void> => {
    const sides = [await side(1), await side(Infinity)];
    const { tree } = sides[0]!.running.broker.resources;
    const openRow = tree.openRow.bind(tree);
    tree.openRow = (to) => {
      const row = openRow(to);
      if (row) byRow++;
      return row;
    };
    const ask = async (side: Side, asked: Asked): Promise<unknown> => {
      // An Observe value counts from when its route was opened, and a row has none.
      const { sequence: _sequence, etag, ...response } = await request(side.running, asked);
      return { ...response, etag: etag === undefined ? etag : seenAt(side, etag) };
    };
    const both = async (asked: Asked): Promise<void> =>
      expect(await ask(sides[0]!, asked)).toEqual(await ask(sides[1]!, asked));
    for (const { clock } of sides) clock.advance(2_000);
    for (const each of steps) {
      if (typeof each === 'number') for (const { clock } of sides) clock.advance(each);
      else if (typeof each === 'object') await both(each);
      else for (const { store } of sides) store.set(each ? { kind: 'full', detail: 'The disk is full.' } : undefined);
    }
    for (const { clock, store } of sides) {
      store.set(undefined);
      clock.advance(2_000);
    }
    for (const gateway of GATEWAYS)
      for (const id of Object.keys(CONTAINERS))
        for (const rest of [[], ['contentInstances'], ['contentInstances', 'oldest', 'content']])
          await both({ op: 'retrieve', to: ['m2m', 'applications', gateway, 'containers', id, ...rest] });
    expect(kept(sides[0]!)).toEqual(kept(sides[1]!));
    expect(sides[0]!.store.audits).toEqual(sides[1]!.store.audits);
    await closeStage();
  };
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 40, maxLength: 120, size: 'max' }), take), {
    numRuns: 40,
    endOnFailure: true,
  });
  expect(byRow).toBeGreaterThan(100);
}, 120_000);
