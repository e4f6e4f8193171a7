/** A daemon whose optional packages are not installed: it says once what is lost, and does the same. */
import { open, type Client, type Notification } from '../../src/client/index.js';
import { temporaryFolder } from '../support/folder.js';
import { IS_HERE } from '../support/optional.js';
import { Spawned, stopPrograms } from '../support/program.js';

const clients: Client[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) await client.close();
  await stopPrograms();
});

async function untilHeard(text: string, notifications: AsyncIterable<Notification>): Promise<string | undefined> {
  for await (const { body } of notifications) if (Buffer.from(body).toString() === text) return text;
  return undefined;
}

const LOST = {
  koffi: 'each CoAP datagram is sent on its own',
  'uWebSockets.js': 'HTTP and WebSocket run on node:http and ws',
} as const;

test.each([[[]], [['koffi']], [['uWebSockets.js']], [['koffi', 'uWebSockets.js']]] as const)(
  'without %j it serves over every binding, and says once what that costs',
  async (absent) => {
    const serve = ['dist/cli/gridcast.js', 'serve', '--http', '0', '--coap', '0', '--data', temporaryFolder()];
    const daemon = new Spawned(process.execPath, ['--require', './test/support/absent.cjs', ...serve], {
      ABSENT: absent.join(','),
    });
    const http = await daemon.told(/http:\/\/(\S+:\d+)/);
    const coap = await daemon.told(/coap:\/\/(\S+:\d+)/);
    const publisher = await open(`http://${http}`);
    clients.push(publisher);
    await publisher.request({ op: 'create', to: '/m2m/applications', body: { application: { appId: 'a' } } });
    const container = { container: { id: 'c', durability: 'latest' } };
    await publisher.request({ op: 'create', to: '/m2m/applications/a/containers', body: container });
    const instances = '/m2m/applications/a/containers/c/contentInstances';
    const publish = (text: string) =>
      publisher.request({ op: 'create', to: instances, body: { mediaType: 'text/plain', bytes: Buffer.from(text) } });
    await publish('first');
    const heard = [`coap://${coap}`, `ws://${http}`].map(async (uri) => {
      const client = await open(uri);
      clients.push(client);
      return untilHeard('second', client.observe(`${instances}/latest/content`));
    });
    while (!(await (await fetch(`http://${http}/metrics`)).text()).includes('\ngridcast_subscriptions 2\n'));
    await publish('second');
    expect(await Promise.all(heard)).toEqual(['second', 'second']);
    const metrics = await (await fetch(`http://${http}/metrics`)).text();
    expect(await daemon.stop()).toBe(0);
    const told = Object.entries(LOST).map(([name, words]) => [name, daemon.complaint.split(words).length - 1]);
    const times = (name: keyof typeof LOST): number => (absent.includes(name as never) || !IS_HERE[name] ? 1 : 0);
    expect(Object.fromEntries(told)).toEqual({
      koffi: times('koffi'),
      'uWebSockets.js': times('uWebSockets.js'),
    });
    // What nobody counts is not told as 0.
    expect(/^gridcast_udp_receive_drops_total \d/m.test(metrics)).toBe(times('koffi') === 0);
  },
);
