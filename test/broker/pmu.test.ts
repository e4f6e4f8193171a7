/** PMU streams attached to a broker: real C37.118 over TCP from simulated devices. */
import { parseTime, systemClock, type Cancel } from '../../src/clock.js';
import { isRefusal } from '../../src/errors.js';
import { systemNetwork } from '../../src/network.js';
import { decodeConfiguration } from '../../src/protocols/c37118/configuration.js';
import { decodeData, layoutOf } from '../../src/protocols/c37118/data-frame.js';
import { tagUs } from '../../src/protocols/c37118/time.js';
import type { InstanceRecord } from '../../src/resources/history.js';
import { INTERNAL } from '../../src/resources/node.js';
import type { Sample } from '../../src/routing/sample.js';
import {
  closeStage,
  expectBalanced,
  http,
  nodeAt,
  simulate,
  startBroker,
  stream,
  subscribe,
  until,
  type RunningBroker,
} from './stage.js';

afterEach(closeStage);

const ROOMS = ['descriptor', 'measurements', 'alarms', 'commands', 'health'];
const measurements = (appId: string) => `/m2m/applications/${appId}/containers/measurements`;

function latest(running: RunningBroker, appId: string): Sample | undefined {
  return nodeAt(running, `${measurements(appId)}/contentInstances`)?.history?.latest?.value;
}
const flowing = (running: RunningBroker, ...appIds: string[]) =>
  until(`${appIds.join(', ')} send`, () => appIds.every((appId) => latest(running, appId)));
const attach = (running: RunningBroker, appId: string, aPoC: string) =>
  http(running, 'POST', '/m2m/applications', { application: { appId, aPoC } });
const applications = async (running: RunningBroker) => {
  const { json } = await http(running, 'GET', '/m2m/applications');
  const { applicationCollection } = json.applications as unknown as {
    applicationCollection: { namedReference: { id: string }[] };
  };
  // The broker's own is always there.
  return applicationCollection.namedReference.map(({ id }) => id).filter((id) => id !== 'gridcast');
};

test('each PMU of an attached stream is an application with five containers, found by its station', async () => {
  const running = await startBroker();
  const { uri } = await simulate({ pmus: '3' });
  expect((await attach(running, 'substation', uri)).status).toBe(201);
  await flowing(running, 'pmu-1', 'pmu-2', 'pmu-3');
  expect(await applications(running)).toEqual(['substation', 'pmu-1', 'pmu-2', 'pmu-3']);
  for (const appId of ['pmu-1', 'pmu-2', 'pmu-3']) {
    const { json } = await http(running, 'GET', `/m2m/applications/${appId}/containers`);
    const { containerCollection } = json.containers as unknown as {
      containerCollection: { namedReference: { id: string }[] };
    };
    expect(containerCollection.namedReference.map(({ id }) => id).sort()).toEqual([...ROOMS].sort());
    const durabilities = ROOMS.map((room) =>
      nodeAt(running, `/m2m/applications/${appId}/containers/${room}`)?.attributes.get('durability'),
    );
    expect(durabilities).toEqual(['synced', 'latest', 'synced', 'synced', 'grouped']);
  }
  const { json } = await http(running, 'GET', '/m2m/applications/pmu-2');
  expect(json).toMatchObject({ application: { searchStrings: { searchString: ['pmu', 'STATION 2'] } } });
  const descriptor = await http(
    running,
    'GET',
    '/m2m/applications/pmu-2/containers/descriptor/contentInstances/latest/content',
  );
  expect(descriptor.json).toMatchObject({
    idCode: 2,
    streamId: 1,
    stationName: 'STATION 2',
    reportingRate: 30,
    nominalHz: 60,
  });
});

test('a contentInstance’s id is its time tag, by which it can be read', async () => {
  const running = await startBroker();
  await attach(running, 'line', (await simulate()).uri);
  await flowing(running, 'pmu-1');
  const { json } = await http(running, 'GET', `${measurements('pmu-1')}/contentInstances/latest`);
  const { id, content } = json.contentInstance as unknown as {
    id: string;
    content: { contentType: string; textContent: string };
  };
  expect(content.contentType).toBe('application/senml+json');
  const [record] = JSON.parse(content.textContent) as [{ bt: number }];
  expect(parseTime(id)).toBe(Math.round(record.bt * 1e6));
  expect((parseTime(id) ?? 0) % 1_000_000).toBe(
    Math.round((Math.round((((parseTime(id) ?? 0) % 1e6) * 30) / 1e6) / 30) * 1e6),
  );
  const again = await http(
    running,
    'GET',
    `${measurements('pmu-1')}/contentInstances/${encodeURIComponent(id)}/content`,
  );
  expect(again.bytes.toString()).toBe(content.textContent);
});

test('a stream of the configuration stands at start, as an application of its own', async () => {
  const { uri } = await simulate({ idcode: '60', pmus: '2' });
  const running = await startBroker({ pmu: [uri] });
  await flowing(running, 'pmu-60', 'pmu-61');
  expect(await applications(running)).toEqual(['stream-60', 'pmu-60', 'pmu-61']);
});

test('a name that is taken gives way to pmu-<stream>-<id>; what stands under it is left alone', async () => {
  const running = await startBroker();
  await http(running, 'POST', '/m2m/applications', { application: { appId: 'pmu-2' } });
  await attach(running, 'line', (await simulate({ pmus: '2' })).uri);
  await flowing(running, 'pmu-1', 'pmu-1-2');
  expect(nodeAt(running, measurements('pmu-2'))).toBeUndefined();
  await http(running, 'DELETE', '/m2m/applications/line');
  expect(await applications(running)).toEqual(['pmu-2']);
});

test('name= in the address names the PMU, and numbers several', async () => {
  const running = await startBroker();
  await attach(running, 'a', `${(await simulate()).uri}&name=north`);
  await attach(running, 'b', `${(await simulate({ pmus: '2' })).uri}&name=south`);
  await flowing(running, 'north', 'south-1', 'south-2');
});

test('PMUs that send unasked to one port are a range of the configuration, each an application of its own', async () => {
  const { local } = await systemNetwork.bindUdp({ host: '127.0.0.1', port: 0 }).then((socket) => {
    socket.close();
    return socket;
  });
  const running = await startBroker({ pmu: [`c37118+udp://127.0.0.1:${local.port}?idcode=7-9&mode=spontaneous`] });
  await simulate({ listen: undefined, to: `udp://127.0.0.1:${local.port}`, idcode: '7' });
  await simulate({ listen: undefined, to: `udp://127.0.0.1:${local.port}`, idcode: '9' });
  await flowing(running, 'pmu-7', 'pmu-9');
  expect(await applications(running)).toEqual(expect.arrayContaining(['stream-7', 'stream-8', 'stream-9']));
  expect(nodeAt(running, measurements('pmu-8'))).toBeUndefined();
  const states = [...running.broker.sources.figures()].map(({ state }) => state);
  expect(states).toEqual(['streaming', 'awaitingConfig', 'streaming']);
});

test.each([
  ['as it is', (uri: string) => uri],
  ['with another history', (uri: string) => `${uri}&history=60`],
])('a stream that the configuration names twice, %s, is refused and not attached twice', async (_, again) => {
  const { uri } = await simulate();
  const running = await startBroker();
  const refusal = running.broker.sources.configure([uri, again(uri)]);
  expect(refusal).toMatchObject({
    status: 'STATUS_BAD_REQUEST',
    detail: expect.stringContaining(`${again(uri)} is named twice`),
  });
  expect(await applications(running)).toEqual([]);
});

test('of a stream that an earlier version attached twice, one stays', async () => {
  const { uri } = await simulate();
  const running = await startBroker({ pmu: [uri] });
  const { resources, sources } = running.broker;
  const collection = nodeAt(running, '/m2m/applications')!;
  const twin = resources.create(collection, { application: { appId: 'twin', aPoC: `${uri}&history=60` } }, INTERNAL);
  expect(isRefusal(twin)).toBe(false);
  await flowing(running, 'pmu-1');
  expect(sources.configure([uri])).toBeUndefined();
  expect([...sources.figures()].map(({ name }) => name)).toEqual(['/m2m/applications/stream-1']);
  expect(await applications(running)).not.toContain('twin');
});

test.each([
  ['c37118+tcp://127.0.0.1:4712', 'lacks idcode'],
  ['c37118+tcp://127.0.0.1:4712?idcode=70000', 'idcode 70000'],
  ['c37118+tcp://127.0.0.1:99999?idcode=1', 'port 99999'],
  ['c37118+tcp://pmu.example:4712?idcode=1', 'host "pmu.example"'],
  ['c37118+tcp://127.0.0.1:4712?idcode=1&mode=spontaneous', 'spontaneous'],
  ['c37118+tcp://127.0.0.1:4712?idcode=1&name=a/b', 'name a/b'],
  ['c37118+sctp://127.0.0.1:4712?idcode=1', 'c37118+'],
])('the point of contact %s is refused, naming what is wrong, and leaves no application', async (aPoC, named) => {
  const running = await startBroker();
  const { status, sentence } = await attach(running, 'line', aPoC);
  expect([status, sentence]).toEqual([400, expect.stringContaining(named)]);
  expect(await applications(running)).toEqual([]);
  expect(running.broker.sources.population.size).toBe(0);
});

test('deleting the application stops the stream, removes its PMUs and tells their subscribers', async () => {
  const running = await startBroker();
  await attach(running, 'line', (await simulate({ pmus: '2' })).uri);
  await flowing(running, 'pmu-1', 'pmu-2');
  const { port } = await subscribe(running, measurements('pmu-1'));
  await until('it is delivered', () => port.sent.length > 3);
  await expectBalanced(running);
  expect((await http(running, 'DELETE', '/m2m/applications/line')).status).toBe(204);
  expect(await applications(running)).toEqual([]);
  expect(port.ended).toMatchObject([{ ending: 'RESOURCE_DELETED' }]);
  expect(running.broker.sources.population.size).toBe(0);
  await expectBalanced(running);
});

test('streams that are attached together tell their health each at its own instant', async () => {
  const delaysMs = new Set<number>();
  const after = (delayMs: number, run: () => void): Cancel => {
    delaysMs.add(delayMs);
    return systemClock.after(delayMs, run);
  };
  const range = 'c37118+udp://127.0.0.1:0?idcode=1-100&mode=spontaneous';
  await startBroker({ pmu: [range] }, { clock: { ...systemClock, after } });
  expect([...delaysMs].filter((ms) => ms < 10_000).length).toBeGreaterThan(90);
});

test('a measurement reads as it did when it was the latest, though it lies packed since newer ones came', async () => {
  const running = await startBroker();
  await attach(running, 'line', (await simulate({ idcode: '7', pmus: '3' })).uri);
  await flowing(running, 'pmu-8');
  const history = nodeAt(running, `${measurements('pmu-8')}/contentInstances`)?.history;
  const shown = (record: InstanceRecord<Sample> | undefined) => {
    const content = record?.value.content;
    if (content?.kind !== 'measurement') throw new Error('no measurement');
    const bytes = [Buffer.from(content.measurement.frame()), Buffer.from(content.measurement.configuration())];
    const { value, sequence, id, createdUs, sizeBytes } = record!;
    const { measuredUs, arrivedUs, quality } = value;
    return { sequence, id, createdUs, sizeBytes, measuredUs, arrivedUs, quality, bytes };
  };
  const record = history?.latest;
  const asLatest = shown(record);
  await until('newer ones come', () => history?.latest !== record);
  const found = history?.find(asLatest.id);
  expect(found).not.toBe(record);
  expect(shown(found)).toEqual(asLatest);
});

test('the raw frame of one PMU of several decodes with its own configuration, and says what SenML says', async () => {
  const running = await startBroker();
  await attach(running, 'line', (await simulate({ idcode: '7', pmus: '3' })).uri);
  await flowing(running, 'pmu-8');
  const path = `${measurements('pmu-8')}/contentInstances`;
  const sample = latest(running, 'pmu-8');
  if (sample?.content.kind !== 'measurement') throw new Error('no measurement');
  const { measurement } = sample.content;
  const id = encodeURIComponent(nodeAt(running, path)?.history?.latest?.id ?? '');
  const raw = await http(running, 'GET', `${path}/${id}/content`, undefined, {
    accept: 'application/vnd.gridcast.c37118',
  });
  expect(raw.headers.get('content-type')).toBe('application/vnd.gridcast.c37118');

  const configuration = decodeConfiguration(measurement.configuration(), 'configuration2');
  if (!('pmus' in configuration)) throw new Error('no configuration');
  expect(configuration.pmus.map(({ idCode, stationName }) => [idCode, stationName])).toEqual([[8, 'STATION 2']]);
  const frame = decodeData(raw.bytes, layoutOf(configuration));
  if (!('blocks' in frame)) throw new Error('not decodable');
  expect(frame.blocks).toHaveLength(1);
  expect(Math.abs(tagUs(frame, configuration.timeBase) - (parseTime(decodeURIComponent(id)) ?? 0))).toBeLessThanOrEqual(
    1,
  );
  const senml = await http(running, 'GET', `${path}/${id}/content`);
  const frequency = (senml.json as unknown as { u?: string; v?: number }[]).find(({ u }) => u === 'Hz')?.v;
  expect(frame.blocks[0]?.frequency).toBeCloseTo(frequency ?? NaN, 4);
});

test('a configuration with another rate shows in the container, and moves those whose rate still divides it', async () => {
  const running = await startBroker();
  const pmus = stream(running, [1], 30);
  const kept = await subscribe(running, measurements('pmu-1'), { rate: 10 });
  const lost = await subscribe(running, measurements('pmu-1'), { rate: 15 });
  pmus.reports(50);
  const { json } = await http(running, 'GET', measurements('pmu-1'));
  expect(json).toMatchObject({ container: { reportingRate: 50 } });
  expect([kept.port.ended, lost.port.ended.map(({ ending }) => ending)]).toEqual([[], ['RATE_CHANGED']]);
});

test('a device that goes and comes again is found, and its PMUs keep their places', async () => {
  const running = await startBroker();
  const first = await simulate();
  await attach(running, 'line', first.uri);
  await flowing(running, 'pmu-1');
  const before = nodeAt(running, measurements('pmu-1'));
  const { port } = await subscribe(running, measurements('pmu-1'));
  await first.close();
  await until('it is lost', () => [...running.broker.sources.figures()].some(({ state }) => state === 'connecting'));
  const delivered = port.sent.length;
  const { port: tcpPort } = new URL(first.uri.replace('c37118+tcp', 'http'));
  await simulate({ listen: `tcp://127.0.0.1:${tcpPort}` });
  await until('it flows again', () => port.sent.length > delivered + 5);
  expect(nodeAt(running, measurements('pmu-1'))).toBe(before);
  await expectBalanced(running);
});
