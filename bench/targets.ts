/** What a bench brings home: its tables, its figures for programs, its plots, and how it stands to the targets. */
import { table } from './figures.js';

export interface TargetRow {
  /** T1, T2, ... */
  readonly target: string;
  readonly what: string;
  readonly figure: string;
  /** Figures of the same run that it is measured against. */
  readonly peers: string;
  readonly ratio: string;
  readonly wanted: string;
  readonly isMet: boolean;
  readonly command: string;
}

export interface Outcome {
  /** Markdown. */
  readonly text: string;
  readonly figures?: unknown;
  readonly targets?: readonly TargetRow[];
  /** SVG by name. */
  readonly plots?: Readonly<Record<string, string>>;
}

export const quoted = (bench: string): string => `npm run bench -- ${bench}`;

const numberOf = ({ target }: TargetRow): number => Number(target.slice(1));

export function targetTable(rows: readonly TargetRow[]): string {
  const sorted = [...rows].sort((a, b) => numberOf(a) - numberOf(b));
  return table(
    ['target', 'what', 'figure', 'against', 'ratio', 'wanted', '', 'command'],
    sorted.map(({ target, what, figure, peers, ratio, wanted, isMet, command }) => [
      ...[target, what, figure, peers, ratio, wanted],
      isMet ? 'met' : '**missed**',
      `\`${command}\``,
    ]),
  );
}
