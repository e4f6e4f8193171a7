/** `gridcast demo` as a stranger runs it, its output piped. */
import { existsSync, readFileSync } from 'node:fs';
import { Program, stopPrograms } from '../support/program.js';

afterEach(stopPrograms);

const START_LIMIT_MS = 5_000;
const END_LIMIT_MS = 5_000;

/** The processes that a process has started, with their command lines; Linux tells. */
const childrenOf = (pid: number): readonly { readonly pid: number; readonly words: readonly string[] }[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter((text) => text !== '')
    .map((text) => ({ pid: Number(text), words: readFileSync(`/proc/${text}/cmdline`, 'utf8').split('\0') }));

const isLinux = existsSync(`/proc/${process.pid}/task/${process.pid}/children`);
if (!isLinux) console.warn('skipped: only Linux tells the children of a process');
const onLinux = isLinux ? test : test.skip;

const LINE = (binding: string, pmu: string): RegExp =>
  new RegExp(`^${binding} ${pmu} \\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z \\d\\d\\.\\d{4} Hz$`);
const firstSamples = (demo: Program) =>
  Promise.all([demo.told(LINE('coap', 'pmu-1')), demo.told(LINE('ws', 'pmu-2')), demo.told(LINE('http', 'pmu-3'))]);

onLinux('samples come over all three bindings within 5 s, and SIGINT ends every process', async () => {
  const startMs = Date.now();
  const demo = new Program('demo');
  await firstSamples(demo);
  expect(Date.now() - startMs).toBeLessThan(START_LIMIT_MS);
  const children = childrenOf(demo.pid);
  expect(children).toHaveLength(5);
  const endMs = Date.now();
  expect(await demo.stop('SIGINT')).toBe(130);
  expect(Date.now() - endMs).toBeLessThan(END_LIMIT_MS);
  expect(children.filter(({ pid }) => existsSync(`/proc/${pid}`))).toEqual([]);
  expect(demo.complaint).toBe('');
});

onLinux('a part that dies is named with its reason, and the demo ends with 1', async () => {
  const demo = new Program('demo');
  await firstSamples(demo);
  const children = childrenOf(demo.pid);
  const broker = children.find(({ words }) => words.includes('serve'));
  if (!broker) throw new Error('there is no broker');
  process.kill(broker.pid, 'SIGKILL');
  expect(await demo.ended()).toBe(1);
  expect(demo.complaint).toMatch(/^gridcast: (serve has ended: SIGKILL|observe \w+ has ended: )/);
  expect(children.filter(({ pid }) => existsSync(`/proc/${pid}`))).toEqual([]);
});

test('--seconds ends it by itself, with 0', async () => {
  const demo = new Program('demo', '--seconds', '4');
  expect(await demo.ended()).toBe(0);
  expect(demo.lines.length).toBeGreaterThan(3);
});

test('two demos at once get along: the second takes other ports', async () => {
  const [one, other] = [new Program('demo'), new Program('demo')];
  await Promise.all([firstSamples(one), firstSamples(other)]);
  expect(await Promise.all([one.stop(), other.stop()])).toEqual([143, 143]);
});
