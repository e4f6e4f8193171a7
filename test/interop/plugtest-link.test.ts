/** The ETSI CoAP plugtests TD_COAP_LINK_01-09 [RFC6690]: the client is libcoap's, the judge is tshark. */
import { describeWith, hasLibcoap, hasTshark, type Row } from './coap-capture.js';
import { asked, serving, type Server } from './plugtest-server.js';

/** The targets of a link-format payload. */
const targets = ({ payload }: Row): readonly string[] =>
  [...payload.matchAll(/<([^>]*)>/g)].map(([, path = '']) => path);

async function links(server: Server, query = '', path = '/.well-known/core'): Promise<Row> {
  // Large blocks, and one when it fits: the answer is judged as a whole.
  const { answer } = await asked(server, '-A', '40', server.uri(`${path}${query}`));
  expect(answer).toMatchObject({ code: '2.05', format: expect.stringContaining('link-format') });
  return answer;
}

const TYPED = ['/test', '/large', '/link1', '/link2', '/link3', '/link4'];

describeWith({ tshark: hasTshark, 'coap-client-notls': hasLibcoap }, 'TD_COAP_LINK', () => {
  test('01: all links', async () => {
    const server = await serving();
    const found = await links(server);
    expect(targets(found)).toEqual(expect.arrayContaining([...TYPED, '/separate', '/obs', '/path', '/large-update']));
    expect(found.payload).toMatch(/<\/link1>;rt="Type1 Type2";if="If1"(,|$)/);
    expect(found.payload).toMatch(/<\/obs>;ct=0;obs(,|$)/);
  });

  test.each([
    ['02: by type', '?rt=Type1', ['/test', '/large', '/link1', '/link3']],
    ['03: an empty prefix: whatever has a type', '?rt=*', TYPED],
    ['04: a type among several', '?rt=Type2', ['/large', '/link1', '/link2']],
    ['05: interfaces by prefix', '?if=If*', ['/test', '/link1', '/link2']],
    ['06: whatever has a size', '?sz=*', ['/large', '/large-update']],
    ['07: one target', '?href=/link1', ['/link1']],
    ['08: targets by prefix', '?href=/link*', ['/link1', '/link2', '/link3', '/link4']],
    ['whatever can be observed', '?obs=*', ['/obs', '/obs-non', '/obs-large', '/obs-pumping', '/stream/0']],
    ['nothing matches: an empty 2.05', '?rt=nothing', []],
  ])('%s', async (_td, query, paths) => {
    const server = await serving();
    expect([...targets(await links(server, query))].sort()).toEqual([...paths].sort());
  });

  test('09: links arranged in levels', async () => {
    const server = await serving();
    const found = await links(server, '?href=/path');
    expect(found.payload).toBe('</path>;ct=40');
    const below = targets(await links(server, '', '/path'));
    expect(below).toEqual(['/path/sub1', '/path/sub2']);
    for (const path of below) expect((await asked(server, server.uri(path))).answer.payload).toContain(path);
  });
});
