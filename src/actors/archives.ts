/**
 * Joins containers of `storage: disk` to the history on disk: what a sample is there, and what becomes of it when it is read.
 *
 *     History.append ──> Archive.push ──> track of the history's log           a PMU's sample: its frame and its CFG-2
 *     page, find <────── records <─────── chunks, and what waits               any other: the bytes as they were sent
 */
import { formatTime, parseTime, type Clock } from '../clock.js';
import { isRefusal, refuse, type Refusal } from '../errors.js';
import { isObject, type Json } from '../json.js';
import type { Log } from '../log.js';
import type { Archive } from '../resources/archive.js';
import { InstanceRecord } from '../resources/history.js';
import type { InstanceQuery } from '../resources/instance-query.js';
import type { Page } from '../resources/page.js';
import { limitsOf } from '../resources/retention.js';
import { FORMATS } from '../routing/format.js';
import type { Measurement } from '../routing/measurement.js';
import { Sample, type SampleContent, type SampleEncoder } from '../routing/sample.js';
import type { Stored } from '../store/history-chunk.js';
import { HistoryLog, type HistoryPlace } from '../store/history-log.js';
import type { HistoryForm, HistoryTrack } from '../store/history-track.js';
import type { Node } from './resources.js';

type Record = InstanceRecord<Sample>;

export interface ArchivesOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly encoder: SampleEncoder;
  /** Undefined: this broker has no disk. */
  readonly place: HistoryPlace | undefined;
  /** A PMU's measurement out of its configuration and its data frame. */
  readonly readMeasurement: (configuration: Uint8Array, frame: Uint8Array) => Measurement | undefined;
}

export class Archives {
  readonly log: HistoryLog<Record> | undefined;
  private readonly archives = new Map<Node, TrackArchive>();

  constructor(options: ArchivesOptions) {
    const { clock, log, place } = options;
    this.log = place && new HistoryLog({ ...place, clock, log, form: formOf(options) });
  }

  /** A container is there: created, or put back from an earlier run. */
  attach(container: Node): Refusal | undefined {
    if (container.attributes.get('storage') !== 'disk') return undefined;
    if (!this.log)
      return refuse('STATUS_NOT_IMPLEMENTED', 'This broker has no disk: create the container with storage "memory".');
    const contentInstances = container.child('contentInstances');
    const history = contentInstances?.history;
    if (!history) throw new Error(`${container.reference} is no container`);
    const { reference, createdUs } = container;
    const track = this.log.track({ reference, epoch: createdUs }, limitsOf(container.attributes));
    const archive = new TrackArchive(this.log, track);
    // What is durable by its own row may have been in the second that the history lost.
    for (const record of history.newest()) if (record.createdUs > track.head.created.high) track.push(record);
    history.archive = archive;
    this.archives.set(contentInstances, archive);
    return undefined;
  }

  /** The container's limits are others. */
  retain(container: Node): void {
    const contentInstances = container.child('contentInstances');
    const archive = contentInstances && this.archives.get(contentInstances);
    archive?.track.retain(limitsOf(container.attributes));
  }

  /** The container has been deleted, and what is on disk of it goes too. */
  detach(contentInstances: Node): void {
    const archive = this.archives.get(contentInstances);
    if (!archive) return;
    this.archives.delete(contentInstances);
    this.log?.remove(archive.track);
  }
}

class TrackArchive implements Archive<Sample> {
  constructor(
    private readonly log: HistoryLog<Record>,
    readonly track: HistoryTrack<Record>,
  ) {}

  get epoch(): number {
    return this.track.epoch;
  }

  get count(): number {
    return this.track.count;
  }

  get byteSize(): number {
    return this.track.byteSize;
  }

  push(record: Record): void {
    this.track.push(record);
  }

  async fill({ after, measured, created }: InstanceQuery, page: Page<Sample>): Promise<Refusal | undefined> {
    // A cursor beyond what is there is of a life whose end was lost.
    const from = Math.min(after?.ordinal ?? 0, this.track.last);
    const pause = await this.log.reading(() => {
      page.clear();
      return this.track.read({ after: from, measured, created }, (record, ordinal) => page.offer(record, ordinal));
    });
    if (isRefusal(pause)) return pause;
    if (pause !== undefined) page.cut(pause);
    return undefined;
  }

  find(by: 'latest' | 'oldest' | { readonly id: string }): Promise<Record | undefined | Refusal> {
    if (by === 'latest') return this.log.reading(() => this.track.latest());
    if (by === 'oldest') return this.log.reading(() => this.track.oldest());
    const { id } = by;
    const us = parseTime(id);
    return this.log.reading(async () => {
      const tagged = us !== undefined && formatTime(us) === id ? await this.track.measuredAt(us) : undefined;
      return tagged ?? (await this.track.named(id));
    });
  }
}

function formOf({ encoder, readMeasurement }: ArchivesOptions): HistoryForm<Record> {
  return {
    stored({ value, measuredUs, createdUs, sizeBytes, name, creator, attributes }) {
      const { content, quality } = value;
      if (content.kind === 'snapshot') throw new Error('a snapshot in a container'); // groups have them, and keep none
      const isMeasurement = content.kind === 'measurement';
      return {
        measuredUs,
        createdUs,
        sizeBytes,
        quality,
        name,
        creator,
        attributes: attributes && JSON.stringify(Object.fromEntries(attributes)),
        mediaType: isMeasurement ? FORMATS.c37118.mediaType : content.mediaType,
        configuration: isMeasurement ? content.measurement.configuration() : undefined,
        content: isMeasurement ? content.measurement : content.bytes,
      };
    },
    record(stored) {
      const { measuredUs, createdUs, sizeBytes, quality, name, creator, attributes } = stored;
      // When it arrived is not kept: nobody asks how old a sample of the past is.
      const sample = new Sample(contentOf(stored, readMeasurement), measuredUs, 0, quality, encoder, name);
      return new InstanceRecord(sample, measuredUs, createdUs, sizeBytes, name, attributesOf(attributes), creator);
    },
  };
}

function contentOf(
  { mediaType, configuration, content }: Stored,
  readMeasurement: ArchivesOptions['readMeasurement'],
): SampleContent {
  const measurement = configuration && readMeasurement(configuration, content);
  return measurement ? { kind: 'measurement', measurement } : { kind: 'stored', mediaType, bytes: content };
}

function attributesOf(text: string | undefined): ReadonlyMap<string, Json> | undefined {
  const attributes = text === undefined ? undefined : (JSON.parse(text) as Json);
  if (!isObject(attributes)) return undefined;
  return new Map(Object.entries(attributes).filter((entry): entry is [string, Json] => entry[1] !== undefined));
}
