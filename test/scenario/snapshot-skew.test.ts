/**
 * Two PMUs replayed at the skew that they arrived with, into a whole broker on a clock that the test moves; groups of both that
 * differ in their wait show how many sets each gives them time for.
 */
import { existsSync } from 'node:fs';
import { Broker } from '../../src/broker.js';
import { loadConfig } from '../../src/config.js';
import { systemDisk, type Disk } from '../../src/disk.js';
import { isRefusal, type Refusal } from '../../src/errors.js';
import { silentLog } from '../../src/log.js';
import { encode } from '../../src/protocols/c37118/codec.js';
import { seededRandom } from '../../src/random.js';
import { INTERNAL } from '../../src/resources/node.js';
import { parseReplay, startReplay } from '../../src/sim/replay.js';
import { volatileStore } from '../../src/store/volatile-store.js';
import { frames, pmu, RATE, stream } from '../protocols/c37118/stream.js';
import { pcapFile, tcpPacket } from '../sim/pcap-file.js';
import { ManualClock } from '../support/manual-clock.js';
import { memoryNetwork } from '../support/memory-network.js';

const CAPTURE = '../shared/pmu-data/pcap/C37.118_2PMUsInSync_TCP.pcap';
const describeCaptured = existsSync(CAPTURE) ? describe : describe.skip;
if (!existsSync(CAPTURE)) console.warn(`skipped: the recorded skew, because ${CAPTURE} is not there`);

/** Before the first frame the replay waits for the second that its tags belong to; behind the last one every wait must be over. */
const BESIDE_MS = 3_000;

const given = <Value>(value: Value | Refusal): Value => {
  if (isRefusal(value)) throw new Error(value.detail);
  return value;
};

/** Until no promise has anything left to do: Node takes its ticks when the microtasks have run dry. */
const settled = (): Promise<void> => new Promise((dry) => process.nextTick(dry));

interface Played {
  readonly file: string;
  readonly disk: Disk;
  readonly streams: readonly number[];
  readonly pmus: readonly number[];
  readonly seconds: number;
}

/** Figures of the group of each wait, when the replay is over. */
async function figuresByWait({ file, disk, streams, pmus, seconds }: Played, waitsMs: readonly number[]) {
  const clock = new ManualClock();
  const network = memoryNetwork();
  const surroundings = { clock, network, random: seededRandom(1), log: silentLog };
  const listen = streams.map((_, index) => `tcp://127.0.0.1:${4712 + index}`);
  const options = given(parseReplay({ file, listen, stream: streams.map(String) }));
  const replay = given(await startReplay(options, { ...surroundings, disk }));
  const { config } = given(loadConfig({ flags: {}, environment: {} }));
  const broker = new Broker(config, { ...surroundings, store: volatileStore() }, []);
  const starting = broker.start((error) => expect(error).toBeUndefined());
  expect(await starting).toBeUndefined();
  const uris = streams.map((streamId, index) => `c37118+${replay.addresses[index] ?? ''}?idcode=${streamId}`);
  expect(broker.sources.configure(uris)).toBeUndefined();
  const passes = async (ms: number): Promise<void> => {
    clock.advance(ms);
    // What a connection promises is settled between two turns.
    await settled();
  };
  const { tree } = broker.resources;
  while (!pmus.every((idCode) => tree.root.child('applications')?.child(`pmu-${idCode}`))) await passes(1);
  const groups = tree.root.child('groups')!; // every sclBase has them
  const reference = pmus.map((idCode) => `/m2m/applications/pmu-${idCode}`);
  for (const snapshotWait of waitsMs) {
    const group = { id: `w${snapshotWait}`, memberType: 'APPLICATION', members: { reference } };
    given(broker.resources.create(groups, { group: { ...group, snapshotRate: RATE, snapshotWait } }, INTERNAL));
  }
  for (let ms = 0; ms < seconds * 1000 + BESIDE_MS; ms++) await passes(1);
  const figures = new Map([...broker.snapshots.figures()].map(([path, each]) => [path, { ...each }]));
  await broker.stop();
  await replay.close();
  return waitsMs.map((waitMs) => figures.get(`/m2m/groups/w${waitMs}`)!); // each was created above
}

describeCaptured('the two devices of a recorded session', () => {
  const RECORDED = { file: CAPTURE, disk: systemDisk, streams: [60, 241], pmus: [61, 241], seconds: 31 };
  const SLOTS = 1501;
  /**
   * Complete sets by wait, per cent: as measured in the recording, and with a millisecond less and more. The replay sends at
   * whole milliseconds, by which a pair may come that much closer together or further apart.
   */
  const MEASURED = [
    [10, 2.0, 1.0, 3.4],
    [20, 34.0, 25.6, 34.9],
    [30, 60.3, 59.1, 61.4],
    [40, 85.3, 78.6, 85.4],
    [50, 99.8, 99.7, 99.9],
    [70, 100, 100, 100],
    [100, 100, 100, 100],
  ] as const;

  test('are together in as many sets as were measured, and in all of them at 100 ms', async () => {
    const waits = MEASURED.map(([waitMs]) => waitMs);
    const figures = await figuresByWait(RECORDED, waits);
    for (const [index, [waitMs, measured, least, most]] of MEASURED.entries()) {
      const { complete, incomplete, taken, late, duplicates, excluded } = figures[index]!;
      expect({ waitMs, sets: complete + incomplete }).toEqual({ waitMs, sets: SLOTS });
      expect({ waitMs, taken, duplicates, excluded }).toEqual({ waitMs, taken: 2 * SLOTS, duplicates: 0, excluded: 0 });
      // Who is not in a set came late for it.
      expect({ waitMs, late }).toEqual({ waitMs, late: incomplete });
      const percent = (100 * complete) / SLOTS;
      expect({ waitMs, measured, percent, isThere: percent >= least && percent <= most }).toMatchObject({
        isThere: true,
      });
    }
    expect(figures.at(-1)).toMatchObject({ complete: SLOTS, incomplete: 0, late: 0 });
  });
});

/**
 * By how much the second device is behind the first, slot by slot: never near a wait that is asked for, which replay and wait
 * round by a millisecond, and never so much less than before that one frame would overtake another on its connection.
 */
const SKEWS_MS = [4, 13, 24, 33, 44, 53, 64, 68, 53, 44, 33, 24, 13];
const SECONDS = 8;

const skewOf = (slot: number): number => SKEWS_MS[slot % SKEWS_MS.length]!;

/** A capture of two devices, the second one behind the first by SKEWS_MS. */
function generated(): Uint8Array {
  const startUs = 1_700_000_000_000_000;
  const packets = [60, 70].flatMap((streamId, device) => {
    const configuration = stream([pmu(streamId + 1)], { streamId });
    const port = 4712 + device;
    let sequence = 1;
    const packet = (atUs: number, bytes: Uint8Array) => {
      const sent = { atUs, bytes: tcpPacket(port, 40_000 + device, sequence, bytes) };
      sequence += bytes.length;
      return sent;
    };
    const data = frames(configuration, SECONDS * RATE).map((bytes, slot) => {
      const skewMs = device === 0 ? 0 : skewOf(slot);
      return { atUs: startUs + slot * (1e6 / RATE) + skewMs * 1000, bytes };
    });
    return [packet(startUs - 1000, encode(configuration)), ...data.map(({ atUs, bytes }) => packet(atUs, bytes))];
  });
  return pcapFile(
    packets.sort((a, b) => a.atUs - b.atUs),
    { linkType: 101 },
  );
}

test('two generated devices are together as often as their skew lets them', async () => {
  const disk: Disk = { ...systemDisk, read: () => Promise.resolve(generated()) };
  const played = { file: 'generated', disk, streams: [60, 70], pmus: [61, 71], seconds: SECONDS };
  const waits = [0, 10, 20, 30, 40, 50, 60, 66, 70, 100];
  const slots = Array.from({ length: SECONDS * RATE }, (_, slot) => slot);
  const figures = await figuresByWait(played, waits);
  expect(figures.map(({ complete, incomplete }) => [complete, incomplete])).toEqual(
    waits.map((waitMs) => {
      const complete = slots.filter((slot) => skewOf(slot) <= waitMs).length;
      return [complete, slots.length - complete];
    }),
  );
});
