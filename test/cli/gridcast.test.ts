/** The program end to end: simulated PMUs, a broker and every command, each a process of its own. */
import { isRefusal } from '../../src/errors.js';
import { readSenml } from '../../src/protocols/senml-reader.js';
import { Program, run, stopPrograms } from '../support/program.js';

type Binding = 'http' | 'coap' | 'ws';
const BINDINGS: readonly Binding[] = ['http', 'coap', 'ws'];
const MEASUREMENTS = 'containers/measurements/contentInstances/latest/content';

let pmus: Program;
let broker: Program;
let roots: Record<Binding, string>;
const applications = (binding: Binding): string => `${roots[binding]}/applications`;

beforeAll(async () => {
  pmus = new Program('sim', 'pmu', '--listen', 'tcp://127.0.0.1:0', '--pmus', '3', '--rate', '30');
  const source = await pmus.told(/^listening tcp:\/\/(.+)$/);
  broker = new Program('serve', '--http', '0', '--coap', '0', '--pmu', `c37118+tcp://${source}?idcode=1`);
  const [http, ws, coap] = [
    await broker.told(/HTTP +(\S+)/),
    await broker.told(/WebSocket +(\S+)/),
    await broker.told(/CoAP +(\S+)/),
  ];
  roots = { http, ws, coap };
  while ((await run('get', `${applications('http')}/pmu-3/${MEASUREMENTS}`)).exitCode !== 0);
}, 30_000);
afterAll(stopPrograms);

interface Line {
  readonly binding: Binding;
  readonly time: string;
  readonly timeUs: number;
  readonly missed: number;
  readonly records: readonly { readonly n: string; readonly v?: number }[];
}
const parsed = (lines: readonly string[]): readonly Line[] => lines.map((line) => JSON.parse(line) as Line);
const fractionOf = ({ timeUs }: Line): number => timeUs % 1_000_000;

test('serve says what listens where, and three commands to try that are commands', async () => {
  const next = broker.lines.filter((line) => line.startsWith('  gridcast '));
  expect(next).toHaveLength(3);
  const [tree = '', observe = ''] = next.map((line) => line.trim().replace(/^gridcast /, ''));
  expect(await run(...tree.split(' '), '--depth', '1')).toMatchObject({ exitCode: 0 });
  expect(await run(...observe.split(' '), '-n', '1')).toMatchObject({ exitCode: 0 });
});

test.each([
  [['--gt', 'much'], "option '--gt <N>' argument 'much' is invalid. Expected a decimal number, such as 49.8 or -0.5."],
  [['--st', '0'], "option '--st <N>' argument '0' is invalid. Expected a number above 0, such as 5, 0.5 or 1/10."],
  [['--edge', 'up'], "option '--edge <EDGE>' argument 'up' is invalid. Allowed choices are falling, rising."],
  [['--method', 'sum'], 'Allowed choices are first, last, mean, min, max, fir.'],
  [['--band'], 'c.band needs c.gt, c.lt or both: the ends of the band.'],
  [['--field', 'power'], 'give a condition with them: c.gt, c.lt, c.st or c.edge.'],
  [['--gt', '1', '--epmin', '2', '--epmax', '1'], 'c.epmax 1 s must be above c.epmin 2 s.'],
])('observe %j ends with 2 and a sentence', async (flags, sentence) => {
  const { exitCode, complaint } = await run('observe', `${applications('ws')}/pmu-1/${MEASUREMENTS}`, ...flags);
  expect(exitCode).toBe(2);
  expect(complaint).toContain(sentence);
});

describe.each(BINDINGS)('observe over %s', (binding) => {
  const uri = (pmu: string): string => `${applications(binding)}/${pmu}/${MEASUREMENTS}`;

  test('prints a line per sample at the rate asked for, at the instants of its grid', async () => {
    const { exitCode, lines } = await run('observe', uri('pmu-2'), '--rate', '5', '-n', '6');
    expect(exitCode).toBe(0);
    expect(lines).toHaveLength(6);
    for (const line of lines) {
      expect(line).toMatch(
        new RegExp(`^${binding} pmu-2 \\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.[02468]00000Z \\d\\d\\.\\d{4} Hz$`),
      );
    }
  });

  test('prints JSON whose samples follow each other without a gap', async () => {
    const { lines } = await run('observe', uri('pmu-1'), '--rate', '10', '--count', '12', '--json');
    const samples = parsed(lines);
    expect(samples).toHaveLength(12);
    for (const [index, sample] of samples.entries()) {
      expect(sample).toMatchObject({ binding, missed: 0 });
      expect(fractionOf(sample) % 100_000).toBe(0);
      if (index > 0) expect(sample.timeUs - (samples[index - 1]?.timeUs ?? 0)).toBe(100_000);
    }
  });

  test('ends with 1 and the broker’s sentence for a rate that does not divide', async () => {
    const { exitCode, complaint } = await run('observe', uri('pmu-1'), '--rate', '7');
    expect(exitCode).toBe(1);
    expect(complaint).toContain('rate 7 does not divide the source');
    expect(complaint).toContain('30, 15, 10, 6, 5, 3, 2, 1');
  });

  test('tells of what meets its conditions, and of what a method makes', async () => {
    const frequency = ({ records }: Line): number => records.find(({ n }) => n.endsWith('frequency'))?.v ?? 0;
    const banded = ['--gt', '0', '--lt', '1', '--band', '--pmax', '0.5', '--field', 'frequency'];
    const { lines } = await run('observe', uri('pmu-1'), ...banded, '-n', '3', '--json');
    const times = parsed(lines).map(({ timeUs }) => timeUs);
    for (const [index, timeUs] of times.slice(1).entries()) expect(timeUs - (times[index] ?? 0)).toBe(500_000);
    const means = await run('observe', uri('pmu-1'), '--method', 'mean', '--rate', '5', '-n', '2', '--json');
    for (const line of parsed(means.lines)) expect(frequency(line)).toBeGreaterThan(40);
  });

  test('ends with 1 for a PMU that is not there', async () => {
    expect(await run('observe', uri('pmu-99'))).toMatchObject({
      exitCode: 1,
      complaint: expect.stringContaining('pmu-99') as string,
    });
  });

  test('ends with 130 when interrupted', async () => {
    const program = new Program('observe', uri('pmu-1'));
    await program.told(/Hz$/);
    expect(await program.stop('SIGINT')).toBe(130);
    expect(program.complaint).toBe('');
  });

  test('ends in peace when its reader has had enough', async () => {
    const program = new Program('observe', uri('pmu-1'));
    await program.told(/Hz$/);
    program.process.stdout?.destroy();
    expect(await program.ended()).toBe(0);
    expect(program.complaint).toBe('');
  });

  test('ends after its time, with 1 if fewer came than were wanted', async () => {
    expect(await run('observe', uri('pmu-1'), '--timeout', '0.5')).toMatchObject({ exitCode: 0, complaint: '' });
    const { exitCode, complaint } = await run('observe', uri('pmu-1'), '-n', '1000', '--timeout', '0.5');
    expect(exitCode).toBe(1);
    expect(complaint).toMatch(/^gridcast: \d+ samples? came within 0\.5 s, not 1000\.$/);
  });
});

test('the same sample has the same values over every binding and in every format', async () => {
  const observers = [
    ...BINDINGS.map((binding) => ({ binding, accept: 'senml+json' })),
    { binding: 'coap', accept: 'senml+cbor' } as const,
    { binding: 'http', accept: 'senml+cbor' } as const,
  ];
  const all = await Promise.all(
    observers.map(async ({ binding, accept }) => {
      const uri = `${applications(binding)}/pmu-1/${MEASUREMENTS}`;
      const { lines } = await run('observe', uri, '--rate', '5', '-n', '15', '--json', '--accept', accept);
      return new Map(parsed(lines).map(({ timeUs, records }) => [timeUs, records]));
    }),
  );
  const [first, ...others] = all;
  if (!first) throw new Error('nobody observed');
  const common = [...first.keys()].filter((timeUs) => others.every((other) => other.has(timeUs)));
  expect(common.length).toBeGreaterThan(5);
  for (const timeUs of common) for (const other of others) expect(other.get(timeUs)).toEqual(first.get(timeUs));
});

describe.each(BINDINGS)('get, post, put and delete over %s', (binding) => {
  test('a container and its content, from beginning to end', async () => {
    const container = `${roots[binding]}/containers/load-${binding}`;
    const post = await run('post', `${roots[binding]}/containers`, `{"container":{"id":"load-${binding}"}}`);
    expect(post).toMatchObject({ exitCode: 0, out: `/m2m/containers/load-${binding}` });
    expect(await run('put', container, '{"container":{"maxNrOfInstances":3}}')).toMatchObject({ exitCode: 0 });
    expect(JSON.parse((await run('get', container)).out)).toMatchObject({ container: { maxNrOfInstances: 3 } });
    await run('post', `${container}/contentInstances`, '21.5 °C', '--type', 'text');
    const got = await run('get', `${container}/contentInstances/latest/content`, '--json');
    expect(JSON.parse(got.out)).toMatchObject({
      status: 'STATUS_OK',
      code: 200,
      mediaType: 'text/plain',
      textContent: '21.5 °C',
    });
    expect(await run('delete', container)).toMatchObject({ exitCode: 0, out: '' });
    const gone = await run('get', container);
    expect(gone).toMatchObject({ exitCode: 1, out: '' });
    expect(gone.complaint).toMatch(/load-.* \(404 STATUS_NOT_FOUND\)$/);
  });

  test('a sample in the format asked for', async () => {
    const { out } = await run('get', `${applications(binding)}/pmu-1/${MEASUREMENTS}`, '--accept', 'senml+json');
    const records = readSenml('application/senml+json', Buffer.from(out));
    expect(isRefusal(records) ? records : records.map(({ name }) => name)).toContain('pmu-1/frequency');
  });

  test('a body longer than a datagram', async () => {
    const containers = `${roots[binding]}/containers`;
    await run('post', containers, `{"container":{"id":"long-${binding}"}}`);
    const text = 'gridcast '.repeat(1000);
    expect(await run('post', `${containers}/long-${binding}/contentInstances`, text, '--type', 'text')).toMatchObject({
      exitCode: 0,
    });
    expect((await run('get', `${containers}/long-${binding}/contentInstances/latest/content`)).out).toBe(text);
  });
});

describe('a command', () => {
  let device: Program;
  beforeAll(async () => {
    device = new Program('sim', 'device', `${applications('ws')}/pmu-1`, '--delay', '0.05');
    await device.told(/^attached /);
  });
  afterAll(() => device.stop());

  test.each(BINDINGS)('over %s is executed by the device, and ends with 0', async (binding) => {
    const id = `open-${binding}`;
    const { exitCode, lines } = await run(
      'command',
      `${applications(binding)}/pmu-1`,
      '--point',
      'breaker-1',
      '--value',
      'open',
      '--deadline',
      '5000',
      '--id',
      id,
    );
    expect(exitCode).toBe(0);
    expect(lines[0]).toMatch(new RegExp(`^${id} accepted after \\d+ ms$`));
    expect(lines.at(-1)).toMatch(new RegExp(`^${id} executed after \\d+ ms$`));
    expect(device.lines).toContain(`command ${id} breaker-1 "open"`);
  });

  test('that the device rejects ends with 1, and says why', async () => {
    const refusing = new Program('sim', 'device', `${applications('ws')}/pmu-2`, '--reject', 'interlocked');
    await refusing.told(/^attached /);
    const { exitCode, complaint } = await run(
      'command',
      `${applications('ws')}/pmu-2`,
      '--point',
      'breaker-1',
      '--value',
      'close',
    );
    await refusing.stop();
    expect(exitCode).toBe(1);
    expect(complaint).toBe('gridcast: The command was not executed: rejected, interlocked.');
  });

  test('that no device is there for expires, and ends with 1', async () => {
    const { exitCode, complaint } = await run(
      'command',
      `${applications('ws')}/pmu-3`,
      '--point',
      'breaker-1',
      '--value',
      '1',
      '--deadline',
      '100',
      '--json',
    );
    expect(exitCode).toBe(1);
    expect(complaint).toContain('expired');
  });
});

test('tree draws the resource tree, PMUs with their containers', async () => {
  const { exitCode, out } = await run('tree', `${roots.http}/applications/pmu-1`);
  expect(exitCode).toBe(0);
  expect(out).toMatch(/^\/m2m\/applications\/pmu-1 application$/m);
  for (const container of ['measurements', 'descriptor', 'alarms', 'commands', 'health'])
    expect(out).toMatch(new RegExp(`[├└]── ${container} container$`, 'm'));
  expect(out).toMatch(/contentInstances \(\d+ instances\)/);
  const { lines } = await run('tree', `${roots.coap}/applications/pmu-1`, '--json', '--depth', '1');
  expect(JSON.parse(lines[0] ?? '')).toEqual({ at: '/m2m/applications/pmu-1', type: 'application', depth: 0 });
});

test('top prints the rates once when piped', async () => {
  const { exitCode, out } = await run('top', roots.http.replace('/m2m', ''), '--interval', '1');
  expect(exitCode).toBe(0);
  const [, published] = /^samples_published +(\d+(?:\.\d+)?)\/s$/m.exec(out) ?? [];
  expect(Number(published)).toBeGreaterThan(60);
  expect(Number(published)).toBeLessThan(120);
});

describe('a broker that is told to end', () => {
  test.each([
    ['SIGTERM', 0],
    ['SIGINT', 130],
  ] as const)('by %s does so in order with %i, within 5 s, and tells its observers', async (signal, exitCode) => {
    const own = new Program('serve', '--http', '0', '--coap', '0');
    const root = await own.told(/WebSocket +(\S+)/);
    const container = `${root}/containers/load`;
    const store = () => run('post', `${container}/contentInstances`, '1', '--type', 'text');
    await run('post', `${root}/containers`, '{"container":{"id":"load"}}');
    await store();
    const observer = new Program('observe', `${container}/contentInstances/latest/content`);
    while (observer.lines.length === 0) await store();
    const startMs = Date.now();
    expect(await own.stop(signal)).toBe(exitCode);
    expect(Date.now() - startMs).toBeLessThan(5_000);
    expect(await observer.ended()).toBe(1);
    expect(observer.complaint).toMatch(/^gridcast: .*stopping/);
  });
});
