/**
 * Publishers that send NON and want no answer: after the first sample, which is a request, the others go straight to the container's
 * actor. What a request would have been refused must not get through that way.
 */
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { CODE, encode, encodeEmpty, TYPE } from '../../src/protocols/coap/message.js';
import { OPTION, option } from '../../src/protocols/coap/options.js';
import { FORMATS } from '../../src/routing/format.js';
import { EAGER_ROWS } from '../support/broker.js';
import { closeStage, nodeAt, startBroker, until, whenStageCloses, type RunningBroker } from './stage.js';

const NO_ANSWER = 26;
const CONTAINERS = '/m2m/applications/a/containers';
const CONTAINER = `${CONTAINERS}/c`;
const NOTHING = new Uint8Array(0);
const ADMINISTRATOR = 'admin';
const keyOf = (name: string): string => `key-of-${name}`;
const ENFORCED = {
  rights: 'enforced',
  administrators: [ADMINISTRATOR],
  identity: {
    apiKeys: [ADMINISTRATOR, 'meter', 'rival'].map((originator) => ({
      originator,
      sha256: createHash('sha256').update(keyOf(originator)).digest('hex'),
    })),
    anonymous: true,
  },
} as const;

afterEach(closeStage);

/** Nothing becomes a row, unless it is asked for: the first sample after that is a request again. */
async function stage(...[flags, other]: Parameters<typeof startBroker>) {
  const running = await startBroker(flags, { passivation: {}, ...other });
  const { broker } = running;
  let requests = 0;
  const request = broker.request.bind(broker);
  broker.request = (asked) => {
    if (asked.binding === 'coap' && asked.op === 'create') requests++;
    return request(asked);
  };
  const http = async (method: string, path: string, body?: object): Promise<void> => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${keyOf(ADMINISTRATOR)}` };
    const answer = await fetch(running.http + path, { method, headers, ...(body && { body: JSON.stringify(body) }) });
    expect(answer.ok).toBe(true);
  };
  const create = (durability = 'latest'): Promise<void> =>
    http('POST', CONTAINERS, { container: { id: 'c', durability, maxNrOfInstances: 100 } });
  await http('POST', '/m2m/applications', { application: { appId: 'a' } });
  await create();
  return {
    running,
    http,
    create,
    publisher: () => openPublisher(running),
    /** Contents in the container, oldest first, and whose they are. */
    stored: (path = CONTAINER) =>
      (nodeAt(running, `${path}/contentInstances`)?.history?.newest() ?? []).map(({ value, creator }) => {
        const { content } = value;
        return `${content.kind === 'stored' ? Buffer.from(content.bytes).toString() : content.kind} of ${creator}`;
      }),
    /** Requests since the last look. */
    requests: () => {
      const before = requests;
      requests = 0;
      return before;
    },
  };
}

/** One socket; each datagram has been taken in when its promise resolves. */
async function openPublisher({ coapAddress: { host, port } }: RunningBroker) {
  const socket = createSocket('udp4');
  whenStageCloses(() => socket.close());
  socket.connect(port, host);
  await once(socket, 'connect');
  let id = 0;
  const send = async (datagram: Uint8Array): Promise<void> => {
    socket.send(datagram);
    // What came before a ping has been looked at when it is answered.
    socket.send(encodeEmpty(TYPE.confirmable, (id = (id + 1) & 0xffff)));
    await once(socket, 'message');
  };
  const post = (path: string, format: number, payload: Uint8Array): Promise<void> => {
    const segments = path.slice(1).split('/');
    const options = [
      ...segments.map((segment) => option(OPTION.uriPath, segment)),
      option(OPTION.contentFormat, format),
      option(OPTION.noResponse, NO_ANSWER),
    ];
    const type = TYPE.nonConfirmable;
    return send(encode({ type, code: CODE.post, id: (id = (id + 1) & 0xffff), token: NOTHING, options, payload }));
  };
  return {
    publish: (content: string, path = CONTAINER, format: number = FORMATS.text.coap) =>
      post(path, format, Buffer.from(content)),
    show: (name: string) => post('/authz-info', FORMATS.text.coap, Buffer.from(keyOf(name))),
  };
}

test('the first sample is a request, those after it are none, and all are stored alike', async () => {
  const { publisher, stored, requests } = await stage();
  const { publish } = await publisher();
  for (const content of ['1', '2', '3', '4']) await publish(content);
  expect(stored()).toEqual(['1', '2', '3', '4'].map((content) => `${content} of anonymous`));
  expect(requests()).toBe(1);
});

test('a container that was deleted takes nothing, and one made anew in its place takes what comes then', async () => {
  const { publisher, stored, requests, http, create } = await stage();
  const { publish } = await publisher();
  for (const content of ['1', '2']) await publish(content);
  await http('DELETE', CONTAINER);
  await publish('lost');
  await create();
  for (const content of ['3', '4']) await publish(content);
  expect(stored()).toEqual(['3 of anonymous', '4 of anonymous']);
  expect(requests()).toBe(3);
});

test('a container that promises more from now on has each sample as a request', async () => {
  const { publisher, stored, requests, http } = await stage();
  const { publish } = await publisher();
  for (const content of ['1', '2']) await publish(content);
  await http('PUT', CONTAINER, { container: { durability: 'grouped', maxNrOfInstances: 100 } });
  for (const content of ['3', '4']) await publish(content);
  expect([stored().length, requests()]).toEqual([4, 3]);
});

test('documents, commands and alarms are requests', async () => {
  const { publisher, requests, http, stored } = await stage();
  const { publish } = await publisher();
  const instance = (id: string) => ({
    contentInstance: { id, content: { contentType: 'text/plain', textContent: id } },
  });
  for (const id of ['x', 'y']) await publish(JSON.stringify(instance(id)), CONTAINER, FORMATS.json.coap);
  expect([stored(), requests()]).toEqual([['x of anonymous', 'y of anonymous'], 2]);
  for (const special of ['commands', 'alarms']) {
    await http('POST', CONTAINERS, { container: { id: special, durability: 'latest' } });
    for (const content of ['1', '2']) await publish(content, `${CONTAINERS}/${special}`);
    expect(requests()).toBe(2);
  }
});

test('an empty sample is as wrong as the first one would have been', async () => {
  const { publisher, stored } = await stage();
  const { publish } = await publisher();
  for (const content of ['1', '', '2']) await publish(content);
  expect(stored()).toEqual(['1 of anonymous', '2 of anonymous']);
});

test('a right that is taken away stops the stream, and given back lets it go on', async () => {
  const { publisher, stored, http } = await stage(ENFORCED);
  const { publish, show } = await publisher();
  const grant = (...ids: string[]) => ({
    accessRight: {
      permissions: {
        permission: ids.map((id) => ({
          permissionFlags: { flag: ['CREATE', 'DISCOVER'] },
          permissionHolders: { applicationIDs: { applicationID: [id] } },
        })),
      },
      selfPermissions: { permission: [] },
    },
  });
  await http('POST', '/m2m/accessRights', { accessRight: { ...grant('meter').accessRight, id: 'r' } });
  await http('PUT', CONTAINER, {
    container: { durability: 'latest', maxNrOfInstances: 100, accessRightID: '/m2m/accessRights/r' },
  });
  await publish('nobody');
  await show('meter');
  for (const content of ['1', '2']) await publish(content);
  await http('PUT', '/m2m/accessRights/r', grant('rival'));
  for (const content of ['refused', 'refused']) await publish(content);
  await http('PUT', '/m2m/accessRights/r', grant('meter'));
  for (const content of ['3', '4']) await publish(content);
  expect(stored()).toEqual(['1', '2', '3', '4'].map((content) => `${content} of meter`));
  // The same words from somebody else.
  const other = await publisher();
  await other.publish('nobody');
  await other.show('rival');
  await other.publish('refused');
  await publish('5');
  expect(stored().at(-1)).toBe('5 of meter');
  expect(stored()).toHaveLength(5);
});

test('a resource that became a row is live again with the next sample', async () => {
  const { publisher, stored, running, requests } = await stage({}, { passivation: EAGER_ROWS });
  const { publish } = await publisher();
  for (const content of ['1', '2', '3']) {
    await publish(content);
    await until('it is a row', () => running.broker.resources.tree.passive.count > 0);
  }
  expect(stored()).toEqual(['1', '2', '3'].map((content) => `${content} of anonymous`));
  expect(requests()).toBe(3);
});
