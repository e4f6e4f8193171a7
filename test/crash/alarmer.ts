/**
 * Reports alarms, each condition by turns active and normal, and notes what was answered; and an operator who watches them. What
 * was answered must stand after a crash, and reach him.
 */
import { GridcastError, open, WsClient, type Alarm } from '../../src/client/index.js';
import { wait, type BrokerProcess } from './broker-process.js';

const APPLICATION = 'substation';
const ALARMS = `/m2m/applications/${APPLICATION}/containers/alarms/contentInstances`;
/** Each has one report under way; together they make the pace. */
const CONDITIONS = 50;
const AGAIN_MS = 20;
const LOOK_MS = 10;

type Reported = 'active' | 'normal';
/** What an alarm is in when nobody acknowledges it. */
const STATES: Readonly<Record<Reported, string>> = {
  active: 'unacknowledgedActive',
  normal: 'unacknowledgedCleared',
};

export class Alarmer {
  /** Reports that were answered. */
  answered = 0;
  /** By condition: the last answered. */
  private readonly stands = new Map<string, Reported>();
  /** By condition: what the operator was told last. */
  private readonly told = new Map<string, string>();
  private client: WsClient | undefined;
  private isClosed = false;

  constructor(private readonly broker: BrokerProcess) {}

  async furnish(): Promise<void> {
    await this.broker.create('/m2m/applications', { application: { appId: APPLICATION } });
    await this.broker.create(`/m2m/applications/${APPLICATION}/containers`, { container: { id: 'alarms' } });
    void this.operate();
  }

  /** Reports until `isOver`; what was under way then is answered when it resolves. */
  async run(perSecond: number, isOver: () => boolean): Promise<void> {
    await Promise.all(
      Array.from({ length: CONDITIONS }, async (_, n) => {
        const condition = `condition-${n}`;
        while (!isOver()) {
          await this.report(condition, this.stands.get(condition) === 'active' ? 'normal' : 'active');
          await wait((1000 * CONDITIONS) / perSecond);
        }
      }),
    );
  }

  /** What a restarted broker shows, or the operator was told, otherwise than it was answered; waits for him. */
  async faults(limitMs: number): Promise<string[]> {
    const until = performance.now() + limitMs;
    const untold = (): string[] =>
      [...this.stands].flatMap(([condition, reported]) =>
        this.told.get(condition) === STATES[reported]
          ? []
          : [`the operator was told ${this.told.get(condition)} of ${condition}, which is ${reported}`],
      );
    while (untold().length > 0 && performance.now() < until) await wait(LOOK_MS);
    const faults = untold();
    for (const [condition, reported] of this.stands) {
      const { status, body } = await this.broker.ask('GET', `${ALARMS}/${APPLICATION}~${condition}/content`);
      const state = status === 200 ? (JSON.parse(body) as Alarm).state : `${status}`;
      if (state !== STATES[reported]) faults.push(`${condition} is ${state}, and was answered to be ${reported}`);
    }
    return faults.slice(0, 3);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    await this.client?.close();
  }

  /** Until it is answered: a report that comes twice is counted as repeated. */
  private async report(condition: string, state: Reported): Promise<void> {
    while (!this.isClosed) {
      const answer = await this.broker.ask('POST', ALARMS, { condition, state }).catch(() => undefined);
      if (!answer || answer.status === 503) {
        await wait(AGAIN_MS);
        continue;
      }
      if (answer.status >= 300) throw new Error(`a report was answered ${answer.status} ${answer.body}`);
      this.stands.set(condition, state);
      this.answered++;
      return;
    }
  }

  /** Subscribes again after each loss: then all that stands is told, and every change since. */
  private async operate(): Promise<void> {
    const to = `${ALARMS}/latest/content`;
    while (!this.isClosed) {
      try {
        const client = await open(`ws://127.0.0.1:${this.broker.http}`, {
          originator: 'operator',
          received: (kind, body) => {
            if (kind === 'alarm') this.told.set(`${body.condition}`, `${body.state}`);
          },
        });
        if (!(client instanceof WsClient)) throw new Error('no WebSocket');
        this.client = client;
        // Alarms come on the reliable lane; the iteration only ends with the subscription.
        for await (const _notification of client.observe(to));
      } catch (error) {
        if (!(error instanceof GridcastError)) throw error;
      }
      await wait(AGAIN_MS);
    }
  }
}
