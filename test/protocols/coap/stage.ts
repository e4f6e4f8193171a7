/** A CoAP server on a stub site, its clients played by the script: what the observe and congestion scripts stand on. */
import { silentLog } from '../../../src/log.js';
import { CoapBinding } from '../../../src/protocols/coap/binding.js';
import { CODE, TYPE, type Message } from '../../../src/protocols/coap/message.js';
import { firstOf, OPTION, option, uintOf, uintOption } from '../../../src/protocols/coap/options.js';
import type { Identify } from '../../../src/protocols/identity.js';
import type { Congestion } from '../../../src/protocols/coap/parameters.js';
import { ack, CLIENT, Lockstep, message, uri } from './lockstep.js';
import { StubSite } from './stub-site.js';

const { confirmable: CON, acknowledgement: ACK } = TYPE;
export const CONTENT = 0x45;
export const REGISTER = option(OPTION.observe, 0);
export const DEREGISTER = option(OPTION.observe, 1);
export const RTT_MS = 1;

export class Stage {
  readonly wire: Lockstep;
  readonly site: StubSite;
  readonly binding: CoapBinding;
  private id = 0x100;

  constructor(
    congestion: Congestion,
    {
      streams = 1,
      rate = 30,
      bodyOf,
      identify,
    }: { streams?: number; rate?: number; bodyOf?: (n: number) => Uint8Array; identify?: Identify } = {},
  ) {
    this.wire = new Lockstep(congestion);
    this.site = new StubSite(this.wire.clock, streams, rate, bodyOf);
    this.binding = new CoapBinding(this.wire.endpoint, this.site, silentLog, identify);
  }

  async gets(
    token: string,
    path: string,
    options: readonly ReturnType<typeof option>[] = [],
    from = CLIENT,
  ): Promise<Message> {
    const id = ++this.id;
    await this.wire.sends(message(CON, CODE.get, id, token, [...uri(path), ...options]), from);
    return this.wire.expects({ type: ACK, id, token, to: from });
  }

  /** Registers `token` on a stream; the answer bears Observe. */
  async registers(token: string, path = 'stream/0', from = CLIENT): Promise<Message> {
    const reply = await this.gets(token, path, [REGISTER], from);
    expect([reply.code, uintOption(reply.options, OPTION.observe)]).toEqual([CONTENT, expect.any(Number)]);
    return reply;
  }

  /** Publishes one sample on every stream and lets the turn end. */
  async publishes(): Promise<void> {
    this.site.publish();
    await this.wire.settles();
  }

  /** The first notification of a client, confirmable, acknowledged after `RTT_MS`: from here the path is known. */
  async proves(token: string): Promise<void> {
    await this.publishes();
    const { id } = this.wire.expects({ type: CON, code: CONTENT, token });
    await this.wire.passes(RTT_MS);
    await this.wire.sends(ack(id));
  }

  /** Publishes at the stream's rate for a span, acknowledging nothing; what was sent and when, seconds. */
  async runs(seconds: number, rate = 30): Promise<{ atS: number; message: Message }[]> {
    const sent: { atS: number; message: Message }[] = [];
    for (let n = 1; n <= seconds * rate; n++) {
      await this.wire.passes(1000 / rate);
      if (this.site.deliveries.size > 0) await this.publishes();
      while (this.wire.socket.sent.length > 0) sent.push({ atS: n / rate, message: this.next() });
    }
    return sent;
  }

  next(): Message {
    const first = this.wire.socket.sent[0]?.bytes[0] ?? 0;
    return this.wire.expects({ type: ((first >> 4) & 3) as 0 });
  }

  async closes(): Promise<void> {
    await this.wire.closes();
    expect([this.site.deliveries.size, this.binding.observers.relationCount]).toEqual([0, 0]);
  }
}

export const sequenceOf = ({ options }: Message): number => uintOf(firstOf(options, OPTION.observe) ?? Buffer.alloc(0));
