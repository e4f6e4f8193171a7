/** A relation of an observer or a WebSocket as it is seen in the tree: over real sockets, with our own clients. */
import { open } from '../../src/client/open.js';
import type { Notification } from '../../src/client/client.js';
import {
  closeStage,
  container,
  expectBalanced,
  http,
  startBroker,
  until,
  whenStageCloses,
  type RunningBroker,
} from './stage.js';

afterEach(closeStage);

async function observer(running: RunningBroker, binding: 'ws' | 'coap', to: string) {
  const client = await open(running[binding], binding === 'ws' ? { originator: 'monitor' } : {});
  whenStageCloses(() => client.close());
  const seen: Notification[] = [];
  const over = (async () => {
    for await (const notification of client.observe(to)) seen.push(notification);
  })().catch((error: unknown) => String(error));
  return { seen, over, client };
}

const documents = (seen: readonly Notification[]): unknown[] =>
  seen.map(({ body }) => JSON.parse(Buffer.from(body).toString()) as unknown);

async function relationsOf(running: RunningBroker, path: string): Promise<readonly string[]> {
  const { json } = await http(running, 'GET', `${path}/subscriptions`);
  const { subscriptionCollection } = json.subscriptions as unknown as {
    subscriptionCollection: { namedReference: readonly { reference: string }[] };
  };
  return subscriptionCollection.namedReference.map(({ reference }) => reference);
}

describe.each(['ws', 'coap'] as const)('over %s', (binding) => {
  test('what a resource becomes is observed', async () => {
    const running = await startBroker();
    const { seen } = await observer(running, binding, '/m2m/containers');
    await until('it is registered', () => running.broker.subscriptions.population.size === 1);
    await container(running, { id: 'load' });
    await until('the change has come', () => seen.length === 1);
    expect(documents(seen)).toMatchObject([
      { containers: { containerCollection: { namedReference: [{ id: 'load' }] } } },
    ]);
    await expectBalanced(running);
  });

  test('the relation is a subscription, which anybody may delete', async () => {
    const running = await startBroker();
    const path = `${await container(running)}/contentInstances`;
    const { over } = await observer(running, binding, `${path}/latest/content`);
    const [relation = ''] = await until('it is seen', async () => {
      const found = await relationsOf(running, path);
      return found.length > 0 ? found : undefined;
    });
    const { json } = await http(running, 'GET', relation);
    expect(json).toMatchObject({
      subscription: {
        contact: expect.stringMatching(new RegExp(`^${binding}://127\\.0\\.0\\.1(:\\d+)?$`)) as unknown,
        filterCriteria: { attributeAccessor: 'latest/content' },
      },
    });
    expect((await http(running, 'DELETE', relation)).status).toBe(204);
    expect(await over).toContain('deleted');
    expect(await relationsOf(running, path)).toEqual([]);
  });

  test('it goes with its peer', async () => {
    const running = await startBroker();
    const path = `${await container(running)}/contentInstances`;
    const { client } = await observer(running, binding, `${path}/latest`);
    await until('it is seen', async () => (await relationsOf(running, path)).length === 1);
    await client.close();
    await until('it is gone', async () => (await relationsOf(running, path)).length === 0);
  });
});
