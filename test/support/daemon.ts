/** A whole broker in this process, on free ports, silent; stopped by the caller. */
import { loadConfig } from '../../src/config.js';
import { isRefusal } from '../../src/errors.js';
import { serve } from '../../src/main.js';
import { temporaryFolder } from './folder.js';

export interface RunningDaemon {
  /** By binding: the URI of its root. */
  readonly roots: Readonly<Record<'http' | 'coap' | 'ws', string>>;
  stop(): Promise<void>;
}

/** @param flags of `gridcast serve`, by key */
export async function startDaemon(flags: Readonly<Record<string, unknown>> = {}): Promise<RunningDaemon> {
  const loaded = loadConfig({
    flags: { http: '0', coap: '0', logLevel: 'silent', data: temporaryFolder(), ...flags },
    environment: {},
  });
  if (isRefusal(loaded)) throw new Error(loaded.detail);
  const daemon = await serve(loaded.config);
  if (isRefusal(daemon)) throw new Error(daemon.detail);
  const of = (wanted: string): string =>
    daemon.listening.find(({ protocol }) => protocol === wanted)?.authority ?? `no ${wanted}`;
  const [http, coap] = [of('http'), of('coap')];
  return { roots: { http: `http://${http}`, coap: `coap://${coap}`, ws: `ws://${http}` }, stop: () => daemon.stop() };
}
