/** The ETSI CoAP plugtests TD_COAP_OBS_01-14: the clients are libcoap's, ours and peers of plain bytes, the judge is tshark. */
import { systemClock } from '../../src/clock.js';
import { silentLog } from '../../src/log.js';
import { systemNetwork } from '../../src/network.js';
import { CoapClient } from '../../src/protocols/coap/client.js';
import { Endpoint } from '../../src/protocols/coap/endpoint.js';
import { CODE } from '../../src/protocols/coap/message.js';
import { Observation } from '../../src/protocols/coap/observation.js';
import { seededRandom } from '../../src/random.js';
import { CLIENT, MemorySocket } from '../protocols/coap/lockstep.js';
import { ManualClock } from '../support/manual-clock.js';
import { describeWith, hasLibcoap, hasTshark, libcoap, Tap, type Row } from './coap-capture.js';
import { LOOPBACK, open, peerOf, served, serving, type Server } from './plugtest-server.js';

const hexMid = (datagram: Buffer): string => datagram.subarray(2, 4).toString('hex');

/** The notifications of a capture: what bears Observe and is not the answer to the registration. */
const notificationsOf = (server: Server): readonly Row[] =>
  server.answers().filter(({ observe, type }) => observe !== undefined && type !== 'ACK');

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
      expect(notification).toMatchObject({
        type: 'CON',
        code: '2.05',
        token: registration?.token,
        format: expect.stringContaining('text/plain'),
      });
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
    for (const notification of notifications)
      expect(notification).toMatchObject({ code: '2.05', token: registration?.token });
    expectRising(notifications);
    for (const { mid } of confirmed)
      expect(rows).toContainEqual(expect.objectContaining({ isFromServer: false, type: 'ACK', mid }));
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
    const observation = new Observation(new CoapClient(endpoint), server.tap.local, request, {
      notified,
      ended: () => {},
    });
    await reaches(3);
    server.binding.observers.closeAll('PEER_CLOSED');
    const before = got.count;
    await reaches(before + 2);
    observation.forget();
    const registrations = server.all().filter(({ code, observe }) => code === '0.01' && observe === 0);
    expect(registrations).toHaveLength(2);
    expect(registrations[1]?.token).toBe(registrations[0]?.token);
    const last = notificationsOf(server)
      .filter(({ atS }) => atS < (registrations[1]?.atS ?? 0))
      .at(-1);
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

  test.each([
    ['13: of a large resource', '/obs-large', [1_600]],
    ['14: of one whose size changes', '/obs-pumping', [1_600, 0, 3_200]],
  ])('%s: a notification is block 0, the rest is read without Observe', async (_td, path, sizes) => {
    const server = await serving();
    // No block of the whole falls on a tick: 300 ms are long on a loopback.
    const { stdout } = await libcoap('-s', '2', '-b', '256', server.uri(path));
    const rows = server.all();
    const notifications = notificationsOf(server);
    expectRising(notifications);
    for (const { block2, payload, format } of notifications) {
      expect(format).toContain('text/plain');
      if (payload.length < 256) expect(block2).toBeUndefined();
      else expect({ bytes: payload.length, block2 }).toEqual({ bytes: 256, block2: { num: 0, more: true, szx: 4 } });
    }
    const further = rows.filter(({ isFromServer, block2 }) => isFromServer && (block2?.num ?? 0) > 0);
    expect(further.length).toBeGreaterThan(notifications.length);
    for (const { observe } of further) expect(observe).toBeUndefined();
    // Each block that follows a notification is of what it told.
    const tags = new Set(notifications.map(({ etag }) => etag).filter((etag) => etag !== ''));
    const registered = rows.find(({ isFromServer }) => isFromServer)?.etag;
    for (const { etag } of further) expect([registered, ...tags]).toContain(etag);
    // What the client put together is whole, but for one that the end may have cut short.
    const bytesOf = (text: string): number => text.trimEnd().replace(/^tick \d+\n?/, '').length;
    const seen = stdout.split(/(?=^tick \d+$)/m).map((text) => (bytesOf(text) === 0 ? 0 : bytesOf(text) + 1));
    const wholes = seen.filter((bytes) => sizes.includes(bytes));
    expect(wholes.length).toBeGreaterThanOrEqual(notifications.length);
  });
});
