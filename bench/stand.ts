/**
 * A broker with a load beside it, for the benches that measure something else under it: the even fan-out over CoAP, 100 topics of
 * 30/s with 10 subscribers each on 100 sockets, 30,000 deliveries a second.
 */
import { CODE } from '../src/protocols/coap/message.js';
import { furnish, pathTo } from './contenders.js';
import { DaemonUnderTest } from './daemon.js';
import { RATE_HZ, SUBSCRIBERS, TOPICS, TOPICS_PER_SUBSCRIBER, topicsOf } from './load.js';
import { Pump, type Pumped } from './pump.js';
import { coap } from './speech.js';

export interface Effort {
  readonly rounds: number;
  readonly seconds: number;
}

export class Stand {
  private constructor(
    readonly daemon: DaemonUnderTest,
    private readonly pump: Pump,
  ) {}

  /** @param flags of `serve`; @param nodeFlags of its Node: none, but for a profile */
  static async open(flags: readonly string[], nodeFlags: readonly string[] = []): Promise<Stand> {
    const pump = new Pump();
    const daemon = await DaemonUnderTest.start(flags, nodeFlags);
    await furnish(daemon.site.http, TOPICS);
    const { subscribe, publish } = coap(daemon.site.coap, {
      observed: (topic) => [...pathTo(topic), 'latest', 'content'],
      published: pathTo,
      method: CODE.post,
    });
    for (let subscriber = 0; subscriber < SUBSCRIBERS; subscriber++) await subscribe(pump, topicsOf(subscriber));
    for (let topic = 0; topic < TOPICS; topic++) publish(pump, topic);
    await pump.sync();
    const { subscriptions } = await daemon.accounts();
    if (subscriptions !== SUBSCRIBERS * TOPICS_PER_SUBSCRIBER)
      throw new Error(`only ${subscriptions} subscriptions stand`);
    return new Stand(daemon, pump);
  }

  run(shape: 'even' | 'burst', seconds: number): Promise<Pumped> {
    const fanOut = (SUBSCRIBERS * TOPICS_PER_SUBSCRIBER) / TOPICS;
    return this.pump.run({ shape, seconds, rateHz: RATE_HZ, fanOut, window: 1, batch: 1, first: 0, count: TOPICS });
  }

  async close(): Promise<void> {
    this.pump.close();
    await this.daemon.stop();
  }
}
