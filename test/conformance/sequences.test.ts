/**
 * Random sequences of requests, each over a random binding, against the running broker and a small model of the standard:
 * every answer the same. `SEQUENCES=10000 npx jest test/conformance/sequences` runs as many; a difference names its seed.
 */
import { open } from '../../src/client/open.js';
import type { Client } from '../../src/client/client.js';
import { GridcastError } from '../../src/client/error.js';
import { STATUSES } from '../../src/errors.js';
import type { JsonObject } from '../../src/json.js';
import { seededRandom, type Random } from '../../src/random.js';
import { closeStage, startBroker, whenStageCloses, type RunningBroker } from '../broker/stage.js';
import { Model, type Asked, type Expected } from './model.js';

const SEQUENCES = Number(process.env.SEQUENCES ?? 200);
const STEPS = 20;
/** A CoAP endpoint has 65,536 message ids per exchange lifetime. */
const SEQUENCES_PER_CLIENT = 2_000;
const SEED = Number(process.env.SEED ?? 1);

afterEach(closeStage);

/** What can be asked; few names, so that much of it meets. */
class Chooser {
  constructor(
    private readonly random: Random,
    private readonly prefix: string,
  ) {}

  next(): Asked {
    const op = this.of([
      'create',
      'create',
      'create',
      'create',
      'retrieve',
      'retrieve',
      'update',
      'update',
      'delete',
    ] as const);
    const to = this.path(op);
    if (op === 'create') {
      const isContent = ['contentInstances', 'latest'].includes(to.at(-1) ?? '') || this.isContainer(to);
      if (isContent) return { op, to, text: 'x'.repeat(this.of([0, 1, 9, 11, 300])) };
      return { op, to, ...this.document(to.at(-1) === 'applications' ? 'application' : 'container', true) };
    }
    if (op === 'update') return { op, to, ...this.document(this.typeAt(to), false) };
    return { op, to };
  }

  private of<Choice>(choices: readonly Choice[]): Choice {
    // Below the length it has.
    return choices[this.random.below(choices.length)]!;
  }

  private name(): string {
    return `${this.prefix}${this.of(['a', 'c d'])}`;
  }

  private path(op: Asked['op']): readonly string[] {
    const owner = this.of([['m2m'], ['m2m'], ['m2m'], ['m2m', 'applications', this.name()]]);
    // Most must be there, for anything to be met below.
    if (op === 'create' && this.random.below(2) > 0)
      return this.of([
        ['m2m', 'applications'],
        [...owner, 'containers'],
      ]);
    const container = [...owner, 'containers', this.name()];
    const places = [
      ['m2m', 'applications'],
      [...owner, 'containers'],
      owner,
      container,
      container,
      [...container, 'contentInstances'],
      [...container, 'contentInstances'],
      [...container, 'contentInstances', this.of(['latest', 'oldest'])],
      [...container, 'contentInstances', this.of(['latest', 'oldest']), 'content'],
      [...container, this.of(['maxNrOfInstances', 'searchStrings', 'nothing'])],
      [...container, this.of(['Latest', 'contentinstances']), 'x'],
      ['M2M', 'containers'],
    ];
    const chosen = this.of(places);
    // The sclBase has attributes that the model does not know, and is everybody's.
    return chosen.length === 1 && op !== 'delete' && op !== 'create' ? container : chosen;
  }

  private isContainer = (to: readonly string[]): boolean => to.at(-2) === 'containers';

  private typeAt(to: readonly string[]): string {
    if (this.isContainer(to)) return 'container';
    return to.at(-2) === 'applications' ? 'application' : (to.at(-1) ?? '');
  }

  private document(type: string, isCreate: boolean): Pick<Asked, 'root' | 'attributes'> {
    const id = type === 'application' ? 'appId' : 'id';
    const names = isCreate ? { [id]: this.of([this.name(), this.name(), this.name(), '', 'a/b', 'latest', '..']) } : {};
    const extra = this.of<JsonObject>([
      {},
      {},
      {},
      { searchStrings: { searchString: ['feeder', 'x'] } },
      { maxNrOfInstances: this.random.below(4) },
      { maxNrOfInstances: 500, maxByteSize: 20 },
      { maxByteSize: 3 },
      { maxNrOfInstances: 2.5 },
      { maxNrOfInstances: 'two' },
      { creationTime: '2026-01-01T00:00:00Z' },
      { unknown: true },
    ]);
    return {
      root: this.of([type, type, type, type, type, 'container', 'nothing']),
      attributes: { ...names, ...extra },
    };
  }
}

const pathText = (to: readonly string[]): string => `/${to.map(encodeURIComponent).join('/')}`;

async function answerOf(client: Client, { op, to, root, attributes, text }: Asked): Promise<Expected> {
  const content = text === undefined ? undefined : { mediaType: 'text/plain', bytes: Buffer.from(text) };
  const body = content ?? (root === undefined ? undefined : { [root]: attributes as JsonObject });
  try {
    const { status, bytes, mediaType } = await client.request({ op, to: pathText(to), ...(body && { body }) });
    const { http } = STATUSES[status];
    if (op !== 'retrieve') return { status: http };
    if (mediaType === 'text/plain') return { status: http, text: Buffer.from(bytes).toString() };
    const document = JSON.parse(Buffer.from(bytes).toString()) as Record<string, JsonObject>;
    const [key = '', value = {}] = Object.entries(document)[0] ?? [];
    const isAttribute = to.at(-1) === key && !['applications', 'containers', 'contentInstances'].includes(key);
    return { status: http, shown: isAttribute ? document : value };
  } catch (error) {
    if (error instanceof GridcastError && error.status) return { status: STATUSES[error.status].http };
    throw error;
  }
}

async function openAll({ http, coap, ws }: RunningBroker): Promise<readonly Client[]> {
  const clients = await Promise.all([http, coap, ws].map((uri) => open(uri)));
  for (const client of clients) whenStageCloses(() => client.close());
  return clients;
}

test(`${SEQUENCES} sequences of ${STEPS} requests, no difference`, async () => {
  const running = await startBroker();
  let clients: readonly Client[] = [];
  const statuses = new Map<number, number>();
  for (let n = 0; n < SEQUENCES; n++) {
    if (n % SEQUENCES_PER_CLIENT === 0) clients = await openAll(running);
    const seed = SEED + n;
    const random = seededRandom(seed);
    const chooser = new Chooser(random, `s${seed}-`);
    const model = new Model();
    const asked: string[] = [];
    for (let step = 0; step < STEPS; step++) {
      const next = chooser.next();
      const expected = model.ask(next);
      const client = clients[random.below(clients.length)]!; // below the length it has
      asked.push(`${client.binding} ${JSON.stringify(next)}`);
      const actual = await answerOf(client, next);
      statuses.set(actual.status, (statuses.get(actual.status) ?? 0) + 1);
      const shown = Object.fromEntries(Object.keys(expected.shown ?? {}).map((name) => [name, actual.shown?.[name]]));
      const seen = {
        status: actual.status,
        ...(expected.shown && { shown }),
        ...(expected.text !== undefined && { text: actual.text }),
      };
      const isSame = JSON.stringify(seen) === JSON.stringify(expected);
      if (!isSame)
        throw new Error(
          `seed ${seed}, step ${step}: ${JSON.stringify(seen)}, the model says ${JSON.stringify(expected)}\n${asked.join('\n')}`,
        );
    }
    for (const kind of ['applications', 'containers'])
      for (const name of ['a', 'c d'])
        await answerOf(clients[2]!, { op: 'delete', to: ['m2m', kind, `s${seed}-${name}`] }); // there are three
  }
  // Every kind of answer has been met: a generator that only ever misses proves nothing.
  const met = [200, 201, 400, 404, 405, 409].filter((status) => (statuses.get(status) ?? 0) > SEQUENCES / 30);
  expect([met, [...statuses]]).toEqual([[200, 201, 400, 404, 405, 409], [...statuses]]);
}, 1_800_000);
