/** The ETSI CoAP plugtests TD_COAP_BLOCK_01-06 [RFC7959]: the client is libcoap's, the judge is tshark. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeWith, hasLibcoap, hasTshark, libcoap, type BlockRow, type Row } from './coap-capture.js';
import { asked, peerOf, serving, type Server } from './plugtest-server.js';

const LINE_BYTES = 64;
const LARGE_BYTES = 1_600;
/** Longer than two blocks of 1,024 bytes, and no multiple of any block. */
const BODY = Array.from({ length: 40 }, (_, line) => `new line ${line} `.padEnd(LINE_BYTES - 1, '-')).join('\n') + '!';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'plugtest-'));
  writeFileSync(join(folder, 'body'), BODY);
});
afterAll(() => rmSync(folder, { recursive: true }));

const sizeOf = ({ szx }: BlockRow): number => 2 ** (szx + 4);

/** Requests with their answers, in the order in which they came. */
function exchanges(server: Server): readonly { readonly request: Row; readonly answer: Row }[] {
  const rows = server.all();
  const requests = rows.filter(({ isFromServer }) => !isFromServer);
  return requests.map((request) => {
    const answer = rows.find(
      ({ isFromServer, mid, token }) => isFromServer && mid === request.mid && token === request.token,
    );
    if (!answer) throw new Error(`the request ${request.mid} got no answer`);
    return { request, answer };
  });
}

/** Block by block what the server gave: no gap, each full but the last, all of one ETag; the whole of it. */
function expectBlocks(answers: readonly Row[], code: string, wholeBytes: number): string {
  let payload = '';
  for (const [index, { code: got, block2, payload: part, etag, ...row }] of answers.entries()) {
    if (!block2) throw new Error(`answer ${index} has no Block2: ${JSON.stringify(row)}`);
    expect({ got, etag }).toEqual({ got: code, etag: answers[0]?.etag });
    expect(block2.num * sizeOf(block2)).toBe(payload.length);
    expect(block2.more).toBe(index < answers.length - 1);
    if (block2.more) expect(part).toHaveLength(sizeOf(block2));
    else expect(part.length).toBeLessThanOrEqual(sizeOf(block2));
    payload += part;
  }
  expect(answers[0]?.etag).not.toBe('');
  expect(payload).toHaveLength(wholeBytes);
  return payload;
}

/** What the client sent in blocks: each but the last answered 2.31, M as it was asked; the answer to the last. */
function expectSent(server: Server): { readonly last: Row; readonly after: readonly { request: Row; answer: Row }[] } {
  const all = exchanges(server);
  const sent = all.filter(({ request }) => request.block1 !== undefined);
  expect(sent.length).toBeGreaterThan(2);
  for (const [index, { request, answer }] of sent.entries()) {
    const isLast = index === sent.length - 1;
    expect(request.block1).toMatchObject({ num: index, more: !isLast });
    expect(answer.block1).toEqual(request.block1);
    if (!isLast) expect(answer.code).toBe('2.31');
  }
  const last = sent.at(-1)?.answer;
  if (!last) throw new Error('nothing was sent in blocks');
  return { last, after: all.slice(sent.length) };
}

const send = (server: Server, method: string, path: string, blockBytes: number) =>
  libcoap('-m', method, '-t', '0', '-b', String(blockBytes), '-f', join(folder, 'body'), server.uri(path));

describeWith({ tshark: hasTshark, 'coap-client-notls': hasLibcoap }, 'TD_COAP_BLOCK', () => {
  test.each([
    ['01: GET, the client asks for blocks of 64', 64, 2],
    ['06: blocks of 16', 16, 0],
  ])('%s', async (_td, blockBytes, szx) => {
    const server = await serving();
    const { stdout } = await libcoap('-b', String(blockBytes), server.uri('/large'));
    const all = exchanges(server);
    all.forEach(({ request }, num) => expect(request.block2).toEqual({ num, more: false, szx }));
    const whole = expectBlocks(all.map(({ answer }) => answer), '2.05', LARGE_BYTES); // prettier-ignore
    expect(stdout.trim()).toBe(whole.trim());
    expect(whole).toMatch(/^line 0 [^]*line 24 \.+\n$/);
  });

  test('02: GET, the server begins with blocks', async () => {
    const server = await serving();
    const { stdout } = await libcoap(server.uri('/large'));
    const all = exchanges(server);
    expect(all[0]?.request.block2).toBeUndefined();
    expect(all[0]?.answer.block2).toEqual({ num: 0, more: true, szx: 6 });
    expect(stdout.trimEnd()).toHaveLength(-1 + expectBlocks(all.map(({ answer }) => answer), '2.05', LARGE_BYTES).length); // prettier-ignore
  });

  test('02: the client goes on with smaller ones', async () => {
    const server = await serving();
    const peer = peerOf(server);
    const get = async (mid: string, block2 = '') => {
      peer.sends(`40 01 ${mid} b5 6c61726765 ${block2}`);
      await peer.receives();
    };
    await get('0001');
    // NUM 16 of 64 bytes is where the first 1,024 ended; then to the end.
    for (let num = 16; num < LARGE_BYTES / 64; num++) await get(`01${num.toString(16)}`, `c2 ${(num * 16 + 2).toString(16).padStart(4, '0')}`); // prettier-ignore
    const answers = server.answers();
    expect(answers.map(({ block2 }) => block2?.szx)).toEqual([6, ...Array<number>(9).fill(2)]);
    expectBlocks(answers, '2.05', LARGE_BYTES);
  });

  test('03: PUT in blocks, taken as a whole', async () => {
    const server = await serving();
    await send(server, 'put', '/large-update', 128);
    const { last } = expectSent(server);
    expect(last.code).toBe('2.04');
    expect((await libcoap(server.uri('/large-update'))).stdout.trim()).toBe(BODY);
  });

  test('04: POST in blocks creates, and Location-Path says where', async () => {
    const server = await serving();
    await send(server, 'post', '/large-create', 256);
    const { last } = expectSent(server);
    expect(last.code).toBe('2.01');
    const [folderName, id, ...more] = last.locationPath.split(',');
    expect([folderName, more]).toEqual(['large-create', []]);
    expect((await libcoap(server.uri(`/large-create/${id}`))).stdout.trim()).toBe(BODY);
  });

  test('05: POST in blocks, answered in blocks', async () => {
    const server = await serving();
    const { stdout } = await send(server, 'post', '/large-post', 256);
    const { last, after } = expectSent(server);
    expect(last).toMatchObject({ code: '2.04', block2: { num: 0, more: true } });
    for (const { request, answer } of after) {
      expect(request).toMatchObject({ code: '0.02', block1: undefined, payload: '' });
      expect(answer.block1).toBeUndefined();
    }
    const whole = expectBlocks([last, ...after.map(({ answer }) => answer)], '2.04', LARGE_BYTES);
    expect(stdout.trim()).toBe(whole.trim());
  });

  test('a body with a gap, one of another size than said, one that is too long: told so, nothing done', async () => {
    const server = await serving();
    const peer = peerOf(server);
    const block = 'ee'.repeat(16);
    // PUT /large-update, Block1 as one byte (27 - 11 = 16: delta 13 + 3).
    const put = async (mid: string, block1: string, payload: string): Promise<string | undefined> => {
      peer.sends(`40 03 ${mid} bc 6c617267652d757064617465 d1 03 ${block1} ff ${payload}`);
      await peer.receives();
      return server.answers().at(-1)?.code;
    };
    expect(await put('0001', '08', block)).toBe('2.31');
    expect(await put('0002', '28', block)).toBe('4.08');
    expect(await put('0003', '08', `${block}00`)).toBe('4.00');
    expect(await put('0004', '0f', block)).toBe('4.00');
    peer.sends(`40 03 0005 bc 6c617267652d757064617465 d1 03 08 d2 14 ffff ff ${block}`);
    await peer.receives();
    // Size1 stands at 60 = 27 + 33: 13 + 20. 65,535 fit, 16,777,215 do not.
    expect(server.answers().at(-1)?.code).toBe('2.31');
    peer.sends(`40 03 0006 bc 6c617267652d757064617465 d1 03 08 d3 14 ffffff ff ${block}`);
    await peer.receives();
    expect(server.answers().at(-1)?.code).toBe('4.13');
    expect((await asked(server, '-m', 'delete', server.uri('/large-update'))).answer.code).toBe('2.02');
  });
});
