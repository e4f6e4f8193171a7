/** FETCH [RFC8132] by libcoap's client against a whole broker: filters and accessors in a body, in blocks, observed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeCbor } from '../../src/protocols/codec.js';
import type { JsonObject } from '../../src/json.js';
import { closeStage, container, http, startBroker, until, type RunningBroker } from '../broker/stage.js';
import { describeWith, hasLibcoap, libcoap } from './coap-capture.js';

afterEach(closeStage);

let folder = '';
beforeAll(() => (folder = mkdtempSync(join(tmpdir(), 'fetch-'))));
afterAll(() => rmSync(folder, { recursive: true }));

async function withContents(): Promise<{ running: RunningBroker; instances: string }> {
  const running = await startBroker();
  const instances = `${await container(running, { id: 'c', searchStrings: { searchString: ['Visby'] } })}/contentInstances`;
  for (const text of ['1', '22', '333']) await http(running, 'POST', instances, text, { 'content-type': 'text/plain' });
  return { running, instances };
}

const fetch = ({ coap }: RunningBroker, path: string, criteria: JsonObject, ...args: readonly string[]) =>
  libcoap('-m', 'fetch', '-t', '50', ...args, '-e', encodeURIComponent(JSON.stringify({ filterCriteria: criteria })), `${coap}${path}`); // prettier-ignore

const json = ({ stdout }: { stdout: string }): JsonObject => JSON.parse(stdout) as JsonObject;
const contents = (ran: { stdout: string }): unknown =>
  (json(ran).contentInstances as { contentInstanceCollection: { contentInstance: JsonObject[] } }).contentInstanceCollection.contentInstance.map(({ content }) => (content as JsonObject | undefined)?.textContent); // prettier-ignore

describeWith({ 'coap-client-notls': hasLibcoap }, 'FETCH', () => {
  test('chooses among contentInstances', async () => {
    const { running, instances } = await withContents();
    expect(contents(await fetch(running, instances, { sizeFrom: 2 }))).toEqual(['22', '333']);
    expect(contents(await fetch(running, instances, { sizeFrom: 2, limit: 1 }))).toEqual(['22']);
  });

  test('reads what an attributeAccessor selects, asked in CBOR', async () => {
    const { running } = await withContents();
    const file = join(folder, 'accessor');
    writeFileSync(file, writeCbor({ filterCriteria: { attributeAccessor: 'searchStrings/searchString' } }));
    const ran = await libcoap('-m', 'fetch', '-t', '60', '-A', '50', '-f', file, `${running.coap}/m2m/containers/c`);
    expect(json(ran)).toEqual({ searchString: ['Visby'] });
  });

  test('discovers', async () => {
    const { running } = await withContents();
    const found = json(await fetch(running, '/m2m/discovery', { searchString: ['Visby'] }));
    expect(found.discovery).toMatchObject({ matchSize: 1, discoveryURI: { reference: ['/m2m/containers/c'] } });
  });

  test('what is no filter here is 4.00 by its name; iPATCH and PATCH are 4.05', async () => {
    const { running, instances } = await withContents();
    expect((await fetch(running, instances, { colour: 'red' })).stderr).toMatch(/^4\.00.*"colour" is not known/m);
    for (const method of ['patch', 'ipatch']) {
      const { stderr } = await libcoap('-m', method, '-t', '50', '-e', '{}', `${running.coap}/m2m/containers/c`);
      expect(stderr).toMatch(/^4\.05.*PUT/m);
    }
  });

  test('asked in blocks and answered in blocks', async () => {
    const { running, instances } = await withContents();
    const whole = { sizeFrom: 1, contentType: Array.from({ length: 40 }, (_, n) => (n === 39 ? 'text/plain' : `text/x-${n}`)) }; // prettier-ignore
    const ran = await fetch(running, instances, whole, '-b', '64');
    expect(contents(ran)).toEqual(['1', '22', '333']);
  });

  test('observes what it selects', async () => {
    const { running, instances } = await withContents();
    const observing = fetch(running, instances, { attributeAccessor: 'latest/content' }, '-s', '2');
    await until('it is observed', async () =>
      JSON.stringify((await http(running, 'GET', `${instances}/subscriptions`)).json).includes('/subscriptions/'),
    );
    await http(running, 'POST', instances, 'new', { 'content-type': 'text/plain' });
    const { stdout } = await observing;
    expect(stdout).toContain('333');
    expect(stdout).toContain('new');
  });
});
