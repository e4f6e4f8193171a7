/** PMUs taken from the broker as a legacy concentrator takes them: C37.118 over TCP, by IDCODE. */
import { decode } from '../../src/protocols/c37118/codec.js';
import { COMMANDS } from '../../src/protocols/c37118/command.js';
import type { Configuration } from '../../src/protocols/c37118/configuration.js';
import { checkFrame, readHead, viewOf } from '../../src/protocols/c37118/frame.js';
import { systemClock } from '../../src/clock.js';
import { addressKey } from '../../src/network.js';
import { tcpDevice } from '../protocols/c37118/device.js';
import { frameAt, stream as c37118Stream } from '../protocols/c37118/stream.js';
import { Concentrator, takenBothWays } from './concentrator.js';
import {
  closeStage,
  http,
  simulate,
  startBroker as start,
  until,
  whenStageCloses,
  type RunningBroker,
} from './stage.js';

afterEach(closeStage);

const startBroker = (): Promise<RunningBroker> => start({ c37118Out: 0 });
const attach = (running: RunningBroker, aPoC: string) =>
  http(running, 'POST', '/m2m/applications', { application: { appId: 'line', aPoC } });
const flowing = (running: RunningBroker, idCode: number) =>
  until(`PMU ${idCode} sends`, () => running.broker.findStream(idCode));

const configurationOf = (frame: Buffer): Configuration => {
  const decoded = decode(frame);
  if (decoded.kind !== 'configuration2') throw new Error(`a ${decoded.kind} frame`);
  return decoded;
};
const tagOf = (frame: Uint8Array): string => {
  const { soc, fraction } = readHead(viewOf(frame));
  return `${soc} ${fraction}`;
};

test('a PMU is told of by header, CFG-1, CFG-2 and CFG-3, each under the IDCODE asked for', async () => {
  const running = await startBroker();
  await attach(running, (await simulate({ idcode: '7', pmus: '3' })).uri);
  await flowing(running, 8);
  const concentrator = await Concentrator.connect(running);
  for (const code of [
    COMMANDS.sendHeader,
    COMMANDS.sendConfiguration1,
    COMMANDS.sendConfiguration2,
    COMMANDS.sendConfiguration3,
  ])
    concentrator.command(8, code);
  const [header, one, two, three] = [
    decode(await concentrator.next('header')),
    decode(await concentrator.next('configuration1')),
    configurationOf(await concentrator.next('configuration2')),
    decode(await concentrator.next('configuration3')),
  ];
  expect(header).toMatchObject({ streamId: 8, text: 'Gridcast, 30 frames per second of 1 PMU(s): 8 STATION 2' });
  expect(two).toMatchObject({ streamId: 8, dataRate: 30, pmus: [{ idCode: 8, stationName: 'STATION 2' }] });
  expect(one).toMatchObject({ kind: 'configuration1', streamId: 8, pmus: two.pmus });
  expect(three).toMatchObject({ kind: 'configuration3', version: 2, streamId: 8, pmus: [{ idCode: 8 }] });
  // The time of a configuration is that of sending.
  expect(Math.abs(two.soc - systemClock.wallUs() / 1e6)).toBeLessThan(60);
});

test('our own client takes it as it would take the PMU itself, and the frames are the PMU’s', async () => {
  const running = await startBroker();
  const { uri } = await simulate({ idcode: '7', format: '0' });
  await attach(running, uri);
  await flowing(running, 7);
  const { through, pairs } = await takenBothWays(running, uri, 7, 30);
  for (const [{ measurement }, original] of pairs) expect(measurement.frame()).toEqual(original.measurement.frame());
  expect(through.client.figures).toMatchObject({ missingSlots: 0, crcErrors: 0, skippedBytes: 0 });
});

test('a PMU alone in a stream of another id is taken by its own', async () => {
  const running = await startBroker();
  const device = await tcpDevice({ configuration: c37118Stream() });
  whenStageCloses(() => device.close());
  await attach(running, `c37118+tcp://${addressKey(device.at)}?idcode=60`);
  await device.commands.until((code) => code === COMMANDS.dataOn);
  device.send(frameAt(c37118Stream(), 1_700_000_000_020_000));
  await flowing(running, 61);
  const concentrator = await Concentrator.connect(running);
  concentrator.command(61, COMMANDS.dataOn);
  await until('it is subscribed', () => running.broker.subscriptions.population.size === 1);
  const frame = frameAt(c37118Stream(), 1_700_000_000_040_000);
  device.send(frame);
  const out = await concentrator.next('data');
  expect(readHead(viewOf(out))).toEqual({ ...readHead(viewOf(frame)), streamId: 61 });
  expect(checkFrame(out)).toBeUndefined();
  expect(out.subarray(14, -2)).toEqual(Buffer.from(frame.subarray(14, -2)));
});

test('data come between on and off, of several streams on one connection', async () => {
  const running = await startBroker();
  await attach(running, (await simulate({ idcode: '7', pmus: '2' })).uri);
  await flowing(running, 8);
  const concentrator = await Concentrator.connect(running);
  concentrator.command(7, COMMANDS.dataOn);
  concentrator.command(8, COMMANDS.dataOn);
  const of = (idCode: number) => concentrator.data.filter((frame) => frame.readUInt16BE(4) === idCode);
  await until('both send', () => of(7).length >= 5 && of(8).length >= 5);
  expect(running.broker.subscriptions.population.size).toBe(2);
  concentrator.command(7, COMMANDS.dataOff);
  await until('one is off', () => running.broker.subscriptions.population.size === 1);
  // What was under way has come when an answer behind it has.
  concentrator.command(8, COMMANDS.sendConfiguration2);
  await concentrator.next('configuration2');
  const [before, other] = [of(7).length, of(8).length];
  await until('the other goes on', () => of(8).length >= other + 5);
  expect(of(7).length).toBe(before);
  const tags = of(8).map(tagOf);
  expect(new Set(tags).size).toBe(tags.length);
  concentrator.socket.destroy();
  await until('the endpoint is gone', () => running.broker.subscriptions.population.size === 0);
});

test('what makes no sense is discarded in silence, and a good command behind it is obeyed', async () => {
  const running = await startBroker();
  await attach(running, (await simulate({ idcode: '7' })).uri);
  await flowing(running, 7);
  const concentrator = await Concentrator.connect(running);
  concentrator.command(9, COMMANDS.sendConfiguration2);
  concentrator.command(9, COMMANDS.dataOn);
  concentrator.command(7, 0x0100);
  concentrator.socket.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'));
  concentrator.command(7, COMMANDS.sendConfiguration2);
  await concentrator.next('configuration2');
  expect(concentrator.frames.all).toHaveLength(1);
  const { text } = await running.broker.metrics.expose();
  expect(text).toMatch(/gridcast_c37118_out_total\{event="discarded"\} 3/);
  expect(text).toMatch(/gridcast_c37118_out_total\{event="skippedBytes"\} 18/);
});
