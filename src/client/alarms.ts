/**
 * Alarms for a program: what stands first, then each change, and a word when what one sees may be old.
 *
 *     alarms container ──> by alarm, the newest state ──┐
 *     canary ── none for 3 s ──> stale ── one ──> live ─┴──> for await (const news of watchAlarms(client))
 *
 * Over WebSocket alarms come on the reliable lane, over CoAP and HTTP as notifications; here they look the same.
 */
import { systemClock, type Cancel, type Clock } from '../clock.js';
import {
  ALARMS_CONTAINER,
  BROKER_APPLICATION,
  CANARY_CONTAINER,
  CANARY_PATIENCE_MS,
  readAlarm,
  type Alarm,
  type AlarmActionName,
} from '../routing/alarm.js';
import type { Json } from '../routing/primitive.js';
import { isObject } from '../json.js';
import { jsonOf, member, type Client } from './client.js';
import { WsClient } from './ws-client.js';

export type { Alarm } from '../routing/alarm.js';

export type AlarmNews =
  | { readonly type: 'alarm'; readonly alarm: Alarm }
  /** No canary came for 3 s: what is seen may be old. */
  | { readonly type: 'stale' }
  | { readonly type: 'live' };

export interface WatchOptions {
  /** Path of the application whose alarms are wanted; default: all. */
  readonly application?: string;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

const OWN_APPLICATION = `/m2m/applications/${BROKER_APPLICATION}`;
const containerOf = (application: string, container: string): string =>
  `${application.replace(/\/$/, '')}/containers/${container}/contentInstances`;

/** Yields until `signal` is aborted, whose reason it throws. Throws a GridcastError when the broker refuses or is gone. */
export async function* watchAlarms(
  client: Client,
  { application = OWN_APPLICATION, signal, clock = systemClock }: WatchOptions = {},
): AsyncGenerator<AlarmNews, void, undefined> {
  const board = new Board(clock);
  const over = new AbortController();
  const leave = (): void => board.fail(signal?.reason);
  signal?.throwIfAborted();
  signal?.addEventListener('abort', leave);
  const stopHearing =
    client instanceof WsClient
      ? client.hear((kind, body) => {
          if (kind === 'alarm' && isAbout(body, application)) board.take(body);
        })
      : undefined;
  const observe = async (to: string): Promise<void> => {
    try {
      for await (const { body } of client.observe(`${to}/latest/content`, { signal: over.signal }))
        board.take(jsonOf(body));
    } catch (error) {
      board.fail(error);
    }
  };
  const observed = [
    observe(containerOf(application, ALARMS_CONTAINER)),
    observe(containerOf(OWN_APPLICATION, CANARY_CONTAINER)),
  ];
  try {
    for (;;) yield await board.next();
  } finally {
    signal?.removeEventListener('abort', leave);
    stopHearing?.();
    board.close();
    over.abort();
    await Promise.all(observed);
  }
}

/** The newest alarms of an application, or of all, the most urgent first; at most 200. */
export async function listAlarms(client: Client, application = OWN_APPLICATION): Promise<readonly Alarm[]> {
  const to = containerOf(application, ALARMS_CONTAINER);
  const { bytes } = await client.request({ op: 'retrieve', to, accept: 'application/json' });
  const instances = member(jsonOf(bytes), 'contentInstances', 'contentInstanceCollection', 'contentInstance');
  const alarms = (Array.isArray(instances) ? (instances as readonly Json[]) : [])
    .map((instance) => {
      const text = member(instance, 'content', 'textContent');
      return typeof text === 'string' ? alarmOf(jsonOf(Buffer.from(text))) : undefined;
    })
    .filter((alarm) => alarm !== undefined);
  return alarms.sort((a, b) => a.priority - b.priority);
}

/** An operator's act on an alarm; gives the alarm as it is after it. */
export async function actOnAlarm(
  client: Client,
  alarmId: string,
  action: AlarmActionName,
  rest: { readonly forS?: number; readonly comment?: string } = {},
): Promise<Alarm | undefined> {
  const { bytes } = await client.request({
    op: 'create',
    to: containerOf(OWN_APPLICATION, ALARMS_CONTAINER),
    body: { alarmId, action, ...rest },
  });
  return alarmOf(jsonOf(bytes));
}

const alarmOf = (json: Json | undefined): Alarm | undefined => (isObject(json) ? readAlarm(json) : undefined);

/** Canaries are everybody's. */
const isAbout = (body: Json, application: string): boolean => {
  const source = member(body, 'source');
  if (typeof source !== 'string' || application === OWN_APPLICATION) return true;
  return source === application || source.startsWith(`${application.replace(/\/$/, '')}/`);
};

/** Between what comes and who asks: the newest state of each alarm that has not been taken. */
class Board {
  private readonly alarms = new Map<string, Alarm>();
  private banner: 'stale' | 'live' | undefined;
  private isStale = false;
  private heardUs: number;
  private failure: { readonly reason: unknown } | undefined;
  private wake: () => void = () => {};
  private cancel: Cancel = () => {};

  constructor(private readonly clock: Clock) {
    this.heardUs = clock.monotonicUs();
    this.listen(CANARY_PATIENCE_MS);
  }

  take(body: Json | undefined): void {
    if (typeof member(body, 'canary') === 'number') this.heardCanary();
    const alarm = alarmOf(body);
    if (alarm) this.alarms.set(alarm.alarmId, alarm);
    this.wake();
  }

  fail(reason: unknown): void {
    this.failure ??= { reason };
    this.wake();
  }

  async next(): Promise<AlarmNews> {
    for (;;) {
      const { banner } = this;
      this.banner = undefined;
      if (banner) return { type: banner };
      const [alarm] = [...this.alarms.values()].sort((a, b) => a.priority - b.priority);
      if (alarm) {
        this.alarms.delete(alarm.alarmId);
        return { type: 'alarm', alarm };
      }
      if (this.failure) throw this.failure.reason;
      await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }

  close(): void {
    this.cancel();
  }

  private heardCanary(): void {
    this.heardUs = this.clock.monotonicUs();
    this.show(false);
  }

  private listen(ms: number): void {
    this.cancel = this.clock.after(ms, () => {
      const leftMs = CANARY_PATIENCE_MS - (this.clock.monotonicUs() - this.heardUs) / 1000;
      if (leftMs <= 0) this.show(true);
      this.listen(leftMs > 0 ? leftMs : CANARY_PATIENCE_MS);
    });
  }

  private show(isStale: boolean): void {
    if (isStale === this.isStale) return;
    this.isStale = isStale;
    this.banner = isStale ? 'stale' : 'live';
    this.wake();
  }
}
