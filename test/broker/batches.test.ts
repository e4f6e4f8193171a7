/** Notifications that may wait for each other, through the whole broker and the client. */

import { open, type Notification } from '../../src/client/index.js';
import { closeStage, measurements, startBroker, stream, until, whenStageCloses } from './stage.js';

afterEach(closeStage);

test.each(['gridcast.v1', 'gridcast.v1+json'] as const)(
  'each comes, in order, in a batch of %s',
  async (subprotocol) => {
    const running = await startBroker();
    const pmus = stream(running, [1, 2], 50);
    const client = await open(running.ws, { subprotocol });
    whenStageCloses(() => client.close());
    const got: Notification[][] = [[], []];
    for (const [index, each] of got.entries()) {
      const path = `${measurements(index + 1)}/contentInstances/latest/content`;
      void (async () => {
        for await (const one of client.observe(path, { batchMs: 20 })) each.push(one);
      })().catch(() => undefined);
    }
    await until('both are subscribed', () => running.broker.subscriptions.population.size === 2);
    pmus.run(1);
    await until('all have come', () => got.every((each) => each.length >= 50));
    for (const each of got) {
      expect(each.map(({ missed }) => missed)).toEqual(Array.from({ length: 50 }, () => 0));
      const times = each.map(({ timeUs = 0 }) => timeUs);
      expect(times).toEqual([...times].sort((a, b) => a - b));
    }
  },
);
