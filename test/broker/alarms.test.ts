/** Alarms in a whole broker: reported by devices and over every binding, acted on by operators, told to subscribers. */
import { listAlarms, open, watchAlarms, type AlarmNews, type WsClient } from '../../src/client/index.js';
import type { Alarm } from '../../src/routing/alarm.js';
import type { JsonObject } from '../../src/routing/primitive.js';
import type { AuditEvent, Change, Store, Trouble } from '../../src/store/store.js';
import { volatileStore } from '../../src/store/volatile-store.js';
import { refuse } from '../../src/errors.js';
import { systemClock } from '../../src/clock.js';
import {
  closeStage,
  connect,
  container,
  http,
  nodeAt,
  startBroker,
  subscribe,
  until,
  whenStageCloses,
  type RunningBroker,
} from './stage.js';

afterEach(closeStage);

const FEEDER = '/m2m/applications/feeder';
const OWN = '/m2m/applications/gridcast/containers';
const alarmsOf = (application: string): string => `${application}/containers/alarms/contentInstances`;

async function feeder(...options: Parameters<typeof startBroker>): Promise<RunningBroker> {
  const running = await startBroker(...options);
  await http(running, 'POST', '/m2m/applications', { application: { appId: 'feeder' } });
  await http(running, 'POST', `${FEEDER}/containers`, { container: { id: 'alarms' } });
  return running;
}

const OVER = { condition: 'over-frequency', state: 'active', priority: 2, text: 'above 50.2 Hz', value: 50.31 };
const ID = 'feeder~over-frequency';
const report = (running: RunningBroker, body: JsonObject) => http(running, 'POST', alarmsOf(FEEDER), body);
const act = (running: RunningBroker, body: JsonObject, at = alarmsOf(FEEDER)) =>
  http(running, 'POST', at, { alarmId: ID, ...body });
const read = async (running: RunningBroker, id = ID, at = alarmsOf(FEEDER)) =>
  (await http(running, 'GET', `${at}/${id}/content`)).json as unknown as Alarm;
/** The states that a subscriber was told, alarm by alarm. */
const toldTo = ({ told }: { told: readonly { kind: string; body: JsonObject }[] }) =>
  told.filter(({ kind }) => kind === 'alarm').map(({ body }) => [body.alarmId, body.state]);

/** A store that says what it was given, and refuses while it is told to. */
function watchedStore() {
  const inner = volatileStore();
  const changes: Change[] = [];
  const audit: AuditEvent[] = [];
  const listeners: ((trouble: Trouble | undefined) => void)[] = [];
  let trouble: Trouble | undefined;
  const store: Store = {
    ...inner,
    get trouble() {
      return trouble;
    },
    write(writing, done) {
      if (trouble) {
        systemClock.atTurnEnd(() => done(refuse('STATUS_SERVICE_UNAVAILABLE', 'The disk failed.')));
        return;
      }
      changes.push(...(writing.changes ?? []).filter(({ table }) => table === 'alarm'));
      audit.push(...(writing.audit ?? []));
      inner.write(writing, done);
    },
    onTrouble: (listener) => void listeners.push(listener),
  };
  const become = (next: Trouble | undefined): void => {
    trouble = next;
    for (const listener of listeners) listener(next);
  };
  return { store, changes, audit, become };
}

test('an alarm is reported, seen in its application’s container and in the broker’s, and clears', async () => {
  const running = await feeder();
  const raised = await report(running, OVER);
  expect([raised.status, raised.location]).toEqual([201, `${alarmsOf(FEEDER)}/${ID}`]);
  const alarm = { alarmId: ID, source: FEEDER, ...OVER, state: 'unacknowledgedActive', count: 1 };
  expect(raised.json).toMatchObject(alarm);
  expect(await read(running)).toMatchObject(alarm);
  expect(await read(running, ID, `${OWN}/alarms/contentInstances`)).toMatchObject(alarm);
  expect((await http(running, 'GET', `${alarmsOf(FEEDER)}/latest/content`)).json).toMatchObject(alarm);
  expect((await http(running, 'GET', alarmsOf(FEEDER))).json).toMatchObject({
    contentInstances: { currentNrOfInstances: 1, contentInstanceCollection: { contentInstance: [{ id: ID }] } },
  });
  expect((await report(running, { condition: 'over-frequency', state: 'normal', value: 50 })).status).toBe(200);
  expect(await read(running)).toMatchObject({ state: 'unacknowledgedCleared', value: 50, text: 'above 50.2 Hz' });
  expect((await act(running, { action: 'acknowledge' })).json).toMatchObject({ state: 'normal' });
  await until('its actor is gone', () => running.broker.alarms.population.size === 0);
});

interface Page {
  readonly contentInstanceCollection: { readonly contentInstance: readonly { readonly id: string }[] };
  readonly next?: string;
}

test('alarms are queried like other instances, a page at a time; one that has changed since comes again', async () => {
  const running = await feeder();
  const conditions = ['one', 'two', 'three'];
  for (const condition of conditions) await report(running, { ...OVER, condition });
  const page = async (reference: string): Promise<{ ids: string[]; next: string }> => {
    const { json } = await http(running, 'GET', reference);
    const { contentInstanceCollection, next } = (json as unknown as { contentInstances: Page }).contentInstances;
    return { ids: contentInstanceCollection.contentInstance.map(({ id }) => id.replace(/^.*~/, '')), next: next ?? '' };
  };
  const first = await page(`${alarmsOf(FEEDER)}?createdSince=2020-01-01T00:00:00Z&limit=2`);
  expect(first.ids).toEqual(['one', 'two']);
  await report(running, { ...OVER, condition: 'one', state: 'normal' });
  expect((await page(first.next)).ids).toEqual(['three', 'one']);
});

test('a repeated report is counted and changes nothing; a more urgent one asks for another acknowledgement', async () => {
  const running = await feeder();
  await report(running, OVER);
  await act(running, { action: 'acknowledge' });
  const before = await read(running);
  expect((await report(running, { ...OVER, value: 60 })).status).toBe(201);
  expect(await read(running)).toEqual(before);
  expect(running.broker.alarms.outcomes).toMatchObject({ raised: 1, repeated: 1 });
  await report(running, { ...OVER, priority: 1 });
  expect(await read(running)).toMatchObject({ state: 'unacknowledgedActive', priority: 1, count: 1 });
  expect((await read(running)).acknowledged).toBeUndefined();
});

test('an operator’s acts say who and when, are journalled with the audit trail, and refused where the state forbids them', async () => {
  const { store, changes, audit } = watchedStore();
  const running = await feeder({}, { store });
  await report(running, OVER);
  const acknowledged = await act(running, { action: 'acknowledge', comment: 'crew is on the way' });
  expect(acknowledged.status).toBe(200);
  expect(acknowledged.json).toMatchObject({
    state: 'acknowledgedActive',
    acknowledged: { by: 'anonymous', at: expect.stringContaining('Z'), comment: 'crew is on the way' },
  });
  expect(changes.at(-1)).toMatchObject({
    table: 'alarm',
    key: `${FEEDER} over-frequency`,
    row: { document: acknowledged.json },
  });
  expect(audit).toEqual([
    {
      event: 'alarm-acknowledged',
      originator: 'anonymous',
      target: FEEDER,
      details: { alarmId: ID, state: 'acknowledgedActive', comment: 'crew is on the way' },
    },
  ]);
  const again = await act(running, { action: 'acknowledge' });
  expect([again.status, again.sentence]).toEqual([409, expect.stringContaining('is acknowledgedActive; only')]);
  const none = await act(running, { action: 'acknowledge', alarmId: 'feeder~none' });
  expect([none.status, none.sentence]).toEqual([404, expect.stringContaining('feeder~none')]);
  const central = await act(running, { action: 'suppress' }, `${OWN}/alarms/contentInstances`);
  expect(central.json).toMatchObject({
    state: 'suppressed',
    under: 'acknowledgedActive',
    suppressed: { by: 'anonymous' },
  });
  await report(running, { condition: 'over-frequency', state: 'normal' });
  await report(running, OVER);
  expect(await read(running)).toMatchObject({ state: 'suppressed', under: 'unacknowledgedActive', count: 2 });
  expect((await act(running, { action: 'shelve' })).status).toBe(409);
  expect((await act(running, { action: 'unsuppress' })).json).toMatchObject({ state: 'unacknowledgedActive' });
  await act(running, { action: 'shelve', forS: 60 });
  await act(running, { action: 'unshelve' });
  await act(running, { action: 'shelve', forS: 0.05 });
  await until('its time is over', () => audit.length === 7);
  expect(audit.map(({ event, originator }) => `${event} ${originator}`)).toEqual([
    'alarm-acknowledged anonymous',
    'alarm-suppressed anonymous',
    'alarm-unsuppressed anonymous',
    'alarm-shelved anonymous',
    'alarm-unshelved anonymous',
    'alarm-shelved anonymous',
    'alarm-unshelved gridcast',
  ]);
});

test.each([
  ['no condition', { state: 'active' }, '"condition"'],
  ['a state of its own', { condition: 'a', state: 'raised' }, '"raised"'],
  ['a priority of 5', { condition: 'a', state: 'active', priority: 5 }, '"priority" is 5'],
  ['an unknown action', { alarmId: ID, action: 'silence' }, '"silence"'],
  ['an action on nothing', { action: 'acknowledge' }, '"alarmId"'],
  ['a shelving for ever', { alarmId: ID, action: 'shelve', forS: 1e9 }, '"forS"'],
] as const)('what has %s is refused by name', async (_name, body, named) => {
  const running = await feeder();
  const { status, sentence } = await report(running, body);
  expect([status, sentence]).toEqual([400, expect.stringContaining(named)]);
});

test('an alarm is not reported in the broker’s own container, and one too large nowhere', async () => {
  const running = await feeder();
  expect((await http(running, 'POST', `${OWN}/alarms/contentInstances`, OVER)).status).toBe(400);
  expect((await report(running, { ...OVER, extra: 'x'.repeat(5000) })).status).toBe(413);
});

test('a subscriber is first told what stands, the most urgent first, then each change in order', async () => {
  const running = await feeder();
  await report(running, { ...OVER, condition: 'low', priority: 4 });
  await report(running, { ...OVER, condition: 'high', priority: 1 });
  await report(running, { ...OVER, condition: 'gone' });
  await report(running, { condition: 'gone', state: 'normal' });
  await act(running, { action: 'acknowledge', alarmId: 'feeder~gone' });
  const { port } = await subscribe(running, `${OWN}/alarms`);
  expect(toldTo(port)).toEqual([
    ['feeder~high', 'unacknowledgedActive'],
    ['feeder~low', 'unacknowledgedActive'],
  ]);
  await report(running, OVER);
  await act(running, { action: 'acknowledge' });
  await report(running, { condition: 'over-frequency', state: 'normal' });
  expect(toldTo(port).slice(2)).toEqual([
    [ID, 'unacknowledgedActive'],
    [ID, 'acknowledgedActive'],
    [ID, 'normal'],
  ]);
  expect(port.told.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5]);
});

test('what a session does not acknowledge waits, the most urgent first; an alarm that changes meanwhile is told once', async () => {
  const running = await feeder();
  const { alarms } = running.broker;
  const { port, session } = await subscribe(running, `${FEEDER}/containers/alarms`);
  const raise = (condition: string, priority: 1 | 4): Promise<unknown> =>
    new Promise((done) => alarms.report(FEEDER, { condition, state: 'active', priority }, done));
  await Promise.all(Array.from({ length: 100 }, (_, n) => raise(`c-${n}`, 4)));
  expect(port.told).toHaveLength(64);
  await raise('urgent', 1);
  await new Promise<unknown>((done) => alarms.report(FEEDER, { condition: 'c-99', state: 'normal' }, done));
  expect(alarms.places.pump.figures.conflated).toBe(1);
  session.acknowledge(1);
  expect(toldTo(port).at(-1)).toEqual(['feeder~urgent', 'unacknowledgedActive']);
  for (let seq = 2; seq <= port.told.length; seq++) session.acknowledge(seq);
  expect(
    toldTo(port)
      .slice(65)
      .map(([id]) => id),
  ).toEqual(Array.from({ length: 36 }, (_, n) => `feeder~c-${n + 64}`));
  expect(toldTo(port).at(-1)).toEqual(['feeder~c-99', 'unacknowledgedCleared']);
  const { offered, told, conflated, dropped } = alarms.places.pump.figures;
  expect(offered).toBe(told + conflated + dropped);
});

describe.each(['gridcast.v1', 'gridcast.v1+json'] as const)('over %s', (subprotocol) => {
  test('a device’s alarm is told to a subscriber as a message of the lane, and acknowledged from another session', async () => {
    const running = await feeder();
    const device = (await open(running.ws, { subprotocol, attach: [FEEDER] })) as WsClient;
    const operator = (await open(running.ws, { subprotocol, originator: 'operator-1' })) as WsClient;
    whenStageCloses(() => device.close());
    whenStageCloses(() => operator.close());
    const seen: JsonObject[] = [];
    operator.hear((kind, body) => kind === 'alarm' && seen.push(body));
    const stop = new AbortController();
    const ended = (async () => {
      for await (const _ of operator.observe(`${OWN}/alarms/contentInstances/latest/content`, { signal: stop.signal }))
        throw new Error('an alarm is no ntf');
    })().catch((error: unknown) => error);
    await until('it has subscribed', () => running.broker.subscriptions.population.size === 1);
    await device.tell('alarm', OVER);
    await until('it is told', () => seen.length === 1);
    expect(seen[0]).toMatchObject({ alarmId: ID, ...OVER, state: 'unacknowledgedActive' });
    await operator.request({
      op: 'create',
      to: `${OWN}/alarms/contentInstances`,
      body: { source: FEEDER, condition: 'over-frequency', action: 'acknowledge' },
    });
    await until('that is told', () => seen.length === 2);
    expect(seen[1]).toMatchObject({ state: 'acknowledgedActive', acknowledged: { by: 'operator-1' } });
    stop.abort(new Error('enough'));
    expect(await ended).toEqual(new Error('enough'));
  });
});

test('a device speaks for the applications it is attached to, and says which of several', async () => {
  const running = await feeder();
  await http(running, 'POST', '/m2m/applications', { application: { appId: 'other' } });
  const nobody = connect(running);
  expect(await nobody.session.receive('alarm', OVER)).toMatchObject({ status: 'STATUS_PERMISSION_DENIED' });
  const both = connect(running, [FEEDER, '/m2m/applications/other']);
  expect(await both.session.receive('alarm', OVER)).toMatchObject({ status: 'STATUS_BAD_REQUEST' });
  expect(await both.session.receive('alarm', { ...OVER, source: '/m2m/applications/other' })).toBeUndefined();
  expect(await read(running, 'other~over-frequency', `${OWN}/alarms/contentInstances`)).toMatchObject({
    source: '/m2m/applications/other',
  });
});

test.each(['http', 'coap', 'ws'] as const)('the SDK watches and lists alarms over %s', async (binding) => {
  const running = await feeder();
  const client = await open(running[binding]);
  whenStageCloses(() => client.close());
  await report(running, { ...OVER, condition: 'standing', priority: 1 });
  const news: AlarmNews[] = [];
  const stop = new AbortController();
  const watching = (async () => {
    for await (const each of watchAlarms(client, { application: FEEDER, signal: stop.signal })) news.push(each);
  })().catch((error: unknown) => error);
  const states = (condition: string) =>
    news.flatMap((each) => (each.type === 'alarm' && each.alarm.condition === condition ? [each.alarm.state] : []));
  await until('what stands is told', () => states('standing').length === 1);
  await report(running, OVER);
  await act(running, { action: 'acknowledge' });
  await until('the changes are told', () => states('over-frequency').at(-1) === 'acknowledgedActive');
  expect((await listAlarms(client, FEEDER)).map(({ condition }) => condition)).toEqual(['standing', 'over-frequency']);
  stop.abort(new Error('enough'));
  expect(await watching).toEqual(new Error('enough'));
});

test('the canary sings every second, is read in its container, and is not journalled', async () => {
  const { store, changes } = watchedStore();
  const running = await startBroker({}, { store });
  const { port } = await subscribe(running, `${OWN}/canary`);
  await until('two canaries are heard', () => port.told.length === 2);
  expect(port.told.map(({ body }) => body.canary)).toEqual(
    [1, 2].map((n) => n + (Number(port.told[0]?.body.canary) - 1)),
  );
  const { json } = await http(running, 'GET', `${OWN}/canary/contentInstances/latest/content`);
  expect(json).toEqual(port.told.at(-1)?.body);
  expect(changes).toEqual([]);
});

test('while the store is failed alarms are told all the same, and written when it is well; acts are refused', async () => {
  const { store, changes, become } = watchedStore();
  const running = await feeder({}, { store });
  const { port } = await subscribe(running, `${OWN}/alarms`);
  become({ kind: 'failed', detail: 'The disk failed.' });
  await until('it is told', () => port.told.some(({ body }) => body.condition === 'store-failed'));
  const raised = await report(running, OVER);
  expect([raised.status, raised.sentence]).toEqual([503, 'The disk failed.']);
  expect(toldTo(port)).toContainEqual([ID, 'unacknowledgedActive']);
  expect((await act(running, { action: 'acknowledge' })).status).toBe(503);
  expect((await report(running, OVER)).status).toBe(503);
  expect(changes).toEqual([]);
  become(undefined);
  await until('both are written', () => changes.length >= 2);
  expect(new Set(changes.map(({ key }) => key))).toEqual(
    new Set([`${FEEDER} over-frequency`, '/m2m/applications/gridcast store-failed']),
  );
  expect(running.broker.alarms.journal.owed).toBe(0);
  expect((await report(running, OVER)).status).toBe(201);
  await until('the store’s alarm has cleared', async () => {
    const alarm = await read(running, 'gridcast~store-failed', `${OWN}/alarms/contentInstances`);
    return alarm.state === 'unacknowledgedCleared';
  });
});

test('when its application is deleted an alarm clears, and waits in the broker’s container to be acknowledged', async () => {
  const running = await feeder();
  await report(running, OVER);
  const { port } = await subscribe(running, `${FEEDER}/containers/alarms`);
  await http(running, 'DELETE', FEEDER);
  expect(port.ended).toMatchObject([{ ending: 'RESOURCE_DELETED' }]);
  const at = `${OWN}/alarms/contentInstances`;
  await until('it clears', async () => (await read(running, ID, at)).state === 'unacknowledgedCleared');
  expect((await act(running, { action: 'acknowledge' }, at)).json).toMatchObject({ state: 'normal' });
});

test('a command that is executed after its deadline is an alarm of its application', async () => {
  const running = await feeder();
  await http(running, 'POST', `${FEEDER}/containers`, { container: { id: 'commands' } });
  const { port, session } = connect(running, [FEEDER]);
  const issue = { commandId: 'open-1', point: 'breaker-1', value: 0, deadlineMs: 500 };
  const { location } = await http(running, 'POST', `${FEEDER}/containers/commands/contentInstances`, issue);
  await until('it has gone out', () => port.told.length === 1);
  await until('nobody knows any more', async () => {
    const { json } = await http(running, 'GET', `${location}/content`);
    return json.state === 'unknown';
  });
  expect(await session.receive('outcome', { commandId: 'open-1', state: 'executed' })).toBeUndefined();
  const id = 'feeder~command-late';
  await until('it is an alarm', async () => (await read(running, id)).state === 'unacknowledgedActive');
  expect(await read(running, id)).toMatchObject({ source: FEEDER, text: expect.stringContaining('open-1') });
});

test('rules on a container raise and clear its alarms, and go with the rules', async () => {
  const running = await feeder();
  const path = await container(running, {
    id: 'load',
    alarmRules: [
      { condition: 'high', kind: 'limit', field: 'power', high: 100, hysteresis: 10, priority: 2, text: 'overload' },
      { condition: 'silent', kind: 'stale', staleAfterS: 0.2 },
    ],
  });
  const publish = (value: number) =>
    http(
      running,
      'POST',
      `${path}/contentInstances`,
      JSON.stringify([{ bn: 'meter-1/', n: 'power', u: 'W', v: value }]),
      {
        'content-type': 'application/senml+json',
      },
    );
  const at = `${OWN}/alarms/contentInstances`;
  const stateOf = async (condition: string) => (await read(running, `~load~${condition}`, at)).state;
  await publish(99);
  await publish(101);
  await until('it is raised', async () => (await stateOf('high')) === 'unacknowledgedActive');
  expect(await read(running, '~load~high', at)).toMatchObject({
    source: path,
    priority: 2,
    text: 'overload',
    value: 101,
  });
  await publish(95);
  expect(await stateOf('high')).toBe('unacknowledgedActive');
  await publish(90);
  await until('it clears', async () => (await stateOf('high')) === 'unacknowledgedCleared');
  await until('it is silent', async () => (await stateOf('silent')) === 'unacknowledgedActive');
  await publish(90);
  await until('it is heard again', async () => (await stateOf('silent')) === 'unacknowledgedCleared');
  await publish(101);
  await until('it is raised again', async () => (await stateOf('high')) === 'unacknowledgedActive');
  expect((await http(running, 'PUT', path, { container: {} })).status).toBeLessThan(300);
  await until('the rule is gone', async () => (await stateOf('high')) === 'unacknowledgedCleared');
  const broken = await http(running, 'PUT', path, {
    container: { alarmRules: [{ condition: 'x', kind: 'limit', field: 'power' }] },
  });
  expect([broken.status, broken.sentence]).toEqual([400, expect.stringContaining('needs high, low or both')]);
  expect(nodeAt(running, path)?.attributes.get('alarmRules')).toBeUndefined();
});

test('a full table drops normal alarms first, refuses what is beyond, and says so', async () => {
  const running = await feeder();
  const { alarms } = running.broker;
  // Room for three, the broker's own beside them.
  Object.assign((alarms as unknown as { options: object }).options, { mostAlarms: 3 });
  for (const condition of ['a', 'b', 'c']) await report(running, { ...OVER, condition });
  await report(running, { condition: 'a', state: 'normal' });
  await act(running, { alarmId: 'feeder~a', action: 'acknowledge' });
  expect((await report(running, { ...OVER, condition: 'd' })).status).toBe(201);
  expect([...alarms.places.all.keys()]).toEqual(['feeder~b', 'feeder~c', 'feeder~d']);
  const refused = await report(running, { ...OVER, condition: 'e' });
  expect([refused.status, refused.sentence]).toEqual([503, expect.stringContaining('3 alarms stand')]);
  await until('it is said', () => alarms.places.all.has('gridcast~alarm-flood'));
  expect(alarms.outcomes.refused).toBe(1);
});
