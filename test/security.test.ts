/** Certificates and keys that are replaced under a running broker; their files in memory, the time the test's. */
import { readFileSync } from 'node:fs';
import { loadConfig } from '../src/config.js';
import { isRefusal, type Refusal } from '../src/errors.js';
import { Security } from '../src/security.js';
import { Authority, hasOpenssl, type Certificate } from './support/certificates.js';
import { ManualClock } from './support/manual-clock.js';
import { MemoryDisk } from './support/memory-disk.js';

const LOOK_EVERY_MS = 5_000;
const PATHS = { certificate: '/etc/cert.pem', key: '/etc/key.pem' };

const textsOf = ({ certificate, key }: Certificate) => ({
  certificate: readFileSync(certificate),
  key: readFileSync(key),
});

(hasOpenssl ? describe : describe.skip)('certificates that are replaced', () => {
  let first: ReturnType<typeof textsOf>;
  let second: ReturnType<typeof textsOf>;
  beforeAll(() => {
    const authority = new Authority();
    [first, second] = [textsOf(authority.signs('/CN=first')), textsOf(authority.signs('/CN=second'))];
  });

  async function stage() {
    const [clock, disk] = [new ManualClock(), new MemoryDisk()];
    disk.put(PATHS.certificate, first.certificate);
    disk.put(PATHS.key, first.key);
    const listeners = [{ protocol: 'https', host: '127.0.0.1', port: 0, network: 'loopback' }] as const;
    const loaded = loadConfig({ flags: { listeners, tls: PATHS }, environment: {} });
    if (isRefusal(loaded)) throw new Error(loaded.detail);
    const security = await Security.open(loaded.config, disk, clock);
    if (isRefusal(security)) throw new Error(security.detail);
    const told: (Refusal | 'taken')[] = [];
    const end = security.watch((refusal) => told.push(refusal ?? 'taken'));
    return {
      clock,
      disk,
      security,
      told,
      end,
      /** So many looks at the files. */
      async looks(count: number): Promise<void> {
        for (let look = 0; look < count; look++) {
          clock.advance(LOOK_EVERY_MS);
          await new Promise((next) => setImmediate(next));
        }
      },
      shown: () => String(security.credentials?.options.cert),
    };
  }

  test('are taken when they have been found the same twice', async () => {
    const { disk, looks, told, shown } = await stage();
    await looks(3);
    disk.put(PATHS.certificate, second.certificate);
    await looks(1);
    // In between: one without the other.
    disk.put(PATHS.key, second.key);
    await looks(1);
    expect([told, shown()]).toEqual([[], String(first.certificate)]);
    await looks(1);
    expect([told, shown()]).toEqual([['taken'], String(second.certificate)]);
    await looks(3);
    expect(told).toEqual(['taken']);
  });

  test('and do not go together change nothing, which is told once; when they are put right they are taken', async () => {
    const { disk, looks, told, shown } = await stage();
    disk.put(PATHS.certificate, second.certificate);
    await looks(5);
    expect(told).toEqual([{ status: 'STATUS_BAD_REQUEST', detail: expect.stringContaining('do not go together') }]);
    expect(shown()).toBe(String(first.certificate));
    disk.put(PATHS.key, second.key);
    await looks(2);
    expect(told.slice(1)).toEqual(['taken']);
    expect(shown()).toBe(String(second.certificate));
  });

  test('and are missing for a while are waited for', async () => {
    const { disk, looks, told, shown } = await stage();
    await disk.remove(PATHS.key);
    await looks(3);
    expect([told, shown()]).toEqual([[], String(first.certificate)]);
    disk.put(PATHS.key, first.key);
    await looks(3);
    expect(told).toEqual([]);
  });

  test('and were taken on a signal are not taken again; nothing is looked at when the watch has ended', async () => {
    const { clock, disk, security, looks, told, end, shown } = await stage();
    disk.put(PATHS.certificate, second.certificate);
    disk.put(PATHS.key, second.key);
    expect(await security.reload()).toBeUndefined();
    expect(shown()).toBe(String(second.certificate));
    await looks(3);
    expect(told).toEqual([]);
    end();
    expect(clock.pending).toBe(0);
  });
});
