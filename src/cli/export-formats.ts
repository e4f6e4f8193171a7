/** How a table is written: CSV and NDJSON row by row, Parquet a group of rows at a time. The one import site of hyparquet-writer. */
import { ByteWriter, ParquetWriter, type SchemaElement } from 'hyparquet-writer';
import { formatTime } from '../clock.js';
import type { Cell, Column, Exported, Table } from './export-table.js';

/** Where the bytes go. */
export type Sink = (bytes: Uint8Array) => Promise<void>;

export interface TableWriter {
  write(instance: Exported): Promise<void>;
  /** Writes what has been gathered, and the end. */
  finish(): Promise<void>;
}

export const EXPORT_FORMATS = ['csv', 'ndjson', 'parquet'] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

/** Gathered before they are written. */
const TEXT_BYTES = 64 * 1024;
/** Rows of a Parquet row group: 100 columns of them are 8 MB in memory. */
const GROUP_ROWS = 10_000;

export function writerOf(format: ExportFormat, table: Table, sink: Sink): TableWriter {
  switch (format) {
    case 'csv':
      return lines(sink, csvLine(table.columns.map(({ name }) => name)), (instance) =>
        csvLine(table.row(instance).map((cell, place) => shownCell(cell, table.columns[place]))),
      );
    case 'ndjson':
      return lines(sink, undefined, ndjsonLine);
    case 'parquet':
      return new ParquetFile(table, sink);
  }
}

function lines(sink: Sink, head: string | undefined, lineOf: (instance: Exported) => string): TableWriter {
  let text = head === undefined ? '' : `${head}\n`;
  const flush = async (): Promise<void> => {
    const bytes = Buffer.from(text);
    text = '';
    if (bytes.length > 0) await sink(bytes);
  };
  return {
    async write(instance) {
      text += `${lineOf(instance)}\n`;
      if (text.length >= TEXT_BYTES) await flush();
    },
    finish: flush,
  };
}

const shownCell = (cell: Cell, column: Column | undefined): string =>
  cell === undefined ? '' : column?.kind === 'time' ? formatTime(Number(cell)) : String(cell);

/** [RFC4180] */
const csvLine = (fields: readonly string[]): string =>
  fields.map((field) => (/[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field)).join(',');

/** Everything there is, whatever the columns are. */
function ndjsonLine({ application, id, measuredUs, createdUs, mediaType, bytes, records }: Exported): string {
  return JSON.stringify({
    ...(application !== undefined && { application }),
    ...{ time: formatTime(measuredUs), created: formatTime(createdUs), id },
    ...(records
      ? {
          records: records.map(({ name: n, unit: u, value, sum: s }) => ({
            ...{ n, u, s },
            ...(value instanceof Uint8Array ? { vd: Buffer.from(value).toString('base64url') } : { v: value }),
          })),
        }
      : { contentType: mediaType, content: Buffer.from(bytes).toString('base64') }),
  });
}

const ELEMENTS: Readonly<Record<Column['kind'], Omit<SchemaElement, 'name'>>> = {
  time: { type: 'INT64', converted_type: 'TIMESTAMP_MICROS' },
  number: { type: 'DOUBLE' },
  text: { type: 'BYTE_ARRAY', converted_type: 'UTF8' },
  boolean: { type: 'BOOLEAN' },
};

class ParquetFile implements TableWriter {
  private readonly bytes = new ByteWriter();
  private readonly parquet: ParquetWriter;
  private rows: (readonly Cell[])[] = [];

  constructor(
    private readonly table: Table,
    private readonly sink: Sink,
  ) {
    const columns = table.columns.map(({ name, kind }): SchemaElement => ({
      name,
      repetition_type: 'OPTIONAL',
      ...ELEMENTS[kind],
    }));
    const schema: SchemaElement[] = [{ name: 'root', num_children: columns.length }, ...columns];
    this.parquet = new ParquetWriter({ writer: this.bytes, schema, createdBy: 'gridcast' });
  }

  async write(instance: Exported): Promise<void> {
    this.rows.push(this.table.row(instance));
    if (this.rows.length >= GROUP_ROWS) await this.flush();
  }

  async finish(): Promise<void> {
    await this.flush();
    await this.parquet.finish();
    await this.drain();
  }

  private async flush(): Promise<void> {
    const { rows } = this;
    this.rows = [];
    if (rows.length > 0) {
      await this.parquet.write({
        // No index of pages: it would be kept in memory up to the end.
        columnData: this.table.columns.map(({ name, kind }, place) => ({
          ...{ name, offsetIndex: false, columnIndex: false },
          data: rows.map((row) => inParquet(row[place], kind)),
        })),
        rowGroupSize: GROUP_ROWS,
      });
    }
    await this.drain();
  }

  private async drain(): Promise<void> {
    const written = Uint8Array.from(this.bytes.getBytes());
    // `offset` goes on counting: it is the place in the file.
    this.bytes.index = 0;
    if (written.length > 0) await this.sink(written);
  }
}

const inParquet = (cell: Cell, kind: Column['kind']): bigint | number | string | boolean | null =>
  cell === undefined ? null : kind === 'time' ? BigInt(Number(cell)) : cell;
