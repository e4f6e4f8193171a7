import { isRefusal } from '../../../src/errors.js';
import { parseStreamAddress, streamsOf } from '../../../src/protocols/c37118/address.js';

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
    ['c37118+tcp://127.0.0.1:1?idcode=60&configuration=3', { configuration: 3, historyS: undefined }],
    ['c37118+tcp://127.0.0.1:1?idcode=60&history=86400', { historyS: 86_400 }],
    ['c37118+tcp://127.0.0.1:1?idcode=60&history=0', { historyS: 0 }],
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
    ['c37118+tcp://127.0.0.1?idcode=6&history=1d', 'has history 1d; it must be whole seconds from 0 to 315360000'],
    ['c37118+tcp://127.0.0.1?idcode=6&history=315360001', 'has history 315360001'],
    ['c37118+tcp://127.0.0.1?idcode=6&history=', 'has history ;'],
    ['c37118+tcp://127.0.0.1?idcode=6&rate=5', 'has a parameter rate'],
    ['c37118+tcp://127.0.0.1?idcode=6&idcode=7', 'gives idcode twice'],
    ['c37118+tcp://127.0.0.1?idcode=6&name=a/b', 'has name a/b'],
  ])('%s is refused: %s', (text, reason) => {
    expect(detailOf(text)).toContain('STATUS_BAD_REQUEST');
    expect(detailOf(text)).toContain(reason);
  });
});

describe('streamsOf', () => {
  test('a range of IDCODEs that is listened for is a stream each', () => {
    const uris = streamsOf('c37118+udp://:4713?idcode=9-11&mode=spontaneous&configuration=3');
    expect(uris).toEqual([9, 10, 11].map((id) => `c37118+udp://:4713?idcode=${id}&mode=spontaneous&configuration=3`));
    expect(streamsOf('c37118+udp://:4713?mode=spontaneous&idcode=1-65534')).toHaveLength(65_534);
  });

  test.each([
    ['c37118+udp://:4713?idcode=11-9&mode=spontaneous', 'a range is for --pmu alone, rising'],
    ['c37118+udp://:4713?idcode=0-9&mode=spontaneous', 'has idcode 0-9'],
    ['c37118+udp://:4713?idcode=1-65535&mode=spontaneous', 'has idcode 1-65535'],
    ['c37118+udp://:4713?idcode=1-2&mode=spontaneous&name=north', 'with mode=spontaneous and no name'],
    ['c37118+udp://127.0.0.1:4713?idcode=1-2', 'with mode=spontaneous'],
    ['c37118+tcp://127.0.0.1:4712?idcode=1-2', 'a range is for'],
  ])('%s is none, and refused when it is read: %s', (uri, reason) => {
    expect(streamsOf(uri)).toEqual([uri]);
    expect(detailOf(uri)).toContain(reason);
  });

  test('one stream is itself', () => {
    const uri = 'c37118+udp://:4713?idcode=60&mode=spontaneous';
    expect(streamsOf(uri)).toEqual([uri]);
  });
});
