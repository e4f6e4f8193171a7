/** The ETSI CoAP plugtests TD_COAP_CORE_01-23 and 31: the clients are libcoap's and peers of plain bytes, the judge is tshark. */
import { describeWith, hasLibcoap, hasTshark, libcoap } from './coap-capture.js';
import { asked, peerOf, serving } from './plugtest-server.js';

/** Uri-Path of one short segment, hexadecimal, as the first option. */
const path = (segment: string): string => (0xb0 + segment.length).toString(16) + Buffer.from(segment).toString('hex');

describeWith({ tshark: hasTshark, 'coap-client-notls': hasLibcoap }, 'TD_COAP_CORE', () => {
  test('01: GET, confirmable', async () => {
    const server = await serving();
    const { answer, ran } = await asked(server, server.uri('/test'));
    expect(answer).toMatchObject({
      code: '2.05',
      payload: 'a test resource',
      format: expect.stringContaining('text/plain'),
    });
    expect(ran.stdout.trim()).toBe('a test resource');
  });

  test.each([
    ['02: DELETE', '2.02', ['-m', 'delete']],
    ['03: PUT', '2.04', ['-m', 'put', '-t', '0', '-e', 'new']],
    ['04: POST', '2.01', ['-m', 'post', '-t', '0', '-e', 'new']],
  ])('%s, confirmable', async (_td, code, args) => {
    const server = await serving();
    const { answer } = await asked(server, ...args, server.uri('/test'));
    expect(answer.code).toBe(code);
    if (code === '2.01') expect(answer.locationPath).toBe('location1,location2,location3');
  });

  test.each([
    ['05: GET', '2.05', []],
    ['06: DELETE', '2.02', ['-m', 'delete']],
    ['07: PUT', '2.04', ['-m', 'put', '-t', '0', '-e', 'new']],
    ['08: POST', '2.01', ['-m', 'post', '-t', '0', '-e', 'new']],
  ])('%s, non-confirmable', async (_td, code, args) => {
    const server = await serving();
    const { request, answer } = await asked(server, '-N', ...args, server.uri('/test'));
    expect([request.type, answer.code]).toEqual(['NON', code]);
  });

  test('09 and 11: a separate answer, token echoed', async () => {
    const server = await serving();
    const { stdout } = await libcoap('-T', 'abcd', server.uri('/separate'));
    const [request, empty, answer, acknowledgement] = server.all();
    expect(empty).toMatchObject({ type: 'ACK', code: '0.00', mid: request?.mid, token: '' });
    expect(answer).toMatchObject({ isFromServer: true, type: 'CON', code: '2.05', token: request?.token });
    expect(acknowledgement).toMatchObject({ isFromServer: false, type: 'ACK', code: '0.00', mid: answer?.mid });
    expect(stdout.trim()).toBe('answered separately');
  });

  test('10: a token is echoed', async () => {
    const server = await serving();
    const { request, answer } = await asked(server, '-T', 'abcdefgh', server.uri('/test'));
    expect(request.token).not.toBe('');
    expect(answer.token).toBe(request.token);
  });

  test('12: an empty token likewise', async () => {
    const server = await serving();
    const peer = peerOf(server);
    peer.sends(`40 01 1234 ${path('test')}`);
    await peer.receives();
    const [request, answer] = server.all();
    expect(request).toMatchObject({ type: 'CON', token: '' });
    expect(answer).toMatchObject({ type: 'ACK', code: '2.05', mid: 0x1234, token: '', payload: 'a test resource' });
  });

  test('13: three Uri-Path', async () => {
    const server = await serving();
    expect((await asked(server, server.uri('/seg1/seg2/seg3'))).answer).toMatchObject({
      code: '2.05',
      payload: 'three segments deep',
    });
  });

  test('14: two Uri-Query', async () => {
    const server = await serving();
    expect((await asked(server, server.uri('/query?first=1&second=2'))).answer.payload).toBe('first=1&second=2');
  });

  test('15: lost requests and answers; executed once each', async () => {
    const server = await serving();
    // The client loses its first datagram, we lose our first answer: its second and third reach us.
    server.tap.loses = (nth) => nth === 1;
    const { stdout } = await libcoap('-l', '1', server.uri('/test'));
    const rows = server.all();
    expect(rows.map(({ isFromServer, mid }) => [isFromServer, mid])).toEqual(
      [false, true, false, true].map((side) => [side, rows[0]?.mid]),
    );
    expect(stdout.trim()).toBe('a test resource');
  });

  test('16: a separate answer also ends the request whose acknowledgement was lost', async () => {
    const server = await serving();
    server.tap.loses = (nth) => nth === 1;
    const { stdout } = await libcoap(server.uri('/separate'));
    const rows = server.all();
    expect(rows.map(({ type, code }) => `${type} ${code}`)).toEqual(['CON 0.01', 'ACK 0.00', 'CON 2.05', 'ACK 0.00']);
    expect(stdout.trim()).toBe('answered separately');
  });

  test('17: a separate answer to a non-confirmable: no acknowledgement', async () => {
    const server = await serving();
    await libcoap('-N', server.uri('/separate'));
    expect(server.all().map(({ type, code }) => `${type} ${code}`)).toEqual(['NON 0.01', 'NON 2.05']);
  });

  test('18 and 19: Location-Path and Location-Query', async () => {
    const server = await serving();
    const created = await asked(server, '-m', 'post', '-t', '0', '-e', 'x', server.uri('/test'));
    expect(created.answer).toMatchObject({ code: '2.01', locationPath: 'location1,location2,location3' });
    const queried = await asked(server, '-m', 'post', '-t', '0', '-e', 'x', server.uri('/location-query'));
    expect(queried.answer).toMatchObject({ code: '2.01', locationQuery: 'first=1,second=2' });
  });

  test('20: Accept', async () => {
    const server = await serving();
    const text = await asked(server, '-A', '0', server.uri('/multi-format'));
    expect(text.answer).toMatchObject({ code: '2.05', format: expect.stringContaining('text/plain') });
    const xml = await asked(server, '-A', '41', server.uri('/multi-format'));
    expect(xml.answer).toMatchObject({ code: '2.05', format: expect.stringContaining('application/xml') });
    expect((await asked(server, '-A', '60', server.uri('/multi-format'))).answer.code).toBe('4.06');
    expect((await asked(server, '-A', '9999', server.uri('/multi-format'))).answer.code).toBe('4.06');
  });

  test('21: ETag', async () => {
    const server = await serving();
    const first = (await asked(server, server.uri('/validate'))).answer;
    expect(first.etag).not.toBe('');
    const valid = (await asked(server, '-O', `4,0x${first.etag}`, server.uri('/validate'))).answer;
    expect(valid).toMatchObject({ code: '2.03', etag: first.etag, payload: '' });
    await asked(server, '-m', 'put', '-t', '0', '-e', 'changed', server.uri('/validate'));
    const changed = (await asked(server, '-O', `4,0x${first.etag}`, server.uri('/validate'))).answer;
    expect(changed).toMatchObject({ code: '2.05', payload: 'changed' });
    expect(changed.etag).not.toBe(first.etag);
  });

  test('22: If-Match', async () => {
    const server = await serving();
    const { etag } = (await asked(server, server.uri('/validate'))).answer;
    const put = (text: string) =>
      asked(server, '-m', 'put', '-t', '0', '-e', text, '-O', `1,0x${etag}`, server.uri('/validate'));
    expect((await put('first')).answer.code).toBe('2.04');
    expect((await put('second')).answer.code).toBe('4.12');
    expect((await asked(server, server.uri('/validate'))).answer.payload).toBe('first');
  });

  test('23: If-None-Match', async () => {
    const server = await serving();
    expect((await asked(server, server.uri('/create1'))).answer.code).toBe('4.04');
    const put = () => asked(server, '-m', 'put', '-t', '0', '-e', 'created', '-O', '5,', server.uri('/create1'));
    expect((await put()).answer.code).toBe('2.01');
    expect((await put()).answer.code).toBe('4.12');
  });

  test('31: ping', async () => {
    const server = await serving();
    const peer = peerOf(server);
    peer.sends('40 00 beef');
    expect((await peer.receives()).toString('hex')).toBe('7000beef');
    expect(server.answers()).toMatchObject([{ type: 'RST', code: '0.00', mid: 0xbeef, bytes: 4 }]);
  });
});
