/**
 * The C37.118 frames of a capture, and of one stream in it what it takes to play its device.
 *
 *     pcap ─> UDP datagrams ─> frames ┐
 *          └> TCP flows ─> frames ────┴─> those of one IDCODE: configuration, header, data with their times
 */
import { isRefusal, refuse, type Refusal } from '../errors.js';
import { addressKey, type Address } from '../network.js';
import { decodeConfiguration, reportingRate } from '../protocols/c37118/configuration.js';
import { readHead, typeOf, viewOf, type FrameType } from '../protocols/c37118/frame.js';
import { noFramingCounts, splitDatagram, StreamFramer } from '../protocols/c37118/framer.js';
import { tagUs } from '../protocols/c37118/time.js';
import { readPcap, type Packet } from './pcap.js';
import { TcpFlow } from './tcp-flow.js';

export interface CapturedFrame {
  /** When the packet that completed it was captured, microseconds since the epoch. */
  readonly atUs: number;
  readonly from: Address;
  readonly bytes: Uint8Array;
}

/** What a device sent on one stream while it was captured. */
export interface Recording {
  readonly streamId: number;
  readonly configuration2: Uint8Array;
  readonly configuration1: Uint8Array | undefined;
  readonly header: Uint8Array | undefined;
  /** Data frames by arrival, at least one. */
  readonly frames: readonly RecordedFrame[];
  /** Between two frames, from the configuration. */
  readonly periodUs: number;
}

export interface RecordedFrame {
  readonly atUs: number;
  /** Its time tag, microseconds since the epoch. */
  readonly measuredUs: number;
  readonly bytes: Uint8Array;
}

/** All C37.118 frames of a capture, both directions, by the time they were complete. */
export function readCapture(file: Uint8Array): readonly CapturedFrame[] | Refusal {
  const packets = readPcap(file);
  if (isRefusal(packets)) return packets;
  const frames: CapturedFrame[] = [];
  const counts = noFramingCounts();
  const flows = new Map<string, (packet: Packet) => void>();
  const ends: (() => void)[] = [];
  const openFlow = (from: Address): ((packet: Packet) => void) => {
    let atUs = 0;
    const framer = new StreamFramer(
      counts,
      (bytes) => void frames.push({ atUs, from, bytes }),
      () => undefined,
    );
    const flow = new TcpFlow((bytes) => framer.push(bytes, atUs));
    ends.push(() => flow.end());
    return ({ atUs: now, tcp, payload }) => {
      atUs = now;
      if (tcp?.isSyn) flow.begin(tcp.sequence);
      else flow.push(tcp?.sequence ?? 0, payload);
    };
  };
  for (const packet of packets) {
    const { atUs, from, to, tcp, payload } = packet;
    if (!tcp) {
      splitDatagram(payload, counts, (bytes) => void frames.push({ atUs, from, bytes }));
      continue;
    }
    const key = `${addressKey(from)} ${addressKey(to)}`;
    const flow = flows.get(key) ?? openFlow(from);
    flows.set(key, flow);
    flow(packet);
  }
  ends.forEach((end) => end());
  return frames.sort((a, b) => a.atUs - b.atUs);
}

/** The stream of an IDCODE out of a capture's frames; a Refusal names those there are. */
export function recordingOf(frames: readonly CapturedFrame[], streamId: number): Recording | Refusal {
  const ofStream = frames.filter(({ bytes }) => streamOf(bytes) === streamId);
  const first = (type: FrameType): Uint8Array | undefined =>
    ofStream.find(({ bytes }) => typeOf(bytes) === type)?.bytes;
  const data = ofStream.filter(({ bytes }) => typeOf(bytes) === 'data');
  const configuration2 = first('configuration2');
  if (!configuration2 || data.length === 0) {
    const there = new Set(frames.filter(({ bytes }) => typeOf(bytes) === 'data').map(({ bytes }) => streamOf(bytes)));
    return refuse(
      'STATUS_NOT_FOUND',
      `The capture has no CFG-2 and data of stream ${streamId}; it has data of ${[...there].join(', ') || 'none'}.`,
    );
  }
  const configuration = decodeConfiguration(configuration2, 'configuration2');
  if (configuration.kind === 'malformed') {
    return refuse(
      'STATUS_BAD_REQUEST',
      `The CFG-2 of stream ${streamId} in the capture is malformed: ${configuration.detail}.`,
    );
  }
  return {
    streamId,
    configuration2,
    configuration1: first('configuration1'),
    header: first('header'),
    frames: data.map(({ atUs, bytes }) => {
      return { atUs, measuredUs: tagUs(readHead(viewOf(bytes)), configuration.timeBase), bytes };
    }),
    periodUs: 1e6 / reportingRate(configuration),
  };
}

const streamOf = (bytes: Uint8Array): number => readHead(viewOf(bytes)).streamId;
