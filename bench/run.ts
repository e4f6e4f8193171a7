/**
 * `npm run bench -- [NAME ...] [--quick] [--only CONTENDER] [--seconds S] [--churn N] [--gateways N]`: each bench prints its tables;
 * without a name all are run. What was measured in full takes its section's place in RESULTS.md, under the machine and the command
 * that made it, and leaves its figures as JSON and its plots as SVG in results/. How all stand to the targets is put together from
 * what stands there.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { classes, FULL as CLASSES_FULL, QUICK as CLASSES_QUICK } from './classes.js';
import { commands, FULL as COMMANDS_FULL, QUICK as COMMANDS_QUICK } from './commands.js';
import { crashPeers, FULL as CRASH_PEERS_FULL, QUICK as CRASH_PEERS_QUICK } from './crash-peers.js';
import { fanout, FULL as FANOUT_FULL, QUICK as FANOUT_QUICK } from './fanout.js';
import { machine } from './figures.js';
import { fleet, FULL as FLEET_FULL, QUICK as FLEET_QUICK } from './fleet.js';
import { FULL as HISTORY_FULL, history, QUICK as HISTORY_QUICK } from './history.js';
import { FULL as LATENCY_FULL, latency, QUICK as LATENCY_QUICK } from './latency.js';
import { FULL as MEMORY_FULL, memory, QUICK as MEMORY_QUICK } from './memory.js';
import { oscillation, FULL as OSCILLATION_FULL, QUICK as OSCILLATION_QUICK } from './oscillation.js';
import { FULL as PROFILE_FULL, profile, QUICK as PROFILE_QUICK } from './profile.js';
import { FULL as SCALING_FULL, QUICK as SCALING_QUICK, scaling } from './scaling.js';
import { FULL as TABLE2_FULL, QUICK as TABLE2_QUICK, table2 } from './table2.js';
import { quoted, targetTable, type Outcome, type TargetRow } from './targets.js';

const RESULTS = fileURLToPath(new URL('./RESULTS.md', import.meta.url));
const FIGURES = fileURLToPath(new URL('./results/', import.meta.url));
type Progress = (line: string) => void;
/** Runs a bench with its own idea of an effort, of which the command line may have given parts. */
const bench =
  <Effort extends object>(
    run: (effort: Effort, progress: Progress) => Promise<string | Outcome>,
    full: Effort,
    quick: Effort,
  ) =>
  (isQuick: boolean, given: object, progress: Progress): Promise<string | Outcome> =>
    run({ ...(isQuick ? quick : full), ...given }, progress);

const BENCHES = {
  fanout: bench(fanout, FANOUT_FULL, FANOUT_QUICK),
  table2: bench(table2, TABLE2_FULL, TABLE2_QUICK),
  memory: bench(memory, MEMORY_FULL, MEMORY_QUICK),
  scaling: bench(scaling, SCALING_FULL, SCALING_QUICK),
  oscillation: bench(oscillation, OSCILLATION_FULL, OSCILLATION_QUICK),
  latency: bench(latency, LATENCY_FULL, LATENCY_QUICK),
  classes: bench(classes, CLASSES_FULL, CLASSES_QUICK),
  commands: bench(commands, COMMANDS_FULL, COMMANDS_QUICK),
  'crash-peers': bench(crashPeers, CRASH_PEERS_FULL, CRASH_PEERS_QUICK),
  history: bench(history, HISTORY_FULL, HISTORY_QUICK),
  fleet: bench(fleet, FLEET_FULL, FLEET_QUICK),
  profile: bench(profile, PROFILE_FULL, PROFILE_QUICK),
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

/** A whole number of a flag that a bench takes; undefined where it was not given. */
function wholeOf(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d{1,7}$/.test(text)) throw new Error(`--${flag} is a whole number, not ${JSON.stringify(text)}`);
  return Number(text);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      seconds: { type: 'string' },
      churn: { type: 'string' },
      gateways: { type: 'string' },
    },
    allowPositionals: true,
  });
  const { quick, only } = values;
  const seconds = wholeOf('seconds', values.seconds);
  const churn = wholeOf('churn', values.churn);
  const gateways = wholeOf('gateways', values.gateways);
  const given = {
    ...(only !== undefined && { only }),
    ...(seconds !== undefined && { seconds }),
    ...(churn !== undefined && { churn }),
    ...(gateways !== undefined && { gateways }),
  };
  const flags = Object.entries({ ...(quick && { quick: '' }), ...given }).map(([flag, value]) =>
    `--${flag} ${value}`.trimEnd(),
  );
  for (const name of positionals.length > 0 ? positionals : Object.keys(BENCHES)) {
    if (!isName(name))
      throw new Error(`there is no bench ${JSON.stringify(name)}; there are ${Object.keys(BENCHES).join(', ')}`);
    const result = await BENCHES[name](quick, given, (line) => console.error(line));
    const outcome: Outcome = typeof result === 'string' ? { text: result } : result;
    // With those who come and go it answers another question.
    const title = churn !== undefined && churn > 0 ? `${name}-churn` : name;
    const provenance = `${machine()}; ${new Date().toISOString().slice(0, 10)}; \`${[quoted(name), ...flags].join(' ')}\``;
    const plots = Object.keys(outcome.plots ?? {}).map((plot) => `![${plot}](results/${plot}.svg)`);
    const text = `## ${title}\n\n${provenance}.\n\n${[outcome.text, ...plots].join('\n\n')}`;
    console.log(`${text}\n`);
    if (outcome.targets) console.log(`${targetTable(outcome.targets)}\n`);
    // What is not the whole is not kept.
    if (quick || only !== undefined || gateways !== undefined) continue;
    record(title, text);
    keep(title, provenance, outcome);
  }
}

await main();
