/** The audit trail, as its subscribers see it. */
import { closeStage, http, startBroker, subscribe, until } from './stage.js';

afterEach(closeStage);

const COMMANDS = '/m2m/applications/feeder/containers/commands/contentInstances';

test('who subscribes to the audit container sees a command accepted and another refused', async () => {
  const running = await startBroker();
  await http(running, 'POST', '/m2m/applications', { application: { appId: 'feeder' } });
  await http(running, 'POST', '/m2m/applications/feeder/containers', { container: { id: 'commands' } });
  const { port } = await subscribe(running, '/m2m/applications/gridcast/containers/audit');
  await http(running, 'POST', COMMANDS, { commandId: 'c-1', point: 'breaker-1', value: 0 });
  await http(running, 'POST', COMMANDS, { commandId: 'c-1', point: 'breaker-2', value: 0 });
  const seen = () => port.sent.map(({ body }) => JSON.parse(Buffer.from(body).toString()) as Record<string, unknown>);
  await until('both are seen', () => seen().length >= 2);
  expect(seen()).toMatchObject([
    { event: 'command-accepted', target: '/m2m/applications/feeder', details: { commandId: 'c-1' } },
    { event: 'command-refused', details: { commandId: 'c-1', status: 'STATUS_CONFLICT' } },
  ]);
  const { json } = await http(running, 'GET', '/m2m/applications/gridcast/containers/audit/contentInstances');
  expect(json).toMatchObject({ contentInstances: { currentNrOfInstances: 2 } });
});
