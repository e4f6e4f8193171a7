/**
 * The ETSI CoAP plugtests TD_COAP_CORE_01-23 and 31, TD_COAP_OBS_01-12 against our server: the clients are libcoap's and peers of
 * plain bytes, the judge is tshark.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../src/clock.js';
import { silentLog } from '../../src/log.js';
import { systemNetwork, type Address, type UdpSocket } from '../../src/network.js';
import { CoapBinding } from '../../src/protocols/coap/binding.js';
import { CoapClient } from '../../src/protocols/coap/client.js';
import { Endpoint } from '../../src/protocols/coap/endpoint.js';
import { CODE } from '../../src/protocols/coap/message.js';
import { Observation } from '../../src/protocols/coap/observation.js';
import { PlugtestSite } from '../../src/protocols/coap/plugtest.js';
import { seededRandom, systemRandom } from '../../src/random.js';
import { CLIENT, MemorySocket } from '../protocols/coap/lockstep.js';
import { StubSite } from '../protocols/coap/stub-site.js';
import { ManualClock } from '../support/manual-clock.js';
import { describeWith, hasLibcoap, hasTshark, libcoap, RawPeer, Tap, type Ran, type Row } from './coap-capture.js';

const LOOPBACK: Address = { host: '127.0.0.1', port: 0 };
const OBS_PERIOD_MS = 300;

interface Server {
  readonly tap: Tap;
  readonly binding: CoapBinding;
  readonly uri: (path: string) => string;
  /** Messages from the server, as tshark reads them. */
  readonly answers: () => readonly Row[];
  readonly all: () => readonly Row[];
}

const open: { close(): void }[] = [];
afterEach(() => open.splice(0).forEach((thing) => thing.close()));

async function serving(): Promise<Server> {
  const tap = new Tap(await systemNetwork.bindUdp(LOOPBACK), systemClock);
  return served(tap, tap, systemClock);
}

function served(tap: Tap, socket: UdpSocket, clock: typeof systemClock): Server {
  const endpoint = new Endpoint({ socket, clock, random: systemRandom, log: silentLog, congestion: 'standard' });
  const binding = new CoapBinding(endpoint, new PlugtestSite(new StubSite(clock), clock, OBS_PERIOD_MS), silentLog);
  open.push(binding);
  const all = (): readonly Row[] => {
    const rows = tap.judged();
    // Of the client's, tshark 4.0 does not know Request-Tag and calls it malformed.
    expect(rows.filter(({ isFromServer, isMalformed }) => isFromServer && isMalformed)).toEqual([]);
    return rows;
  };
  return {
    tap,
    binding,
    all,
    answers: () => all().filter(({ isFromServer }) => isFromServer),
    uri: (path) => `coap://127.0.0.1:${tap.local.port}${path}`,
  };
}

/** One request by libcoap and the one answer to it; id and token must agree. */
async function asked(server: Server, ...args: readonly string[]): Promise<{ request: Row; answer: Row; ran: Ran }> {
  const before = server.all().length;
  const ran = await libcoap(...args);
  const rows = server.all().slice(before);
  const request = rows.find(({ isFromServer }) => !isFromServer);
  const answer = rows.find(({ isFromServer }) => isFromServer);
  if (!request || !answer || rows.length > 2) throw new Error(`${args.join(' ')}: ${rows.length} messages, ${ran.stderr}`);
  expect(answer.token).toBe(request.token);
  if (request.type === 'CON') expect({ type: answer.type, mid: answer.mid }).toEqual({ type: 'ACK', mid: request.mid });
  else expect(answer.type).toBe('NON');
  return { request, answer, ran };
}

function peerOf({ tap }: Server): RawPeer {
  const peer = new RawPeer(tap.local);
  open.push(peer);
  return peer;
}

const hexMid = (datagram: Buffer): string => datagram.subarray(2, 4).toString('hex');
/** Uri-Path of one short segment, hexadecimal, as the first option. */
const path = (segment: string): string => (0xb0 + segment.length).toString(16) + Buffer.from(segment).toString('hex');

describeWith({ tshark: hasTshark, 'coap-client-notls': hasLibcoap }, 'TD_COAP_CORE', () => {
  test('01: GET, confirmable', async () => {
    const server = await serving();
    const { answer, ran } = await asked(server, server.uri('/test'));
    expect(answer).toMatchObject({ code: '2.05', payload: 'a test resource', format: expect.stringContaining('text/plain') });
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
    expect((await asked(server, server.uri('/seg1/seg2/seg3'))).answer).toMatchObject({ code: '2.05', payload: 'three segments deep' });
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
    expect(rows.map(({ isFromServer, mid }) => [isFromServer, mid])).toEqual([false, true, false, true].map((side) => [side, rows[0]?.mid]));
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
    const put = (text: string) => asked(server, '-m', 'put', '-t', '0', '-e', text, '-O', `1,0x${etag}`, server.uri('/validate'));
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

/** The notifications of a capture: what bears Observe and is not the answer to the registration. */
const notificationsOf = (server: Server): readonly Row[] => server.answers().filter(({ observe, type }) => observe !== undefined && type !== 'ACK');

function expectRising(notifications: readonly Row[]): void {
  const values = notifications.map(({ observe = -1 }) => observe);
  expect(values).toEqual([...new Set(values)].sort((a, b) => a - b));
}

/** GET /obs with Observe 0 (or 1) and a token of one byte. */
const obs = (mid: string, token: string, observe: '0' | '1' | 'none'): string =>
  `41 01 ${mid} ${token} ${observe === '0' ? '60 53' : observe === '1' ? '61 01 53' : 'b3'} 6f6273`;

describeWith({ tshark: hasTshark, 'coap-client-notls': hasLibcoap }, 'TD_COAP_OBS', () => {
  test('01, 03 and 12: confirmable notifications; stopped by Observe 1', async () => {
    const server = await serving();
    await libcoap('-s', '1', server.uri('/obs'));
    const [registration] = server.all();
    const notifications = notificationsOf(server);
    expect(notifications.length).toBeGreaterThanOrEqual(2);
    for (const notification of notifications) {
      expect(notification).toMatchObject({ type: 'CON', code: '2.05', token: registration?.token, format: expect.stringContaining('text/plain') });
    }
    expectRising(notifications);
    const last = server.answers().at(-1);
    expect(last).toMatchObject({ type: 'ACK', code: '2.05', token: registration?.token, observe: undefined });
    expect(server.binding.observers.relationCount).toBe(0);
  });

  test('02: non-confirmable notifications, one a second confirmable', async () => {
    const server = await serving();
    await libcoap('-N', '-s', '3', server.uri('/obs-non'));
    const rows = server.all();
    const [registration, answer] = rows;
    const notifications = rows.filter((row) => row.isFromServer && row !== answer && row.observe !== undefined);
    const confirmed = notifications.filter(({ type }) => type === 'CON');
    expect(notifications.length).toBeGreaterThanOrEqual(12);
    expect(confirmed.length).toBeGreaterThanOrEqual(2);
    expect(confirmed.length).toBeLessThanOrEqual(4);
    for (const notification of notifications) expect(notification).toMatchObject({ code: '2.05', token: registration?.token });
    expectRising(notifications);
    for (const { mid } of confirmed) expect(rows).toContainEqual(expect.objectContaining({ isFromServer: false, type: 'ACK', mid }));
  });

  test('04: the server has lost its state; the client registers again after Max-Age with the same token', async () => {
    const server = await serving();
    const socket = await systemNetwork.bindUdp(LOOPBACK);
    // Random numbers of 0: silence is borne for Max-Age and 5 s, the least there may be.
    const random = { ...seededRandom(1), below: () => 0 };
    const endpoint = new Endpoint({ socket, clock: systemClock, random, log: silentLog, congestion: 'standard' });
    open.push(endpoint);
    const got = { count: 0, wake: (): void => {} };
    const notified = (): void => {
      got.count++;
      got.wake();
    };
    const reaches = async (count: number): Promise<void> => {
      while (got.count < count) await new Promise<void>((wake) => (got.wake = wake));
    };
    const request = { code: CODE.get, path: ['obs'] };
    const observation = new Observation(new CoapClient(endpoint), server.tap.local, request, { notified, ended: () => {} });
    await reaches(3);
    server.binding.observers.closeAll('SHUTDOWN');
    const before = got.count;
    await reaches(before + 2);
    observation.forget();
    const registrations = server.all().filter(({ code, observe }) => code === '0.01' && observe === 0);
    expect(registrations).toHaveLength(2);
    expect(registrations[1]?.token).toBe(registrations[0]?.token);
    const last = notificationsOf(server).filter(({ atS }) => atS < (registrations[1]?.atS ?? 0)).at(-1);
    expect((registrations[1]?.atS ?? 0) - (last?.atS ?? 0)).toBeGreaterThanOrEqual(5 + Number(last?.maxAge));
  });

  test('05: the client is off: retransmissions with new values, then silence', () => {
    const clock = new ManualClock();
    const socket = new MemorySocket();
    const tap = new Tap(socket, clock);
    const server = served(tap, tap, clock);
    return (async () => {
      socket.deliver(Buffer.from(obs('0001', '0a', '0').replace(/\s/g, ''), 'hex'), CLIENT);
      for (let step = 0; step < 1_200; step++) {
        for (let n = 0; n < 10; n++) await Promise.resolve();
        clock.advance(100);
      }
      const notifications = notificationsOf(server);
      expect(notifications.map(({ type }) => type)).toEqual(['CON', 'CON', 'CON', 'CON', 'CON']);
      expectRising(notifications);
      const [first, , , , last] = notifications.map(({ atS }) => atS);
      expect((last ?? 0) - (first ?? 0)).toBeLessThanOrEqual(45);
      expect(server.binding.observers.relationCount).toBe(0);
    })();
  });

  test('06: a reset ends it', async () => {
    const server = await serving();
    const peer = peerOf(server);
    peer.sends(obs('0001', '0a', '0'));
    await peer.receives();
    const notification = await peer.receives();
    peer.sends(`70 00 ${hexMid(notification)}`);
    peer.sends('40 00 0002');
    expect((await peer.receives()).toString('hex')).toBe('70000002');
    expect(server.binding.observers.relationCount).toBe(0);
    expect(notificationsOf(server)).toHaveLength(1);
  });

  test.each([
    ['07: the resource is deleted', '4.04', ['-m', 'delete']],
    ['08: its format changes', '4.06', ['-m', 'put', '-t', '50', '-e', '{}']],
  ])('%s: told once, confirmable, without Observe', async (_td, code, args) => {
    const server = await serving();
    const peer = peerOf(server);
    peer.sends(obs('0001', '0a', '0'));
    await peer.receives();
    peer.sends(`60 00 ${hexMid(await peer.receives())}`);
    await libcoap(...args, server.uri('/obs'));
    let final = await peer.receives();
    while (final[1] === 0x45) {
      peer.sends(`60 00 ${hexMid(final)}`);
      final = await peer.receives();
    }
    peer.sends(`60 00 ${hexMid(final)}`);
    const row = server.answers().find(({ mid, type }) => mid === final.readUInt16BE(2) && type === 'CON');
    expect(row).toMatchObject({ code, token: '0a', observe: undefined });
    expect(server.binding.observers.relationCount).toBe(0);
  });

  test('09: a write in the same format is notified', async () => {
    const server = await serving();
    const observing = libcoap('-s', '2', server.uri('/obs'));
    const peer = peerOf(server);
    // The observer is there when it is answered.
    peer.sends(obs('0001', '0a', '0'));
    await peer.receives();
    const first = await peer.receives();
    peer.sends(`60 00 ${hexMid(first)}`);
    await libcoap('-m', 'put', '-t', '0', '-e', 'written', server.uri('/obs'));
    const { stdout } = await observing;
    expect(stdout).toContain('written');
    expect(notificationsOf(server).some(({ payload, type }) => payload === 'written' && type === 'CON')).toBe(true);
  });

  test('10: a GET with another token does not end it', async () => {
    const server = await serving();
    const peer = peerOf(server);
    peer.sends(obs('0001', '0a', '0'));
    await peer.receives();
    peer.sends(`60 00 ${hexMid(await peer.receives())}`);
    peer.sends(obs('0002', '0b', 'none'));
    await peer.receives();
    peer.sends(`60 00 ${hexMid(await peer.receives())}`);
    expect(notificationsOf(server).map(({ token }) => token)).toEqual(['0a', '0a']);
    expect(server.binding.observers.relationCount).toBe(1);
  });

  test('11: a lost notification: never two on the way to one client', async () => {
    const server = await serving();
    server.tap.loses = (nth) => nth === 3;
    await libcoap('-s', '5', server.uri('/obs'));
    let outstanding = 0;
    for (const { isFromServer, type } of server.all()) {
      if (isFromServer && type === 'CON') outstanding++;
      if (!isFromServer && type === 'ACK') outstanding = 0;
      // The lost one and the newer value in its place: the same exchange, 2 to 3 s later.
      expect(outstanding).toBeLessThanOrEqual(2);
    }
    const notifications = notificationsOf(server);
    const gaps = notifications.slice(1).map(({ atS }, n) => atS - (notifications[n]?.atS ?? 0));
    expect(gaps.filter((gap) => gap > 1.9 && gap < 3.4)).toHaveLength(1);
    expectRising(notifications);
  });
});

describeWith({ tshark: hasTshark, 'coap-client-notls': hasLibcoap }, 'TD_COAP_BLOCK and LINK, in short', () => {
  test('a long representation read and written in blocks', async () => {
    const server = await serving();
    const folder = mkdtempSync(join(tmpdir(), 'plugtest-'));
    try {
      const body = Array.from({ length: 40 }, (_, line) => `new line ${line} `.padEnd(63, '-')).join('\n');
      writeFileSync(join(folder, 'body'), body);
      const read = await libcoap('-b', '64', server.uri('/large'));
      expect(read.stdout.trim()).toMatch(/^line 0 [^]*line 24 \.+$/);
      expect(read.stdout.trim()).toHaveLength(1_599);
      await libcoap('-m', 'put', '-t', '0', '-b', '128', '-f', join(folder, 'body'), server.uri('/large-update'));
      expect((await libcoap(server.uri('/large-update'))).stdout.trim()).toBe(body);
      const posted = await libcoap('-m', 'post', '-t', '0', '-b', '256', '-f', join(folder, 'body'), server.uri('/large-post'));
      expect(posted.stdout.trim()).toHaveLength(1_599);
      expect(server.answers().map(({ code }) => code)).toContain('2.31');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test.each([
    ['', 24],
    ['?rt=Type1', 4],
    ['?rt=Type2', 3],
    ['?if=If*', 3],
    ['?href=/link1', 1],
    ['?href=/link*', 4],
    ['?obs=*', 4],
    ['?rt=nothing', 0],
  ])('/.well-known/core%s lists %i', async (query, count) => {
    const server = await serving();
    const { stdout, stderr } = await libcoap(server.uri(`/.well-known/core${query}`));
    expect(stderr).not.toMatch(/^4\./m);
    expect(stdout.trim() === '' ? [] : stdout.split(',<')).toHaveLength(count);
  });
});
