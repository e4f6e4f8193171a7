/** The instances of a container beyond its ring: what of its history is on disk, and who reads it. */
import type { Refusal } from '../errors.js';
import type { InstanceRecord } from './history.js';
import type { InstanceQuery } from './instance-query.js';
import type { Page } from './page.js';

export interface Archive<T> {
  /** Its cursors hold for no other; the same after a restart. */
  readonly epoch: number;
  readonly count: number;
  readonly byteSize: number;
  /** Takes what the ring has taken. Called for each sample. */
  push(record: InstanceRecord<T>): void;
  /** Offers the page what it asks for. @returns why it cannot be read */
  fill(query: InstanceQuery, page: Page<T>): Promise<Refusal | undefined>;
  /** @param by an id, or a place */
  find(by: 'latest' | 'oldest' | { readonly id: string }): Promise<InstanceRecord<T> | undefined | Refusal>;
}
