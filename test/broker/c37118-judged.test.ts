/**
 * What a concentrator takes from the broker, judged by tshark's dissector: it reads of every PMU what it reads of the device's own
 * frames, word for word.
 */
import { COMMANDS } from '../../src/protocols/c37118/command.js';
import { typeOf } from '../../src/protocols/c37118/frame.js';
import { addressOf } from '../protocols/c37118/device.js';
import { describeJudged, fieldsOf, judge } from '../support/synphasor.js';
import { Concentrator } from './concentrator.js';
import { closeStage, http, simulate, startBroker, until } from './stage.js';

afterEach(closeStage);

const FRAMES = 20;
const GROUP = 500;
/** The PMUs of the stream with that IDCODE. */
const STATIONS = ['STATION 1', 'STATION 2', 'STATION 3'];

/** What tshark says of one data frame. */
interface Words {
  /** When, and how well that is known. */
  readonly time: string;
  /** By station: STAT, phasors, frequency, ROCOF, analogs, digitals. */
  readonly stations: ReadonlyMap<string, string>;
}

function wordsOf(text: string): Words {
  const [head = '', ...stations] = text.split(/^ +Station: /m);
  const time = head.slice(head.indexOf('SOC time stamp'), head.indexOf('Measurement data'));
  return {
    time,
    stations: new Map(
      stations.map((station) => {
        const [name = '', ...lines] = station.replace(/^ +Checksum:.*/ms, '').split('\n');
        return [name.replaceAll('"', '').trim(), lines.join('\n')];
      }),
    ),
  };
}

/** Takes a stream of each of those configurations, and data on top; what tshark says of the data. */
async function judged(concentrator: Concentrator, idCode: number): Promise<readonly Words[]> {
  concentrator.command(idCode, COMMANDS.sendConfiguration2);
  await concentrator.next('configuration2');
  concentrator.command(idCode, COMMANDS.dataOn);
  await until(`${FRAMES} frames of ${idCode}`, () => concentrator.data.length >= FRAMES);
  const frames = concentrator.frames.all.slice();
  const texts = judge(frames);
  expect(texts).toHaveLength(frames.length);
  for (const text of texts) expectGood(text);
  return texts.filter((_, index) => typeOf(frames[index]!) === 'data').map(wordsOf);
}

function expectGood(text: string): void {
  expect(text).toContain('[Checksum Status: Good]');
  expect(text).not.toMatch(/malformed|incorrect|exception/i);
}

/** Three PMUs behind a broker, and a group of them. */
async function grid(format: number) {
  const running = await startBroker({ c37118Out: 0 });
  const disturb = ['ambient', 'frequency-step', 'loss-of-lock:at=0.1'];
  const { uri } = await simulate({ idcode: '7', pmus: '3', format: String(format), disturb });
  await http(running, 'POST', '/m2m/applications', { application: { appId: 'line', aPoC: uri } });
  await until('all send', () => running.broker.findStream(9));
  const reference = [7, 8, 9].map((idCode) => `/m2m/applications/pmu-${idCode}`);
  const group = { id: 'west', memberType: 'APPLICATION', members: { reference }, snapshotRate: 30, idCode: GROUP };
  await http(running, 'POST', '/m2m/groups', { group });
  await until('sets come', () => running.broker.findStream(GROUP));
  return { running, device: await Concentrator.connect({ c37118Address: addressOf(uri).at }) };
}

describeJudged('tshark', () => {
  test.each([0, 1, 6, 15])(
    'reads of FORMAT %i, of one PMU and of a group, what it reads of the device',
    async (format) => {
      const { running, device } = await grid(format);
      const single = await Concentrator.connect(running);
      const group = await Concentrator.connect(running);
      const [sent, one, all] = await Promise.all([judged(device, 7), judged(single, 8), judged(group, GROUP)]);
      const originals = new Map(sent.map(({ time, stations }) => [time, stations]));
      const compare = (words: readonly Words[], names: readonly string[]): number =>
        words.filter(({ time, stations }) => {
          const original = originals.get(time);
          if (!original) return false;
          expect([...stations.keys()]).toEqual(names);
          for (const [name, text] of stations) expect(text).toBe(original.get(name));
          return true;
        }).length;
      expect(compare(one, [STATIONS[1]!])).toBeGreaterThanOrEqual(FRAMES / 2);
      expect(compare(all, STATIONS)).toBeGreaterThanOrEqual(FRAMES / 2);
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
