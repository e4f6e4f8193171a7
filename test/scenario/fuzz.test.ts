/**
 * Bytes that make no sense, millions of them, into each port of a running daemon: it does not crash, does not grow, and goes
 * on serving. FUZZ_BYTES=20000000 is the full run; what comes by default is enough to find what is grossly wrong.
 */
import { open } from '../../src/client/index.js';
import { seededRandom } from '../../src/random.js';
import { canSpawn, startDaemon, type DaemonProcess } from './daemon.js';
import { openCoapFuzzer } from './fuzz-coap.js';
import { openFuzzedDevice } from './fuzz-device.js';
import { fuzzWebSocket } from './fuzz-ws.js';

const BYTES = Number(process.env.FUZZ_BYTES ?? 2_000_000);
/** Of the same kind, before memory is looked at: tables of peers and de-duplication fill, the heap finds its size. */
const WARM_UP_BYTES = Math.max(4_000_000, BYTES / 2);
const MOST_GROWTH_BYTES = 20_000_000;
const SEED = 20_260_101;
/** Of a full run on a busy machine. */
const PATIENCE_MS = 900_000;

const CONTENT = '/m2m/applications/fuzzed/containers/noise/contentInstances';
const running: DaemonProcess[] = [];
afterEach(async () => {
  for (const daemon of running.splice(0)) await daemon.stop();
});

async function started(...flags: readonly string[]): Promise<DaemonProcess> {
  const daemon = await startDaemon('--log-level', 'fatal', ...flags);
  running.push(daemon);
  const client = await open(`http://${daemon.http}`);
  const create = (to: string, body: Parameters<typeof client.request>[0]['body']) =>
    client.request({ op: 'create', to, ...(body && { body }) });
  await create('/m2m/applications', { application: { appId: 'fuzzed' } });
  await create('/m2m/applications/fuzzed/containers', { container: { id: 'noise', maxNrOfInstances: 10 } });
  await create(CONTENT, { mediaType: 'text/plain', bytes: Buffer.from('before') });
  await client.close();
  return daemon;
}

/** Warms up, then fuzzes; what its memory has grown by. */
async function growth(daemon: DaemonProcess, fuzz: (bytes: number) => Promise<void>): Promise<number> {
  await fuzz(WARM_UP_BYTES);
  const before = await settled(daemon);
  await fuzz(BYTES);
  expect(daemon.death()).toBeUndefined();
  const grown = (await settled(daemon)) - before;
  console.info(`${BYTES} bytes: resident ${mb(before)} MB, grown by ${mb(grown)} MB`);
  return grown;
}
/** The figure after a second collection and a scrape: the first one leaves what its finalizers hold, and a heap sized for the flood. */
async function settled(daemon: DaemonProcess): Promise<number> {
  await daemon.residentBytes();
  await (await fetch(`http://${daemon.http}/metrics`)).text();
  return daemon.residentBytes();
}
const mb = (bytes: number): string => (bytes / 1e6).toFixed(1);

/** Over each binding something is written and read back. */
async function goesOnServing(daemon: DaemonProcess): Promise<void> {
  for (const uri of [`http://${daemon.http}`, `coap://${daemon.coap}`, `ws://${daemon.http}`]) {
    const client = await open(uri);
    const text = `by ${client.binding}`;
    await client.request({ op: 'create', to: CONTENT, body: { mediaType: 'text/plain', bytes: Buffer.from(text) } });
    const { bytes } = await client.request({ op: 'retrieve', to: `${CONTENT}/latest/content` });
    expect(Buffer.from(bytes).toString()).toBe(text);
    await client.close();
  }
}

(canSpawn ? describe : describe.skip)('a daemon whose port is fuzzed (skipped where there is no /proc)', () => {
  test(
    'CoAP',
    async () => {
      const daemon = await started();
      const fuzzer = await openCoapFuzzer(daemon.coapPort, seededRandom(SEED));
      const grown = await growth(daemon, fuzzer.fuzz);
      fuzzer.close();
      expect(grown).toBeLessThanOrEqual(MOST_GROWTH_BYTES);
      await goesOnServing(daemon);
    },
    PATIENCE_MS,
  );

  test.each(['uws', 'node'])(
    'WebSocket (%s)',
    async (transport) => {
      const daemon = await started('--transport', transport);
      const random = seededRandom(SEED);
      const grown = await growth(daemon, (bytes) => fuzzWebSocket(daemon.httpPort, random, bytes));
      expect(grown).toBeLessThanOrEqual(MOST_GROWTH_BYTES);
      await goesOnServing(daemon);
    },
    PATIENCE_MS,
  );

  test(
    'C37.118: a device that sends nonsense, and then sense again',
    async () => {
      const device = await openFuzzedDevice(seededRandom(SEED));
      try {
        const daemon = await started('--pmu', device.uri);
        const grown = await growth(daemon, device.fuzz);
        expect(grown).toBeLessThanOrEqual(MOST_GROWTH_BYTES);
        await goesOnServing(daemon);
        device.behave();
        const client = await open(`http://${daemon.http}`);
        const to = '/m2m/applications/pmu-61/containers/measurements/contentInstances/latest/content';
        // The next good frame after all that: the subscription is served again.
        for await (const { body } of client.observe(to)) {
          expect(Buffer.from(body).toString()).toContain('pmu-61/');
          break;
        }
        await client.close();
      } finally {
        await device.close();
      }
    },
    PATIENCE_MS,
  );
});
