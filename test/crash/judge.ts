/**
 * The judges of a crash test: the issuers' logs say what was promised, the devices' effects what was done, and the broker
 * what it knows. They must agree.
 */
import { open, type Client } from '../../src/client/index.js';
import { creationOf, type IssuedCommand } from './issuer.js';

/** Readings under way at the same time. */
const READERS = 32;
/** Named in a failure; the rest is counted. */
const MOST_NAMED = 5;

export interface Findings {
  /** Answered with 201. */
  readonly accepted: number;
  /** Done once, and known to be done. */
  readonly executed: number;
  /** Accepted, and forgotten. */
  readonly lost: readonly string[];
  /** More than one effect. */
  readonly doubled: readonly string[];
  /** Said to be executed without an effect, or done and said to be refused, expired or cancelled. */
  readonly false: readonly string[];
  /** Accepted, and neither done nor given up: the broker has no outcome. */
  readonly undecided: readonly string[];
  /** There is an outcome, and the issuer was never told. */
  readonly untold: readonly string[];
}

/**
 * What the broker knows of each: its state, or undefined where it has forgotten it. Each command is issued again, which is
 * answered with what became of it; one that was forgotten is accepted anew, and so after the judging began.
 */
async function statesOf(
  uri: string,
  commands: readonly IssuedCommand[],
): Promise<ReadonlyMap<string, string | undefined>> {
  const from = Date.now();
  const states = new Map<string, string | undefined>();
  for (const originator of new Set(commands.map(({ issuer }) => issuer))) {
    const theirs = commands.filter(({ issuer }) => issuer === originator);
    const client = await open(uri, { originator });
    try {
      await Promise.all(
        Array.from({ length: READERS }, async () => {
          for (let next = theirs.pop(); next; next = theirs.pop())
            states.set(next.commandId, await stateOf(client, next, from));
        }),
      );
    } finally {
      await client.close();
    }
  }
  return states;
}

async function stateOf(client: Client, command: IssuedCommand, judgedMs: number): Promise<string | undefined> {
  const { bytes } = await client.request(creationOf(command));
  const { state, states } = JSON.parse(Buffer.from(bytes).toString()) as {
    readonly state: string;
    readonly states: readonly { readonly at: string }[];
  };
  return Date.parse(states[0]?.at ?? '') >= judgedMs ? undefined : state;
}

/** Those whose effect nobody may have seen: a device that died within one can not say whether it was done. */
const MAY_HAVE_ACTED: readonly string[] = ['unknown', 'executedLate'];
const OVER: readonly string[] = ['executed', 'rejected', 'cancelled', 'expired', ...MAY_HAVE_ACTED];

export async function judge(
  uri: string,
  commands: readonly IssuedCommand[],
  effects: ReadonlyMap<string, number>,
): Promise<Findings> {
  const accepted = commands.filter(({ acceptedMs }) => acceptedMs !== undefined);
  const states = await statesOf(uri, accepted);
  const names = (isOne: (command: IssuedCommand, state: string | undefined, done: number) => boolean): string[] =>
    accepted
      .filter((command) => isOne(command, states.get(command.commandId), effects.get(command.commandId) ?? 0))
      .map((command) => `${command.commandId} (${states.get(command.commandId) ?? 'gone'}, told ${command.state})`);
  return {
    accepted: accepted.length,
    executed: names((_command, state, done) => state === 'executed' && done === 1).length,
    lost: names((_command, state) => state === undefined),
    doubled: [...effects].filter(([, count]) => count > 1).map(([commandId]) => commandId),
    false: names((_command, state, done) =>
      state === 'executed'
        ? done === 0
        : state !== undefined && OVER.includes(state) && !MAY_HAVE_ACTED.includes(state) && done > 0,
    ),
    undecided: names((_command, state) => state !== undefined && !OVER.includes(state)),
    untold: names(({ outcomeMs }, state) => state !== undefined && OVER.includes(state) && outcomeMs === undefined),
  };
}

/** A sentence for each kind of finding that must not be. */
export function faultsOf(findings: Findings): string[] {
  const faults = {
    'accepted and lost': findings.lost,
    'executed twice': findings.doubled,
    'told what was not so': findings.false,
    'without an outcome': findings.undecided,
    'whose issuer was never told': findings.untold,
  };
  return Object.entries(faults)
    .filter(([, named]) => named.length > 0)
    .map(([what, named]) => `${named.length} ${what}: ${named.slice(0, MOST_NAMED).join(', ')}`);
}
