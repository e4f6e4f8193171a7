/**
 * `npm run bench -- [NAME ...] [--quick] [--only CONTENDER]`: each bench prints its tables; without a name all are run, but those that
 * take long. What was measured in full takes its section's place in RESULTS.md, under the machine and the command that made it,
 * and leaves its figures as JSON and its plots as SVG in results/. How all stand to the targets is put together from these.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { commands, FULL as COMMANDS_FULL, QUICK as COMMANDS_QUICK } from './commands.js';
import { crashPeers, FULL as CRASH_PEERS_FULL, QUICK as CRASH_PEERS_QUICK } from './crash-peers.js';
import { fanout, FULL as FANOUT_FULL, QUICK as FANOUT_QUICK } from './fanout.js';
import { machine } from './figures.js';
import { FULL as HISTORY_FULL, history, QUICK as HISTORY_QUICK } from './history.js';
import { FULL as LATENCY_FULL, latency, QUICK as LATENCY_QUICK } from './latency.js';
import { FULL as MEMORY_FULL, memory, QUICK as MEMORY_QUICK } from './memory.js';
import { FULL as SCALING_FULL, QUICK as SCALING_QUICK, scaling } from './scaling.js';
import { FULL as TABLE2_FULL, QUICK as TABLE2_QUICK, table2 } from './table2.js';
import { targetTable, type Outcome, type TargetRow } from './targets.js';

const RESULTS = fileURLToPath(new URL('./RESULTS.md', import.meta.url));
const FIGURES = fileURLToPath(new URL('./results/', import.meta.url));
const BENCHES = {
  fanout: { run: fanout, full: FANOUT_FULL, quick: FANOUT_QUICK },
  table2: { run: table2, full: TABLE2_FULL, quick: TABLE2_QUICK },
  memory: { run: memory, full: MEMORY_FULL, quick: MEMORY_QUICK },
  scaling: { run: scaling, full: SCALING_FULL, quick: SCALING_QUICK },
  latency: { run: latency, full: LATENCY_FULL, quick: LATENCY_QUICK },
  commands: { run: commands, full: COMMANDS_FULL, quick: COMMANDS_QUICK },
  'crash-peers': { run: crashPeers, full: CRASH_PEERS_FULL, quick: CRASH_PEERS_QUICK },
  history: { run: history, full: HISTORY_FULL, quick: HISTORY_QUICK },
} as const;
type Name = keyof typeof BENCHES;
const isName = (name: string): name is Name => Object.hasOwn(BENCHES, name);

/** Puts a section where its marks are, or at the end; what was written by hand around it stays. */
function record(name: string, text: string): void {
  const [begin, end] = [`<!-- ${name}: generated -->`, `<!-- ${name}: end -->`];
  const section = `${begin}\n\n${text}\n\n${end}`;
  const before = existsSync(RESULTS) ? readFileSync(RESULTS, 'utf8') : '# Results\n';
  const [from, to] = [before.indexOf(begin), before.indexOf(end)];
  const after =
    from < 0 || to < from
      ? `${before.trimEnd()}\n\n${section}\n`
      : before.slice(0, from) + section + before.slice(to + end.length);
  writeFileSync(RESULTS, after);
}

/** Keeps the figures and plots of a bench, and renews the section of the targets out of all that are kept. */
function keep(name: string, provenance: string, { figures, plots = {}, targets = [] }: Outcome): void {
  mkdirSync(FIGURES, { recursive: true });
  if (figures !== undefined)
    writeFileSync(`${FIGURES}${name}.json`, `${JSON.stringify({ provenance, targets, figures })}\n`);
  for (const [plot, svg] of Object.entries(plots)) writeFileSync(`${FIGURES}${plot}.svg`, svg);
  const all = readdirSync(FIGURES)
    .filter((file) => file.endsWith('.json'))
    .flatMap((file) => (JSON.parse(readFileSync(FIGURES + file, 'utf8')) as { targets: TargetRow[] }).targets);
  if (all.length > 0) record('targets', `## targets\n\n${targetTable(all)}`);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { quick: { type: 'boolean', default: false }, only: { type: 'string' } },
    allowPositionals: true,
  });
  const names = positionals.length > 0 ? positionals : Object.keys(BENCHES);
  for (const name of names) {
    if (!isName(name))
      throw new Error(`there is no bench ${JSON.stringify(name)}; there are ${Object.keys(BENCHES).join(' and ')}`);
    const { run, full, quick } = BENCHES[name];
    const effort = { ...(values.quick ? quick : full), ...(values.only !== undefined && { only: values.only }) };
    const result = await (run as (e: typeof effort, p: (line: string) => void) => Promise<string | Outcome>)(
      effort,
      (line) => console.error(line),
    );
    const outcome: Outcome = typeof result === 'string' ? { text: result } : result;
    const provenance = `${machine()}; ${new Date().toISOString().slice(0, 10)}; \`npm run bench -- ${name}${values.quick ? ' --quick' : ''}\``;
    const plots = Object.keys(outcome.plots ?? {}).map((plot) => `![${plot}](results/${plot}.svg)`);
    const text = `## ${name}\n\n${provenance}.\n\n${[outcome.text, ...plots].join('\n\n')}`;
    console.log(`${text}\n`);
    if (outcome.targets) console.log(`${targetTable(outcome.targets)}\n`);
    // What is not the whole is not kept.
    if (values.quick || values.only !== undefined) continue;
    record(name, text);
    keep(name, provenance, outcome);
  }
}

await main();
