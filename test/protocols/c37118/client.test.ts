import { systemClock } from '../../../src/clock.js';
import { addressKey } from '../../../src/network.js';
import { encode } from '../../../src/protocols/c37118/codec.js';
import { COMMANDS } from '../../../src/protocols/c37118/command.js';
import type { Configuration } from '../../../src/protocols/c37118/configuration.js';
import { QUALITY } from '../../../src/routing/sample.js';
import type { StreamEvent } from '../../../src/routing/stream.js';
import { listenTo, tcpDevice, udpDevice, type Device, type Listening, type Script } from './device.js';
import { frameAt, pmu, stream } from './stream.js';

const { dataOff, dataOn, sendConfiguration2, sendConfiguration3 } = COMMANDS;
/** STAT bit 10. */
const CHANGING = 0x0400;
const PERIOD_US = 20_000;

const is =
  <Type extends StreamEvent['type']>(type: Type) =>
  (event: StreamEvent): event is Extract<StreamEvent, { type: Type }> =>
    event.type === type;

interface Session extends Listening {
  readonly device: Device;
  readonly script: Script;
}

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

/** A client that is connected and has got its configuration. */
async function session(transport: 'tcp' | 'udp', configuration = stream(), more = ''): Promise<Session> {
  const script: Script = { configuration };
  const device = await (transport === 'tcp' ? tcpDevice : udpDevice)(script);
  const listening = listenTo(`c37118+${transport}://${addressKey(device.at)}?idcode=60${more}`, { answerMs: 200 });
  open.push(device, listening.client);
  listening.client.connect();
  await listening.events.until(is('CONNECTED'));
  listening.client.stopData();
  listening.client.requestConfiguration();
  await listening.events.until(is('CONFIGURED'));
  listening.client.startData();
  await device.commands.until((code) => code === dataOn);
  return { ...listening, device, script };
}

/** Data frames of now, one period apart, so that none is a duplicate. */
function live(configuration: Configuration, count: number, options = {}): Uint8Array[] {
  const now = Math.floor(systemClock.wallUs() / PERIOD_US) * PERIOD_US;
  return Array.from({ length: count }, (_, index) => frameAt(configuration, now + index * PERIOD_US, options));
}

describe.each(['tcp', 'udp'] as const)('a session commanded over %s', (transport) => {
  test('off, CFG-2, on; data; off at the end', async () => {
    const { client, device, events, received } = await session(transport);
    device.send(...live(stream(), 3));
    await received.until(({ measuredUs }) => measuredUs === received.all[0]!.measuredUs + 2 * PERIOD_US);
    expect(received.all.map(({ quality }) => quality)).toEqual([0, 0, 0]);
    expect(received.all[0]?.measurement.frequencyHz).toBeCloseTo(50.012, 3);
    expect(events.all.map(({ type }) => type)).toEqual(['CONNECTED', 'CONFIGURED', 'FLOWING']);
    client.close();
    await device.commands.until((code) => code === dataOff, 3);
    expect(device.commands.all).toEqual([dataOff, sendConfiguration2, dataOn, dataOff]);
    expect(client.figures).toMatchObject({
      dataFrames: 3,
      crcErrors: 0,
      skippedBytes: 0,
      missingSlots: 0,
      lastError: undefined,
    });
  });

  test('gives every PMU of a stream its measurement', async () => {
    const configuration = stream([pmu(61), pmu(62, { format: 15 })]);
    const { device, events, received } = await session(transport, configuration);
    const { pmus } = await events.until(is('CONFIGURED'));
    expect(pmus.map(({ idCode }) => idCode)).toEqual([61, 62]);
    device.send(...live(configuration, 1));
    await received.until(({ index }) => index === 1);
    expect(received.all.map(({ measurement }) => measurement.descriptor.idCode)).toEqual([61, 62]);
  });

  test('is read by a CFG-3 in several frames, where that is asked for, with names as long as they are', async () => {
    const configuration = stream([
      pmu(61, { stationName: 'Umspannwerk Süd, Abgang 3 nach Zürich' }),
      pmu(62, { format: 15 }),
    ]);
    const { client, device, events, received } = await session(transport, configuration, '&configuration=3');
    expect(device.commands.all).toEqual([dataOff, sendConfiguration3, dataOn]);
    const { pmus } = await events.until(is('CONFIGURED'));
    expect(pmus.map(({ stationName }) => stationName)).toEqual([configuration.pmus[0]!.stationName, 'Station 62']);
    device.send(...live(configuration, 1));
    await received.until(({ index }) => index === 1);
    for (const { measurement } of received.all) {
      expect(measurement.frequencyHz).toBeCloseTo(50.012, 3);
      expect(measurement.phasors[0]?.magnitude).toBeCloseTo(230, 1);
    }
    // Asked again it says the same.
    client.requestConfiguration();
    const again = await events.until((event) => event.type === 'CONFIGURED' && !event.isNew);
    expect(again).toMatchObject({ isNew: false });
    expect(client.figures).toMatchObject({ foreignFrames: 0, lastError: undefined });
  });

  test('drops duplicates and foreign streams, counts what is missing, out of order and out of time', async () => {
    const { client, device, received } = await session(transport);
    // The fourth is lost.
    const [one, two, three, , five] = live(stream(), 5) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    const old = frameAt(stream(), systemClock.wallUs() - 60_000_000);
    for (const frame of [one, one, three, two, five, frameAt(stream(undefined, { streamId: 9 }), 0), old])
      device.send(frame);
    await received.until(({ quality }) => quality === QUALITY.timeUnreasonable);
    expect(received.all).toHaveLength(5);
    expect(client.figures).toMatchObject({
      duplicates: 1,
      outOfOrder: 2,
      missingSlots: 1,
      foreignFrames: 1,
      unreasonableTags: 1,
    });
  });

  test('drops a data frame of another length and calls the configuration outdated, once', async () => {
    const { client, device, events, received, script } = await session(transport);
    const wider = stream([pmu(61, { configurationCount: 2 }), pmu(62)]);
    device.send(...live(wider, 3));
    await events.until(is('OUTDATED'));
    script.configuration = wider;
    client.requestConfiguration();
    await events.until((event) => event.type === 'CONFIGURED' && event.pmus.length === 2);
    device.send(...live(wider, 1));
    await received.until(({ index }) => index === 1);
    expect(events.all.filter(is('OUTDATED'))).toHaveLength(1);
    expect(client.figures).toMatchObject({
      lengthMismatches: 3,
      lastError: expect.stringContaining('its configuration makes') as string,
    });
  });

  test('keeps the old configuration until STAT bit 10 clears', async () => {
    const { client, device, events, received, script } = await session(transport);
    const wider = stream([pmu(61, { configurationCount: 2 }), pmu(62)]);
    device.send(...live(stream(), 2, { stat: CHANGING }));
    await events.until(is('OUTDATED'));
    script.configuration = wider;
    client.requestConfiguration();
    await device.commands.until((code) => code === sendConfiguration2, 3);
    // The new configuration is on its way; more frames of the old one follow it.
    device.send(...live(stream(), 4, { stat: CHANGING }));
    await received.until(() => received.all.length >= 4);
    expect(events.all.filter(is('CONFIGURED'))).toHaveLength(1);
    device.send(...live(wider, 8));
    await received.until(({ index }) => index === 1);
    const adopted = events.all.filter(is('CONFIGURED'));
    expect(adopted.map(({ isNew, pmus }) => [isNew, pmus.length])).toEqual([
      [true, 1],
      [true, 2],
    ]);
    expect(client.figures.lengthMismatches).toBe(0);
  });

  test('says that nothing was answered, and takes the answer that comes later', async () => {
    const script: Script = { configuration: undefined };
    const device = await (transport === 'tcp' ? tcpDevice : udpDevice)(script);
    const { client, events } = listenTo(`c37118+${transport}://${addressKey(device.at)}?idcode=60`, { answerMs: 20 });
    open.push(device, client);
    client.connect();
    await events.until(is('CONNECTED'));
    client.requestConfiguration();
    await events.until(is('UNANSWERED'));
    device.send(encode(stream()));
    await events.until(is('CONFIGURED'));
    expect(client.figures.lastError).toContain('no configuration within 20 ms');
  });

  test('tells silence, again and again, and the end of it', async () => {
    const script: Script = { configuration: stream() };
    const device = await (transport === 'tcp' ? tcpDevice : udpDevice)(script);
    const { client, events } = listenTo(`c37118+${transport}://${addressKey(device.at)}?idcode=60`, { silenceMs: 1 });
    open.push(device, client);
    client.connect();
    await events.until(is('CONNECTED'));
    client.requestConfiguration();
    await events.until(is('CONFIGURED'));
    client.startData();
    const first = await events.until(is('SILENT'));
    // Three periods of 50/s, whatever smaller was asked for.
    expect(first.silentMs).toBeGreaterThanOrEqual(60);
    await events.until((event) => event.type === 'SILENT' && event.silentMs >= 120);
    device.send(...live(stream(), 1));
    await events.until(is('FLOWING'));
  });
});

describe('a session over TCP', () => {
  test('is lost when the device hangs up, and configured as before on the next connection', async () => {
    const { client, device, events, received } = await session('tcp');
    device.hangUp();
    expect((await events.until(is('LOST'))).why).toContain('closed the connection');
    const seen = events.all.length;
    client.connect();
    await events.until(is('CONNECTED'), seen);
    client.requestConfiguration();
    const again = await events.until(is('CONFIGURED'), seen);
    expect(again.isNew).toBe(false);
    device.send(...live(stream(), 1));
    await received.until(() => true);
    expect(client.figures.connects).toBe(2);
  });

  test('is lost at once where nobody listens', async () => {
    const device = await tcpDevice({ configuration: undefined });
    await device.close();
    const { client, events } = listenTo(`c37118+tcp://${addressKey(device.at)}?idcode=60`);
    client.connect();
    expect((await events.until(is('LOST'))).why).toContain('ECONNREFUSED');
  });

  test('takes frames in any pieces and survives garbage between them', async () => {
    const { client, device, received } = await session('tcp');
    const bytes = Buffer.concat([
      Buffer.from('ffaa01aa31', 'hex'),
      ...live(stream(), 2),
      Buffer.from('aa01', 'hex'),
      ...live(stream(), 3),
    ]);
    for (let at = 0; at < bytes.length; at += 7) device.send(bytes.subarray(at, at + 7));
    await received.until(() => received.all.length >= 3);
    expect(client.figures).toMatchObject({ crcErrors: 0, skippedBytes: 7 });
  });

  test('says nothing any more after its end', async () => {
    const { client, device, events, received } = await session('tcp');
    client.close();
    const before = events.all.length;
    await device.commands.until((code) => code === dataOff, 1);
    device.send(...live(stream(), 1));
    device.hangUp();
    await new Promise<void>((done) => systemClock.atTurnEnd(done));
    expect([events.all.length, received.all.length]).toEqual([before, 0]);
  });
});

describe('a spontaneous device over UDP', () => {
  test('is read as soon as it has sent its configuration, and never commanded', async () => {
    const { client, events, received } = listenTo('c37118+udp://127.0.0.1:0?idcode=60&mode=spontaneous');
    open.push(client);
    client.connect();
    await events.until(is('CONNECTED'));
    // Port 0 was bound to a real one, which CONNECTED says is there.
    const device = await udpDevice({ configuration: undefined }, client.local);
    open.push(device);
    client.stopData();
    client.requestConfiguration();
    client.startData();
    device.send(...live(stream(), 1));
    device.send(encode(stream()), ...live(stream(), 4));
    await received.until(() => received.all.length >= 1);
    device.send(encode({ ...stream(), soc: 1_800_000_000 }));
    await events.until((event) => event.type === 'CONFIGURED' && !event.isNew);
    expect(client.figures.unconfigured).toBe(1);
    expect(device.commands.all).toEqual([]);
  });
});
