/**
 * `gridcast sim replay`: devices out of a capture, commanded as the real ones were, at their own pace. Any transport will
 * do, whatever the capture used. The timeline begins when a client first says ON to any of them, so a first client misses
 * nothing; from then on it runs for all, listened to or not.
 *
 *     pcap ─> recordings ─> timeline ─> pacer ─> frame, its tag shifted ─> outlet of its stream
 */
import type { Clock } from '../clock.js';
import { isRefusal, refuse, type Refusal } from '../errors.js';
import { COMMANDS } from '../protocols/c37118/command.js';
import { readHead, viewOf } from '../protocols/c37118/frame.js';
import { noOutletCounts, openCommanded, type Outlet, type OutletCounts, type OutletStream } from './outlet.js';
import { Pacer } from './pacer.js';
import { readCapture, recordingOf, type Recording } from './recording.js';
import { refuseFor, type DiskContext, type Simulator } from './simulator.js';
import { parseSocketUri, type SocketUri } from './socket-uri.js';
import { shifted, Timeline } from './timeline.js';

/** As on the command line. */
export interface ReplayFlags {
  readonly file: string;
  /** One for each of `stream`; equal ones share a socket. */
  readonly listen?: readonly string[] | undefined;
  /** IDCODEs in the capture. */
  readonly stream?: readonly string[] | undefined;
  readonly loop?: boolean | undefined;
}

export interface ReplayOptions {
  readonly file: string;
  /** At least one, each with at least one stream. */
  readonly listeners: readonly ReplayListener[];
  readonly isLooping: boolean;
}

interface ReplayListener {
  readonly at: SocketUri;
  readonly streamIds: readonly number[];
}

export interface ReplayCounts extends OutletCounts {
  /** Passes begun. */
  passes: number;
}

export interface Replay extends Simulator<ReplayCounts> {
  /** Resolves when the last frame has left; never while looping. */
  readonly finished: Promise<void>;
}

const DEFAULT_LISTEN = 'udp://127.0.0.1:4713';
const LARGEST_ID = 65_534;
const US_PER_SECOND = 1_000_000;

/** Reads the flags; the first that is wrong is refused by name with what is allowed. */
export function parseReplay({
  file,
  listen = [DEFAULT_LISTEN],
  stream = [],
  loop,
}: ReplayFlags): ReplayOptions | Refusal {
  if (stream.length === 0 || stream.length !== listen.length) {
    const found = `there are ${listen.length} and ${stream.length}`;
    return refuse('STATUS_BAD_REQUEST', `--listen and --stream go in pairs, and one --stream is needed; ${found}.`);
  }
  const listeners: { readonly at: SocketUri; readonly streamIds: number[] }[] = [];
  for (const [index, text] of stream.entries()) {
    const streamId = /^\d{1,5}$/.test(text) ? Number(text) : 0;
    if (streamId < 1 || streamId > LARGEST_ID) {
      return refuse(
        'STATUS_BAD_REQUEST',
        `--stream is an IDCODE from 1 to ${LARGEST_ID}, not ${JSON.stringify(text)}.`,
      );
    }
    const at = parseSocketUri('--listen', listen[index] ?? '');
    if (isRefusal(at)) return at;
    const shared = listeners.find((other) => isSame(other.at, at));
    if (shared?.streamIds.includes(streamId)) {
      return refuse('STATUS_BAD_REQUEST', `Stream ${streamId} is asked for twice at ${listen[index] ?? ''}.`);
    }
    if (shared) shared.streamIds.push(streamId);
    else listeners.push({ at, streamIds: [streamId] });
  }
  return { file, listeners, isLooping: loop ?? false };
}

/** Whether one socket serves both; port 0 is another free one each time. */
const isSame = (a: SocketUri, b: SocketUri): boolean =>
  a.port !== 0 && a.port === b.port && a.host === b.host && a.scheme === b.scheme;

/** Serves the streams until closed. A Refusal: the file, a stream in it or an address is not to be had. */
export async function startReplay(options: ReplayOptions, context: DiskContext): Promise<Replay | Refusal> {
  const { clock, disk, log } = context;
  const recordings = await readRecordings(options, disk.read(options.file));
  if (isRefusal(recordings)) return recordings;
  const timeline = new Timeline(recordings);
  const counters = { ...noOutletCounts(), passes: 0 };

  const outlets: Outlet[] = [];
  const player = play(timeline, options.isLooping, clock, {
    pass: () => counters.passes++,
    frame: (streamId, frame) => outlets.forEach((outlet) => outlet.send(streamId, frame)),
  });
  const close = async (): Promise<void> => {
    player.stop();
    await Promise.all(outlets.map((outlet) => outlet.close()));
  };
  for (const { at, streamIds } of options.listeners) {
    const devices = recordings
      .filter(({ streamId }) => streamIds.includes(streamId))
      .map((recording) => deviceOf(recording, clock, player.start));
    const outlet = await openCommanded(at, devices, { ...context, counts: counters }).catch((error: unknown) =>
      refuseFor('STATUS_CONFLICT', `${at.scheme}://${at.host}:${at.port}`, error),
    );
    if (isRefusal(outlet)) {
      await close();
      return outlet;
    }
    outlets.push(outlet);
  }
  const addresses = outlets.map(({ uri }) => uri);
  log.info(
    { file: options.file, addresses, frames: timeline.cues.length, passSeconds: timeline.passSeconds },
    'replay',
  );
  return { addresses, counters, finished: player.finished, close };
}

/** One for each IDCODE that is asked for. */
async function readRecordings(
  { file, listeners }: ReplayOptions,
  reading: Promise<Uint8Array>,
): Promise<readonly Recording[] | Refusal> {
  const bytes = await reading.catch((error: unknown) => refuseFor('STATUS_NOT_FOUND', file, error));
  if (isRefusal(bytes)) return bytes;
  const captured = readCapture(bytes);
  if (isRefusal(captured)) return captured;
  const recordings: Recording[] = [];
  for (const streamId of new Set(listeners.flatMap(({ streamIds }) => streamIds))) {
    const recording = recordingOf(captured, streamId);
    if (isRefusal(recording)) return recording;
    recordings.push(recording);
  }
  return recordings;
}

/** The captured device as an outlet's stream: it answers what it was seen to answer, at today's date. */
function deviceOf(recording: Recording, clock: Clock, onWanted: () => void): OutletStream {
  const { streamId } = recording;
  const answers = new Map<number, Uint8Array | undefined>([
    [COMMANDS.sendHeader, recording.header],
    [COMMANDS.sendConfiguration1, recording.configuration1],
    [COMMANDS.sendConfiguration2, recording.configuration2],
  ]);
  return {
    streamId,
    onWanted,
    answer(command) {
      const frame = answers.get(command);
      const soc = Math.floor(clock.wallUs() / US_PER_SECOND);
      return frame && shifted(frame, soc - readHead(viewOf(frame)).soc);
    },
  };
}

interface Player {
  /** Begins; from then on nothing. */
  readonly start: () => void;
  stop(): void;
  readonly finished: Promise<void>;
}

/** Plays the timeline on the monotonic clock: a step of the wall clock must not tear the recorded spacing. */
function play(
  timeline: Timeline,
  isLooping: boolean,
  clock: Clock,
  sink: { pass(): void; frame(streamId: number, frame: Uint8Array): void },
): Player {
  const { cues, passSeconds } = timeline;
  let finish: () => void;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  let beginUs: number | undefined;
  let shiftSeconds = 0;
  let pass = 0;
  let next = 0;
  const dueUs = (): number | undefined => {
    const cue = cues[next];
    return cue && beginUs !== undefined ? beginUs + pass * passSeconds * US_PER_SECOND + cue.offsetUs : undefined;
  };
  const send = (): void => {
    const cue = cues[next];
    if (!cue) return;
    if (next === 0) sink.pass();
    sink.frame(cue.streamId, shifted(cue.frame, shiftSeconds + pass * passSeconds));
    next++;
    if (next < cues.length) return;
    if (!isLooping) return finish();
    next = 0;
    pass++;
  };
  const pacer = new Pacer(clock, () => clock.monotonicUs(), dueUs, send);
  return {
    finished,
    start() {
      if (beginUs !== undefined) return;
      const start = timeline.start(clock.wallUs());
      shiftSeconds = start.shiftSeconds;
      beginUs = clock.monotonicUs() + start.waitUs;
      pacer.wake();
    },
    stop: () => pacer.stop(),
  };
}
