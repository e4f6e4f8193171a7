/**
 * What subscribers receive of two recorded sessions is what an independent decoder printed of them, over every binding, and the
 * same for the same time tag: our client over CoAP (SenML+CBOR), wscat and Python's websockets (JSON), curl on a long poll.
 *
 * The decoder's print has no times and is sorted by text: each receiver's whole pass of the capture is compared with it as a sorted list,
 * and the receivers with each other by tag. The replay moves tags by whole seconds, so a frame of the capture is known by what remains.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { open as openClient, readSample, type Notification } from '../../src/client/index.js';
import { formatTime, parseTime } from '../../src/clock.js';
import { systemDisk } from '../../src/disk.js';
import { isRefusal } from '../../src/errors.js';
import { readCapture, recordingOf } from '../../src/sim/recording.js';
import { describeWith } from '../interop/coap-capture.js';
import { zeekRows, type ZeekRow } from '../protocols/c37118/recordings.js';
import { checkAccounts, hasCaptures, startReplayedGrid, type ReplayedGrid } from './replayed-grid.js';

/** Debian's interpreter is where python3-websockets is installed, whatever else is first in the path. */
const PYTHON = '/usr/bin/python3';
const WSCAT = 'node_modules/.bin/wscat';
const isThere = (command: string, ...args: readonly string[]): boolean => spawnSync(command, args).status === 0;

/** Magnitudes, angles, frequency and digital words, to the decoder's six decimals. */
type Row = string;

/** By time tag; grows while a receiver runs. */
type Received = Map<number, Row>;

const SESSIONS = [
  { name: '1PMU_UDP', file: 'C37.118_1PMU_UDP.pcap', stream: 60, pmu: 61, scheme: 'udp', frames: 356 },
  { name: '1PMU_TCP', file: 'C37.118_1PMU_TCP.pcap', stream: 241, pmu: 241, scheme: 'tcp', frames: 252 },
] as const;

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close();
});

describeWith(
  {
    '../shared/pmu-data': hasCaptures,
    wscat: isThere(WSCAT, '--version'),
    'python3-websockets': isThere(PYTHON, '-c', 'import websockets'),
    curl: isThere('curl', '--version'),
  },
  'the values delivered of a replayed session',
  () => {
    test.each(SESSIONS)(
      '$name: all $frames frames, as the independent decoder has them and equal over CoAP, WebSocket and long poll',
      async ({ name, frames, ...device }) => {
        // NON go on while a probe waits: a busy test machine must not cost samples.
        const grid = await startReplayedGrid(device, { congestion: 'provisioned' });
        open.push(grid);
        await grid.play();
        const receivers = {
          CoAP: byCoap(grid),
          wscat: byWscat(grid),
          websockets: byPython(grid),
          curl: await byCurl(grid),
        };
        const tags = await recordedTags(device);
        const complete = (): number | undefined => wholePass(tags, Object.values(receivers));
        while (complete() === undefined) await new Promise((look) => setTimeout(look, 200));
        const shift = complete() ?? 0;

        expect(tags).toHaveLength(frames);
        const printed = zeekRows(name).map(printedRow).sort();
        for (const received of Object.values(receivers)) {
          const pass = tags.map((tag) => received.get(tag + shift) ?? 'missing');
          expect([...pass].sort()).toEqual(printed);
        }
        const { CoAP, ...others } = receivers;
        for (const [receiver, received] of Object.entries(others)) {
          const [both, differing] = compared(CoAP, received);
          expect({ receiver, differing }).toEqual({ receiver, differing: [] });
          expect(both).toBeGreaterThanOrEqual(frames);
        }
        expect(checkAccounts(grid)).toBe(4);
      },
      90_000,
    );
  },
);

/** The shift in microseconds of a pass of which every receiver has every frame. */
function wholePass(tags: readonly number[], receivers: readonly Received[]): number | undefined {
  const [first = 0] = tags;
  const [any] = receivers;
  for (const tag of any?.keys() ?? []) {
    const shift = tag - first;
    if (shift % 1_000_000 !== 0) continue;
    if (receivers.every((received) => tags.every((other) => received.has(other + shift)))) return shift;
  }
  return undefined;
}

/** How many tags both have, and those of them with different values. */
function compared(one: Received, other: Received): [both: number, differing: string[]] {
  const both = [...one.keys()].filter((tag) => other.has(tag));
  return [both.length, both.filter((tag) => one.get(tag) !== other.get(tag)).map(formatTime)];
}

async function recordedTags({ file, stream }: { file: string; stream: number }): Promise<readonly number[]> {
  const captured = readCapture(await systemDisk.read(`../shared/pmu-data/pcap/${file}`));
  if (isRefusal(captured)) throw new Error(captured.detail);
  const recording = recordingOf(captured, stream);
  if (isRefusal(recording)) throw new Error(recording.detail);
  return recording.frames.map(({ measuredUs }) => measuredUs);
}

const NOMINAL_HZ = 50;

function printedRow({ polar, rectangular, deviationMHz, digitals }: ZeekRow): Row {
  const isPolar = polar.some(([magnitude]) => magnitude !== 0);
  return row(isPolar ? polar : rectangular, isPolar, NOMINAL_HZ + deviationMHz / 1000, digitals);
}

/** SenML has polar phasors only; a stream with rectangular ones is compared as those: as the 32-bit floats they came as. */
function deliveredRow(mediaType: string, body: Uint8Array, isPolar: boolean): Row {
  const records = readSample(mediaType, body)?.records ?? [];
  const of = (end: RegExp): number[] => records.filter(({ name }) => end.test(name)).map(({ value }) => Number(value));
  const [angles, [frequency = NaN]] = [of(/\/angle$/), of(/\/frequency$/)];
  const phasors = of(/\/magnitude$/).map((magnitude, n): readonly [number, number] => {
    const angle = angles[n] ?? NaN;
    return isPolar
      ? [magnitude, angle]
      : [Math.fround(magnitude * Math.cos(angle)), Math.fround(magnitude * Math.sin(angle))];
  });
  return row(phasors, isPolar, frequency, of(/digital\/\d+$/));
}

const row = (
  phasors: readonly (readonly [number, number])[],
  isPolar: boolean,
  frequency: number,
  digitals: readonly number[],
): Row => JSON.stringify([isPolar, phasors.map((pair) => pair.map(shown)), shown(frequency), digitals]);
/** Six decimals, a tie to the even digit, as C prints; a 32-bit float times 10^6 is exact in a double. -0 is 0. */
function shown(value: number): number {
  const millionths = value * 1e6;
  const below = Math.floor(millionths);
  const isTie = millionths - below === 0.5;
  return (isTie ? below + Math.abs(below % 2) : Math.round(millionths)) / 1e6 + 0;
}

const isPolarStream = ({ contentInstances }: ReplayedGrid): boolean => contentInstances.includes('pmu-61/');
const contentOf = ({ contentInstances }: ReplayedGrid): string => `${contentInstances}/latest/content`;
const SENML = 'application/senml+json';

function byCoap(grid: ReplayedGrid): Received {
  const received: Received = new Map();
  void (async () => {
    const client = await openClient(grid.coap, { congestion: 'provisioned' });
    open.push(client);
    const stream: AsyncIterable<Notification> = client.observe(contentOf(grid));
    for await (const { timeUs, mediaType, body } of stream) {
      expect(mediaType).toBe('application/senml+cbor');
      received.set(timeUs ?? NaN, deliveredRow(mediaType, body, isPolarStream(grid)));
    }
  })().catch(() => undefined); // closed at the end of the test
  return received;
}

/** A program whose lines each hold a JSON text, read by `take`. */
function byProgram(command: string, args: readonly string[], take: (json: Record<string, unknown>) => void): void {
  const program = spawn(command, args, { stdio: ['pipe', 'pipe', 'ignore'] });
  open.push({
    async close() {
      const ended = once(program, 'close');
      program.kill('SIGKILL');
      await ended;
    },
  });
  createInterface({ input: program.stdout }).on('line', (line) => {
    const start = line.indexOf('{');
    if (start >= 0) take(JSON.parse(line.slice(start)) as Record<string, unknown>);
  });
}

/** What a WebSocket brings in `gridcast.v1+json`. */
const notified =
  (grid: ReplayedGrid, received: Received) =>
  ({ t, time, body }: Record<string, unknown>): void => {
    if (t !== 'ntf') return;
    const bytes = Buffer.from(JSON.stringify(body));
    received.set(parseTime(String(time)) ?? NaN, deliveredRow(SENML, bytes, isPolarStream(grid)));
  };
const subscribeFrame = (grid: ReplayedGrid): string => JSON.stringify({ t: 'sub', id: 1, to: contentOf(grid) });

function byWscat(grid: ReplayedGrid): Received {
  const received: Received = new Map();
  const args = ['-c', grid.ws, '-s', 'gridcast.v1+json', '--no-color', '-w', '-1', '-x', subscribeFrame(grid)];
  byProgram(WSCAT, args, notified(grid, received));
  return received;
}

const PYTHON_READER = `
import asyncio, sys, websockets
async def read(uri, frame):
    async with websockets.connect(uri, subprotocols=['gridcast.v1+json']) as socket:
        await socket.send(frame)
        async for message in socket:
            print(message, flush=True)
asyncio.run(read(*sys.argv[1:]))
`;

function byPython(grid: ReplayedGrid): Received {
  const received: Received = new Map();
  byProgram(PYTHON, ['-c', PYTHON_READER, grid.ws, subscribeFrame(grid)], notified(grid, received));
  return received;
}

/** The ETSI way: a channel, a subscription that names it, and polls without end on one connection. */
async function byCurl(grid: ReplayedGrid): Promise<Received> {
  const received: Received = new Map();
  const create = async (path: string, body: unknown): Promise<Record<string, Record<string, unknown>>> => {
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(grid.http + path, { method: 'POST', headers, body: JSON.stringify(body) });
    expect(response.status).toBe(201);
    return (await response.json()) as Record<string, Record<string, unknown>>;
  };
  const { notificationChannel } = await create('/m2m/notificationChannels', {
    notificationChannel: { channelType: 'LONG_POLLING' },
  });
  await create(`${grid.contentInstances}/subscriptions`, {
    subscription: {
      contact: notificationChannel?.contactURI,
      accept: SENML,
      filterCriteria: { attributeAccessor: 'latest/content' },
    },
  });
  const { longPollingURI } = notificationChannel?.channelData as { longPollingURI: string };
  // A fragment is not sent: curl asks for the same again and again.
  const polls = `${grid.http}${new URL(longPollingURI, grid.http).pathname}#[1-100000]`;
  byProgram('curl', ['-s', '-N', '-w', '\n', polls], ({ notify }) => {
    const { time, representation } = notify as { time: string; representation: { textContent: string } };
    const bytes = Buffer.from(representation.textContent);
    received.set(parseTime(time) ?? NaN, deliveredRow(SENML, bytes, isPolarStream(grid)));
  });
  return received;
}
