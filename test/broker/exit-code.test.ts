/** The root of the supervision tree: when restarting does not help, the process says so to its service manager. */
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { systemClock } from '../../src/clock.js';

/** [sysexits: EX_SOFTWARE] */
const EXIT_BROKEN = 70;

test('a daemon whose listener fails again and again ends with 70', async () => {
  const child = spawn(process.execPath, ['--import', 'tsx', 'test/broker/broken-daemon.ts'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const [host, port] = line.toString().trim().split(':');
  const socket = createSocket('udp4');
  // A ping that would be answered with a reset [RFC7252-4.3]; the port is the same after each restart.
  const ping = (): void => {
    socket.send(Uint8Array.of(0x40, 0, 0x10, 1), Number(port), host);
    cancel = systemClock.after(5, ping);
  };
  let cancel = systemClock.after(0, ping);
  const [code] = (await exited) as [number | null];
  cancel();
  socket.close();
  expect(code).toBe(EXIT_BROKEN);
});
