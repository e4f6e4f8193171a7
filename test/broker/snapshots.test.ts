/** Snapshots of a group: read, observed whole and in parts, and taken as one C37.118 stream. */
import type { Notification } from '../../src/client/client.js';
import { GridcastError } from '../../src/client/error.js';
import { open } from '../../src/client/open.js';
import { decode } from '../../src/protocols/c37118/codec.js';
import { COMMANDS } from '../../src/protocols/c37118/command.js';
import { typeOf } from '../../src/protocols/c37118/frame.js';
import { isRefusal } from '../../src/errors.js';
import { readSenml, type SenmlRecord } from '../../src/protocols/senml-reader.js';
import { describeJudged, fieldsOf, judge } from '../support/synphasor.js';
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

const GROUP = '/m2m/groups/west';
const IDS = [7, 8, 9];

async function grid(attributes: object = {}, pmus = 3): Promise<{ running: RunningBroker; uri: string }> {
  const running = await start({ c37118Out: 0 });
  const { uri } = await simulate({ idcode: '7', pmus: String(pmus) });
  await http(running, 'POST', '/m2m/applications', { application: { appId: 'line', aPoC: uri } });
  await until('all send', () => running.broker.findStream(6 + pmus));
  const reference = Array.from({ length: pmus }, (_, index) => `/m2m/applications/pmu-${7 + index}`);
  const { status, sentence } = await http(running, 'POST', '/m2m/groups', {
    group: { id: 'west', memberType: 'APPLICATION', members: { reference }, snapshotRate: 30, ...attributes },
  });
  expect([status, sentence]).toEqual([201, '']);
  return { running, uri };
}
const figure = (running: RunningBroker, name: string): number =>
  Number(Object.entries([...running.broker.snapshots.figures()][0]?.[1] ?? {}).find(([each]) => each === name)?.[1]);
const records = (mediaType: string, bytes: Uint8Array): readonly SenmlRecord[] => {
  const read = readSenml(mediaType, bytes);
  if (isRefusal(read)) throw new Error(read.detail);
  return read;
};
/** Until the client is closed, which ends the iteration one way or the other. */
async function hear(samples: AsyncIterable<Notification>, take: (sample: Notification) => void): Promise<void> {
  try {
    for await (const sample of samples) take(sample);
  } catch (error) {
    if (!(error instanceof GridcastError)) throw error;
  }
}
const valuesOf = (list: readonly SenmlRecord[], name: string) =>
  list.filter((each) => each.name.endsWith(`/${name}`)).map(({ value }) => value);

test('the last set is read over HTTP: all members of one slot, each with its own pack', async () => {
  const { running } = await grid();
  await until('ten sets are complete', () => figure(running, 'complete') >= 10);
  const whole = await http(running, 'GET', `${GROUP}/snapshot`);
  expect(whole.headers.get('content-type')).toContain('application/senml+json');
  const list = records('application/senml+json', whole.bytes);
  expect([valuesOf(list, 'members'), valuesOf(list, 'present')]).toEqual([[3], [3]]);
  expect(list.filter(({ name }) => name.endsWith('/frequency')).map(({ name }) => name)).toEqual(
    IDS.map((id) => `pmu-${id}/frequency`),
  );
  expect(figure(running, 'incomplete')).toBe(0);
  expect((await http(running, 'GET', `${GROUP}/snapshot/7`)).status).toBe(404);
  expect((await http(running, 'PUT', `${GROUP}/snapshot`, {})).status).toBe(405);
});

test('its parts are observed over CoAP, a datagram each, with fixed members that together are all', async () => {
  const { running } = await grid({ snapshotRate: 10 }, 6);
  await until('sets come', () => figure(running, 'complete') >= 5);
  const client = await open(running.coap);
  whenStageCloses(() => client.close());
  const heard: { part: number; names: string; bytes: number }[] = [];
  let parts = 0;
  while ((await http(running, 'GET', `${GROUP}/snapshot/${parts}`)).status === 200) parts++;
  expect(parts).toBeGreaterThan(1);
  for (let part = 0; part < parts; part++) {
    void hear(client.observe(`${GROUP}/snapshot/${part}`), ({ body, mediaType }) => {
      const names = records(mediaType, body)
        .filter(({ name }) => name.endsWith('/stat'))
        .map(({ name }) => name.split('/')[0]);
      heard.push({ part, names: names.join(' '), bytes: body.length });
    });
  }
  await until('ten of each', () => heard.length >= 10 * parts);
  expect(Math.max(...heard.map(({ bytes }) => bytes))).toBeLessThanOrEqual(1024);
  const layouts = Array.from({ length: parts }, (_, part) => [
    ...new Set(heard.filter((each) => each.part === part).map(({ names }) => names)),
  ]);
  for (const layout of layouts) expect(layout).toHaveLength(1);
  expect(layouts.flat().join(' ').split(' ')).toEqual([7, 8, 9, 10, 11, 12].map((id) => `pmu-${id}`));
});

test('whole over a WebSocket, at a rate that divides the group’s', async () => {
  const { running } = await grid();
  const client = await open(running.ws);
  whenStageCloses(() => client.close());
  const times: number[] = [];
  const present: unknown[] = [];
  void hear(client.observe(`${GROUP}/snapshot`, { rate: 5 }), ({ body, mediaType, timeUs }) => {
    present.push(...valuesOf(records(mediaType, body), 'present'));
    times.push(timeUs ?? NaN);
  });
  await until('six have come', () => times.length >= 6);
  expect(new Set(present)).toEqual(new Set([3]));
  times.slice(1).forEach((time, index) => expect(time - times[index]!).toBe(200_000));
});

test('a member that goes is said to be missing', async () => {
  const { running } = await grid();
  await until('sets come', () => figure(running, 'complete') >= 3);
  const before = figure(running, 'complete');
  await http(running, 'DELETE', '/m2m/applications/pmu-8/containers/measurements');
  const list = await until('one is missing', async () => {
    const { bytes } = await http(running, 'GET', `${GROUP}/snapshot`);
    const read = records('application/senml+json', bytes);
    return valuesOf(read, 'present')[0] === 2 ? read : undefined;
  });
  expect(list.filter(({ name }) => name.endsWith('/missing')).map(({ name }) => name)).toEqual(['pmu-8/missing']);
  expect(before).toBeGreaterThan(0);
});

test('a group without a rate has none and says how to have them, and has them when it gets one', async () => {
  const { running } = await grid({ snapshotRate: undefined });
  const none = await http(running, 'GET', `${GROUP}/snapshot`);
  expect([none.status, none.sentence]).toEqual([
    404,
    '/m2m/groups/west has no snapshots; give it a snapshotRate, in sets per second, to have them.',
  ]);
  for (const wrong of [{ snapshotRate: 2.5 }, { idCode: 0 }, { idCode: 65_535 }]) {
    const group = { memberType: 'APPLICATION', ...wrong };
    expect((await http(running, 'POST', '/m2m/groups', { group })).status).toBe(400);
  }
  await http(running, 'PUT', `${GROUP}/snapshotRate`, { snapshotRate: 15 });
  await until('sets come', () => figure(running, 'complete') >= 3);
  await http(running, 'DELETE', GROUP);
  expect([...running.broker.snapshots.figures()]).toEqual([]);
});

test('a group with an IDCODE is one C37.118 stream, whose blocks are the members’ own', async () => {
  const { running, uri } = await grid({ idCode: 500 });
  await until('sets come', () => figure(running, 'complete') >= 3);
  const { pairs } = await takenBothWays(running, uri, 500, 90);
  for (const [{ measurement }, original] of pairs) expect(measurement.frame()).toEqual(original.measurement.frame());
});

describeJudged('tshark', () => {
  test('reads the group’s stream, with the one that is gone as absent', async () => {
    const { running } = await grid({ idCode: 500 });
    await until('sets come', () => figure(running, 'complete') >= 3);
    const concentrator = await Concentrator.connect(running);
    concentrator.command(500, COMMANDS.sendConfiguration2);
    const configuration = decode(await concentrator.next('configuration2'));
    expect(configuration).toMatchObject({ streamId: 500, dataRate: 30, pmus: IDS.map((idCode) => ({ idCode })) });
    concentrator.command(500, COMMANDS.dataOn);
    await until('ten are complete', () => concentrator.data.length >= 10);
    await http(running, 'DELETE', '/m2m/applications/pmu-8/containers/measurements');
    const count = concentrator.data.length;
    await until('ten are not', () => concentrator.data.length >= count + 20);
    const words = judge(concentrator.frames.all);
    for (const text of words) {
      expect(text).toContain('[Checksum Status: Good]');
      expect(text).not.toMatch(/malformed/i);
    }
    expect(fieldsOf(words.at(-1)!, /Data error: (.*?) \(/g)).toEqual([
      expect.stringMatching(/Good/),
      expect.stringMatching(/test mode|absent/),
      expect.stringMatching(/Good/),
    ]);
    expect(concentrator.data.every((frame) => typeOf(frame) === 'data')).toBe(true);
  });
});
