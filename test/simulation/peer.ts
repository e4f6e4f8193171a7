/**
 * One simulated client of the WebSocket binding: it connects, says hello, asks, hears the reliable lane and says its own
 * words on it; when the connection breaks it comes again and goes on with its session where the broker lets it.
 */
import { FRAME_CODECS, type Frame, type MessageFrame, type ResponseFrame } from '../../src/protocols/ws/frames.js';
import { isRefusal } from '../../src/errors.js';
import type { JsonObject } from '../../src/json.js';
import type { Link } from './link.js';
import type { BrokerHost } from './broker-host.js';
import type { Life } from './timeline.js';
import type { Chance, World } from './world.js';

const CODEC = FRAME_CODECS['gridcast.v1+json'];
/** Between a broken connection and the next try. */
const RECONNECT_MS = [20, 800] as const;
/** Rarer than the default of a device's session, for the speed of the simulation; three of them lost end the connection. */
const HEARTBEAT_MS = 4_000;

/** A session that acknowledges nothing is closed within 30 s; a broker that stands still meanwhile takes longer. */
const TAKEN_WITHIN_US = 36_000_000;
const isReliable = (message: Buffer): boolean => message.includes('"t":"msg"');

export interface PeerOptions {
  readonly name: string;
  readonly originator: string;
  readonly attach?: readonly string[];
  /** A message of the lane, once per session; acknowledged when this returns. */
  /** It does not connect before `begin`. */
  readonly isWaiting?: boolean;
  readonly hear: (kind: MessageFrame['kind'], body: JsonObject) => void;
  /** The session stands, anew or resumed. */
  readonly welcomed?: (isResumed: boolean) => void;
  readonly notified?: (frame: Extract<Frame, { t: 'ntf' }>) => void;
}

/** A body of another type than JSON's own. */
interface Pack {
  readonly mediaType: string;
  readonly body: readonly JsonObject[];
}
const isPack = (given: JsonObject | Pack): given is Pack => Array.isArray(given.body);

interface Said {
  readonly frame: MessageFrame;
  readonly heard: () => void;
}

type Answered = (answer: ResponseFrame | undefined) => void;

export class Peer {
  private link: Link | undefined;
  private isWelcome = false;
  private isReplayed = false;
  private session: string | undefined;
  private heardSeq = 0;
  private lastSeq = 0;
  /** What the broker has not acknowledged yet. */
  private readonly unacknowledged = new Map<number, Said>();
  private readonly answers = new Map<number, Answered>();
  private lastId = 0;
  /** While it hangs: what has come and is not looked at. */
  private backlog: { readonly message: Buffer; readonly atUs: number }[] | undefined;

  constructor(
    private readonly world: World,
    private readonly chance: Chance,
    readonly life: Life,
    private readonly broker: BrokerHost,
    private readonly options: PeerOptions,
  ) {
    if (!options.isWaiting) this.connect();
  }

  /** Connects one that was to wait. */
  begin(): void {
    this.connect();
  }

  get isConnected(): boolean {
    return this.isWelcome;
  }

  /** @param answered undefined: the connection broke before the answer came */
  request(op: 'create' | 'retrieve' | 'delete', to: string, given: JsonObject | Pack, answered: Answered): void {
    const id = ++this.lastId;
    if (!this.link || !this.isWelcome) return answered(undefined);
    this.answers.set(id, answered);
    const { mediaType, body } = isPack(given) ? given : { mediaType: 'application/json', body: given };
    const payload = { mediaType, bytes: Buffer.from(JSON.stringify(body)) };
    this.send({ t: 'req', id, op, to, ifMatch: [], ifNoneMatch: [], payload });
  }

  subscribe(to: string, answered: Answered, rate?: number): number {
    const id = ++this.lastId;
    if (!this.link || !this.isWelcome) {
      answered(undefined);
      return id;
    }
    this.answers.set(id, answered);
    this.send({ t: 'sub', id, to, ...(rate !== undefined && { rate }) });
    return id;
  }

  /** Says something on the lane, in this session or the next, until the broker has taken it. */
  tell(kind: MessageFrame['kind'], body: JsonObject, heard: () => void = () => {}): void {
    const frame: MessageFrame = { t: 'msg', seq: ++this.lastSeq, kind, body };
    this.unacknowledged.set(frame.seq, { frame, heard });
    if (this.isWelcome) this.send(frame);
  }

  /** Leaves in order, for good, or until it is started again. */
  leave(): void {
    this.life.end();
    this.link?.close();
  }

  /** For the faults: the connection that stands, if any. */
  get connection(): Link | undefined {
    return this.link;
  }

  /** Its screen hangs: the socket is read, and pings are answered; nothing that comes is looked at for a while. */
  hang(spanUs: number): void {
    if (this.backlog) return;
    this.backlog = [];
    this.life.after(spanUs / 1000, () => this.wake());
  }

  wake(): void {
    const { backlog = [] } = this;
    this.backlog = undefined;
    const oldestUs = backlog.find(({ message }) => isReliable(message))?.atUs ?? Infinity;
    const forUs = this.world.timeline.nowUs - oldestUs;
    if (forUs > TAKEN_WITHIN_US)
      this.world.model.broken(`${this.options.name} has acknowledged nothing for ${forUs / 1e6} s, and is connected`);
    for (const { message } of backlog) this.heard(message);
  }

  private connect(): void {
    const link = this.broker.accept(this.chance, {
      life: this.life,
      heard: (message) => this.heard(message),
      closed: (code, reason) => this.lost(code, reason),
    });
    if (!link) return this.reconnect();
    this.link = link;
    const { originator, attach = [] } = this.options;
    this.send({
      t: 'hello',
      originator,
      attach,
      ...(this.session !== undefined && { resume: this.session }),
      heartbeatMs: HEARTBEAT_MS,
    });
  }

  private reconnect(): void {
    this.life.after(this.chance.between(...RECONNECT_MS), () => this.connect());
  }

  private lost(code: number, reason: string): void {
    this.world.note(this.options.name, `closed ${code} ${reason}`);
    this.link = undefined;
    this.isWelcome = false;
    if (this.backlog) this.backlog = [];
    const waiting = [...this.answers.values()];
    this.answers.clear();
    for (const answered of waiting) answered(undefined);
    this.reconnect();
  }

  private send(frame: Frame): void {
    this.link?.send(CODEC.encode(frame));
  }

  private heard(message: Buffer): void {
    if (this.backlog) return void this.backlog.push({ message, atUs: this.world.timeline.nowUs });
    const frame = CODEC.decode(message);
    if (isRefusal(frame)) throw new Error(`the broker sent what is no frame: ${frame.detail}`);
    switch (frame.t) {
      case 'welcome':
        return this.welcomed(frame);
      case 'res': {
        const answered = this.answers.get(frame.id);
        this.answers.delete(frame.id);
        return answered?.(frame);
      }
      case 'msg':
        if (frame.seq > this.heardSeq) {
          // What has grown too old meanwhile is left out when a session is resumed.
          if (frame.seq !== this.heardSeq + 1 && !this.isReplayed)
            this.world.model.broken(
              `${this.options.name} heard message ${frame.seq} of its lane after ${this.heardSeq}`,
            );
          this.heardSeq = frame.seq;
          this.options.hear(frame.kind, frame.body);
        }
        return this.send({ t: 'ack', seq: this.heardSeq });
      case 'ack':
        return this.acknowledged(frame.seq);
      case 'ntf':
        return this.options.notified?.(frame);
      case 'ping':
        return this.send({ ...frame, t: 'pong' });
      case 'error':
        this.world.note(this.options.name, `told: ${frame.reason}`);
        return this.refused(frame);
      default:
    }
  }

  private welcomed(frame: Extract<Frame, { t: 'welcome' }>): void {
    this.isWelcome = true;
    this.isReplayed = frame.resumed;
    this.world.note(this.options.name, frame.resumed ? 'resumed' : 'welcome');
    if (frame.resumed) {
      this.acknowledged(frame.heard ?? 0);
    } else {
      // A new session counts from 1; what nobody has acknowledged goes on in it.
      const said = [...this.unacknowledged.values()];
      this.unacknowledged.clear();
      this.heardSeq = this.lastSeq = 0;
      for (const { frame: old, heard } of said) {
        const again = { ...old, seq: ++this.lastSeq };
        this.unacknowledged.set(again.seq, { frame: again, heard });
      }
    }
    for (const each of this.unacknowledged.values()) this.send(each.frame);
    this.session = frame.session;
    this.options.welcomed?.(frame.resumed);
  }

  private acknowledged(upTo: number): void {
    for (const [seq, { heard }] of this.unacknowledged) {
      if (seq > upTo) return;
      this.unacknowledged.delete(seq);
      heard();
    }
  }

  /** A message that was not taken for now is said again, and all that came after it. */
  private refused(frame: Extract<Frame, { t: 'error' }>): void {
    const { seq } = frame;
    if (seq === undefined || frame.status !== 'STATUS_SERVICE_UNAVAILABLE') return;
    this.life.after(this.chance.between(...RECONNECT_MS), () => {
      if (this.isWelcome)
        for (const { frame: each } of this.unacknowledged.values()) if (each.seq >= seq) this.send(each);
    });
  }
}
