/**
 * A captured device played into a broker and observed by libcoap's client, judged by tshark from what went over the loopback;
 * then the client is killed.
 *
 * The end of a relation in `standard` takes 95 s: test/wire/coap-congestion.test.ts shows it on the manual clock. Here that mode
 * is watched until what goes out is retransmissions alone, and `provisioned` to its end.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { systemClock } from '../../src/clock.js';
import { describeWith, hasLibcoap, hasTshark, libcoap } from '../interop/coap-capture.js';
import { checkAccounts, hasCaptures, startReplayedGrid, type ReplayedGrid } from './replayed-grid.js';

const canCapture =
  hasTshark && process.getuid?.() === 0 && spawnSync('tshark', ['-D']).stdout.toString().includes('lo');
const DEVICE = { file: 'C37.118_1PMU_UDP.pcap', stream: 60, pmu: 61, scheme: 'udp' } as const;
/** Of the capture's 7.1 s: the gap before it begins again is not to be seen. */
const WATCHED_S = 5;
const CONTENT_2_05 = 69;
/** Of a relation whose client is gone, in `provisioned`. */
const GONE_WITHIN_S = 11;
/** Long enough for two retransmissions in `standard`. */
const SILENT_S = 9;
const LOOK_MS = 250;
const passes = (ms: number): Promise<void> => new Promise((resolve) => void systemClock.after(ms, resolve));

interface Message {
  readonly atS: number;
  readonly client: number;
  readonly isFromServer: boolean;
  readonly type: 'CON' | 'NON' | 'ACK' | 'RST';
  readonly code: number;
  readonly mid: number;
  readonly observe: number | undefined;
}

const FIELDS = [
  'frame.time_epoch',
  'udp.srcport',
  'udp.dstport',
  'coap.type',
  'coap.code',
  'coap.mid',
  'coap.opt.observe',
  '_ws.malformed',
];
const TYPES = ['CON', 'NON', 'ACK', 'RST'] as const;

/** tshark on the loopback. */
class Capture {
  private text = '';

  private constructor(
    private readonly tshark: ChildProcess,
    private readonly port: number,
  ) {
    tshark.stdout?.on('data', (bytes: Buffer) => (this.text += bytes.toString()));
  }

  static async start(port: number): Promise<Capture> {
    const as = ['-d', `udp.port==${port},coap`, '-T', 'fields', '-E', 'separator=|'];
    const fields = FIELDS.flatMap((field) => ['-e', field]);
    const capture = new Capture(spawn('tshark', ['-l', '-i', 'lo', '-f', `udp port ${port}`, ...as, ...fields]), port);
    // It says that it captures before it does; a message seen is the proof.
    while (capture.text === '') await libcoap('-B', '1', `coap://127.0.0.1:${port}/m2m`);
    return capture;
  }

  /** All whole lines so far; none of them malformed. */
  get messages(): readonly Message[] {
    const lines = this.text.split('\n').slice(0, -1);
    return lines.map((line) => {
      const [at, from, to, type, code, mid, observe, malformed] = line.split('|');
      const kind = TYPES[Number(type)];
      if (malformed !== '' || type === '' || !kind) throw new Error(`tshark takes this for no CoAP: ${line}`);
      const isFromServer = Number(from) === this.port;
      return {
        atS: Number(at),
        client: Number(isFromServer ? to : from),
        isFromServer,
        type: kind,
        code: Number(code),
        mid: Number(mid),
        observe: observe === '' ? undefined : Number(observe),
      };
    });
  }

  /** Waits until `isThere`, with each line that comes. */
  async until(isThere: (messages: readonly Message[]) => boolean): Promise<void> {
    while (!isThere(this.messages)) await once(this.tshark.stdout ?? this.tshark, 'data');
  }

  close(): void {
    this.tshark.kill();
  }
}

/** libcoap's client as in the README; killed without a word when the test says so. */
function observe(grid: ReplayedGrid, query: string): ChildProcess {
  const uri = `${grid.coap}${grid.contentInstances}/latest/content?${query}`;
  return spawn('coap-client-notls', ['-N', '-s', '60', uri], { stdio: 'ignore' });
}

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close();
});

describeWith(
  { 'tshark as root': canCapture, 'coap-client-notls': hasLibcoap, '../shared/pmu-data': hasCaptures },
  'a replayed PMU observed by libcoap',
  () => {
    test.each([
      ['standard', 'c.pmin=0.2', 5, 2],
      ['standard', 'rate=50', 50, 2],
      ['provisioned', 'c.pmin=0.2', 5, 4],
      ['provisioned', 'rate=50', 50, 4],
    ] as const)(
      '%s, %s: %i a second, NON, a CON a second; of a killed client only retransmissions after %i s',
      async (congestion, query, rate, graceS) => {
        const grid = await startReplayedGrid(DEVICE, { congestion });
        open.push(grid);
        const capture = await Capture.start(grid.coapAddress.port);
        open.push(capture);
        const before = capture.messages.length;
        await grid.play();
        const client = observe(grid, query);
        const stream = (): readonly Message[] =>
          capture.messages
            .slice(before)
            .filter(
              ({ isFromServer, code, observe }) => isFromServer && code === CONTENT_2_05 && observe !== undefined,
            );
        // The first is the answer to the registration: the state then.
        await capture.until(() => stream().length > WATCHED_S * rate);
        client.kill('SIGKILL');
        const killedS = systemClock.wallUs() / 1e6;

        const sent = stream()
          .filter(({ atS }) => atS <= killedS)
          .slice(1);
        const [first, last] = [sent[0], sent.at(-1)];
        const spanS = (last?.atS ?? 0) - (first?.atS ?? 0);
        expect((sent.length - 1) / spanS).toBeGreaterThan(rate * 0.95);
        expect((sent.length - 1) / spanS).toBeLessThan(rate * 1.05);
        const sequences = sent.map(({ observe }) => observe ?? NaN);
        expect(sequences).toEqual([...new Set(sequences)].sort((a, b) => a - b));
        const confirmed = sent.filter(({ type }) => type === 'CON');
        expect(confirmed.length).toBeGreaterThanOrEqual(WATCHED_S - 1);
        expect(confirmed.length).toBeLessThanOrEqual(WATCHED_S + 2);
        expect(sent.filter(({ type }) => type === 'NON')).toHaveLength(sent.length - confirmed.length);
        const acknowledged = capture.messages
          .filter(({ type, isFromServer }) => type === 'ACK' && !isFromServer)
          .map(({ mid }) => mid);
        // The last may have met the kill.
        expect(acknowledged).toEqual(expect.arrayContaining(confirmed.slice(0, -1).map(({ mid }) => mid)));

        const isGone = (): boolean => checkAccounts(grid) === 0;
        const watchedS = congestion === 'provisioned' ? GONE_WITHIN_S : SILENT_S;
        while (systemClock.wallUs() / 1e6 < killedS + watchedS && !isGone()) await passes(LOOK_MS);
        expect(isGone()).toBe(congestion === 'provisioned');
        const late = stream().filter(({ atS }) => atS > killedS + graceS);
        expect(late.filter(({ type }) => type !== 'CON')).toEqual([]);
        // One confirmable and its four retransmissions at most.
        expect(late.length).toBeLessThanOrEqual(5);
        if (congestion === 'standard') expect(late.length).toBeGreaterThan(0);
      },
      60_000,
    );
  },
);
