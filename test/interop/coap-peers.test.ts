/** Foreign peers on real sockets: node-coap as a client of ours, libcoap's server under our client, a live capture. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import coap from 'coap';
import { systemClock } from '../../src/clock.js';
import { silentLog } from '../../src/log.js';
import { systemNetwork, type Address } from '../../src/network.js';
import { CoapBinding } from '../../src/protocols/coap/binding.js';
import { CoapClient, isFailure } from '../../src/protocols/coap/client.js';
import { Endpoint } from '../../src/protocols/coap/endpoint.js';
import { CODE } from '../../src/protocols/coap/message.js';
import { Observation } from '../../src/protocols/coap/observation.js';
import { PlugtestSite } from '../../src/protocols/coap/plugtest.js';
import { systemRandom } from '../../src/random.js';
import { StubSite } from '../protocols/coap/stub-site.js';
import { describeWith, hasLibcoap, hasTshark, libcoap } from './coap-capture.js';

const LOOPBACK: Address = { host: '127.0.0.1', port: 0 };

const open: { close(): void }[] = [];
afterEach(() => open.splice(0).forEach((thing) => thing.close()));

async function endpointOn(): Promise<Endpoint> {
  const socket = await systemNetwork.bindUdp(LOOPBACK);
  const endpoint = new Endpoint({
    socket,
    clock: systemClock,
    random: systemRandom,
    log: silentLog,
    congestion: 'standard',
  });
  open.push(endpoint);
  return endpoint;
}

async function serving(): Promise<{ binding: CoapBinding; port: number }> {
  const endpoint = await endpointOn();
  const binding = new CoapBinding(endpoint, new PlugtestSite(new StubSite(systemClock), systemClock, 100), silentLog);
  open.push(binding);
  return { binding, port: endpoint.local.port };
}

describe('node-coap as client', () => {
  /** node-coap's global agent would keep its socket open. */
  const newAgent = (): InstanceType<typeof coap.Agent> => {
    const agent = new coap.Agent({ type: 'udp4' });
    open.push(agent);
    return agent;
  };

  test('reads, writes and deletes', async () => {
    const { port } = await serving();
    const agent = newAgent();
    const ask = async (
      method: 'GET' | 'PUT' | 'DELETE',
      pathname: string,
      body = '',
    ): Promise<{ code: string; text: string }> => {
      const request = coap.request({ host: '127.0.0.1', port, method, pathname, agent });
      if (body.length > 1024) request.setOption('Block1', Buffer.of(6));
      request.end(body);
      const [response] = (await once(request, 'response')) as [{ code: string; payload: Buffer }];
      return { code: response.code, text: response.payload.toString() };
    };
    expect(await ask('GET', '/test')).toEqual({ code: '2.05', text: 'a test resource' });
    expect((await ask('PUT', '/test', 'new')).code).toBe('2.04');
    expect((await ask('GET', '/test')).text).toBe('new');
    expect((await ask('DELETE', '/test')).code).toBe('2.02');
    expect((await ask('GET', '/nowhere')).code).toBe('4.04');
    expect((await ask('GET', '/large')).text).toHaveLength(1600);
    expect((await ask('PUT', '/large-update', 'y'.repeat(3000))).code).toBe('2.04');
    expect((await ask('GET', '/large-update')).text).toBe('y'.repeat(3000));
  });

  test('observes two resources over one socket, and its leaving one ends that relation', async () => {
    const { binding, port } = await serving();
    const agent = newAgent();
    type Stream = NodeJS.ReadableStream & { close(eagerDeregister: boolean): void };
    const observe = async (pathname: string): Promise<Stream> => {
      const request = coap.request({ host: '127.0.0.1', port, pathname, observe: true, agent });
      request.end();
      const [stream] = (await once(request, 'response')) as [Stream];
      return stream;
    };
    const stream = await observe('/obs-non');
    await observe('/obs');
    const texts: string[] = [];
    await new Promise<void>((enough) => {
      stream.on('data', (chunk: Buffer) => {
        if (texts.push(chunk.toString()) === 4) enough();
      });
    });
    expect(texts).toEqual(['tick 0', 'tick 1', 'tick 2', 'tick 3']);
    expect(binding.observers.relationCount).toBe(2);
    stream.close(true);
    while (binding.observers.relationCount > 1) await new Promise((next) => setImmediate(next));
  });
});

describeWith({ 'coap-client-notls': hasLibcoap }, 'libcoap as server, under our client', () => {
  let server: ChildProcess;
  let at: Address;

  beforeAll(async () => {
    // A port that was free a moment ago: libcoap's server has no way to say which it took.
    const probe = await systemNetwork.bindUdp(LOOPBACK);
    at = probe.local;
    probe.close();
    server = spawn('coap-server-notls', ['-A', '127.0.0.1', '-p', String(at.port)], { stdio: 'ignore' });
  });
  afterAll(() => void server.kill());

  test('is read, observed and left', async () => {
    const client = new CoapClient(await endpointOn());
    const time = { code: CODE.get, path: ['time'] };
    const answer = await client.request(at, time, { timeoutMs: 9_000 });
    if (isFailure(answer)) throw new Error(answer.failure);
    expect(Buffer.from(answer.payload).toString()).toMatch(/\d\d:\d\d:\d\d/);
    const got: number[] = [];
    const ending = await new Promise<string>((ended) => {
      const observation: Observation = new Observation(client, at, time, {
        notified: ({ sequence, isConfirmable }) => {
          got.push(sequence);
          if (got.length > 1) expect(isConfirmable).toBe(true);
          if (got.length === 3) observation.cancel();
        },
        ended,
      });
    });
    expect(ending).toBe('cancelled');
    expect(got.slice(1).every((sequence, n) => sequence > (got[n] ?? 0))).toBe(true);
  });

  test('creates by a body in blocks and gives it back in blocks', async () => {
    const client = new CoapClient(await endpointOn());
    const body = Buffer.from(Array.from({ length: 5000 }, (_, n) => 97 + (n % 26)));
    const put = await client.request(
      at,
      { code: CODE.put, path: ['example_data'], contentFormat: 0, payload: body },
      { blockExponent: 4 },
    );
    expect(isFailure(put) ? put.failure : put.code >>> 5).toBe(2);
    const get = await client.request(at, { code: CODE.get, path: ['example_data'] }, { blockExponent: 5 });
    expect(isFailure(get) ? get.failure : Buffer.from(get.payload)).toEqual(body);
  });
});

const canCapture =
  hasTshark && process.getuid?.() === 0 && spawnSync('tshark', ['-D']).stdout.toString().includes('lo');

describeWith({ 'tshark as root': canCapture, 'coap-client-notls': hasLibcoap }, 'captured live on the loopback', () => {
  test('a stream is NON 2.05 with rising Observe, a CON a second, acknowledged, nothing malformed', async () => {
    const { port } = await serving();
    const fields = ['udp.srcport', 'coap.type', 'coap.code', 'coap.mid', 'coap.opt.observe', '_ws.malformed'].flatMap(
      (field) => ['-e', field],
    );
    const capture = spawn('tshark', [
      '-l',
      '-i',
      'lo',
      '-f',
      `udp port ${port}`,
      '-d',
      `udp.port==${port},coap`,
      '-T',
      'fields',
      '-E',
      'separator=|',
      ...fields,
    ]);
    let text = '';
    capture.stdout.on('data', (bytes: Buffer) => (text += bytes.toString()));
    // It says that it captures before it does; a message seen is the proof.
    while (text === '') {
      await libcoap('-B', '1', `coap://127.0.0.1:${port}/test`);
    }
    text = '';
    await libcoap('-N', '-s', '3', `coap://127.0.0.1:${port}/obs-non`);
    while (!text.split('\n').some((line) => line.startsWith(`${port}|1|69|`) && line.endsWith('||')))
      await once(capture.stdout, 'data');
    capture.kill();
    const rows = text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.split('|'));
    const sent = rows.filter(([from, , code, , observe]) => from === String(port) && code === '69' && observe !== '');
    const confirmed = sent.filter(([, type]) => type === '0').map(([, , , mid]) => mid);
    const observed = sent.map(([, , , , observe]) => Number(observe));
    expect(sent.length).toBeGreaterThanOrEqual(13);
    expect(confirmed.length).toBeGreaterThanOrEqual(2);
    expect(confirmed.length).toBeLessThanOrEqual(4);
    expect(sent.filter(([, type]) => type === '1')).toHaveLength(sent.length - confirmed.length);
    expect(observed).toEqual([...new Set(observed)].sort((a, b) => a - b));
    for (const mid of confirmed)
      expect(rows.some(([from, type, , id]) => from !== String(port) && type === '2' && id === mid)).toBe(true);
    expect(rows.filter((row) => row[5] !== '')).toEqual([]);
  });
});
