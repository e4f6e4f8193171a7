/** `gridcast export` against a whole broker with its history on disk: what comes out is what was measured. */
import { readFileSync } from 'node:fs';
import { parquetReadObjects } from 'hyparquet';
import { runProgram } from '../../src/cli/program.js';
import type { Shell } from '../../src/cli/shell.js';
import { formatTime, parseTime, systemClock } from '../../src/clock.js';
import { systemDisk } from '../../src/disk.js';
import { isRefusal } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { systemNetwork } from '../../src/network.js';
import { systemRandom } from '../../src/random.js';
import { readCapture, recordingOf } from '../../src/sim/recording.js';
import { parseReplay, startReplay } from '../../src/sim/replay.js';
import { openLevel } from '../../src/store/level.js';
import {
  closeStage,
  container,
  http,
  nodeAt,
  startBroker,
  stream,
  START_US,
  until,
  whenStageCloses,
  type RunningBroker,
} from '../broker/stage.js';
import { describeWith } from '../interop/coap-capture.js';
import { zeekRows } from '../protocols/c37118/recordings.js';
import { hasCaptures } from '../scenario/replayed-grid.js';
import { temporaryFolder } from '../support/folder.js';

afterEach(closeStage);

const start = (flags: Parameters<typeof startBroker>[0] = {}): Promise<RunningBroker> =>
  startBroker(
    { pmuHistoryS: 3600, ...flags },
    { history: { disk: systemDisk, folder: temporaryFolder(), openIndex: openLevel } },
  );

async function run(...words: string[]) {
  const [out, complaints]: [string[], string[]] = [[], []];
  const shell: Shell = {
    clock: systemClock,
    isTerminal: false,
    interrupted: new AbortController().signal,
    print: (line) => out.push(line),
    write: (bytes) => out.push(Buffer.from(bytes).toString()),
    note: () => {},
    complain: (line) => complaints.push(line),
    paint: (_style, text) => text,
  };
  const exitCode = await runProgram(['export', ...words], shell);
  return { exitCode, out: out.join(''), complaint: complaints.join('\n') };
}

/** Rows as objects; none of these has a quote in it. */
function csvRows(text: string): Record<string, string>[] {
  const [head = '', ...lines] = text.trimEnd().split('\n');
  const names = head.split(',');
  return lines.map((line) => Object.fromEntries(line.split(',').map((cell, place) => [names[place] ?? '', cell])));
}

const tag = (slot: number): string => formatTime(START_US + Math.round((slot * 1e6) / 10));

describe('a PMU’s measurements', () => {
  /** The frequency says which slot it is. */
  const measured = (running: RunningBroker, seconds: number): void => {
    const source = stream(running, [61, 62], 10);
    for (let slot = 0; slot < seconds * 10; slot++)
      source.frame({ frequencyHz: 49 + slot / 1000, stat: slot % 2 === 0 ? 0 : 0x2000 });
  };

  test.each(['http', 'coap', 'ws'] as const)(
    'as CSV over %s: the slots asked for, each channel by name',
    async (binding) => {
      const running = await start();
      measured(running, 6);
      const uri = `${running[binding].replace(/\/m2m$/, '')}/m2m/applications/pmu-61`;
      const { exitCode, out, complaint } = await run(uri, '--from', tag(10), '--to', tag(50));
      expect({ exitCode, complaint }).toEqual({ exitCode: 0, complaint: '' });
      const rows = csvRows(out);
      expect(rows.map(({ time }) => time)).toEqual(Array.from({ length: 40 }, (_, n) => tag(10 + n)));
      expect(Object.keys(rows[0] ?? {})).toEqual([
        ...['time', 'created', 'id', 'quality', 'stat', 'time-quality', 'frequency', 'rocof'],
        ...['VA/magnitude', 'VA/angle', 'I_A/magnitude', 'I_A/angle', 'load/value', 'digital/0'],
      ]);
      for (const [n, row] of rows.entries())
        expect(row).toMatchObject({
          frequency: String(Math.fround(49 + (10 + n) / 1000)),
          quality: n % 2 === 0 ? 'good' : 'unsynchronised',
          'VA/magnitude': String(Math.fround(100.077583)),
        });
    },
  );

  test('of all applications as Parquet, read back by another reader', async () => {
    const running = await start();
    measured(running, 4);
    const out = `${temporaryFolder()}/grid.parquet`;
    const { exitCode, complaint } = await run(`${running.http}/m2m/applications`, '--format', 'parquet', '--out', out);
    expect({ exitCode, complaint }).toEqual({ exitCode: 0, complaint: '' });
    const bytes = readFileSync(out);
    const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
    const rows = (await parquetReadObjects({ file })) as {
      application: string;
      time: Date;
      frequency: number;
      quality: string;
    }[];
    expect(rows).toHaveLength(80);
    for (const application of ['pmu-61', 'pmu-62']) {
      const own = rows.filter((row) => row.application === application);
      expect(own.map(({ time }) => time.getTime())).toEqual(
        Array.from({ length: 40 }, (_, slot) => Math.floor((parseTime(tag(slot)) ?? 0) / 1000)),
      );
      expect(own.map(({ frequency }) => frequency)).toEqual(
        Array.from({ length: 40 }, (_, slot) => Math.fround(49 + slot / 1000)),
      );
      expect(own[1]).toMatchObject({ quality: 'unsynchronised' });
    }
    // What is there is not written over.
    expect((await run(`${running.http}/m2m/applications`, '--out', out)).exitCode).toBe(1);
  });
});

describe('any other container', () => {
  const senml = (running: RunningBroker, path: string, pack: object) =>
    http(running, 'POST', `${path}/contentInstances`, JSON.stringify(pack), {
      'content-type': 'application/senml+json',
    });

  test('a column a record name; names that appear later are left out and told, and NDJSON has them', async () => {
    const running = await start();
    const path = await container(running, { id: 'meter', storage: 'disk', durability: 'grouped' });
    const at = START_US / 1e6;
    for (let n = 0; n < 120; n++) {
      const extra = n === 110 ? [{ n: 'late', v: 1 }] : [];
      await senml(running, path, [
        { bn: 'meter-1/', bt: at + n, n: 'power', u: 'W', v: n / 4 },
        { n: 'closed', vb: n % 2 === 0 },
        ...extra,
      ]);
    }
    const csv = await run(`${running.http}${path}`);
    expect(csv.exitCode).toBe(0);
    expect(csv.complaint).toContain('1 values of meter-1/late have no column');
    const rows = csvRows(csv.out);
    expect(rows).toHaveLength(120);
    expect(rows[7]).toMatchObject({
      time: formatTime(START_US + 7e6),
      'meter-1/power': '1.75',
      'meter-1/closed': 'false',
    });
    const ndjson = await run(`${running.http}${path}/contentInstances`, '--format', 'ndjson');
    expect(ndjson.complaint).toBe('');
    const objects = ndjson.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { records: object[] });
    expect(objects[110]?.records).toContainEqual({ n: 'meter-1/late', v: 1 });
  });

  test('what is no SenML is exported as it was stored', async () => {
    const running = await start();
    const path = await container(running, { id: 'notes' });
    const instance = { id: 'n1', content: { contentType: 'text/plain', textContent: 'a "note", with both' } };
    await http(running, 'POST', `${path}/contentInstances`, { contentInstance: instance });
    const { out } = await run(`${running.http}${path}`);
    expect(out.split('\n')[0]).toBe('time,created,id,contentType,content');
    expect(out.split('\n')[1]).toMatch(/,n1,text\/plain,"a ""note"", with both"$/);
  });
});

test.each([
  [
    'an end before the beginning',
    ['http://127.0.0.1:1/m2m', '--from', '2026-11-23T08:15:00Z', '--to', '2026-11-23T08:14:00Z'],
    '--from must be before --to, and it is 2026-11-23T08:15:00.000000Z',
  ],
  ['a time that is none', ['http://127.0.0.1:1/m2m', '--from', 'noon'], 'Expected a date and time with zone'],
  [
    'a format nobody writes',
    ['http://127.0.0.1:1/m2m', '--format', 'xlsx'],
    'Allowed choices are csv, ndjson, parquet.',
  ],
])('%s ends with 2 and a sentence', async (_, words, sentence) => {
  const { exitCode, complaint } = await run(...words);
  expect(exitCode).toBe(2);
  expect(complaint).toContain(sentence);
});

describeWith({ '../shared/pmu-data': hasCaptures }, 'a capture that is replayed', () => {
  const FILE = '../shared/pmu-data/pcap/C37.118_1PMU_UDP.pcap';
  const FRAMES = 356;

  test('is exported with the values that an independent decoder printed of it', async () => {
    const captured = readCapture(await systemDisk.read(FILE));
    const recording = isRefusal(captured) ? captured : recordingOf(captured, 60);
    if (isRefusal(recording)) throw new Error(recording.detail);
    const tags = recording.frames.map(({ measuredUs }) => measuredUs);
    const options = parseReplay({ file: FILE, listen: ['udp://127.0.0.1:0'], stream: ['60'], loop: true });
    if (isRefusal(options)) throw new Error(options.detail);
    const surroundings = { clock: systemClock, network: systemNetwork, random: systemRandom, log: silentLog };
    const replay = await startReplay(options, { ...surroundings, disk: systemDisk });
    if (isRefusal(replay)) throw new Error(replay.detail);
    whenStageCloses(() => replay.close());
    const running = await start();
    const refusal = running.broker.sources.configure([`c37118+${replay.addresses[0] ?? ''}?idcode=60`]);
    expect(refusal).toBeUndefined();
    const measurements = '/m2m/applications/pmu-61/containers/measurements/contentInstances';
    const shiftOf = (times: ReadonlySet<number>): number | undefined => {
      for (const time of times) {
        const shift = time - (tags[0] ?? 0);
        if (shift % 1e6 === 0 && tags.every((other) => times.has(other + shift))) return shift;
      }
      return undefined;
    };
    const history = () => nodeAt(running, measurements)?.history;
    // A pass takes 7 s: `until` gives up after 10.
    for (const share of [1 / 2, 1]) await until('a pass goes on', () => (history()?.count ?? 0) >= FRAMES * share);
    const shift = await until('a whole pass is there', () =>
      shiftOf(
        new Set(
          history()
            ?.newest()
            .map(({ measuredUs }) => measuredUs),
        ),
      ),
    );
    const { exitCode, out } = await run(`${running.http}/m2m/applications/pmu-61`);
    expect(exitCode).toBe(0);
    const byTag = new Map(csvRows(out).map((row) => [parseTime(row.time ?? ''), row]));
    // Six decimals, a tie to the even digit, as C prints.
    const digits = (value: number): number => {
      const below = Math.floor(value * 1e6);
      const isTie = value * 1e6 - below === 0.5;
      return (isTie ? below + Math.abs(below % 2) : Math.round(value * 1e6)) / 1e6 + 0;
    };
    const exported = tags.map((each) => {
      const row = byTag.get(each + shift) ?? {};
      const of = (end: RegExp): number[] =>
        Object.entries(row).flatMap(([name, cell]) => (end.test(name) ? [Number(cell)] : []));
      return [...of(/\/magnitude$/), ...of(/\/angle$/), Number(row.frequency)].map(digits).join(' ');
    });
    const printed = zeekRows('1PMU_UDP').map(({ polar, deviationMHz }) =>
      [...polar.map(([magnitude]) => magnitude), ...polar.map(([, angle]) => angle), 50 + deviationMHz / 1000]
        .map(digits)
        .join(' '),
    );
    expect(exported).toHaveLength(FRAMES);
    expect(exported.sort()).toEqual(printed.sort());
  }, 60_000);
});
