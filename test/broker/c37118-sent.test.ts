/** C37.118 sent unasked over UDP, as a concentrator gets it that only listens. */
import { systemNetwork } from '../../src/network.js';
import { isRefusal } from '../../src/errors.js';
import { receiversOf } from '../../src/listeners.js';
import { decode } from '../../src/protocols/c37118/codec.js';
import { readHead, typeOf, viewOf } from '../../src/protocols/c37118/frame.js';
import { listenTo, Notes, type Listening } from '../protocols/c37118/device.js';
import { describeJudged, judge } from '../support/synphasor.js';
import { taking } from './concentrator.js';
import { closeStage, http, simulate, startBroker, until, whenStageCloses, type RunningBroker } from './stage.js';

afterEach(closeStage);

/** Our own client, listening for stream `idCode`; its port. */
async function listening(idCode: number, more = ''): Promise<Listening & { readonly port: number }> {
  const heard = listenTo(`c37118+udp://127.0.0.1:0?idcode=${idCode}&mode=spontaneous${more}`);
  whenStageCloses(() => heard.client.close());
  heard.client.connect();
  await heard.events.until(({ type }) => type === 'CONNECTED');
  return { ...heard, port: heard.client.local?.port ?? 0 };
}

/** A socket that keeps the frames it gets. */
async function receiver() {
  const socket = await systemNetwork.bindUdp({ host: '127.0.0.1', port: 0 });
  whenStageCloses(() => socket.close());
  const frames = new Notes<Buffer>();
  socket.onDatagram((datagram) => frames.add(datagram));
  return { frames, port: socket.local.port };
}

const attach = async (running: RunningBroker, flags: object = {}): Promise<string> => {
  const { uri } = await simulate({ idcode: '7', pmus: '3', ...flags });
  await http(running, 'POST', '/m2m/applications', { application: { appId: 'line', aPoC: uri } });
  return uri;
};
const to = (port: number, idCode: number, more = ''): string =>
  `c37118+udp://127.0.0.1:${port}?idcode=${idCode}${more}`;

test.each([
  ['CFG-2', ''],
  ['CFG-3', '&configuration=3'],
])('a PMU and a group come to who listens, each read by its %s, the frames being the PMUs’ own', async (_, more) => {
  const [single, group] = [await listening(8, more), await listening(500, more)];
  const running = await startBroker({ c37118To: [to(single.port, 8, more), to(group.port, 500, more)] });
  const uri = await attach(running);
  const reference = [7, 8, 9].map((idCode) => `/m2m/applications/pmu-${idCode}`);
  await until('all send', () => running.broker.findStream(9));
  await http(running, 'POST', '/m2m/groups', {
    group: { id: 'west', memberType: 'APPLICATION', members: { reference }, snapshotRate: 30, idCode: 500 },
  });
  const direct = await taking(uri);
  for (const { received } of [single, group]) await until('frames come', () => received.all.length >= 45);
  const known = new Map(
    direct.received.all.map(({ measuredUs, measurement }) => [
      `${measurement.descriptor.idCode} ${measuredUs}`,
      measurement,
    ]),
  );
  for (const { received, client } of [single, group]) {
    const pairs = received.all.flatMap(({ measuredUs, measurement }) => {
      const original = known.get(`${measurement.descriptor.idCode} ${measuredUs}`);
      return original ? [[Buffer.from(measurement.frame()), Buffer.from(original.frame())] as const] : [];
    });
    expect(pairs.length).toBeGreaterThanOrEqual(20);
    for (const [frame, original] of pairs) expect(frame).toEqual(original);
    expect(client.figures).toMatchObject({ unconfigured: 0, missingSlots: 0, lengthMismatches: 0, crcErrors: 0 });
  }
  const { text } = await running.broker.metrics.expose();
  expect(text).toContain(`gridcast_c37118_sent_total{to="127.0.0.1:${single.port}",event="configurations"} 1`);
});

test('a stream that goes and comes again, otherwise, is sent again behind its new configuration', async () => {
  const { frames, port } = await receiver();
  const running = await startBroker({ c37118To: [to(port, 7)] });
  await attach(running);
  await frames.until((frame) => typeOf(frame) === 'data');
  expect(typeOf(frames.all[0]!)).toBe('configuration2');
  await http(running, 'DELETE', '/m2m/applications/line');
  await until('it is not sent any more', () => running.broker.subscriptions.population.size === 0);
  const count = frames.all.length;
  await attach(running, { rate: '10', format: '15' });
  const next = await frames.until(() => true, count);
  expect(decode(next)).toMatchObject({ kind: 'configuration2', streamId: 7, dataRate: 10 });
  await frames.until((frame) => typeOf(frame) === 'data', count);
});

test('nothing of what may not be read is sent, and an address that is none is refused in words', async () => {
  const { frames, port } = await receiver();
  const running = await startBroker({ c37118To: [to(port, 7)], rights: 'enforced', administrators: ['chief'] });
  const { uri } = await simulate({ idcode: '7' });
  expect(running.broker.sources.configure([uri])).toBeUndefined();
  await until('it is there', () => running.broker.findStream(7));
  await until('it was asked for', async () => {
    const { text } = await running.broker.metrics.expose();
    return /gridcast_requests_refused_total\{[^}]*\} [1-9]/.test(text);
  });
  expect(frames.all).toEqual([]);
  const refused = receiversOf({ c37118To: ['c37118+udp://127.0.0.1:70000?idcode=7'] });
  expect(isRefusal(refused) && refused.detail).toContain('port 70000');
});

describeJudged('tshark', () => {
  test('reads what is sent, each datagram a frame', async () => {
    const { frames, port } = await receiver();
    const running = await startBroker({ c37118To: [to(port, 7)] });
    await attach(running);
    await until('frames come', () => frames.all.length >= 30);
    const texts = judge(frames.all.slice(0, 30));
    for (const text of texts) {
      expect(text).toContain('[Checksum Status: Good]');
      expect(text).not.toMatch(/malformed/i);
    }
    expect(texts.filter((text) => text.includes('Measurement data'))).toHaveLength(29);
    expect(frames.all.every((frame) => readHead(viewOf(frame)).streamId === 7)).toBe(true);
  });
});
