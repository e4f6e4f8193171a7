/**
 * The table that a history is exported as: a row an instance, a column a SenML name. Columns are fixed before the first row is
 * written, by the first instances; what appears later has no column and is counted.
 */
import type { KeptInstance } from '../client/instances.js';
import { dataError, STAT } from '../protocols/c37118/stat.js';
import { TIME_QUALITY } from '../protocols/c37118/time.js';

export type Cell = number | string | boolean | undefined;
export type CellKind = 'time' | 'number' | 'text' | 'boolean';

export interface Column {
  readonly name: string;
  readonly kind: CellKind;
}

/** An instance and whose it is, where several are exported together. */
export interface Exported extends KeptInstance {
  readonly application: string | undefined;
}

/** A PMU's names without `pmu-61/`, which is the application's to say. */
const PMU_NAME = /^pmu-\d+\//;
const FIXED: readonly Column[] = [
  { name: 'time', kind: 'time' },
  { name: 'created', kind: 'time' },
  { name: 'id', kind: 'text' },
];
const QUALITY: Column = { name: 'quality', kind: 'text' };
/** For what is no SenML. */
const CONTENT: readonly Column[] = [
  { name: 'contentType', kind: 'text' },
  { name: 'content', kind: 'text' },
];

export class Table {
  readonly columns: readonly Column[];
  /** Values that have no column, by name. */
  readonly leftOut = new Map<string, number>();
  private readonly places: ReadonlyMap<string, number>;

  /** @param first instances of each container that is exported */
  constructor(
    first: readonly Exported[],
    private readonly hasApplication: boolean,
  ) {
    const channels = new Map<string, CellKind>();
    for (const { records } of first)
      for (const { name, value } of records ?? [])
        if (!channels.has(columnName(name)) && value !== undefined) channels.set(columnName(name), kindOf(value));
    const isPmu = channels.has('stat');
    this.columns = [
      ...(hasApplication ? [{ name: 'application', kind: 'text' } as const] : []),
      ...FIXED,
      ...(isPmu ? [QUALITY] : []),
      ...(first.some(({ records }) => !records) ? CONTENT : []),
      ...Array.from(channels, ([name, kind]) => ({ name, kind })),
    ];
    this.places = new Map(this.columns.map(({ name }, place) => [name, place]));
  }

  row({ application, id, measuredUs, createdUs, mediaType, bytes, text, records }: Exported): readonly Cell[] {
    const cells = new Array<Cell>(this.columns.length).fill(undefined);
    if (this.hasApplication) cells[0] = application;
    const put = (name: string, cell: Cell, kind?: CellKind): void => {
      const place = this.places.get(name);
      if (place === undefined || (kind !== undefined && this.columns[place]?.kind !== kind))
        this.leftOut.set(name, (this.leftOut.get(name) ?? 0) + 1);
      else cells[place] = cell;
    };
    put('time', measuredUs);
    put('created', createdUs);
    put('id', id);
    if (!records) {
      put('contentType', mediaType);
      put('content', text ?? Buffer.from(bytes).toString('base64'));
    }
    for (const { name, value } of records ?? []) {
      if (value === undefined) continue;
      put(columnName(name), value instanceof Uint8Array ? Buffer.from(value).toString('base64') : value, kindOf(value));
    }
    if (records && this.places.has(QUALITY.name)) put(QUALITY.name, qualityOf(records));
    return cells;
  }
}

const columnName = (name: string): string => {
  const channel = name.replace(PMU_NAME, '');
  // A channel may be called as one of ours.
  return OURS.has(channel) ? `${channel}/value` : channel;
};
const OURS: ReadonlySet<string> = new Set(['application', ...[...FIXED, QUALITY, ...CONTENT].map(({ name }) => name)]);

function kindOf(value: number | string | boolean | Uint8Array): CellKind {
  if (typeof value === 'number') return 'number';
  return typeof value === 'boolean' ? 'boolean' : 'text';
}

/** `good`, or what STAT and the time quality say against it. */
function qualityOf(records: NonNullable<KeptInstance['records']>): string | undefined {
  const numberOf = (wanted: string): number | undefined => {
    const value = records.find(({ name }) => name.replace(PMU_NAME, '') === wanted)?.value;
    return typeof value === 'number' ? value : undefined;
  };
  const stat = numberOf('stat');
  if (stat === undefined) return undefined;
  const faults = [
    dataError(stat) === 'good' ? '' : dataError(stat),
    (stat & STAT.unsynchronised) !== 0 || ((numberOf('time-quality') ?? 0) & TIME_QUALITY.errorMask) !== 0
      ? 'unsynchronised'
      : '',
    (stat & STAT.byArrival) !== 0 ? 'by-arrival' : '',
  ].filter((fault) => fault !== '');
  return faults.length === 0 ? 'good' : faults.join(' ');
}
