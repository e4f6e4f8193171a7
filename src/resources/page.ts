/**
 * One page of a query: instances that match, in order, until the limit or the bytes that an answer may have are reached. Whoever
 * has the records offers them; a page is never empty for lack of room.
 */
import type { InstanceRecord } from './history.js';
import { cursorText, matches, type InstanceQuery } from './instance-query.js';
import type { JsonObject } from './values.js';

/** How a page writes what it takes. */
export interface PageForm<T> {
  /** A contentInstance as its reader sees it. */
  fields(record: InstanceRecord<T>): JsonObject;
  /** Media types that its content can be had as, in lower case. */
  types(record: InstanceRecord<T>): readonly string[];
  /** Most bytes of an answer. */
  readonly bytes: number;
}

export class Page<T> {
  readonly instances: JsonObject[] = [];
  private bytes = 0;
  private behind: number | undefined;
  private isCut = false;

  constructor(
    private readonly query: InstanceQuery,
    private readonly form: PageForm<T>,
  ) {
    this.clear();
  }

  /** Begins anew. */
  clear(): void {
    this.instances.length = 0;
    this.bytes = 0;
    this.isCut = false;
    this.behind = this.query.after?.ordinal;
  }

  /** The next record in order, whether it is meant or not. False: the page is full without it. */
  offer(record: InstanceRecord<T>, ordinal: number): boolean {
    const { query, form, instances } = this;
    if (matches(query, record, () => form.types(record))) {
      if (instances.length === query.limit) return this.cut();
      const fields = form.fields(record);
      const bytes = Buffer.byteLength(JSON.stringify(fields));
      if (instances.length > 0 && this.bytes + bytes > form.bytes) return this.cut();
      instances.push(fields);
      this.bytes += bytes;
    }
    this.behind = ordinal;
    return true;
  }

  /** Ends the page before all has been looked at; what was offered, or passed over up to `ordinal`, is behind the next one. */
  cut(ordinal = this.behind): false {
    this.behind = ordinal;
    this.isCut = true;
    return false;
  }

  /** Cursor of the next page; undefined when there is none. */
  next(epoch: number): string | undefined {
    return this.isCut ? cursorText({ epoch, ordinal: this.behind ?? 0 }) : undefined;
  }
}
