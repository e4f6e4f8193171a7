/**
 * C37.118 out: a data source over TCP for legacy data concentrators (PDC). Each stream is taken by its IDCODE, each connection
 * is an endpoint of the broker's like any other, and each stream it has switched on a subscription.
 *
 *     PDC ── send CFG-1 | CFG-2 | CFG-3 | header ──> may it read that? ──> the frame, under the IDCODE asked for
 *         ── data on ──────────────────────────────> Session.subscribe ──> every sample's frame, as it comes
 *         ── data off ─────────────────────────────> Session.unsubscribe
 *
 * There is no error reply in this protocol: what makes no sense, or is not to be had, is discarded in silence and counted
 * [C37.118.2 6.6].
 */
import type { Clock } from '../../clock.js';
import { isRefusal } from '../../errors.js';
import type { Log } from '../../log.js';
import { addressKey, type TcpConnection } from '../../network.js';
import { Port, type Delivery } from '../../routing/delivery.js';
import type { Ending } from '../../routing/endings.js';
import type { FindStream, OutgoingStream } from '../../routing/outgoing.js';
import { isSuccess, type Request } from '../../routing/primitive.js';
import type { Sample } from '../../routing/sample.js';
import type { Session, Site } from '../../routing/site.js';
import { answerTo } from './answer.js';
import { COMMANDS, decodeCommand } from './command.js';
import { readdressed, typeOf } from './frame.js';
import { ORIGINATOR, requestOf, termsOf } from './outgoing.js';
import { noFramingCounts, StreamFramer } from './framer.js';

/** Concentrators of one control centre; each may have any number of streams. */
const MOST_CONNECTIONS = 64;

/** Only rising. */
export interface ServerFigures {
  connections: number;
  /** Commands acted upon or answered. */
  commands: number;
  /** Frames that were none of our business: no command, an IDCODE that nobody has, one that may not be read. */
  discarded: number;
  /** Bytes between frames. */
  skippedBytes: number;
  /** Data frames handed to the network. */
  sent: number;
}

export interface ServerOptions {
  readonly site: Site;
  readonly find: FindStream;
  readonly clock: Clock;
  readonly log: Log;
}

export class DataServer {
  readonly figures: ServerFigures = { connections: 0, commands: 0, discarded: 0, skippedBytes: 0, sent: 0 };
  private readonly clients = new Set<Concentrator>();
  private requests = 0;

  constructor(readonly options: ServerOptions) {}

  /** The listener's handler. */
  readonly accept = (connection: TcpConnection): void => {
    const peer = addressKey(connection.remote);
    const { site, log } = this.options;
    if (this.clients.size >= MOST_CONNECTIONS) {
      log.warn({ peer }, `refused: ${MOST_CONNECTIONS} concentrators are connected, which is the limit`);
      connection.close();
      return;
    }
    const client = new Concentrator(this, connection);
    const session = site.connect({ binding: 'c37118', address: peer, originator: ORIGINATOR, attach: [] }, client);
    if (isRefusal(session)) {
      log.warn({ peer, detail: session.detail }, 'a concentrator was refused');
      connection.close();
      return;
    }
    this.figures.connections++;
    this.clients.add(client);
    client.open(session, (ending) => {
      this.clients.delete(client);
      session.close(ending);
    });
  };

  close(ending: Ending): void {
    for (const client of [...this.clients]) client.close(ending);
  }

  request(stream: OutgoingStream): Request {
    return requestOf(stream, ++this.requests);
  }
}

/** A stream that is switched on; without a delivery while the broker is being asked for it. */
interface Wanted {
  delivery: Delivery | undefined;
}

/**
 * One connection. A peer that does not take what it is sent has what the system's buffers hold, one write beyond, and of each
 * stream the newest frame: older ones are dropped, counted as conflated.
 */
class Concentrator extends Port {
  private readonly wanted = new Map<number, Wanted>();
  private readonly idCodes = new Map<Delivery, number>();
  private session: Session | undefined;
  private isClear = true;
  private over: (ending: Ending) => void = () => {};

  constructor(
    private readonly server: DataServer,
    private readonly connection: TcpConnection,
  ) {
    super();
  }

  open(session: Session, over: (ending: Ending) => void): void {
    const { figures, options } = this.server;
    this.session = session;
    this.over = over;
    const framing = noFramingCounts();
    const framer = new StreamFramer(
      framing,
      (frame) => this.obey(frame),
      () => undefined,
    );
    this.connection.onBytes((bytes) => {
      const skipped = framing.skippedBytes;
      framer.push(bytes, options.clock.monotonicUs());
      figures.skippedBytes += framing.skippedBytes - skipped;
    });
    this.connection.onDrain(() => {
      this.isClear = true;
      this.drain();
    });
    this.connection.onClose((error) => this.close(error ? 'CONNECTION_LOST' : 'PEER_CLOSED'));
  }

  close(ending: Ending): void {
    const { over } = this;
    this.session = undefined;
    this.over = () => {};
    this.connection.close();
    over(ending);
  }

  /** There is no word for it here. Without a stream left the connection goes too: a concentrator that comes again asks anew. */
  end(delivery: Delivery, ending: Ending): void {
    const idCode = this.idCodes.get(delivery);
    this.idCodes.delete(delivery);
    if (idCode !== undefined) this.wanted.delete(idCode);
    this.server.options.log.info({ peer: addressKey(this.connection.remote), idCode, ending }, 'stream ended');
    if (this.wanted.size === 0) this.close(ending);
  }

  protected transmit(delivery: Delivery, _sample: Sample, body: Uint8Array): boolean {
    const idCode = this.idCodes.get(delivery);
    if (!this.isClear) return false;
    if (idCode === undefined) return true;
    this.isClear = this.connection.write(readdressed(body, idCode));
    this.server.figures.sent++;
    return true;
  }

  /** Takes a good frame. */
  private obey(frame: Uint8Array): void {
    const command = typeOf(frame) === 'command' ? decodeCommand(frame) : undefined;
    const stream = command?.kind === 'command' ? this.server.options.find(command.streamId) : undefined;
    if (command?.kind === 'command' && command.code === COMMANDS.dataOff) this.switchOff(command.streamId);
    else if (command?.kind !== 'command' || !stream) this.server.figures.discarded++;
    else if (command.code === COMMANDS.dataOn) void this.switchOn(command.streamId, stream);
    else void this.answer(command.streamId, command.code, stream);
  }

  private async switchOn(idCode: number, stream: OutgoingStream): Promise<void> {
    const { session, server } = this;
    if (!session || this.wanted.has(idCode)) return;
    const wanted: Wanted = { delivery: undefined };
    this.wanted.set(idCode, wanted);
    server.figures.commands++;
    const subscribed = await session.subscribe(server.request(stream), termsOf(stream));
    const isWanted = this.wanted.get(idCode) === wanted;
    if (!('delivery' in subscribed)) {
      server.figures.discarded++;
      server.options.log.info(
        { idCode, detail: subscribed.detail },
        'a concentrator asked for a stream and was refused',
      );
      if (isWanted) this.wanted.delete(idCode);
      return;
    }
    if (!isWanted) {
      session.unsubscribe(subscribed.delivery, 'UNSUBSCRIBED');
      return;
    }
    wanted.delivery = subscribed.delivery;
    this.idCodes.set(subscribed.delivery, idCode);
    session.open(subscribed.delivery);
  }

  private switchOff(idCode: number): void {
    const delivery = this.wanted.get(idCode)?.delivery;
    this.server.figures.commands++;
    this.wanted.delete(idCode);
    if (!delivery) return;
    this.idCodes.delete(delivery);
    this.session?.unsubscribe(delivery, 'UNSUBSCRIBED');
  }

  /** What the stream is, is told to whom may read what it carries. */
  private async answer(idCode: number, code: number, stream: OutgoingStream): Promise<void> {
    const { server, session } = this;
    const frames = answerTo(code, idCode, stream.newest, server.options.clock.wallUs());
    const response = frames.length > 0 ? await session?.request(server.request(stream)) : undefined;
    if (!response || !isSuccess(response)) {
      server.figures.discarded++;
      return;
    }
    server.figures.commands++;
    for (const frame of frames) this.isClear = this.connection.write(frame) && this.isClear;
  }
}
