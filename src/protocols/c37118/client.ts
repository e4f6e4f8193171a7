/**
 * The data consumer's side of a C37.118 session: the port that moves bytes for a source. It does what it is told, tells what
 * happens, and decides nothing: when to connect, ask, retry or give up is for the source's machine.
 *
 *     machine ── connect, stopData, requestConfiguration, startData, disconnect, close ──> client ──> device
 *     machine <── CONNECTED, CONFIGURED, UNANSWERED, OUTDATED, FLOWING, SILENT, LOST ──── client <── CFG-2
 *     broker  <── measurement, one a PMU and frame ────────────────────────────────────── client <── data
 *
 * A configuration that arrives while STAT bit 10 announces a change waits: the old one holds until the first frame without
 * the bit. A data frame of another length is never guessed at: it is dropped and the configuration called outdated.
 */
import type { Cancel, Clock } from '../../clock.js';
import { reasonOf } from '../../errors.js';
import type { Leases } from '../../kernel/wheel.js';
import type { Address } from '../../network.js';
import { QUALITY } from '../../routing/sample.js';
import type { StreamPort, StreamSink } from '../../routing/stream.js';
import type { StreamAddress } from './address.js';
import { ConfigurationReader, saysTheSame, type Announced } from './announced.js';
import { COMMANDS, encodeCommand } from './command.js';
import { reportingRate } from './configuration.js';
import { checkLength, type StreamLayout } from './data-frame.js';
import { readHead, STREAM_ID_AT, typeOf, VERSION, viewOf, wordAt } from './frame.js';
import { StreamHealth, type HealthFigures } from './health.js';
import type { Link, Links } from './link.js';
import { FrameMeasurement, streamOf, type PmuStream } from './measurement.js';
import { STAT } from './stat.js';
import { tagUs, TIME_QUALITY, usTag } from './time.js';

export interface ClientTiming {
  /** How long a configuration is waited for. */
  readonly answerMs: number;
  /** No data frame for so long, and for three periods of the reporting rate, is silence. */
  readonly silenceMs: number;
  /** Tags older or further ahead than these are unreasonable; GSF's defaults. */
  readonly lagMs: number;
  readonly leadMs: number;
}

export const DEFAULT_TIMING: ClientTiming = { answerMs: 1000, silenceMs: 1000, lagMs: 10_000, leadMs: 5000 };
const SILENT_PERIODS = 3;
/** TIME_BASE of commands sent before the stream's is known; their time is to be ignored anyway. */
const COMMAND_TIME_BASE = 1_000_000;
const NO_BYTES = new Uint8Array(0);
const NO_LEASE = -1;

/** Whether a bit of STAT is set for any PMU of a frame. */
function isAnySet(view: DataView, { blocks }: StreamLayout, bit: number): boolean {
  for (const { statAt } of blocks) if ((view.getUint16(statAt) & bit) !== 0) return true;
  return false;
}

export class StreamClient implements StreamPort {
  private readonly health = new StreamHealth();
  private link: Link | undefined;
  /** Counts connects and disconnects: an attempt that ends after its time is known by its number. */
  private attempt = 0;
  private stream: PmuStream | undefined;
  /** What `stream` was made of. */
  private announced: Announced | undefined;
  /** A configuration that holds once STAT bit 10 clears. */
  private pending: Announced | undefined;
  private reader = new ConfigurationReader();
  private isChangeAnnounced = false;
  private outdatedUs = -Infinity;
  private isFlowing = false;
  private lastDataUs = 0;
  private cancelAnswer: Cancel | undefined;
  /** While data is wanted: until the next look whether any comes. */
  private look = NO_LEASE;

  constructor(
    private readonly address: StreamAddress,
    private readonly links: Links,
    private readonly clock: Clock,
    /** Ends with `lookForSilence`: a timer's closures for each stream and second would outlive the young generation. */
    private readonly looks: Leases<StreamClient>,
    private readonly sink: StreamSink,
    private readonly timing: ClientTiming = DEFAULT_TIMING,
  ) {}

  /** False where the device sends unasked and nothing can be asked of it. */
  get isCommanded(): boolean {
    return this.address.mode !== 'spontaneous';
  }

  /** Our end of the link that stands. */
  get local(): Address | undefined {
    return this.link?.local;
  }

  get figures(): HealthFigures {
    return this.health.figures();
  }

  /** Opens the link; CONNECTED or LOST follows. */
  connect(): void {
    this.disconnect();
    const attempt = this.attempt;
    const isCurrent = (): boolean => attempt === this.attempt;
    const framing = {
      counts: this.health.framing,
      expectedBytes: (streamId: number) =>
        streamId === this.address.streamId ? this.stream?.layout.frameBytes : undefined,
      nowUs: () => this.clock.monotonicUs(),
    };
    const lost = (why: string): void => {
      if (isCurrent()) this.lose(why);
    };
    this.links.open(this.address, framing, { frame: (bytes) => this.take(bytes), lost }).then(
      (link) => {
        if (!isCurrent()) return link.close();
        this.link = link;
        this.health.connects++;
        this.sink.event({ type: 'CONNECTED' });
      },
      (error: unknown) => lost(`no connection: ${reasonOf(error)}`),
    );
  }

  /** Asks for the configuration; CONFIGURED or UNANSWERED follows. A spontaneous device is not asked: its configuration comes when it comes. */
  requestConfiguration(): void {
    if (!this.isCommanded) return;
    this.cancelAnswer?.();
    this.cancelAnswer = this.clock.after(this.timing.answerMs, () => {
      this.cancelAnswer = undefined;
      this.health.lastError = `no configuration within ${this.timing.answerMs} ms`;
      this.sink.event({ type: 'UNANSWERED' });
    });
    const { sendConfiguration2, sendConfiguration3 } = COMMANDS;
    this.command(this.address.configuration === 3 ? sendConfiguration3 : sendConfiguration2);
  }

  /** Asks for data; FLOWING or SILENT follows. */
  startData(): void {
    this.command(COMMANDS.dataOn);
    if (this.look !== NO_LEASE) return;
    this.lastDataUs = this.clock.monotonicUs();
    this.look = this.looks.grant(this, this.silenceMs());
  }

  stopData(): void {
    this.command(COMMANDS.dataOff);
  }

  /** Lets the link go without a word to the device. The configuration is kept for a device that answers none next time. */
  disconnect(): void {
    this.attempt++;
    this.link?.close();
    this.link = undefined;
    this.cancelAnswer?.();
    this.cancelAnswer = undefined;
    if (this.look !== NO_LEASE) this.looks.revoke(this.look);
    this.look = NO_LEASE;
    this.pending = undefined;
    this.reader = new ConfigurationReader();
    this.isChangeAnnounced = false;
    this.isFlowing = false;
    this.health.restart();
  }

  /** Ends the session in order: data off, then the link. */
  close(): void {
    if (this.link) this.stopData();
    this.disconnect();
  }

  private lose(why: string): void {
    this.health.lastError = why;
    this.disconnect();
    this.sink.event({ type: 'LOST', why });
  }

  private command(code: number): void {
    if (!this.isCommanded) return;
    const { streamId } = this.address;
    const tag = usTag(this.clock.wallUs(), this.stream?.layout.configuration.timeBase ?? COMMAND_TIME_BASE);
    this.link?.send(
      encodeCommand({ kind: 'command', version: VERSION, streamId, ...tag, timeQuality: 0, code, extension: NO_BYTES }),
    );
  }

  private take(bytes: Uint8Array): void {
    const type = typeOf(bytes);
    const streamId = wordAt(bytes, STREAM_ID_AT);
    if (streamId !== this.address.streamId) this.health.foreignFrames++;
    else if (type === 'data') this.takeData(bytes);
    else if (type === `configuration${this.address.configuration}`) this.takeConfiguration(bytes);
    // A header's text, a CFG-1 and the other one of CFG-2 and CFG-3 are not asked for.
    else this.health.foreignFrames++;
  }

  private takeConfiguration(bytes: Uint8Array): void {
    const announced = this.reader.take(bytes);
    if (!announced) return;
    if (announced.kind === 'malformed') {
      this.health.lastError = `unreadable configuration: ${announced.detail}`;
      return;
    }
    this.cancelAnswer?.();
    this.cancelAnswer = undefined;
    if (this.isChangeAnnounced) this.pending = announced;
    else this.adopt(announced);
  }

  private adopt(announced: Announced): void {
    this.pending = undefined;
    this.isChangeAnnounced = false;
    const isNew = !this.announced || !saysTheSame(announced, this.announced);
    if (isNew) {
      this.stream = streamOf(announced.configuration);
      this.announced = announced;
      this.health.restart();
    }
    this.sink.event({ type: 'CONFIGURED', pmus: this.stream?.pmus.map(({ descriptor }) => descriptor) ?? [], isNew });
  }

  private takeData(bytes: Uint8Array): void {
    if (this.pending && this.stream && checkLength(bytes, this.stream.layout)) this.adopt(this.pending);
    if (!this.stream) {
      this.health.unconfigured++;
      return;
    }
    const wrong = checkLength(bytes, this.stream.layout);
    if (wrong) {
      this.health.lengthMismatches++;
      this.health.lastError = wrong.detail;
      this.outdate();
      return;
    }
    const view = viewOf(bytes);
    this.followChange(view, this.stream);
    this.deliver(view, this.stream);
  }

  /** STAT bit 10 of any PMU: ask at its first sight, and change over when it clears. */
  private followChange(view: DataView, { layout }: PmuStream): void {
    const isAnnounced = isAnySet(view, layout, STAT.configurationChange);
    if (isAnnounced === this.isChangeAnnounced) return;
    this.isChangeAnnounced = isAnnounced;
    const { pending } = this;
    if (isAnnounced) this.outdate();
    // One that came before the change may still have been the old one.
    else if (pending && this.announced && !saysTheSame(pending, this.announced)) this.adopt(pending);
    else this.outdate();
  }

  /** Told at most once an answer's time: a device that keeps answering what does not fit is not asked at its frame rate. */
  private outdate(): void {
    const nowUs = this.clock.monotonicUs();
    if (nowUs - this.outdatedUs < this.timing.answerMs * 1000) return;
    this.outdatedUs = nowUs;
    this.sink.event({ type: 'OUTDATED' });
  }

  private deliver(view: DataView, { layout, pmus }: PmuStream): void {
    const { configuration } = layout;
    const head = readHead(view);
    const arrivedUs = this.clock.monotonicUs();
    this.lastDataUs = arrivedUs;
    if (!this.isFlowing) {
      this.isFlowing = true;
      this.sink.event({ type: 'FLOWING' });
    }
    this.health.dataFrames++;
    const isLeapSecond = (head.timeQuality & TIME_QUALITY.leapOccurred) !== 0;
    const isByArrival = isAnySet(view, layout, STAT.byArrival);
    // What was placed by arrival may carry the same tag for ever: it is nobody's duplicate.
    const arrival = isByArrival
      ? 'in order'
      : this.health.arrive(head, configuration.timeBase, reportingRate(configuration), isLeapSecond);
    if (arrival === 'duplicate') return;

    const measuredUs = tagUs(head, configuration.timeBase);
    const delayUs = this.clock.wallUs() - measuredUs;
    const isReasonable = delayUs <= this.timing.lagMs * 1000 && delayUs >= -this.timing.leadMs * 1000;
    if (isReasonable) this.health.delay(delayUs);
    else this.health.unreasonableTags++;
    for (let index = 0; index < pmus.length; index++) {
      const pmu = pmus[index]!; // below their number
      const measurement = new FrameMeasurement(view, head.timeQuality, layout, pmu);
      const quality = measurement.quality | (isReasonable ? 0 : QUALITY.timeUnreasonable);
      this.sink.measurement(index, measurement, measuredUs, arrivedUs, quality);
    }
  }

  private silenceMs(): number {
    const rate = this.stream ? reportingRate(this.stream.layout.configuration) : 1;
    return Math.max(this.timing.silenceMs, (SILENT_PERIODS * 1000) / rate);
  }

  /** Once a silence's length, not once a frame: looks how long ago the last frame was, and comes back. */
  lookForSilence(): void {
    const silentMs = (this.clock.monotonicUs() - this.lastDataUs) / 1000;
    const limitMs = this.silenceMs();
    const isSilent = silentMs >= limitMs;
    this.look = this.looks.grant(this, isSilent ? limitMs : limitMs - silentMs);
    if (!isSilent) return;
    this.isFlowing = false;
    this.sink.event({ type: 'SILENT', silentMs });
  }
}
