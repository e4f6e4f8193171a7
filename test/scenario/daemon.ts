/** The daemon as its own process, from the sources as they stand: what crashes is it and not the test, and its memory is its own. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { temporaryFolder } from '../support/folder.js';

export interface DaemonProcess {
  /** `127.0.0.1:PORT`; WebSocket is there too. */
  readonly http: string;
  readonly coap: string;
  readonly httpPort: number;
  readonly coapPort: number;
  /** Undefined while it runs; then its exit code or signal, with what it wrote last. */
  readonly death: () => string | undefined;
  /** Resident memory in bytes, when garbage has been collected. */
  readonly residentBytes: () => Promise<number>;
  /** Asks it to end, and waits until it has: its exit code, or the signal that ended it. */
  stop(): Promise<number | string>;
}

/** Its memory is read from /proc. */
export const canSpawn = process.platform === 'linux';

/** Without it resident memory tells how long the engine has put off collecting, not what is held. */
const COLLECT_ON_SIGNAL = `data:text/javascript,process.on('SIGUSR2',()=>gc())`;

export async function startDaemon(...flags: readonly string[]): Promise<DaemonProcess> {
  const line = [
    '--expose-gc',
    '--import',
    COLLECT_ON_SIGNAL,
    '--import',
    'tsx',
    'src/cli/gridcast.ts',
    'serve',
    '--http',
    '0',
    '--coap',
    '0',
    '--data',
    temporaryFolder(),
    ...flags,
  ];
  const child = spawn(process.execPath, line, { stdio: ['ignore', 'pipe', 'pipe'] });
  let lastWords = '';
  child.stderr.on('data', (bytes: Buffer) => (lastWords = (lastWords + bytes.toString()).slice(-2_000)));
  const ended = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | string);
  const lines = createInterface({ input: child.stdout });
  const [http, coap] = await Promise.race([
    Promise.all([listening(lines, 'HTTP'), listening(lines, 'CoAP')]),
    ended.then((how) => Promise.reject(new Error(`the daemon did not start: ${how}, ${lastWords}`))),
  ]);
  return {
    http,
    coap,
    httpPort: Number(http.split(':')[1]),
    coapPort: Number(coap.split(':')[1]),
    death: () => {
      const how = child.exitCode ?? child.signalCode;
      return how === null ? undefined : `${how}, ${lastWords}`;
    },
    residentBytes: async () => {
      child.kill('SIGUSR2');
      // It answers when it has taken in what came before, the signal too.
      for (let n = 0; n < 3; n++) await fetch(`http://${http}/livez`);
      const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8')) ?? [];
      return Number(kilobytes) * 1024;
    },
    stop() {
      child.kill('SIGTERM');
      return ended;
    },
  };
}

/** `  HTTP       http://127.0.0.1:8080/m2m` of the banner. */
const listening = (lines: NodeJS.EventEmitter, name: string): Promise<string> =>
  new Promise((found) => {
    const pattern = new RegExp(`^ *${name} +[a-z]+://([^/]+)/`);
    lines.on('line', (line: string) => {
      const [, address] = pattern.exec(line) ?? [];
      if (address !== undefined) found(address);
    });
  });
