/**
 * `npm run bench -- [fanout | latency | commands | crash-peers | history | fleet] [--quick]`: each prints its table; without a name all are run. What was measured in full
 * takes its section's place in RESULTS.md, under the machine and the command that made it.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { commands, FULL as COMMANDS_FULL, QUICK as COMMANDS_QUICK } from './commands.js';
import { crashPeers, FULL as CRASH_PEERS_FULL, QUICK as CRASH_PEERS_QUICK } from './crash-peers.js';
import { fanout, FULL as FANOUT_FULL, QUICK as FANOUT_QUICK } from './fanout.js';
import { machine } from './figures.js';
import { fleet, FULL as FLEET_FULL, QUICK as FLEET_QUICK } from './fleet.js';
import { FULL as HISTORY_FULL, history, QUICK as HISTORY_QUICK } from './history.js';
import { FULL as LATENCY_FULL, latency, QUICK as LATENCY_QUICK } from './latency.js';

const RESULTS = fileURLToPath(new URL('./RESULTS.md', import.meta.url));
type Tell = (line: string) => void;

const bench =
  <Effort>(run: (effort: Effort, tell: Tell) => Promise<string>, full: Effort, quick: Effort) =>
  (isQuick: boolean, tell: Tell): Promise<string> =>
    run(isQuick ? quick : full, tell);

const BENCHES = {
  fanout: bench(fanout, FANOUT_FULL, FANOUT_QUICK),
  latency: bench(latency, LATENCY_FULL, LATENCY_QUICK),
  commands: bench(commands, COMMANDS_FULL, COMMANDS_QUICK),
  'crash-peers': bench(crashPeers, CRASH_PEERS_FULL, CRASH_PEERS_QUICK),
  history: bench(history, HISTORY_FULL, HISTORY_QUICK),
  fleet: bench(fleet, FLEET_FULL, FLEET_QUICK),
} as const;
type Name = keyof typeof BENCHES;
const isName = (name: string): name is Name => Object.hasOwn(BENCHES, name);

/** Puts a section where its marks are, or at the end; what was written by hand around it stays. */
function record(name: Name, text: string): void {
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

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { quick: { type: 'boolean', default: false } },
    allowPositionals: true,
  });
  const names = positionals.length > 0 ? positionals : Object.keys(BENCHES);
  for (const name of names) {
    if (!isName(name))
      throw new Error(`there is no bench ${JSON.stringify(name)}; there are ${Object.keys(BENCHES).join(' and ')}`);
    const body = await BENCHES[name](values.quick, (line) => console.error(line));
    const provenance = `${machine()}; ${new Date().toISOString().slice(0, 10)}; \`npm run bench -- ${name}${values.quick ? ' --quick' : ''}\``;
    const text = `## ${name}\n\n${provenance}.\n\n${body}`;
    console.log(`${text}\n`);
    if (!values.quick) record(name, text);
  }
}

await main();
