/**
 * What subscribers see of a kill -9. A subscription whose contact can be reached goes on by itself; observers and WebSocket
 * sessions subscribe again, and get nothing twice.
 *
 *     publisher ──> container ──┬─ subscription, notificationChannel ── long poll
 *                               ├─ CoAP observer
 *                               └─ WebSocket subscription
 */
import { open, type Client } from '../../src/client/index.js';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seededRandom } from '../../src/random.js';
import { BrokerProcess, wait } from './broker-process.js';
import { insist, never, seconds, type Circumstances, type Part } from './part.js';

const CONTAINER = '/m2m/applications/meter-1/containers/load';
const CONTENTS = `${CONTAINER}/contentInstances`;
const PERIOD_MS = 20;
const LIFE_MS = 600;
const LATEST_MS = 600;
const MOST_ROUNDS = 10;
const AGAIN_MS = 20;
/** Many times the period. */
const SILENCE_MS = 1_000;
/** For a subscriber to be heard again after the broker is up. */
const BACK_LIMIT_MS = 10_000;

/** What one subscriber got: the numbers in the contents, in order of arrival. */
class Taken {
  readonly numbers: number[] = [];

  constructor(readonly name: string) {}

  push(body: string): void {
    const [, number] = /number (\d+)/.exec(body) ?? [];
    if (number !== undefined) this.numbers.push(Number(number));
  }

  faults(): string[] {
    const doubled = this.numbers.length - new Set(this.numbers).size;
    const backwards = this.numbers.filter((number, at) => number < (this.numbers[at - 1] ?? 0)).length;
    return [
      ...(doubled > 0 ? [`${this.name} got ${doubled} twice`] : []),
      ...(backwards > 0 ? [`${this.name} got ${backwards} out of order`] : []),
    ];
  }

  /** Waits until something newer than `number` has come. */
  async hears(number: number): Promise<void> {
    for (const from = performance.now(); (this.numbers.at(-1) ?? -1) <= number;) {
      await wait(AGAIN_MS);
      if (performance.now() - from > BACK_LIMIT_MS) throw new Error(`${this.name} hears nothing any more`);
    }
  }
}

class Watch {
  readonly channel = new Taken('the long poll');
  readonly coap = new Taken('the CoAP observer');
  readonly ws = new Taken('the WebSocket subscriber');
  /** The last number that was answered with 201. */
  published = -1;
  private isOver = false;
  private readonly tasks: Promise<void>[] = [];

  constructor(private readonly broker: BrokerProcess) {}

  get all(): readonly Taken[] {
    return [this.channel, this.coap, this.ws];
  }

  async begin(): Promise<void> {
    const { broker } = this;
    await broker.create('/m2m/applications', { application: { appId: 'meter-1' } });
    await broker.create('/m2m/applications/meter-1/containers', { container: { id: 'load' } });
    this.tasks.push(this.publish());
    while (this.published < 0) await wait(PERIOD_MS);
    const made = await broker.ask('POST', '/m2m/notificationChannels', {
      notificationChannel: { channelType: 'LONG_POLLING' },
    });
    const { notificationChannel } = JSON.parse(made.body) as {
      readonly notificationChannel: {
        readonly contactURI: string;
        readonly channelData: { readonly longPollingURI: string };
      };
    };
    await broker.create(`${CONTENTS}/subscriptions`, {
      subscription: {
        contact: notificationChannel.contactURI,
        filterCriteria: { attributeAccessor: 'latest/content' },
      },
    });
    this.tasks.push(this.poll(new URL(notificationChannel.channelData.longPollingURI, broker.root).pathname));
    this.tasks.push(this.observe('coap', () => broker.coap, this.coap));
    this.tasks.push(this.observe('ws', () => broker.http, this.ws));
    await Promise.all(this.all.map((taken) => taken.hears(0)));
  }

  async end(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.tasks);
  }

  private async publish(): Promise<void> {
    for (let number = 0; !this.isOver; number++) {
      await wait(PERIOD_MS);
      const content = { contentType: 'text/plain', textContent: `number ${number}` };
      const { status } = (await this.broker
        .ask('POST', CONTENTS, { contentInstance: { content } })
        .catch(() => undefined)) ?? { status: 0 };
      // One that was not answered may be there all the same: the next is another.
      if (status === 201) this.published = number;
    }
  }

  /** The channel was made once; its URI holds in the broker's next life. */
  private async poll(path: string): Promise<void> {
    while (!this.isOver) {
      const answer = await this.broker.ask('GET', path).catch(() => undefined);
      if (answer?.status === 200) {
        const { notify } = JSON.parse(answer.body) as {
          readonly notify: { readonly statusCode: string; readonly representation?: { readonly textContent?: string } };
        };
        this.channel.push(notify.representation?.textContent ?? '');
      } else if (!answer || answer.status >= 500) await wait(AGAIN_MS);
      else if (answer.status >= 400) throw new Error(`the channel is gone: ${answer.status} ${answer.body}`);
    }
  }

  private async observe(scheme: 'coap' | 'ws', port: () => number, taken: Taken): Promise<void> {
    while (!this.isOver) {
      let client: Client | undefined;
      const over = new AbortController();
      // Nobody tells an observer that the broker has died: he notices that nothing comes. [RFC7641-3.3.1] would wait for Max-Age.
      let heardMs = performance.now();
      const watch = setInterval(() => {
        if (this.isOver || performance.now() - heardMs > SILENCE_MS) over.abort();
      }, PERIOD_MS);
      try {
        client = await open(`${scheme}://127.0.0.1:${port()}`);
        for await (const { body } of client.observe(`${CONTENTS}/latest/content`, { signal: over.signal })) {
          heardMs = performance.now();
          taken.push(Buffer.from(body).toString());
        }
      } catch {
        await wait(AGAIN_MS);
      } finally {
        clearInterval(watch);
        await client?.close();
      }
    }
  }
}

async function run({ seed, rounds, progress }: Circumstances): Promise<string> {
  const random = seededRandom(seed);
  const lives = Math.min(rounds, MOST_ROUNDS);
  const folder = mkdtempSync(join(tmpdir(), 'gridcast-resume-'));
  const broker = new BrokerProcess(join(folder, 'data'), ['--long-poll-hold-s', '1']);
  const watch = new Watch(broker);
  const backMs: number[] = [];
  try {
    await broker.start();
    await watch.begin();
    for (let n = 1; n <= lives; n++) {
      await wait(LIFE_MS + random.below(LATEST_MS));
      await broker.kill();
      const before = watch.published;
      await broker.start();
      const from = performance.now();
      await Promise.all(watch.all.map((taken) => taken.hears(before + 1)));
      backMs.push(performance.now() - from);
      progress(
        `life ${n}: all hear again ${seconds(backMs.at(-1) ?? NaN)} after it was ready; ${watch.all.map(({ name, numbers }) => `${name} got ${numbers.length}`).join(', ')}`,
      );
      insist(watch.all.flatMap((taken) => taken.faults()));
    }
    await watch.end();
  } finally {
    await broker.kill();
    rmSync(folder, { recursive: true, force: true });
  }
  return `${lives} kills: the subscription with a channel went on, the observer and the session subscribed again, within ${seconds(Math.max(...backMs))}; nothing came twice`;
}

export const resume: Part = { obstacle: never, run };
