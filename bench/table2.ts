/**
 * Table II of the paper, measured: what an update costs on the wire, and how old it is, over a link of 2.5 ms one way.
 *
 *     | paper        | header | latency | TCP acknowledgements |
 *     | long polling | 100 B  | 5 ms    | 2                    |      5 ms: the next update waits until a poll has come back
 *     | CoAP         | 6 B    | 2.5 ms  | none                 |
 *     | WebSocket    | 6 B    | 2.5 ms  | 1                    |
 *
 * One subscriber of one topic, at the rates of the paper's applications and at one where polls can not follow.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CODE } from '../src/protocols/coap/message.js';
import { furnish, pathOf, pathTo } from './contenders.js';
import { DaemonUnderTest } from './daemon.js';
import { microseconds, table } from './figures.js';
import { Capture, FAR, hasOwnNetwork, Link, NEAR, type Packet } from './link.js';
import { BODY_BYTES } from './load.js';
import { Absent, isInstalled, nativeProgram } from './native.js';
import { dots } from './plot.js';
import { Pump, type Pumped } from './pump.js';
import { coap, gridcastWs, longPolling, type Speech } from './speech.js';
import type { Outcome } from './targets.js';

export interface TableEffort {
  readonly seconds: number;
}
export const QUICK: TableEffort = { seconds: 2 };
export const FULL: TableEffort = { seconds: 10 };

const DELAY_US = 2500;
const RATES_HZ = [5, 30, 300];
/** Free, in a network of our own. */
const HTTP_PORT = 8080;
const COAP_PORT = 5683;
const WAYS = ['long polling', 'CoAP', 'WebSocket, JSON', 'WebSocket, protobuf'] as const;
type Way = (typeof WAYS)[number];

interface Row {
  readonly way: Way;
  readonly rateHz: number;
  readonly pumped: Pumped;
  readonly packets: readonly Packet[];
}

/** Runs everything, in a network namespace that lasts as long. */
export function table2({ seconds }: TableEffort, progress: (line: string) => void): Promise<Outcome> {
  return new Promise((resolve) => {
    try {
      for (const tool of ['unshare', 'ip', 'tshark'])
        if (!isInstalled(tool)) throw new Absent(`${tool} is not installed (bench/setup.sh)`);
      for (const program of ['pump', 'link'] as const) nativeProgram(program);
    } catch (error) {
      if (!(error instanceof Absent)) throw error;
      resolve({ text: `Nothing was measured: ${error.message}` });
      return;
    }
    progress('in a network namespace of its own');
    const self = [...process.execArgv, fileURLToPath(import.meta.url), String(seconds)];
    const words = ['--net', process.execPath, ...self];
    const { status, stdout } = spawnSync('unshare', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
    if (status === 0) resolve(JSON.parse(stdout) as Outcome);
    else resolve({ text: 'Nothing was measured: it takes the right to make a network namespace and a TUN device.' });
  });
}

async function measure(seconds: number): Promise<Outcome> {
  if (!hasOwnNetwork()) throw new Error('this must run in a network namespace of its own');
  const folder = mkdtempSync(join(tmpdir(), 'gridcast-bench-'));
  const link = await Link.open(DELAY_US);
  const config = join(folder, 'gridcast.yaml');
  const places = [
    `{protocol: http, host: 127.0.0.1, port: ${HTTP_PORT}}`,
    `{protocol: coap, host: 127.0.0.1, port: ${COAP_PORT}}`,
    `{protocol: http, host: ${NEAR}, port: ${HTTP_PORT}, network: private}`,
    `{protocol: coap, host: ${NEAR}, port: ${COAP_PORT}, network: private}`,
  ];
  writeFileSync(config, `listeners: [${places.join(', ')}]\nidentity: {anonymous: true}\ncongestion: provisioned\n`);
  const daemon = await DaemonUnderTest.start(['--config', config, '--data', join(folder, 'data')]);
  const rows: Row[] = [];
  try {
    // A topic for each: who has gone is told of it for a while yet.
    await furnish(daemon.site.http, WAYS.length * RATES_HZ.length);
    for (const way of WAYS)
      for (const rateHz of RATES_HZ) rows.push(await measureOne(way, rows.length, rateHz, seconds));
  } finally {
    await daemon.stop();
    link.close();
    rmSync(folder, { recursive: true, force: true });
  }
  return report(rows, seconds);
}

async function measureOne(way: Way, topic: number, rateHz: number, seconds: number): Promise<Row> {
  const pump = new Pump();
  try {
    const speech = speechOf(way);
    pump.host = FAR;
    await speech.subscribe(pump, [topic]);
    pump.host = '127.0.0.1';
    speech.publish(pump, topic);
    await pump.sync();
    const load = { shape: 'even', rateHz, fanOut: 1, window: 1, batch: 1, first: 0, count: 1 } as const;
    // Each binding's first steps are over: what is confirmable to begin with, the first poll.
    await pump.run({ ...load, seconds: 1 });
    const capture = await Capture.start([HTTP_PORT, COAP_PORT]);
    const pumped = await pump.run({ ...load, seconds });
    return { way, rateHz, pumped, packets: await capture.stop() };
  } finally {
    pump.close();
  }
}

function speechOf(way: Way): Speech {
  const speech = coap(COAP_PORT, {
    observed: (topic) => [...pathTo(topic), 'latest', 'content'],
    published: pathTo,
    method: CODE.post,
  });
  const latest = (topic: number): string => `${pathOf(topic)}/latest/content`;
  switch (way) {
    case 'long polling':
      return { ...speech, subscribe: longPolling(HTTP_PORT, pathOf) };
    case 'CoAP':
      return speech;
    case 'WebSocket, JSON':
      return { ...speech, subscribe: gridcastWs(HTTP_PORT, 'gridcast.v1+json', latest) };
    case 'WebSocket, protobuf':
      return { ...speech, subscribe: gridcastWs(HTTP_PORT, 'gridcast.v1', latest) };
  }
}

function figuresOf({ way, rateHz, pumped, packets }: Row) {
  const sum = (of: (packet: Packet) => number): number => packets.reduce((total, packet) => total + of(packet), 0);
  const updates = pumped.received;
  const bare = packets.filter(({ isTcp, payloadBytes, isControl }) => isTcp && payloadBytes === 0 && !isControl);
  return {
    ...{ way, rateHz, published: pumped.published, updates, ageUs: pumped.ageUs },
    headerBytes: sum(({ isFromBroker, payloadBytes }) => (isFromBroker ? payloadBytes : 0)) / updates - BODY_BYTES,
    backBytes: sum(({ isFromBroker, payloadBytes }) => (isFromBroker ? 0 : payloadBytes)) / updates,
    linkBytes: sum(({ ipBytes }) => ipBytes) / updates,
    acknowledgements: bare.length / updates,
    packets: packets.length / updates,
  };
}

function report(rows: readonly Row[], seconds: number): Outcome {
  const figures = rows.map(figuresOf);
  const plotted = (title: string, axis: string, of: (each: ReturnType<typeof figuresOf>) => number): string =>
    dots(
      title,
      { name: axis, isLogarithmic: true },
      WAYS,
      RATES_HZ.map((rateHz) => ({
        name: `${rateHz}/s`,
        values: WAYS.map(
          (way) => figures.filter((each) => each.way === way && each.rateHz === rateHz).map(of)[0] ?? NaN,
        ),
      })),
    );
  const cells = figures.map((each) => [
    ...[each.way, `${each.rateHz}/s`, `${each.updates} of ${each.published}`],
    ...[each.headerBytes, each.backBytes, each.linkBytes].map((bytes) => bytes.toFixed(1)),
    ...[each.acknowledgements, each.packets].map((count) => count.toFixed(2)),
    ...[each.ageUs.p50, each.ageUs.p99].map(microseconds),
  ]);
  const head = [
    ...['way', 'published', 'updates', 'header B', 'B back', 'B on the link'],
    ...['bare TCP acks', 'packets', 'age p50', 'age p99'],
  ];
  return {
    text: [
      `One subscriber of one topic over a link of ${DELAY_US / 1000} ms one way, ${BODY_BYTES}-byte bodies, ${seconds} s each; per update. Header: what the broker sends over TCP or UDP beside the body. Back: what the subscriber sends, polls and acknowledgements of CoAP's confirmables. On the link: all IP packets both ways. Bare acks: TCP segments that carry nothing else, of both ends. The paper estimates 100 B, 5 ms and 2 acknowledgements for long polling, 6 B, 2.5 ms and none for CoAP, 6 B, 2.5 ms and 1 for WebSocket.`,
      '',
      table(head, cells),
    ].join('\n'),
    figures,
    plots: {
      'table2-age': plotted('Age over a link of 2.5 ms, median', 'microseconds', ({ ageUs }) => ageUs.p50),
      'table2-bytes': plotted('Bytes on the link for an update', 'bytes', ({ linkBytes }) => linkBytes),
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const outcome = await measure(Number(process.argv[2]));
  process.stdout.write(JSON.stringify(outcome));
}
