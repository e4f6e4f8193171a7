/**
 * The three message flows of the paper's figure 2, byte by byte:
 *
 *     HTTP long polling   subscribe; a poll is held until there is something, each answer is followed by a new poll
 *     CoAP                GET with Observe; each update a NON as soon as it exists; unsubscribed likewise
 *     WebSocket           upgrade, then frames both ways until closed
 *
 * CoAP plays on the manual clock; the other two on a TCP connection to a whole broker, whose publisher is a second connection.
 */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { TYPE } from '../../src/protocols/coap/message.js';
import { OPTION, uintOption } from '../../src/protocols/coap/options.js';
import { CONTENT as CONTENT_2_05, DEREGISTER, Stage } from '../protocols/coap/stage.js';
import { closeBrokers, startBroker } from '../support/broker.js';

const INSTANCES = '/m2m/applications/meter/containers/load/contentInstances';

/** A TCP connection in plain bytes. */
class Wire {
  private bytes = Buffer.alloc(0);

  private constructor(private readonly socket: Socket) {
    socket.on('data', (chunk) => (this.bytes = Buffer.concat([this.bytes, chunk])));
  }

  static async to(uri: string): Promise<Wire> {
    const socket = connect({ host: '127.0.0.1', port: Number(new URL(uri).port) });
    await once(socket, 'connect');
    const wire = new Wire(socket);
    open.push(wire);
    return wire;
  }

  sends(bytes: string | Uint8Array): void {
    this.socket.write(bytes);
  }

  /** The next `count` bytes. */
  async takes(count: number): Promise<Buffer> {
    while (this.bytes.length < count) await once(this.socket, 'data');
    const taken = this.bytes.subarray(0, count);
    this.bytes = this.bytes.subarray(count);
    return taken;
  }

  /** Up to and including an empty line. */
  async head(): Promise<string> {
    while (!this.bytes.includes('\r\n\r\n')) await once(this.socket, 'data');
    return (await this.takes(this.bytes.indexOf('\r\n\r\n') + 4)).toString();
  }

  /** One HTTP exchange, or its second half. */
  async asks(method: string, path: string, body?: unknown): Promise<{ status: number; body: string }> {
    this.requests(method, path, body);
    return this.answered();
  }

  requests(method: string, path: string, body?: unknown): void {
    const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
    const type = typeof body === 'string' ? 'text/plain' : 'application/json';
    const fields = ['Host: 127.0.0.1', ...(text ? [`Content-Type: ${type}`, `Content-Length: ${text.length}`] : [])];
    this.sends(`${method} ${path} HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n${text}`);
  }

  async answered(): Promise<{ status: number; body: string }> {
    const head = await this.head();
    const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
    return { status: Number(head.split(' ')[1]), body: (await this.takes(length)).toString() };
  }

  /** One unmasked frame [RFC6455-5.2]: its first byte and what it bears. */
  async frame(): Promise<{ first: number; text: string }> {
    const [first = 0, length = 0] = await this.takes(2);
    const long = length === 126 ? (await this.takes(2)).readUInt16BE() : length;
    return { first, text: (await this.takes(long)).toString() };
  }

  /** Nothing has come that was not taken. */
  silent(): void {
    expect(this.bytes.toString()).toBe('');
  }

  /** The other side has closed. */
  async over(): Promise<void> {
    if (!this.socket.readableEnded) await once(this.socket, 'end');
  }

  close(): void {
    this.socket.destroy();
  }
}

const open: Wire[] = [];
afterEach(async () => {
  open.splice(0).forEach((wire) => wire.close());
  await closeBrokers();
});

/** A broker with a container, and one connection each for its publisher and its subscriber. */
async function grid() {
  const broker = await startBroker();
  const [publisher, subscriber] = [await Wire.to(broker.http), await Wire.to(broker.http)];
  await publisher.asks('POST', '/m2m/applications', { application: { appId: 'meter' } });
  await publisher.asks('POST', '/m2m/applications/meter/containers', { container: { id: 'load' } });
  const publishes = (value: string) => publisher.asks('POST', INSTANCES, value);
  // What a container holds says in which form it is delivered.
  await publishes('before');
  return { broker, subscriber, publishes };
}

test('long polling: subscribe once; a poll is held until there is something, and each answer is followed by a new poll', async () => {
  const { broker, subscriber, publishes } = await grid();
  const channel = await subscriber.asks('POST', '/m2m/notificationChannels', {
    notificationChannel: { channelType: 'LONG_POLLING' },
  });
  const { contactURI, channelData } = (
    JSON.parse(channel.body) as { notificationChannel: { contactURI: string; channelData: { longPollingURI: string } } }
  ).notificationChannel;
  const subscription = { contact: contactURI, filterCriteria: { attributeAccessor: 'latest/content' } };
  expect((await subscriber.asks('POST', `${INSTANCES}/subscriptions`, { subscription })).status).toBe(201);
  for (const value of ['first', 'second', 'third']) {
    subscriber.requests('GET', channelData.longPollingURI);
    // Two round trips of another connection later the poll still stands.
    await publishesNothing(broker.http);
    subscriber.silent();
    await publishes(value);
    const { status, body } = await subscriber.answered();
    expect(status).toBe(200);
    expect(JSON.parse(body)).toMatchObject({ notify: { representation: { textContent: value } } });
  }
  expect((await subscriber.asks('DELETE', contactURI)).status).toBe(204);
  expect([...broker.broker.subscriptions.accounts()]).toEqual([]);
});

async function publishesNothing(uri: string): Promise<void> {
  const other = await Wire.to(uri);
  for (let n = 0; n < 2; n++) expect((await other.asks('GET', '/livez')).status).toBe(200);
}

test('CoAP: GET with Observe; each update a NON, sent as it exists and never again; unsubscribed by GET with Observe 1', async () => {
  const stage = new Stage('standard');
  const registered = await stage.registers('0a');
  expect(registered.type).toBe(TYPE.acknowledgement);
  // One round trip is measured; from then on nobody answers, but for the CON of each second.
  await stage.proves('0a');
  const observed: number[] = [];
  for (let n = 0; n < 20; n++) {
    await stage.wire.passes(1000 / 30);
    stage.wire.silent();
    await stage.publishes();
    const [sent] = stage.wire.socket.sent;
    // Version 1, NON, a token of one byte; 2.05; id; token; Observe first of the options.
    expect(sent?.bytes.subarray(0, 2).toString('hex')).toBe('5145');
    expect(sent?.bytes[4]).toBe(0x0a);
    const update = stage.wire.expects({
      type: TYPE.nonConfirmable,
      code: CONTENT_2_05,
      token: '0a',
      payload: `value ${n + 1}`,
    });
    observed.push(uintOption(update.options, OPTION.observe) ?? NaN);
    stage.wire.silent();
  }
  expect(observed).toEqual(observed.map((_, n) => (observed[0] ?? NaN) + n));
  expect(uintOption((await stage.gets('0a', 'stream/0', [DEREGISTER])).options, OPTION.observe)).toBeUndefined();
  await stage.wire.passes(40);
  await stage.publishes();
  await stage.closes();
});

test('WebSocket: upgrade, then frames both ways until closed', async () => {
  const { broker, subscriber, publishes } = await grid();
  const key = 'dGhlIHNhbXBsZSBub25jZQ==';
  const upgrade = [
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${key}`,
  ];
  const fields = ['Host: 127.0.0.1', ...upgrade, 'Sec-WebSocket-Protocol: gridcast.v1+json'];
  subscriber.sends(`GET /m2m HTTP/1.1\r\n${fields.join('\r\n')}\r\n\r\n`);
  const head = await subscriber.head();
  expect(head).toMatch(/^HTTP\/1\.1 101 /);
  // [RFC6455-4.2.2]
  const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  expect(head).toContain(`Sec-WebSocket-Accept: ${accept}`);
  expect(head).toMatch(/^Sec-WebSocket-Protocol: gridcast\.v1\+json\r$/im);

  subscriber.sends(masked(0x81, `{"t":"sub","id":1,"to":"${INSTANCES}/latest/content"}`));
  const registered = await subscriber.frame();
  expect([registered.first, JSON.parse(registered.text)]).toMatchObject([
    0x81,
    { t: 'res', id: 1, status: 'STATUS_OK' },
  ]);
  for (const value of ['first', 'second', 'third']) {
    await publishes(value);
    const { first, text } = await subscriber.frame();
    expect([first, JSON.parse(text)]).toMatchObject([0x81, { t: 'ntf', sub: 1, missed: 0, textContent: value }]);
  }
  // The same connection carries requests the other way.
  subscriber.sends(masked(0x81, `{"t":"req","id":2,"op":"retrieve","to":"${INSTANCES}/latest/content"}`));
  expect(JSON.parse((await subscriber.frame()).text)).toMatchObject({ t: 'res', id: 2, textContent: 'third' });
  subscriber.sends(masked(0x81, '{"t":"unsub","id":3,"sub":1}'));
  expect(JSON.parse((await subscriber.frame()).text)).toMatchObject({ t: 'res', id: 3, status: 'STATUS_OK' });
  await publishes('unheard');
  // 1000, both ways; nothing between the last answer and the close.
  subscriber.sends(masked(0x88, Buffer.of(0x03, 0xe8)));
  expect(await subscriber.frame()).toEqual({ first: 0x88, text: Buffer.of(0x03, 0xe8).toString() });
  await subscriber.over();
  expect([...broker.broker.subscriptions.accounts()]).toEqual([]);
});

/** A client's frame [RFC6455-5.3], its mask all zeros: the bytes can be read. */
function masked(first: number, payload: string | Uint8Array): Buffer {
  const bytes = Buffer.from(payload as string);
  if (bytes.length > 125) throw new Error('a short frame only');
  return Buffer.concat([Buffer.of(first, 0x80 | bytes.length, 0, 0, 0, 0), bytes]);
}
