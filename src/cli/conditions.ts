/** Flags for what a subscriber wants to be told of and made of it: one for each conditional parameter, and the method. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { parseTarget, pathAndQuery } from '../client/target.js';
import { isRefusal } from '../errors.js';
import { METHODS, termsOfQuery, type Method } from '../routing/terms.js';
import { positive, UsageError } from './arguments.js';

export interface ConditionFlags {
  readonly field?: string;
  readonly gt?: string;
  readonly lt?: string;
  readonly st?: string;
  readonly band?: boolean;
  readonly edge?: keyof typeof EDGES;
  readonly pmin?: string;
  readonly pmax?: string;
  readonly epmin?: string;
  readonly epmax?: string;
}
export interface MethodFlags {
  readonly method?: Method;
}

const EDGES = { falling: '0', rising: '1' } as const;

export const withConditions = (command: Command): Command =>
  command
    .addOption(
      new Option('--method <METHOD>', 'what is made of the samples between one of the rate and the next').choices([
        ...METHODS,
      ]),
    )
    .option('--gt <N>', 'only when the number crosses N', decimal)
    .option('--lt <N>', 'only when the number crosses N', decimal)
    .option('--st <N>', 'only when the number is at least N from what was last told', above0)
    .option('--band', 'with --gt, --lt or both: all samples in the band between or outside, not the crossings')
    .addOption(new Option('--edge <EDGE>', 'only when what is true or false becomes so').choices(Object.keys(EDGES)))
    .option('--field <NAME>', 'the number that is judged: power, VA/magnitude, frequency, rocof (default: the first)')
    .option('--pmin <S>', 'no two samples closer than so many seconds', above0)
    .option('--pmax <S>', 'the newest after so many seconds, even if nothing holds', above0)
    .option('--epmin <S>', 'judge no two samples closer than so many seconds', above0)
    .option('--epmax <S>', 'refuse a source that is slower than one sample in so many seconds', above0);

/** Where to subscribe: the path of a URI with what the flags say in its query, in place of the same there. */
export function conditioned(uri: string, flags: ConditionFlags): string {
  const { path, query } = parseTarget(uri);
  const { field, gt, lt, st, band, edge, pmin, pmax, epmin, epmax } = flags;
  const said = {
    field,
    'c.gt': gt,
    'c.lt': lt,
    'c.st': st,
    'c.band': band ? '' : undefined,
    'c.edge': edge && EDGES[edge],
    'c.pmin': pmin,
    'c.pmax': pmax,
    'c.epmin': epmin,
    'c.epmax': epmax,
  };
  const given = Object.entries(said).filter((each): each is [string, string] => each[1] !== undefined);
  for (const [name, value] of given) query.set(name, value);
  const terms = given.length > 0 ? termsOfQuery(query) : undefined;
  if (terms && isRefusal(terms)) throw new UsageError(terms.detail);
  return pathAndQuery({ path, query });
}

function decimal(text: string): string {
  if (/^-?\d{1,12}(\.\d{1,12})?$/.test(text)) return text;
  throw new InvalidArgumentError('Expected a decimal number, such as 49.8 or -0.5.');
}

function above0(text: string): string {
  positive(decimal(text));
  return text;
}
