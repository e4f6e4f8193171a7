/** Builds a broker whose type table has the rows of docs/extending.md besides, and uses the new type as the page does. */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';
import type * as Broker from '../support/broker.js';
import type { JsonObject } from '../../src/json.js';
import { ask, clientOf } from '../broker/stage.js';

const PAGE = readFileSync('docs/extending.md', 'utf8');
const block = (language: string): string =>
  new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(PAGE)?.[1] ?? fail(`no block of ${language}`);
const fail = (why: string): never => {
  throw new Error(why);
};

/** The type table with the page's rows after its own, and its difference applied. */
function extended(table: string): string {
  const lines = block('diff').split('\n');
  const side = (sign: string): string =>
    lines
      .filter((line) => line.startsWith(' ') || line.startsWith(sign))
      .map((line) => line.slice(1))
      .join('\n');
  const [before, after] = [side('-'), side('+')];
  const end = '\n});\n\nexport type TypeName';
  if (!table.includes(before) || !table.includes(end)) fail('the page changes lines that the table does not have');
  return table.replace(before, after).replace(end, `\n${block('ts').trimEnd()}${end}`);
}

const page: Plugin = {
  name: 'page',
  setup({ onLoad }) {
    onLoad({ filter: /resources\/types\.ts$/ }, ({ path }) => ({
      contents: extended(readFileSync(path, 'utf8')),
      loader: 'ts',
    }));
  },
};

// One folder below dist, as the program itself: from there its files are found.
const FOLDER = resolve('dist', `extended-${process.pid}`);
let built: typeof Broker;
beforeAll(async () => {
  mkdirSync(FOLDER, { recursive: true });
  const outfile = `${FOLDER}/broker.js`;
  await build({
    entryPoints: ['test/support/broker.ts'],
    plugins: [page],
    outfile,
    ...{ bundle: true, platform: 'node', format: 'esm', target: 'node20' },
    external: ['classic-level', 'uWebSockets.js'],
    banner: {
      js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
    },
  });
  built = (await import(pathToFileURL(outfile).href)) as typeof Broker;
});
afterEach(() => built.closeBrokers());
afterAll(() => rmSync(FOLDER, { recursive: true, force: true }));

test.each(['http', 'coap', 'ws'] as const)('the page’s type over %s', async (binding) => {
  const running = await built.startBroker();
  const client = await clientOf(running, binding);
  try {
    await ask(client, 'create', '/m2m/scls', {
      scl: { sclId: 'gscl-7', link: 'coap://gscl-7.example', mgmtProtocolType: 'OMA DM' },
    });
    await ask(client, 'create', '/m2m/scls/gscl-7/attachedDevices', { attachedDevice: { id: 'meter-1' } });
    const [, path = '', body = '{}'] = /127\.0\.0\.1:8080(\S+) [\s\S]*?-d '([^']*)'/.exec(block('sh')) ?? [];
    const created = await ask(client, 'create', path, JSON.parse(body) as JsonObject);
    expect(created).toMatchObject({ status: 'STATUS_CREATED', location: `${path}/2026` });
    const told = JSON.parse(block('json')) as { calibration: JsonObject };
    const { calibration } = (await ask(client, 'retrieve', created.location)).json as typeof told;
    expect(Object.keys(calibration)).toEqual(Object.keys(told.calibration));
    const { creationTime: _, lastModifiedTime: __, ...lasting } = told.calibration;
    expect(calibration).toMatchObject(lasting);
    const refused = await ask(client, 'create', path, { calibration: { errorPpm: 1 } });
    expect(refused.sentence).toContain('calibration.authority is missing');
    expect((await ask(client, 'retrieve', path)).json).toMatchObject({
      calibrations: { calibrationCollection: { namedReference: [{ id: '2026' }] } },
    });
    expect((await ask(client, 'delete', created.location)).status).toBe('STATUS_OK');
  } finally {
    await client.close();
  }
});
