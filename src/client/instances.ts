/**
 * Reads what a container keeps, over any binding: a query is followed from page to page, so that no more than a page is in memory.
 */
import { formatTime, parseTime } from '../clock.js';
import type { Json } from '../json.js';
import { jsonOf, member, type Client } from './client.js';
import { GridcastError } from './error.js';
import { readSample } from './reading.js';
import type { SenmlRecord } from '../protocols/senml-reader.js';

export interface KeptInstance {
  readonly id: string;
  /** UTC microseconds since the epoch; of a PMU's instance the time tag, of another the time in its SenML, or that of creation. */
  readonly measuredUs: number;
  readonly createdUs: number;
  readonly mediaType: string;
  readonly bytes: Uint8Array;
  /** The same where it is text. */
  readonly text: string | undefined;
  /** Of a SenML content. */
  readonly records: readonly SenmlRecord[] | undefined;
}

export interface InstancesWanted {
  /** Measured from this on. UTC microseconds since the epoch. */
  readonly fromUs?: number | undefined;
  /** Up to but not with this. */
  readonly toUs?: number | undefined;
  /** Instances in one page; default 1,000, where the binding carries so many. */
  readonly pageSize?: number;
  readonly signal?: AbortSignal;
}

const LARGEST_PAGE = 1_000;

/**
 * The instances of a container in the order in which they were stored.
 *
 * @param path of its contentInstances
 * @throws GridcastError when refused, or for an answer that is none
 */
export async function* readInstances(
  client: Client,
  path: string,
  { fromUs, toUs, pageSize = LARGEST_PAGE, signal }: InstancesWanted = {},
): AsyncGenerator<KeptInstance> {
  const query = new URLSearchParams({ limit: String(pageSize) });
  if (fromUs !== undefined) query.set('measuredSince', formatTime(fromUs));
  if (toUs !== undefined) query.set('measuredUntil', formatTime(toUs));
  for (let next: string | undefined = `${path}?${query.toString()}`; next !== undefined;) {
    const to: string = next;
    const { bytes } = await client.request({
      op: 'retrieve',
      to,
      accept: 'application/json',
      ...(signal && { signal }),
    });
    const page = member(jsonOf(bytes), 'contentInstances');
    const instances = member(page, 'contentInstanceCollection', 'contentInstance');
    if (!Array.isArray(instances)) throw new GridcastError('protocol', `${to} is not answered with contentInstances.`);
    for (const instance of instances as readonly Json[]) yield instanceOf(instance);
    const follows: Json | undefined = member(page, 'next');
    next = typeof follows === 'string' ? follows : undefined;
  }
}

function instanceOf(json: Json): KeptInstance {
  const text = (...names: readonly string[]): string | undefined => {
    const value = member(json, ...names);
    return typeof value === 'string' ? value : undefined;
  };
  const id = text('id') ?? '';
  const mediaType = text('content', 'contentType') ?? '';
  const words = text('content', 'textContent');
  const bytes =
    words === undefined ? Buffer.from(text('content', 'binaryContent') ?? '', 'base64') : Buffer.from(words);
  const reading = readSample(mediaType, bytes);
  const createdUs = parseTime(text('creationTime') ?? '') ?? 0;
  const measuredUs = parseTime(id) ?? reading?.timeUs ?? createdUs;
  return { id, measuredUs, createdUs, mediaType, bytes, text: words, records: reading?.records };
}
