/** A stream whose configuration changes while it runs: each PMU keeps its own application. */
import { systemClock } from '../../src/clock.js';
import { encode } from '../../src/protocols/c37118/codec.js';
import type { Configuration } from '../../src/protocols/c37118/configuration.js';
import { tcpDevice } from '../protocols/c37118/device.js';
import { frameAt, pmu, RATE, stream } from '../protocols/c37118/stream.js';
import { closeBrokers, startBroker } from '../support/broker.js';

afterEach(closeBrokers);

test('a PMU that leaves the stream and comes back, in another order, comes back to its own application', async () => {
  const script: { configuration: Configuration } = { configuration: stream([pmu(61), pmu(62)]) };
  const device = await tcpDevice(script);
  const running = await startBroker({ pmu: [`c37118+tcp://127.0.0.1:${device.at.port}?idcode=60`] });
  /** The base name of the latest sample of an application, once it is of `configuration`. */
  const latest = async (appId: string): Promise<string> => {
    const path = `/m2m/applications/${appId}/containers/measurements/contentInstances/latest/content`;
    const { 0: first } = (await (await fetch(running.http + path)).json()) as { bn?: string; bt?: number }[];
    return `${first?.bn ?? ''} ${first?.bt ?? 0}`;
  };
  const plays = async (configuration: Configuration, appIds: readonly string[]): Promise<void> => {
    script.configuration = configuration;
    device.send(encode(configuration));
    const before = await Promise.all(appIds.map((appId) => latest(appId).catch(() => '')));
    for (;;) {
      const us = Math.floor((systemClock.wallUs() * RATE) / 1e6) * (1e6 / RATE);
      device.send(frameAt(configuration, us));
      const after = await Promise.all(appIds.map((appId) => latest(appId).catch(() => '')));
      after.forEach((text, n) => expect(text === '' || text.startsWith(`${appIds[n]}/`) || text === ' 0').toBe(true));
      if (after.every((text, n) => text.startsWith('pmu') && text !== before[n])) return;
    }
  };
  await device.commands.until((code) => code === 2);
  await plays(stream([pmu(61), pmu(62)]), ['pmu-61', 'pmu-62']);
  await plays(stream([pmu(62)], { soc: 1_700_000_001 }), ['pmu-62']);
  await plays(stream([pmu(62), pmu(61)], { soc: 1_700_000_002 }), ['pmu-61', 'pmu-62']);
  await running.close();
  await device.close();
});
