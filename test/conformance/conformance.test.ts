/**
 * Every type x attribute x operation x binding of the standard's table, asked of a running broker by our clients; what comes out
 * is docs/conformance.md, which must be as it is written (`CONFORMANCE=write npx jest test/conformance` writes it).
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { open } from '../../src/client/open.js';
import type { Client, ClientRequest } from '../../src/client/client.js';
import { GridcastError } from '../../src/client/error.js';
import { STATUSES } from '../../src/errors.js';
import type { Json, JsonObject } from '../../src/json.js';
import { ask, closeStage, startBroker, whenStageCloses, type RunningBroker } from '../broker/stage.js';
import { ACCEPTANCE, type Ask, type TestDescription } from './acceptance.js';
import { DEPARTURES, STANDARD, VALUES, type StandardType } from './standard.js';

const BINDINGS = ['http', 'coap', 'ws'] as const;
const PAGE = 'docs/conformance.md';
/** What an attribute's row says for one operation: '' where nothing is to be said. */
type Verdict = 'pass' | 'FAIL';
interface Finding {
  readonly type: string;
  readonly attribute: string;
  readonly operation: 'CREATE' | 'RETRIEVE' | 'UPDATE' | 'DELETE';
  readonly rule: string;
  readonly binding: string;
  readonly verdict: Verdict;
  readonly why: string;
}
const findings: Finding[] = [];
const keyOf = (originator: string): string => `key-of-${originator}`;
const apiKeys = ['chief', 'reader', 'stranger'].map((originator) => ({
  originator,
  sha256: createHash('sha256').update(keyOf(originator)).digest('hex'),
}));
/** A broker that asks who it is, and lets `chief` do all. */
const ENFORCED = { rights: 'enforced', administrators: ['chief'], identity: { apiKeys, anonymous: false } } as const;
afterEach(closeStage);

/** HTTP's number for what a request came to. */
async function statusOf(client: Client, request: ClientRequest): Promise<number> {
  try {
    return STATUSES[(await client.request(request)).status].http;
  } catch (error) {
    if (error instanceof GridcastError && error.status) return STATUSES[error.status].http;
    throw error;
  }
}

class Examination {
  private readonly made: Record<string, string> = {};
  private count = 0;

  constructor(
    private readonly client: Client,
    private readonly binding: string,
  ) {}

  async prepare(): Promise<void> {
    const all = VALUES.selfPermissions?.right() as Json;
    const right = { id: 'open', permissions: everything(all), selfPermissions: everything(all) };
    await this.make('/m2m/accessRights', { accessRight: right });
    await this.make('/m2m/containers', { container: { id: 'standing' } });
    this.made.scl = await this.make('/m2m/scls', { scl: await this.base('scl') });
    this.made.application = await this.make('/m2m/applications', { application: { appId: 'standing' } });
    this.made.container = '/m2m/containers/standing';
  }

  async examine(type: string, standard: StandardType): Promise<void> {
    const standing = await this.standing(type, standard);
    await this.verbs(type, standard, standing);
    for (const [attribute, triple] of Object.entries(standard.attributes)) {
      const [create = '', update = '', response = ''] = triple.split('/');
      if (standard.collection !== undefined) await this.create(type, standard, attribute, create);
      await this.update(type, standard, attribute, update);
      await this.response(type, standard, attribute, response);
    }
  }

  private async make(collection: string, body: JsonObject): Promise<string> {
    const { location } = await this.client.request({ op: 'create', to: collection, body });
    if (location === undefined) throw new Error(`${collection} told no Location`);
    return location;
  }

  /** A new one, or the one there is. */
  private async standing(type: string, standard: StandardType, more: JsonObject = {}): Promise<string> {
    if (standard.collection === undefined) return this.path(standard.at ?? '');
    return this.make(this.path(standard.collection), { [type]: { ...(await this.base(type)), ...more } });
  }

  private path(template: string): string {
    const path = template.replace(/\{(\w+)\}/g, (_, name: string) => this.made[name] ?? '');
    return path.startsWith('/m2m') ? path : path === '' ? '/m2m' : `/m2m/${path}`;
  }

  /** The mandatory attributes. */
  private async base(type: string): Promise<JsonObject> {
    const mandatory = Object.entries(STANDARD[type]?.attributes ?? {}).filter(([, triple]) => triple.startsWith('M/'));
    return Object.fromEntries(mandatory.map(([name]) => [name, this.right(name)]));
  }

  private right(name: string): Json {
    if (['id', 'appId', 'sclId'].includes(name)) return `${this.binding}-${++this.count}`;
    return (VALUES[name]?.right() ?? '/m2m/x') as Json;
  }

  private note(type: string, attribute: string, operation: Finding['operation'], rule: string, why: string): void {
    const verdict = why === '' ? 'pass' : 'FAIL';
    findings.push({ type, attribute, operation, rule, binding: this.binding, verdict, why });
  }

  private async verbs(type: string, standard: StandardType, to: string): Promise<void> {
    for (const op of ['retrieve', 'update', 'delete'] as const) {
      const isTaken = standard.verbs.includes(op);
      const body = op === 'update' ? { [type]: isTaken ? await this.updatable(type) : {} } : undefined;
      const target = op === 'delete' && isTaken ? await this.standing(type, standard) : to;
      const status = await statusOf(this.client, { op, to: target, ...(body && { body }) });
      const departs = DEPARTURES[`${type} ${op.toUpperCase()}`] !== undefined;
      const isRight = isTaken || departs ? status < 300 : status === 405;
      this.note(type, '', operationOf(op), isTaken ? 'yes' : '405', isRight ? '' : `answered ${status}`);
    }
  }

  /** What an UPDATE must have. */
  private async updatable(type: string): Promise<JsonObject> {
    const mandatory = Object.entries(STANDARD[type]?.attributes ?? {}).filter(([, rule]) => rule.split('/')[1] === 'M');
    return Object.fromEntries(mandatory.map(([name]) => [name, this.right(name)]));
  }

  private async create(type: string, standard: StandardType, attribute: string, rule: string): Promise<void> {
    const to = this.path(standard.collection ?? '');
    const base = await this.base(type);
    const ask = async (attributes: JsonObject): Promise<number> =>
      statusOf(this.client, {
        op: 'create',
        to,
        body: { [type]: { ...attributes, ...this.freshId(type, attributes) } },
      });
    const { [attribute]: _, ...without } = base;
    const problems: string[] = [];
    const expect = (what: string, status: number, wanted: number): void => {
      if (status !== wanted) problems.push(`${what}: ${status}, not ${wanted}`);
    };
    if (rule === 'M') {
      if (!isId(attribute)) expect('without it', await ask(without), 400);
      expect('with it', await ask(base), 201);
    }
    if (rule === 'O') expect('with it', await ask({ ...base, [attribute]: this.right(attribute) }), 201);
    if (rule === 'NP') expect('with it', await ask({ ...base, [attribute]: this.right(attribute) }), 400);
    if ((rule === 'M' || rule === 'O') && !isId(attribute)) {
      const wrong = VALUES[attribute]?.wrong as Json;
      expect('of the wrong kind', await ask({ ...base, [attribute]: wrong }), 400);
    }
    if (rule !== 'NA') this.note(type, attribute, 'CREATE', rule, problems.join('; '));
  }

  private freshId(type: string, attributes: JsonObject): JsonObject {
    const name = ['appId', 'sclId'].find((each) => attributes[each] !== undefined && STANDARD[type]?.attributes[each]);
    return name === undefined ? {} : { [name]: this.right(name) };
  }

  private async update(type: string, standard: StandardType, attribute: string, rule: string): Promise<void> {
    if (rule === 'NA' || !standard.verbs.includes('update')) return;
    const to = await this.standing(type, standard);
    const base = await this.updatable(type);
    const ask = (attributes: JsonObject): Promise<number> =>
      statusOf(this.client, { op: 'update', to, body: { [type]: attributes } });
    const { [attribute]: _, ...without } = base;
    const problems: string[] = [];
    if (rule === 'M' && (await ask(without)) !== 400) problems.push('taken without it');
    if (rule === 'NP' && (await ask({ ...base, [attribute]: this.right(attribute) })) !== 400)
      problems.push('taken with it');
    if (rule === 'M' || rule === 'O') {
      const value = this.right(attribute);
      const status = await ask({ ...base, [attribute]: value });
      if (status >= 300) problems.push(`with it: ${status}`);
      const read = (await this.read(type, to))[attribute];
      if (JSON.stringify(read) !== JSON.stringify(value)) problems.push(`it reads ${JSON.stringify(read)} then`);
      if ((await ask({ ...base, [attribute]: VALUES[attribute]?.wrong as Json })) !== 400)
        problems.push('taken of the wrong kind');
      if (rule === 'O' && (await ask(base)) >= 300) problems.push('not taken without it');
      const gone = (await this.read(type, to))[attribute];
      if (rule === 'O' && JSON.stringify(gone) === JSON.stringify(value)) problems.push('left out, it stays');
    }
    this.note(type, attribute, 'UPDATE', rule, problems.join('; '));
  }

  private async response(type: string, standard: StandardType, attribute: string, rule: string): Promise<void> {
    const to = await this.standing(type, standard);
    const isThere = (await this.read(type, to))[attribute] !== undefined;
    // An expirationTime that nobody set and no age at all are infinite, which has no spelling.
    const isInfinite = ['expirationTime', 'maxInstanceAge'].includes(attribute);
    if (rule.startsWith('M'))
      this.note(type, attribute, 'RETRIEVE', rule, isThere || isInfinite ? '' : 'it is missing');
  }

  private async read(type: string, to: string): Promise<JsonObject> {
    const { bytes } = await this.client.request({ op: 'retrieve', to, accept: 'application/json' });
    return (JSON.parse(Buffer.from(bytes).toString()) as Record<string, JsonObject>)[type] ?? {};
  }
}

const isId = (attribute: string): boolean => ['id', 'appId', 'sclId'].includes(attribute);
const operationOf = (op: string): Finding['operation'] => op.toUpperCase() as Finding['operation'];

function everything(permissions: Json): Json {
  const { permission } = permissions as { permission: readonly JsonObject[] };
  const permissionFlags = { flag: ['READ', 'WRITE', 'DISCOVER', 'DELETE', 'CREATE'] };
  return { permission: permission.map((each) => ({ ...each, permissionFlags })) };
}

test.each(BINDINGS)('the standard over %s', async (binding) => {
  const running = await startBroker();
  const client = await open(running[binding === 'ws' ? 'ws' : binding]);
  whenStageCloses(() => client.close());
  const examination = new Examination(client, binding);
  await examination.prepare();
  for (const [type, standard] of Object.entries(STANDARD)) await examination.examine(type, standard);
  const failures = findings.filter((each) => each.binding === binding && each.verdict === 'FAIL');
  expect(failures.map(({ type, attribute, operation, why }) => `${type}.${attribute} ${operation}: ${why}`)).toEqual(
    [],
  );
});

/** The bindings over which a test description held. */
const accepted = new Map<TestDescription, string[]>(ACCEPTANCE.map((description) => [description, []]));

describe.each(BINDINGS)('over %s', (binding) => {
  let running: RunningBroker;
  const askAs = async (originator: string): Promise<Ask> => {
    const client = await open(running[binding], { token: keyOf(originator) });
    whenStageCloses(() => client.close());
    return (op, to, body) => ask(client, op, to, body);
  };
  beforeEach(async () => (running = await startBroker(ENFORCED)));

  test.each(ACCEPTANCE.map((description) => [description.ids.join(', '), description.title, description] as const))(
    'TD_M2M_NH_%s: %s',
    async (ids, _title, description) => {
      const id = `td-${ids.replaceAll(', ', '-')}`;
      await description.run({ ask: await askAs('chief'), as: askAs, id });
      accepted.get(description)?.push(binding);
    },
  );
});

test('docs/conformance.md says what came out', () => {
  const page = conformancePage();
  if (process.env.CONFORMANCE === 'write') writeFileSync(PAGE, page);
  expect(readFileSync(PAGE, 'utf8')).toBe(page);
});

/** A row per attribute, a column per operation: the rule, and the bindings over which it holds. */
function conformancePage(): string {
  const cell = (type: string, attribute: string, operation: string): string => {
    const own = findings.filter(
      (each) => each.type === type && each.attribute === attribute && each.operation === operation,
    );
    if (own.length === 0) return '';
    const failed = own.filter(({ verdict }) => verdict === 'FAIL').map(({ binding }) => binding);
    return `${own[0]?.rule ?? ''} ${failed.length === 0 ? 'pass' : `FAIL (${failed.join(', ')})`}`;
  };
  const operations = ['CREATE', 'RETRIEVE', 'UPDATE', 'DELETE'];
  const tables = Object.entries(STANDARD).map(([type, { attributes }]) => {
    const rows = ['', ...Object.keys(attributes)].map(
      (attribute) =>
        `| ${attribute === '' ? 'the resource' : `\`${attribute}\``} | ${operations.map((operation) => cell(type, attribute, operation)).join(' | ')} |`,
    );
    return `## ${type}\n\n| | ${operations.join(' | ')} |\n| --- | --- | --- | --- | --- |\n${rows.join('\n')}\n`;
  });
  const acceptance = [...accepted].map(([{ ids, title }, bindings]) => {
    const cells = BINDINGS.map((binding) => (bindings.includes(binding) ? 'pass' : 'FAIL'));
    return `| ${ids.join(', ')} | ${title} | ${cells.join(' | ')} |`;
  });
  const departures = Object.entries(DEPARTURES).map(([what, why]) => `- ${what}: ${why}`);
  return `# Conformance

Written by \`CONFORMANCE=write npx jest test/conformance\` from a run against the broker, over ${BINDINGS.join(', ')}: a cell says the standard's rule (M mandatory, O optional, NP not to be present, M* in every answer and possibly changed by the SCL; of a resource itself whether it takes the verb) and whether it held over all three, ${findings.length} findings in all.

Management objects, XML and the traffic between SCLs are not offered yet. Departures from the standard as it is read:

${departures.join('\n')}

## Acceptance

The forms that ETSI M2M has for oneM2M's test descriptions TD_M2M_NH [TS-0013], management aside; 52 to 62 are oneM2M's alone.

| TD_M2M_NH | | ${BINDINGS.join(' | ')} |
| --- | --- | ${BINDINGS.map(() => '---').join(' | ')} |
${acceptance.join('\n')}

${tables.join('\n')}`;
}
