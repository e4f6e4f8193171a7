/** Commands: issued over HTTP and WebSocket, executed by devices on WebSocket sessions. */
import { open, type WsClient } from '../../src/client/index.js';
import { formatTime, systemClock } from '../../src/clock.js';
import { bodyOfValue } from '../../src/protocols/codec.js';
import { FORMATS } from '../../src/routing/format.js';
import type { JsonObject } from '../../src/routing/primitive.js';
import {
  becomes,
  COMMANDS,
  device,
  FEEDER,
  feeder,
  issue,
  OPEN,
  operator,
  restarted,
  silentDevice,
  stateOf,
} from './command-stage.js';
import { RememberingStore } from '../support/remembering-store.js';
import { closeStage, http, subscribe, until, whenStageCloses, type RunningBroker } from './stage.js';

afterEach(closeStage);

test('a command is created with Location, read there, and expires at its deadline when no device is there', async () => {
  const running = await feeder();
  const { status, location, json } = await issue(running, { ...OPEN, deadlineMs: 50 });
  expect([status, location]).toEqual([201, `${COMMANDS}/anonymous~open-1`]);
  expect(json).toMatchObject({ ...OPEN, issuer: 'anonymous', application: FEEDER, state: 'accepted' });
  const { states } = await becomes(running, location, 'expired');
  expect(states.map(({ state }) => state)).toEqual(['accepted', 'expired']);
  expect((await running.broker.metrics.expose()).text).toContain('gridcast_command_outcomes_total{state="expired"} 1');
  await until('its actor is gone', () => running.broker.commands.population.size === 0);
});

test('the same command again is answered with what became of the first, and acts once', async () => {
  const running = await feeder();
  const executed: string[] = [];
  await device(running, ({ commandId }) => (executed.push(commandId), { state: 'executed' }));
  const first = await issue(running, OPEN);
  await becomes(running, first.location, 'executed');
  const again = await issue(running, OPEN);
  expect(again).toMatchObject({ status: 201, location: first.location, json: { state: 'executed' } });
  expect(executed).toEqual(['open-1']);
});

test('the same id for another command, or another application, is a conflict', async () => {
  const running = await feeder();
  await issue(running, OPEN);
  const other = await issue(running, { ...OPEN, value: 1 });
  expect([other.status, other.sentence]).toEqual([409, expect.stringContaining('was used for another command')]);
  await http(running, 'POST', '/m2m/applications', { application: { appId: 'other' } });
  await http(running, 'POST', '/m2m/applications/other/containers', { container: { id: 'commands' } });
  const elsewhere = await http(running, 'POST', '/m2m/applications/other/containers/commands/contentInstances', OPEN);
  expect(elsewhere.status).toBe(409);
});

test('an id that another issuer has under way is a conflict: the device would take one for the other', async () => {
  const running = await feeder();
  await issue(running, OPEN);
  const client = await open(running.ws);
  whenStageCloses(() => client.close());
  await expect(client.request({ op: 'create', to: COMMANDS, body: OPEN })).rejects.toThrow(
    'was used for another command',
  );
});

test('a gateway is told whose command it is, and says so where two of its applications know the id', async () => {
  const running = await feeder();
  await http(running, 'POST', '/m2m/applications', { application: { appId: 'other' } });
  await http(running, 'POST', '/m2m/applications/other/containers', { container: { id: 'commands' } });
  const [others, other] = ['/m2m/applications/other/containers/commands/contentInstances', '/m2m/applications/other'];
  const heard: JsonObject[] = [];
  const attach = [FEEDER, other];
  const received = (_kind: string, body: JsonObject): void => void heard.push(body);
  const gateway = (await open(running.ws, { originator: 'gateway-1', attach, received })) as WsClient;
  whenStageCloses(() => gateway.close());
  const first = await issue(running, OPEN);
  const client = await open(running.ws, { originator: 'scada-2' });
  whenStageCloses(() => client.close());
  const second = await client.request({ op: 'create', to: others, body: { ...OPEN, value: 1 } });
  await until('both have come', () => heard.length === 2);
  expect(heard).toMatchObject([
    { application: FEEDER, value: 0 },
    { application: other, value: 1 },
  ]);
  const executed = { commandId: 'open-1', state: 'executed' };
  await gateway.tell('outcome', executed); // of which nobody knows whose it is
  expect(await stateOf(running, first.location)).toMatchObject({ state: 'dispatched' });
  await gateway.tell('outcome', { ...executed, application: other });
  await becomes(running, second.location ?? '', 'executed');
  expect(await stateOf(running, first.location)).toMatchObject({ state: 'dispatched' });
  await gateway.tell('outcome', { ...executed, application: FEEDER });
  await becomes(running, first.location, 'executed');
});

test('an issuer with a slash in its name reads and observes its command where Location says', async () => {
  const running = await feeder();
  const { client } = await operator(running, 'centre/desk-1');
  const { location = '' } = await client.request({ op: 'create', to: COMMANDS, body: OPEN });
  expect(location).toBe(`${COMMANDS}/centre~desk-1~open-1`);
  expect(await stateOf(running, location)).toMatchObject({ state: 'accepted' });
  const listed = await http(running, 'GET', COMMANDS);
  expect(JSON.stringify(listed.json)).toContain('"centre~desk-1~open-1"');
});

test('what has not gone out can be cancelled, and never goes out; what has gone out cannot', async () => {
  const running = await feeder();
  const { location } = await issue(running, OPEN);
  const cancelled = await issue(running, { commandId: 'open-1', action: 'cancel' });
  expect(cancelled).toMatchObject({ status: 200, json: { state: 'cancelled' } });
  expect(await stateOf(running, location)).toMatchObject({ state: 'cancelled' });

  const { heard } = await silentDevice(running);
  const next = await issue(running, { ...OPEN, commandId: 'open-2' });
  await becomes(running, next.location, 'dispatched');
  expect(heard.map(({ commandId }) => commandId)).toEqual(['open-2']);
  const late = await issue(running, { commandId: 'open-2', action: 'cancel' });
  expect([late.status, late.sentence]).toEqual([409, expect.stringContaining('is dispatched')]);
  expect((await issue(running, { commandId: 'unknown', action: 'cancel' })).status).toBe(404);
});

test.each([
  ['no id', { point: 'breaker-1' }, 'commandId'],
  ['an id with a space', { ...OPEN, commandId: 'a b' }, 'commandId'],
  ['no point', { commandId: 'a' }, '"point"'],
  ['an unknown action', { ...OPEN, action: 'explode' }, '"explode"'],
  ['a deadline of 0', { ...OPEN, deadlineMs: 0 }, '"deadlineMs" is 0'],
] as const)('a command with %s is refused by name, and nothing is stored', async (_name, command, named) => {
  const running = await feeder();
  const { status, sentence } = await issue(running, command);
  expect([status, sentence]).toEqual([400, expect.stringContaining(named)]);
  expect((await http(running, 'GET', COMMANDS)).json).toMatchObject({ contentInstances: { currentNrOfInstances: 0 } });
});

describe.each(['gridcast.v1', 'gridcast.v1+json'] as const)('over %s', (subprotocol) => {
  test.each([
    ['executed', undefined],
    ['rejected', 'interlocked'],
  ] as const)('the issuer hears acknowledged, then %s, on his own session', async (state, reason) => {
    const running = await feeder();
    await device(running, () => ({ state, ...(reason !== undefined && { reason }) }));
    const issuer = (await open(running.ws, { subprotocol })) as WsClient;
    whenStageCloses(() => issuer.close());
    const heard: JsonObject[] = [];
    issuer.hear((kind, body) => kind === 'outcome' && heard.push(body));
    await issuer.request({ op: 'create', to: COMMANDS, body: OPEN });
    await until('the outcome is heard', () => heard.some((body) => body.state === state));
    expect(heard.map((body) => body.state)).toEqual(['acknowledged', state]);
    if (reason !== undefined) expect(heard.at(-1)).toMatchObject({ reason });
  });
});

test('who observes the commands container sees each state', async () => {
  const running = await feeder();
  const { port } = await subscribe(running, `${FEEDER}/containers/commands`);
  await device(running, () => ({ state: 'executed' }));
  await issue(running, OPEN);
  const states = () =>
    port.sent.map(({ body }) => (JSON.parse(Buffer.from(body).toString()) as { state: string }).state);
  await until('the last is seen', () => states().includes('executed'));
  expect(states()).toEqual(['accepted', 'dispatched', 'acknowledged', 'executed']);
});

test('a device that comes back before the deadline gets the command again, with the same id and less time', async () => {
  const running = await feeder();
  const first = await silentDevice(running);
  const { location } = await issue(running, { ...OPEN, deadlineMs: 9_000 });
  await until('it has gone out', () => first.heard.length === 1);
  await first.close();
  await until('the device is gone', () => running.broker.sessions.population.size === 0);
  const second = await silentDevice(running);
  await until('it comes again', () => second.heard.length === 1);
  expect(second.heard[0]).toMatchObject({ commandId: 'open-1', point: 'breaker-1', value: 0 });
  expect(Number(second.heard[0]?.deadlineMs)).toBeLessThanOrEqual(Number(first.heard[0]?.deadlineMs));
  await second.say({ commandId: 'open-1', state: 'acknowledged' });
  await second.say({ commandId: 'open-1', state: 'executed' });
  await becomes(running, location, 'executed');
});

test('a word after the deadline is recorded as late', async () => {
  const running = await feeder();
  const { heard, say } = await silentDevice(running);
  const { location } = await issue(running, { ...OPEN, deadlineMs: 100 });
  await until('it has gone out', () => heard.length === 1);
  await becomes(running, location, 'unknown');
  await say({ commandId: 'open-1', state: 'executed' });
  const { states } = await becomes(running, location, 'executedLate');
  expect(states.map(({ state }) => state)).toEqual(['accepted', 'dispatched', 'unknown', 'executedLate']);
});

test('a word on somebody else’s command moves nothing', async () => {
  const running = await feeder();
  await http(running, 'POST', '/m2m/applications', { application: { appId: 'other' } });
  const { location } = await issue(running, OPEN);
  const stranger = (await open(running.ws, { attach: ['/m2m/applications/other'] })) as WsClient;
  whenStageCloses(() => stranger.close());
  await stranger.tell('outcome', { commandId: 'open-1', state: 'executed' }).catch(() => undefined);
  expect(await stateOf(running, location)).toMatchObject({ state: 'accepted' });
});

test('a command too large for a device’s lane, or nested deeper than a stack, is refused and harms nothing', async () => {
  const running = await feeder();
  const nested = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
  const textContent = `{"commandId":"deep","point":"breaker-1","value":${nested}}`;
  const document = { contentInstance: { content: { contentType: 'application/json', textContent } } };
  expect((await http(running, 'POST', COMMANDS, document)).status).toBe(413);
  expect((await issue(running, { ...OPEN, value: 'x'.repeat(4096) })).status).toBe(413);
  expect((await issue(running, OPEN)).status).toBe(201);
});

test('10,000 are remembered: one whose outcome stays unknown gives way, and where all are under way the next is told so', async () => {
  const store = new RememberingStore();
  const running = await feeder({}, { store });
  const issuedAt = formatTime(systemClock.wallUs());
  const silent = await silentDevice(running);
  const { location } = await issue(running, { ...OPEN, deadlineMs: 50 });
  await becomes(running, location, 'unknown');
  await silent.close();
  // Not over HTTP: a keep-alive connection does not outlive a turn of seconds.
  const ask = ({ broker }: RunningBroker, body: JsonObject) =>
    broker.request({
      op: 'create',
      to: COMMANDS.slice(1).split('/'),
      query: new URLSearchParams(),
      originator: 'anonymous',
      requestId: String(body.commandId),
      binding: 'http',
      accept: [],
      defaultFormat: FORMATS.senmlJson,
      body: bodyOfValue(body),
    });
  const issueNumber = (number: number) =>
    ask(running, { commandId: `filler-${number}`, point: 'breaker-1', deadlineMs: 3_600_000 });
  for (let number = 1; number <= 10_000; number++) expect((await issueNumber(number)).status).toBe('STATUS_CREATED');
  expect(running.broker.commands.population.size).toBe(10_000);
  expect(await issueNumber(10_001)).toMatchObject({ status: 'STATUS_SERVICE_UNAVAILABLE', retryAfterS: 1 });
  expect([store.tables.command.size, store.tables.command.has('anonymous open-1')]).toEqual([10_000, false]);
  // What gave way is not taken for a new one by who says when it was issued, after a restart neither.
  const again = { ...OPEN, issuedAt };
  const mayBeOld = { status: 'STATUS_CONFLICT', detail: expect.stringContaining('may have been executed already') };
  expect(await ask(running, again)).toMatchObject(mayBeOld);
  expect(await ask(await restarted(running, {}, { store }), again)).toMatchObject(mayBeOld);
});
