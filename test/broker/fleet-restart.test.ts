/** A restart with a fleet in the store: gateways are rows as soon as they are back, and answer as they did before. */
import { RememberingStore } from '../support/remembering-store.js';
import { closeStage, http, startBroker, until, type RunningBroker } from './stage.js';

afterEach(closeStage);

const GATEWAYS = 20_000;
/** Of a collection, those that came before it was a large one, the broker's own application beside them: they wait for their time. */
const BEFORE_LARGE = 998;
/** Registrations that crossed each other: the containers come long after their gateways. */
const CROSSING = { from: 4_000, to: 8_000 };
const MOST_BYTES = 200;

const nameOf = (n: number): string => `gateway-${String(n).padStart(7, '0')}`;
const gatewayOf = (n: number): string => `/m2m/applications/${nameOf(n)}`;
const loadOf = (n: number): string => `${gatewayOf(n)}/containers/load`;

/** A gateway as the broker itself has written it, and as many more in its likeness; the first of all is number 0. */
async function fleet(): Promise<RememberingStore> {
  const store = new RememberingStore();
  const running = await startBroker({}, { store });
  await http(running, 'POST', '/m2m/applications', { application: { appId: nameOf(0) } });
  const container = { id: 'load', maxNrOfInstances: 2, durability: 'grouped' };
  await http(running, 'POST', `${gatewayOf(0)}/containers`, { container });
  for (const reading of ['first', 'second', 'third'])
    await http(running, 'POST', `${loadOf(0)}/contentInstances`, reading, { 'content-type': 'text/plain' });
  await running.close();
  const { resource, instance } = store.tables;
  const [gateway, load] = [gatewayOf(0), loadOf(0)].map((reference) => resource.get(reference));
  if (!gateway || !load) throw new Error('the gateway has no rows');
  const readings = [...instance].filter(([key]) => key.startsWith(loadOf(0)));
  expect(readings).toHaveLength(2);
  const containers = (from: number, to: number): void => {
    for (let n = from; n < to; n++) resource.set(loadOf(n), load);
  };
  for (let n = 1; n < GATEWAYS; n++) {
    resource.set(gatewayOf(n), gateway);
    if (n < CROSSING.from || n > CROSSING.to) containers(n, n + 1);
    if (n === CROSSING.to) containers(CROSSING.from, n + 1);
  }
  for (let n = GATEWAYS - 1; n > 0; n--)
    for (const [key, row] of readings.reverse()) instance.set(key.replace(nameOf(0), nameOf(n)), row);
  return store;
}

const passive = ({ broker }: RunningBroker) => broker.resources.tree.passive;

test('gateways that come back are rows at once, with their readings in order, and answer as one that was asked before', async () => {
  const running = await startBroker({}, { store: await fleet() });
  const { count, bytes } = passive(running);
  expect(count).toBe(GATEWAYS - BEFORE_LARGE);
  expect(bytes / count).toBeLessThan(MOST_BYTES);
  expect(running.broker.quotas.resources).toBe(2 * GATEWAYS);
  await until('the first of them are rows as well', () => passive(running).count === GATEWAYS);
  const answers = async (n: number) => {
    const paths = [
      gatewayOf(n),
      loadOf(n),
      `${loadOf(n)}/contentInstances`,
      `${loadOf(n)}/contentInstances/latest/content`,
    ];
    const read = await Promise.all(paths.map((path) => http(running, 'GET', path)));
    return read.map(({ status, bytes }) => `${status} ${bytes.toString().replaceAll(nameOf(n), 'NAME')}`);
  };
  const pattern = await answers(0);
  expect(pattern.at(-1)).toBe('200 third');
  for (const n of [1, BEFORE_LARGE, CROSSING.from, CROSSING.to, GATEWAYS - 1])
    expect(await answers(n)).toEqual(pattern);
  const members = await http(running, 'GET', '/m2m/applications');
  expect(JSON.stringify(members.json).split('"reference":"/m2m/applications/gateway-')).toHaveLength(GATEWAYS + 1);
});
