/**
 * Run by half-open.test.ts in a network namespace of its own. A broker, a device and an application by the SDK; then nftables
 * drops every packet between them without a word, as a cut fibre or a firewall does; then it lets them through again. Prints
 * when each side noticed, and what became of the sessions, as one line of JSON.
 */
import { execFileSync } from 'node:child_process';
import { setTimeout as wait } from 'node:timers/promises';
import { attachDevice, open, WsClient, type ConnectionState } from '../../src/client/index.js';
import { closeBrokers, startBroker } from '../support/broker.js';

const FEEDER = '/m2m/applications/feeder';

const nft = (rules: string): void => void execFileSync('nft', ['-f', '-'], { input: rules });

const running = await startBroker({ transport: process.argv[2] === 'uws' ? 'uws' : 'node' });
const { sessions } = running.broker;
const { port } = new URL(running.http);
const register = (appId: string) =>
  fetch(`${running.http}/m2m/applications`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ application: { appId } }),
  });
await register('feeder');
const device = await attachDevice(running.ws.replace('/m2m', FEEDER), () => ({ state: 'executed' }), {
  timeoutMs: 1_000,
});
const application = await open(running.ws, { originator: 'app-1', reconnect: true, timeoutMs: 1_000 });
if (!(application instanceof WsClient)) throw new Error('a ws: URI without a WebSocket');
const first = application.observe('/m2m/applications').next();
await until(() => running.broker.subscriptions.population.size > 0);
await register('another');
await first;

let cutMs = 0;
const noticed: Record<string, number> = {};
const back: Record<string, boolean> = {};
const note = (who: string): void => void (noticed[who] ??= Math.round(performance.now() - cutMs));
for (const [who, { watch }] of [
  ['device', { watch: device.watch }],
  ['application', { watch: (listener: (state: ConnectionState) => void) => application.watch(listener) }],
] as const)
  watch((news) => {
    if (news.state === 'reconnecting') note(who);
    if (news.state === 'connected') back[who] = news.isResumed;
  });

/** Polls: what the broker counts it tells nobody. */
async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await wait(5);
}
const lost = (): number => sessions.losses.get('HEARTBEAT_LOST') ?? 0;

await wait(1_500); // some heart-beats of both
const lostBefore = lost();
nft(`
table inet cut {
  chain input {
    type filter hook input priority 0
    tcp dport ${port} drop
    tcp sport ${port} drop
  }
}
`);
cutMs = performance.now();
await until(() => lost() === 1);
note('brokerOfDevice');
await until(() => lost() === 2);
note('brokerOfApplication');
await until(() => noticed.device !== undefined && noticed.application !== undefined);
const detached = sessions.detached.size;
nft('delete table inet cut');
await until(() => back.device !== undefined && back.application !== undefined);

console.log(JSON.stringify({ lostBefore, noticed, detached, back }));
await device.close();
await application.close();
await closeBrokers();
process.exit(0);
