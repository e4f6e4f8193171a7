/** A port of many gateways, against a socket that answers as the test says. */
import { systemClock } from '../../src/clock.js';
import { coapCode } from '../../src/errors.js';
import { systemNetwork, type Address } from '../../src/network.js';
import { compose, encodeEmpty, ID_AT, TYPE } from '../../src/protocols/coap/message.js';
import { seededRandom } from '../../src/random.js';
import { CoapLane } from '../../src/sim/coap-lane.js';
import { until } from '../broker/stage.js';

test('has one confirmable unacknowledged, and takes answers that come later', async () => {
  const broker = await systemNetwork.bindUdp({ host: '127.0.0.1', port: 0 });
  const heard: { readonly id: number; readonly token: Uint8Array; readonly from: Address }[] = [];
  broker.onDatagram((datagram, from) =>
    heard.push({ id: datagram.readUInt16BE(ID_AT), token: Buffer.from(datagram.subarray(4, 8)), from }),
  );
  const lane = await CoapLane.open({
    network: systemNetwork,
    clock: systemClock,
    random: seededRandom(1),
    to: broker.local,
  });
  const statuses: number[] = [];
  for (let n = 0; n < 3; n++) lane.post('/m2m', 'text/plain', String(n), (status) => statuses.push(status));
  const send = (datagram: Buffer): void => {
    broker.queue(datagram, heard[0]!.from);
    broker.flush();
  };
  const [created, nothing] = [coapCode(2, 1), new Uint8Array(0)];
  await until('the first is heard', () => heard.length === 1);
  expect(lane.underWay).toBe(3);
  send(encodeEmpty(TYPE.acknowledgement, heard[0]!.id));
  await until('the second is heard', () => heard.length === 2);
  send(compose(TYPE.acknowledgement, coapCode(5, 3), heard[1]!.id, heard[1]!.token, nothing));
  await until('the third is heard', () => heard.length === 3);
  send(compose(TYPE.nonConfirmable, created, 7, heard[0]!.token, nothing));
  await until('two are answered', () => statuses.length === 2);
  lane.close();
  expect({ statuses, underWay: lane.underWay }).toEqual({ statuses: [503, 201, 0], underWay: 0 });
  broker.close();
});
