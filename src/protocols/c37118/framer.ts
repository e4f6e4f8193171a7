/**
 * Frames out of bytes: TCP segments are not frames, several a segment and one across segments are both normal, and bytes may
 * be lost, damaged or put in between.
 *
 *     stream   ... x x | AA 01 size ........ CHK | AA 01 size .... CHK | AA ..
 *                      ^ candidate: two bytes that may begin a frame, and a size
 *
 * Every position that could begin a frame is a candidate; it becomes a frame when its bytes are all in and their CRC is good,
 * and it dies when the CRC is bad. 0xAA occurs inside values, and a false beginning may claim 60,000 bytes, so an unfinished
 * candidate must not hold up the stream: it dies when a whole good frame is found behind it, or after a second. Only a
 * data frame of exactly the length its stream's configuration makes is waited for through that second.
 *
 * The work is linear in the bytes, whatever they are: the CRC of a candidate comes from running CRCs, and few candidates wait.
 */
import { crcBetween, crcRun } from './crc.js';
import { checkFrame, SIZE_AT, SMALLEST_FRAME, STREAM_ID_AT, SYNC, typeOfSync, wordAt } from './frame.js';

/** How long an unfinished candidate is waited for: far above any device's gap inside a frame. */
export const CANDIDATE_PATIENCE_US = 1_000_000;
/** Unfinished candidates kept, the newest; the largest frame full of random values holds about a dozen false beginnings. */
const LARGEST_WAITING = 256;
/** SYNC, FRAMESIZE and IDCODE: what it takes to see a candidate. */
const CANDIDATE_BYTES = 6;
const FIRST_WINDOW_BYTES = 2048;

/** The figures of one source's framing; only ever rising. */
export interface FramingCounts {
  frames: number;
  /** Bytes that belong to no good frame. */
  skippedBytes: number;
  /** Candidates of full size whose CHK was wrong; a false beginning inside damaged bytes counts too. */
  crcErrors: number;
  /** Unfinished candidates given up. */
  abandoned: number;
  /** Frames of C37.118.2-2024, dropped: nobody here owns that text. */
  generation3: number;
}

export const noFramingCounts = (): FramingCounts => ({
  frames: 0,
  skippedBytes: 0,
  crcErrors: 0,
  abandoned: 0,
  generation3: 0,
});

/** Positions count from the first byte of the stream. */
interface Candidate {
  readonly start: number;
  readonly end: number;
  readonly seenUs: number;
  /** Of a data frame, whose length can be known beforehand. */
  readonly dataOfStream: number | undefined;
}

export class StreamFramer {
  private window = new Uint8Array(FIRST_WINDOW_BYTES);
  /** running[i]: running CRC of the stream in front of window[i]. */
  private running = new Uint16Array(FIRST_WINDOW_BYTES + 1);
  /** Stream position of window[0]. */
  private base = 0;
  private length = 0;
  /** First position not yet looked at as a candidate. */
  private unseen = 0;
  /** By start, rising. */
  private candidates: Candidate[] = [];

  /**
   * @param emit takes each good frame; the bytes are its own
   * @param expectedBytes size of a stream's data frames, where its configuration is known
   */
  constructor(
    readonly counts: FramingCounts,
    private readonly emit: (frame: Uint8Array) => void,
    private readonly expectedBytes: (streamId: number) => number | undefined,
  ) {}

  /** Takes the next bytes of the stream, `nowUs` on the monotonic clock. None at all lets the second run out. */
  push(bytes: Uint8Array, nowUs: number): void {
    this.append(bytes);
    this.findCandidates(nowUs);
    this.settle(nowUs);
    this.forget(this.candidates[0]?.start ?? this.unseen);
  }

  private append(bytes: Uint8Array): void {
    const total = this.length + bytes.length;
    if (total > this.window.length) {
      const grown = new Uint8Array(Math.max(total, 2 * this.window.length));
      grown.set(this.window.subarray(0, this.length));
      const running = new Uint16Array(grown.length + 1);
      running.set(this.running.subarray(0, this.length + 1));
      this.window = grown;
      this.running = running;
    }
    this.window.set(bytes, this.length);
    crcRun(this.window, this.running, this.length, total);
    this.length = total;
  }

  private findCandidates(nowUs: number): void {
    const last = this.length - CANDIDATE_BYTES;
    const beginnings = this.window.subarray(0, Math.max(0, last + 1));
    for (let at = this.unseen - this.base; (at = beginnings.indexOf(SYNC, at)) >= 0; at++) {
      const type = typeOfSync(this.window[at + 1] ?? 0);
      const size = wordAt(this.window, at + SIZE_AT);
      if (type === undefined || size < SMALLEST_FRAME) continue;
      const start = this.base + at;
      const dataOfStream = type === 'data' ? wordAt(this.window, at + STREAM_ID_AT) : undefined;
      this.candidates.push({ start, end: start + size, seenUs: nowUs, dataOfStream });
    }
    this.unseen = Math.max(this.unseen, this.base + last + 1);
  }

  /** Goes through the candidates once, in order: frames are emitted, the dead dropped, the unfinished kept. */
  private settle(nowUs: number): void {
    if (this.candidates.length === 0) return;
    let waiting: Candidate[] = [];
    let isHeld = false;
    let from = this.base;
    for (const candidate of this.candidates) {
      if (candidate.start < from) continue;
      if (candidate.end > this.base + this.length) {
        if (nowUs - candidate.seenUs >= CANDIDATE_PATIENCE_US) this.counts.abandoned++;
        else {
          waiting.push(candidate);
          isHeld ||= this.isExpected(candidate);
        }
      } else if (!this.isGood(candidate)) {
        this.counts.crcErrors++;
      } else if (isHeld) {
        waiting.push(candidate);
      } else {
        this.counts.abandoned += waiting.length;
        waiting = [];
        this.counts.skippedBytes += candidate.start - from;
        from = candidate.end;
        this.take(candidate);
      }
    }
    const excess = Math.max(0, waiting.length - LARGEST_WAITING);
    this.counts.abandoned += excess;
    this.candidates = waiting.slice(excess);
    this.unseen = Math.max(this.unseen, from);
    this.drop(from);
  }

  private isExpected({ start, end, dataOfStream }: Candidate): boolean {
    return dataOfStream !== undefined && this.expectedBytes(dataOfStream) === end - start;
  }

  private isGood({ start, end }: Candidate): boolean {
    const [before, after] = [this.running[start - this.base] ?? 0, this.running[end - this.base] ?? 0];
    return crcBetween(before, after, end - start) === 0;
  }

  private take({ start, end }: Candidate): void {
    const frame = this.window.subarray(start - this.base, end - this.base);
    if (typeOfSync(frame[1] ?? 0) === 'generation3') {
      this.counts.generation3++;
      return;
    }
    this.counts.frames++;
    // A copy: the window is written over. Small ones share a pooled block of memory with their neighbours.
    this.emit(Buffer.from(frame));
  }

  /** Lets go of bytes in front of `position` that no frame holds. */
  private forget(position: number): void {
    this.counts.skippedBytes += Math.max(0, position - this.base);
    this.drop(position);
  }

  private drop(position: number): void {
    const count = position - this.base;
    if (count <= 0) return;
    this.window.copyWithin(0, count, this.length);
    this.running.copyWithin(0, count, this.length + 1);
    this.length -= count;
    this.base = position;
  }
}

/** The frames of one datagram: it may hold several, none spans two, and what follows a bad one is dropped. */
export function splitDatagram(datagram: Uint8Array, counts: FramingCounts, emit: (frame: Uint8Array) => void): void {
  let at = 0;
  while (at < datagram.length) {
    const size = wordAt(datagram, at + SIZE_AT);
    const end = at + Math.max(size, SMALLEST_FRAME);
    // Most datagrams are one frame: that one needs no view of its own.
    const frame = at === 0 && end === datagram.length ? datagram : datagram.subarray(at, end);
    const wrong = checkFrame(frame);
    if (wrong) {
      if (wrong.fault === 'crc') counts.crcErrors++;
      if (wrong.fault === 'version' && typeOfSync(frame[1] ?? 0) === 'generation3') counts.generation3++;
      counts.skippedBytes += datagram.length - at;
      return;
    }
    counts.frames++;
    emit(frame);
    at += size;
  }
}
