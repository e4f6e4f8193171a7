/**
 * C37.118 out, unasked [C37.118.2 annex F, spontaneous]: one stream to one address over UDP, to a concentrator that only listens.
 *
 *     look, once a second ── the stream is there ──> subscribe ──> configuration | data | data | data ...
 *                                                                  again each minute, and before the first frame of a new one
 *
 * Nobody answers, so nothing is known of the other side; what is not taken there is lost there.
 */
import { every, type Cancel, type Clock } from '../../clock.js';
import { isRefusal } from '../../errors.js';
import type { Log } from '../../log.js';
import { addressKey, type UdpSocket } from '../../network.js';
import { Port, type Delivery } from '../../routing/delivery.js';
import type { Ending } from '../../routing/endings.js';
import type { Framed } from '../../routing/measurement.js';
import type { FindStream, OutgoingStream } from '../../routing/outgoing.js';
import type { Sample } from '../../routing/sample.js';
import type { Session, Site } from '../../routing/site.js';
import type { StreamAddress } from './address.js';
import { answerTo } from './answer.js';
import { COMMANDS } from './command.js';
import { readdressed } from './frame.js';
import { ORIGINATOR, requestOf, termsOf } from './outgoing.js';

/** How soon a stream that appears is sent; looking costs a walk over the applications. */
const LOOK_MS = 1_000;
/** After a refusal, which the audit trail would fill with. */
const REFUSED_MS = 60_000;
/** [C37.118.2: once a minute, for who comes later.] */
const CONFIGURATION_MS = 60_000;
/** UDP over IPv4; a longer frame can't be sent. */
const LARGEST_DATAGRAM = 65_507;

/** Only rising. */
export interface SenderFigures {
  configurations: number;
  /** Data frames handed to the network. */
  sent: number;
}

export interface SenderOptions {
  readonly site: Site;
  readonly find: FindStream;
  readonly clock: Clock;
  readonly log: Log;
  /** Its own. */
  readonly socket: UdpSocket;
}

export class SpontaneousSender extends Port {
  readonly figures: SenderFigures = { configurations: 0, sent: 0 };
  private session: Session | undefined;
  private delivery: Delivery | undefined;
  /** The CFG-2 that the other side has been told. */
  private told: Uint8Array | undefined;
  private isAsking = false;
  private notBeforeUs = -Infinity;
  private requests = 0;
  private readonly cancels: Cancel[];

  /** @param to where the stream goes, its IDCODE, and which configuration is told */
  constructor(
    readonly to: StreamAddress,
    private readonly options: SenderOptions,
  ) {
    super();
    const { clock, socket, log } = options;
    const peer = addressKey(to.at);
    socket.onError((error) => log.warn({ peer, error: error.message }, 'a C37.118 stream could not be sent'));
    const forget = (): void => (this.told = undefined);
    this.cancels = [every(clock, LOOK_MS, () => this.look()), every(clock, CONFIGURATION_MS, forget)];
    this.look();
  }

  /** The broker has ended it: the stream is gone, or has another rate; it is looked for again. */
  end(_delivery: Delivery, ending: Ending): void {
    this.options.log.info({ peer: addressKey(this.to.at), idCode: this.to.streamId, ending }, 'stream ended');
    this.delivery = this.told = undefined;
  }

  close(ending: Ending): void {
    for (const cancel of this.cancels) cancel();
    this.session?.close(ending);
    this.session = this.delivery = undefined;
    this.options.socket.close();
  }

  override flush(): void {
    this.options.socket.flush();
  }

  protected transmit(delivery: Delivery, { content }: Sample, body: Uint8Array): boolean {
    const { socket } = this.options;
    if (body.length > LARGEST_DATAGRAM) {
      delivery.drop('too-large');
      return true;
    }
    const framed =
      content.kind === 'measurement' ? content.measurement : content.kind === 'snapshot' && content.snapshot.framed;
    if (framed) this.tell(framed);
    socket.queue(readdressed(body, this.to.streamId), this.to.at);
    this.figures.sent++;
    return true;
  }

  /** The configuration, unless it has been told. */
  private tell(framed: Framed): void {
    const configuration = framed.configuration();
    if (configuration === this.told) return;
    this.told = configuration;
    const { clock, socket } = this.options;
    const { streamId, at } = this.to;
    const code = this.to.configuration === 3 ? COMMANDS.sendConfiguration3 : COMMANDS.sendConfiguration2;
    for (const frame of answerTo(code, streamId, framed, clock.wallUs(), LARGEST_DATAGRAM)) socket.queue(frame, at);
    this.figures.configurations++;
  }

  private look(): void {
    const { find, clock } = this.options;
    if (this.delivery || this.isAsking || clock.monotonicUs() < this.notBeforeUs) return;
    const stream = find(this.to.streamId);
    if (stream) void this.subscribe(stream);
  }

  private async subscribe(stream: OutgoingStream): Promise<void> {
    const { clock, log } = this.options;
    const peer = addressKey(this.to.at);
    const session = this.session ?? this.connect(peer);
    if (!session) return;
    this.isAsking = true;
    const subscribed = await session.subscribe(requestOf(stream, ++this.requests), termsOf(stream));
    this.isAsking = false;
    // Closed meanwhile: the session has ended what it had.
    if (this.session !== session) return;
    if (!('delivery' in subscribed)) {
      this.notBeforeUs = clock.monotonicUs() + REFUSED_MS * 1000;
      log.warn(
        { peer, idCode: this.to.streamId, detail: subscribed.detail },
        'a C37.118 stream to be sent was refused',
      );
      return;
    }
    this.delivery = subscribed.delivery;
    session.open(subscribed.delivery);
  }

  private connect(peer: string): Session | undefined {
    const { site, log } = this.options;
    const session = site.connect({ binding: 'c37118', address: peer, originator: ORIGINATOR, attach: [] }, this);
    if (!isRefusal(session)) return (this.session = session);
    log.warn({ peer, detail: session.detail }, 'a C37.118 stream cannot be sent');
    return undefined;
  }
}
