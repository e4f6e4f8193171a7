/** A command that comes again: one effect, one outcome, whoever sends it however often; old ones are refused; all is audited. */
import { command, open, type WsClient } from '../../src/client/index.js';
import { formatTime, systemClock } from '../../src/clock.js';
import { AuditedStore, becomes, COMMANDS, device, FEEDER, feeder, issue, OPEN, restarted } from './command-stage.js';
import { closeStage, http, until, whenStageCloses, type RunningBroker } from './stage.js';

afterEach(closeStage);

test('the same command 100 times over three sessions and one restart: one effect, one outcome, 100 equal answers', async () => {
  const store = new AuditedStore();
  const effects: string[] = [];
  const first = await feeder({}, { store });
  const sessions = (running: RunningBroker) =>
    Promise.all(
      [1, 2, 3].map(async () => {
        const client = (await open(running.ws, { originator: 'scada-1' })) as WsClient;
        whenStageCloses(() => client.close());
        return client;
      }),
    );
  const answers: (string | undefined)[] = [];
  const outcomes: unknown[] = [];
  /** What the issuer learns of one giving: where it is, and how it ended. */
  const give = async (client: WsClient): Promise<void> => {
    const { status, location } = await client.request({ op: 'create', to: COMMANDS, body: OPEN });
    answers.push(`${status} ${location}`);
    for await (const news of command(client, FEEDER, OPEN)) if (news.state === 'executed') outcomes.push(news);
  };
  const before = await sessions(first);
  // While it is being journalled, while it is under way, and when it is over.
  const underWay = Array.from({ length: 15 }, (_, n) => give(before[n % 3] ?? fail()));
  await until('it is accepted', () => store.tables.command.size === 1);
  await device(first, ({ commandId }) => (effects.push(commandId), { state: 'executed' }));
  await Promise.all(underWay);
  for (let n = 0; n < 10; n++) await give(before[n % 3] ?? fail());
  const second = await restarted(first, {}, { store });
  await device(second, ({ commandId }) => (effects.push(commandId), { state: 'executed' }));
  const after = await sessions(second);
  await Promise.all(Array.from({ length: 25 }, (_, n) => give(after[n % 3] ?? fail())));
  expect(effects).toEqual(['open-1']);
  // Each giving is two requests.
  expect(answers).toEqual(Array(50).fill(`STATUS_CREATED ${COMMANDS}/scada-1~open-1`));
  expect(outcomes).toEqual(Array(50).fill({ commandId: 'open-1', state: 'executed' }));
  expect(store.trailOf('open-1').filter((line) => line.startsWith('command-executed'))).toHaveLength(1);
});

const fail = (): never => {
  throw new Error('no such session');
};

test.each([
  ['older than the window', -86_401_000, 'may have been executed already'],
  ['in the future', 61_000, 'at most 60 s ahead'],
])('a command that was issued %s is refused and audited', async (_name, ms, sentence) => {
  const store = new AuditedStore();
  const running = await feeder({}, { store });
  const issuedAt = formatTime(systemClock.wallUs() + ms * 1000);
  const refused = await issue(running, { ...OPEN, issuedAt });
  expect([refused.status, refused.sentence]).toEqual([409, expect.stringContaining(sentence)]);
  expect(store.audited.filter(({ event }) => event.startsWith('command'))).toMatchObject([
    {
      event: 'command-refused',
      originator: 'anonymous',
      target: COMMANDS,
      details: { commandId: 'open-1', status: 'STATUS_CONFLICT', detail: refused.sentence },
    },
  ]);
  expect(store.tables.command.size).toBe(0);
});

test('a command that was issued just now is taken, and is the same without the instant', async () => {
  const running = await feeder();
  const issuedAt = formatTime(systemClock.wallUs() - 1_000_000);
  const first = await issue(running, { ...OPEN, issuedAt });
  expect(first.status).toBe(201);
  expect(await issue(running, OPEN)).toMatchObject({ status: 201, location: first.location });
  expect((await issue(running, { ...OPEN, commandId: 'b', issuedAt: 'yesterday' })).sentence).toContain(
    '"issuedAt" is',
  );
});

test('every refusal is audited, with the sentence that was given', async () => {
  const store = new AuditedStore();
  const running = await feeder({}, { store });
  const sentences = [
    await issue(running, { point: 'breaker-1' }),
    await issue(running, { ...OPEN, value: 'x'.repeat(5000) }),
    await issue(running, { commandId: 'never', action: 'cancel' }),
  ].map(({ sentence }) => sentence);
  const refusals = store.audited.filter(({ event }) => event === 'command-refused');
  expect(refusals.map(({ event, details }) => [event, details?.detail])).toEqual(
    sentences.map((sentence) => ['command-refused', sentence]),
  );
});

test('a late word is alarmed and audited', async () => {
  const store = new AuditedStore();
  const running = await feeder({}, { store });
  const late = () => [...running.broker.alarms.all()].filter(({ alarm }) => alarm.condition === 'command-late');
  let finish = (): void => {};
  await device(running, async () => {
    await new Promise<void>((resolve) => (finish = resolve));
    return { state: 'executed' };
  });
  const { location } = await issue(running, { ...OPEN, deadlineMs: 1_000 });
  await becomes(running, location, 'unknown');
  expect(late()).toEqual([]);
  finish();
  await becomes(running, location, 'executedLate');
  await until('the alarm is raised', () => late().length === 1);
  expect(late()).toMatchObject([{ alarm: { source: FEEDER, state: 'unacknowledgedActive' } }]);
  expect(store.trailOf('open-1').slice(-2)).toEqual(['command-unknown broker', 'command-executedLate anonymous']);
  expect((await http(running, 'GET', '/metrics')).bytes.toString()).toContain(
    'gridcast_command_seconds_count{state="unknown"} 1',
  );
});
