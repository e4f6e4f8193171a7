/** One alarm of the table: as it is, and as everybody was last told. */
import { formatTime, parseTime, type Clock } from '../clock.js';
import { InstanceRecord } from '../resources/history.js';
import { alarmIdOf, applicationOfSource, type Alarm, type Priority } from '../routing/alarm.js';
import { FORMATS } from '../routing/format.js';
import type { JsonObject } from '../routing/primitive.js';
import { Sample, type SampleEncoder } from '../routing/sample.js';
import type { AlarmSubject } from './alarm.js';
import type { Tellable } from './alarm-feed.js';
import type { Shown } from './alarm-history.js';

export const keyOfAlarm = (source: string, condition: string): string => `${source} ${condition}`;

export interface RecordSurroundings {
  readonly clock: Clock;
  readonly encoder: SampleEncoder;
}

export class AlarmRecord implements AlarmSubject, Tellable, Shown {
  readonly key: string;
  readonly id: string;
  readonly application: string;
  /** Reports of it that have come to nothing yet, all in the queue of one priority: their order is theirs. */
  waiting = 0;
  queue: Priority;
  /** Undefined until it was told for the first time. */
  told: Alarm | undefined;
  private sequence = 0;
  private made: InstanceRecord<Sample> | undefined;

  constructor(
    public alarm: Alarm,
    private readonly surroundings: RecordSurroundings,
  ) {
    this.key = keyOfAlarm(alarm.source, alarm.condition);
    this.id = alarm.alarmId;
    this.application = applicationOfSource(alarm.source);
    this.queue = alarm.priority;
  }

  get priority(): Priority {
    return (this.told ?? this.alarm).priority;
  }

  get document(): JsonObject {
    return this.told ?? this.alarm;
  }

  get sample(): Sample {
    return this.instance.value;
  }

  get instance(): InstanceRecord<Sample> {
    return (this.made ??= this.make());
  }

  /** @param sequence revision of the tree */
  tell(alarm: Alarm, sequence: number): void {
    this.told = alarm;
    this.sequence = sequence;
    this.made = undefined;
  }

  private make(): InstanceRecord<Sample> {
    const { clock, encoder } = this.surroundings;
    const changedUs = parseTime(this.document.changed as string) ?? clock.wallUs();
    const instance = jsonInstance(this.id, this.document, changedUs, clock.monotonicUs(), encoder);
    instance.sequence = this.sequence;
    return instance;
  }
}

export function jsonInstance(
  id: string,
  document: JsonObject,
  atUs: number,
  arrivedUs: number,
  encoder: SampleEncoder,
): InstanceRecord<Sample> {
  const bytes = Buffer.from(JSON.stringify(document));
  const content = { kind: 'stored', mediaType: FORMATS.json.mediaType, bytes } as const;
  return new InstanceRecord(new Sample(content, atUs, arrivedUs, 0, encoder, id), atUs, atUs, bytes.length, id);
}

/** An alarm that has never been raised. */
export const newAlarm = (source: string, condition: string, priority: Priority, nowUs: number): Alarm => ({
  alarmId: alarmIdOf(source, condition),
  source,
  condition,
  state: 'normal',
  priority,
  changed: formatTime(nowUs),
  count: 0,
});
