/**
 * What a concentrator takes from the broker, judged by tshark's dissector: it reads of every PMU what it reads of the device's own
 * frames, word for word.
 */
import { existsSync } from 'node:fs';
import { systemClock } from '../../src/clock.js';
import { systemDisk } from '../../src/disk.js';
import { isRefusal } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { systemNetwork } from '../../src/network.js';
import { decode } from '../../src/protocols/c37118/codec.js';
import { COMMANDS } from '../../src/protocols/c37118/command.js';
import { reportingRate, type Configuration } from '../../src/protocols/c37118/configuration.js';
import { readHead, typeOf, viewOf } from '../../src/protocols/c37118/frame.js';
import { slotOf } from '../../src/protocols/c37118/time.js';
import { systemRandom } from '../../src/random.js';
import { parseReplay, startReplay } from '../../src/sim/replay.js';
import { addressOf } from '../protocols/c37118/device.js';
import { describeJudged, fieldsOf, judge } from '../support/synphasor.js';
import { Concentrator } from './concentrator.js';
import { closeStage, http, simulate, startBroker, until, whenStageCloses, type RunningBroker } from './stage.js';

afterEach(closeStage);

const CAPTURE = '../shared/pmu-data/pcap/C37.118_2PMUsInSync_TCP.pcap';
const testCaptured = existsSync(CAPTURE) ? test : test.skip;
const FRAMES = 20;
const GROUP = 500;
/** The PMUs of the stream with that IDCODE. */
const STATIONS = ['STATION 1', 'STATION 2', 'STATION 3'];

/** What tshark says of one data frame. */
interface Words {
  /** Of its second, and that: what frames of one instant share, whatever their TIME_BASE. */
  readonly slot: string;
  /** When, and how well that is known. */
  readonly time: string;
  /** By station: STAT, phasors, frequency, ROCOF, analogs, digitals. */
  readonly stations: ReadonlyMap<string, string>;
}

function wordsOf(text: string, frame: Uint8Array, configuration: Configuration): Words {
  const { soc, slot } = slotOf(readHead(viewOf(frame)), configuration.timeBase, reportingRate(configuration));
  const [head = '', ...stations] = text.split(/^ +Station: /m);
  const time = head.slice(head.indexOf('SOC time stamp'), head.indexOf('Measurement data'));
  return {
    slot: `${soc} ${slot}`,
    time,
    stations: new Map(
      stations.map((station) => {
        const [name = '', ...lines] = station.replace(/^ +Checksum:.*/ms, '').split('\n');
        return [name.replaceAll('"', '').trim(), lines.join('\n')];
      }),
    ),
  };
}

interface Taken {
  readonly configuration: Configuration;
  readonly frames: readonly Uint8Array[];
}

/** Takes a stream, its configuration first. */
async function take(concentrator: Concentrator, idCode: number): Promise<Taken> {
  concentrator.command(idCode, COMMANDS.sendConfiguration2);
  const configuration = decode(await concentrator.next('configuration2'));
  if (configuration.kind !== 'configuration2') throw new Error(`a ${configuration.kind} frame`);
  concentrator.command(idCode, COMMANDS.dataOn);
  await until(`${FRAMES} frames of ${idCode}`, () => concentrator.data.length >= FRAMES);
  return { configuration, frames: concentrator.frames.all.slice() };
}

/** What tshark says of the data. It holds up this process: not before all has been taken that is compared. */
function judged({ configuration, frames }: Taken): readonly Words[] {
  const texts = judge(frames);
  expect(texts).toHaveLength(frames.length);
  for (const text of texts) expectGood(text);
  return texts.flatMap((text, index) => {
    const frame = frames[index]!; // as many as texts
    return typeOf(frame) === 'data' ? [wordsOf(text, frame, configuration)] : [];
  });
}

/** Every frame of `taken` whose instant a device sent too says of each station what that said; at least half of them are such. */
function expectSame(taken: readonly Words[], devices: readonly (readonly Words[])[], names: readonly string[]): void {
  const sent = devices.map((words) => new Map(words.map((each) => [each.slot, each])));
  const originals = taken.flatMap(({ slot, time, stations }) => {
    const found = sent.flatMap((device) => device.get(slot) ?? []);
    if (found.length < devices.length) return [];
    expect([...stations.keys()]).toEqual(names);
    for (const [name, text] of stations)
      expect(text).toBe(found.map((original) => original.stations.get(name)).find((words) => words !== undefined));
    return [{ time, original: found[0]?.time }];
  });
  expect(originals.length).toBeGreaterThanOrEqual(FRAMES / 2);
  for (const { time, original } of originals) expect(time).toBe(original);
}

function expectGood(text: string): void {
  expect(text).toContain('[Checksum Status: Good]');
  expect(text).not.toMatch(/malformed|incorrect|exception/i);
}

async function group(running: RunningBroker, idCodes: readonly number[], snapshotRate: number): Promise<void> {
  const reference = idCodes.map((idCode) => `/m2m/applications/pmu-${idCode}`);
  const west = { id: 'west', memberType: 'APPLICATION', members: { reference }, snapshotRate, idCode: GROUP };
  await http(running, 'POST', '/m2m/groups', { group: { ...west, snapshotWait: 1000 } });
  // From the first complete one on all are: it has taken those with it that began before the group listened.
  await until('sets are complete', () => [...running.broker.snapshots.figures()].some(([, each]) => each.complete > 0));
}

/** Three PMUs behind a broker, and a group of them. */
async function grid(format: number) {
  const running = await startBroker({ c37118Out: 0 });
  const disturb = ['ambient', 'frequency-step', 'loss-of-lock:at=0.1'];
  const { uri } = await simulate({ idcode: '7', pmus: '3', format: String(format), disturb });
  await http(running, 'POST', '/m2m/applications', { application: { appId: 'line', aPoC: uri } });
  await until('all send', () => running.broker.findStream(9));
  await group(running, [7, 8, 9], 30);
  return { running, device: await Concentrator.connect({ c37118Address: addressOf(uri).at }) };
}

describeJudged('tshark', () => {
  test.each([0, 1, 6, 15])(
    'reads of FORMAT %i, of one PMU and of a group, what it reads of the device',
    async (format) => {
      const { running, device } = await grid(format);
      const single = await Concentrator.connect(running);
      const whole = await Concentrator.connect(running);
      const taken = await Promise.all([take(device, 7), take(single, 8), take(whole, GROUP)]);
      const [sent, one, all] = taken.map(judged) as [readonly Words[], readonly Words[], readonly Words[]];
      expectSame(one, [sent], STATIONS.slice(1, 2));
      expectSame(all, [sent], STATIONS);
      // The words that were compared are those of a measurement.
      for (const word of [
        'Data error',
        'Time synchronized',
        'Phasor #6',
        'requency',
        'Rate of change',
        'Digital status word',
      ])
        expect(all.at(-1)?.stations.get(STATIONS[2]!)).toContain(word);
    },
  );

  testCaptured('reads of two captured devices, alone and as a group, what it reads of the devices', async () => {
    const running = await startBroker({ c37118Out: 0 });
    const listen = ['tcp://127.0.0.1:0', 'tcp://127.0.0.1:0'];
    const options = parseReplay({ file: CAPTURE, listen, stream: ['60', '241'], loop: true });
    if (isRefusal(options)) throw new Error(options.detail);
    const surroundings = { clock: systemClock, network: systemNetwork, random: systemRandom, log: silentLog };
    const replay = await startReplay(options, { ...surroundings, disk: systemDisk });
    if (isRefusal(replay)) throw new Error(replay.detail);
    whenStageCloses(() => replay.close());
    const uris = [60, 241].map((idCode, index) => `c37118+${replay.addresses[index] ?? ''}?idcode=${idCode}`);
    expect(running.broker.sources.configure(uris)).toBeUndefined();
    await until('both send', () => running.broker.findStream(61) && running.broker.findStream(241));
    await group(running, [61, 241], 50);
    const devices = await Promise.all(uris.map((uri) => Concentrator.connect({ c37118Address: addressOf(uri).at })));
    const single = await Concentrator.connect(running);
    const both = await Concentrator.connect(running);
    const taken = await Promise.all([
      take(devices[0]!, 60),
      take(devices[1]!, 241),
      take(single, 241),
      take(both, GROUP),
    ]);
    const [pmu1, blue, alone, together] = taken.map(judged) as [
      readonly Words[],
      readonly Words[],
      readonly Words[],
      readonly Words[],
    ];
    expectSame(alone, [blue], ['Blue PMU']);
    // Their time bases differ; the group has that of the first.
    expectSame(together, [pmu1, blue], ['PMU1', 'Blue PMU']);
  });

  test('reads CFG-1, CFG-2 and CFG-3 of a PMU and of a group without a complaint, and in each the same channels', async () => {
    const { running } = await grid(15);
    for (const [idCode, stations] of [
      [8, STATIONS.slice(1, 2)],
      [GROUP, STATIONS],
    ] as const) {
      const concentrator = await Concentrator.connect(running);
      const { sendConfiguration1, sendConfiguration2, sendConfiguration3 } = COMMANDS;
      for (const code of [sendConfiguration1, sendConfiguration2, sendConfiguration3])
        concentrator.command(idCode, code);
      await until('all three have come', () => concentrator.frames.all.length >= 3);
      const texts = judge(concentrator.frames.all);
      texts.forEach(expectGood);
      const channels = texts.map((text) =>
        fieldsOf(text, /(?:Phasor name|Analog value|Digital status word) #\d+: *"(.*?) *"/g),
      );
      expect(channels[0]!.length).toBeGreaterThanOrEqual(7 * stations.length);
      expect(channels[1]).toEqual(channels[0]);
      expect(channels[2]).toEqual(channels[0]);
      for (const text of texts) {
        expect(fieldsOf(text, /Station #\d+: "(.*?) *"/g)).toEqual(stations);
        expect(text).toContain(`${stations.length} PMU(s) included`);
        expect(text).toContain('Rate of transmission: 30 frame(s) per second');
      }
    }
  });
});
