import { isRefusal } from '../../../src/errors.js';
import { parseStreamAddress } from '../../../src/protocols/c37118/address.js';

const detailOf = (text: string): string => {
  const result = parseStreamAddress(text);
  return isRefusal(result) ? `${result.status}: ${result.detail}` : 'taken';
};

describe('parseStreamAddress', () => {
  test.each([
    ['c37118+tcp://127.0.0.1:4712?idcode=60', { mode: 'tcp', at: { host: '127.0.0.1', port: 4712 }, streamId: 60 }],
    ['c37118+tcp://10.0.0.7?idcode=1', { mode: 'tcp', at: { host: '10.0.0.7', port: 4712 } }],
    ['c37118+udp://localhost/?idcode=65534', { mode: 'udp', at: { host: '127.0.0.1', port: 4713 }, streamId: 65534 }],
    ['C37118+UDP://[::1]:9000?idcode=2&mode=commanded', { mode: 'udp', at: { host: '::1', port: 9000 } }],
    ['c37118+udp://:4713?idcode=60&mode=spontaneous', { mode: 'spontaneous', at: { host: '0.0.0.0', port: 4713 } }],
    ['c37118+tcp://127.0.0.1:1?idcode=60&name=north-1', { name: 'north-1', configuration: 2 }],
    ['c37118+tcp://127.0.0.1:1?idcode=60&configuration=3', { configuration: 3 }],
  ])('%s', (text, expected) => {
    expect(parseStreamAddress(text)).toMatchObject(expected);
  });

  test.each([
    ['http://127.0.0.1?idcode=60', 'is not of the form'],
    ['c37118+tcp://127.0.0.1:4712', 'lacks idcode'],
    ['c37118+tcp://127.0.0.1:4712?idcode=0', 'has idcode 0'],
    ['c37118+tcp://127.0.0.1:4712?idcode=65535', 'has idcode 65535'],
    ['c37118+tcp://127.0.0.1:4712?idcode=6x', 'has idcode 6x'],
    ['c37118+tcp://127.0.0.1:0?idcode=6', 'has port 0'],
    ['c37118+tcp://127.0.0.1:65536?idcode=6', 'has port 65536'],
    ['c37118+tcp://:4712?idcode=6', 'has the host ""'],
    ['c37118+tcp://256.0.0.1?idcode=6', 'has the host "256.0.0.1"'],
    ['c37118+udp://[zz::1]?idcode=6', 'has the host "[zz::1]"'],
    ['c37118+tcp://127.0.0.1?idcode=6&mode=spontaneous', 'over UDP only'],
    ['c37118+udp://127.0.0.1?idcode=6&mode=multicast', 'has mode multicast'],
    ['c37118+tcp://127.0.0.1?idcode=6&configuration=1', 'has configuration 1'],
    ['c37118+tcp://127.0.0.1?idcode=6&rate=5', 'has a parameter rate'],
    ['c37118+tcp://127.0.0.1?idcode=6&idcode=7', 'gives idcode twice'],
    ['c37118+tcp://127.0.0.1?idcode=6&name=a/b', 'has name a/b'],
  ])('%s is refused: %s', (text, reason) => {
    expect(detailOf(text)).toContain('STATUS_BAD_REQUEST');
    expect(detailOf(text)).toContain(reason);
  });
});
