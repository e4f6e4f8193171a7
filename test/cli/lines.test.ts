import { bodyText, contentJson, nameOf, sampleJson, sampleLine } from '../../src/cli/lines.js';
import type { Notification } from '../../src/client/client.js';

const URI = 'coap://127.0.0.1/m2m/applications/pmu-61/containers/measurements/contentInstances/latest/content';
const pack = [
  { bn: 'pmu-61/', bt: 1387808155.02, n: 'frequency', u: 'Hz', v: 60.00123 },
  { n: 'rocof', v: -0.01 },
];
const sample: Notification = {
  timeUs: 1387808155020000,
  mediaType: 'application/senml+json',
  body: Buffer.from(JSON.stringify(pack)),
  missed: 0,
  sequence: 7,
};

describe('a sample', () => {
  test('of a PMU is one line: binding, PMU, time, frequency', () => {
    expect(sampleLine('coap', URI, sample)).toBe('coap pmu-61 2013-12-23T14:15:55.020000Z 60.0012 Hz');
  });

  test('tells how many before it were missed', () => {
    expect(sampleLine('ws', URI, { ...sample, missed: 3 })).toBe(
      'ws pmu-61 2013-12-23T14:15:55.020000Z 60.0012 Hz (3 missed)',
    );
  });

  test('as JSON has resolved records that each stand for themselves', () => {
    expect(JSON.parse(sampleJson('coap', URI, sample))).toEqual({
      binding: 'coap',
      uri: URI,
      time: '2013-12-23T14:15:55.020000Z',
      timeUs: 1387808155020000,
      missed: 0,
      sequence: 7,
      records: [
        { n: 'pmu-61/frequency', u: 'Hz', v: 60.00123, t: 1387808155.02 },
        { n: 'pmu-61/rocof', v: -0.01, t: 1387808155.02 },
      ],
    });
  });

  test('that is none of a PMU shows what it has', () => {
    const meter = { ...sample, body: Buffer.from('[{"n":"meter-1/power","u":"W","v":42},{"n":"door","vb":true}]') };
    expect(sampleLine('http', 'http://h/m2m/containers/load', meter)).toBe(
      'http /m2m/containers/load 2013-12-23T14:15:55.020000Z meter-1/power 42 W, door true',
    );
    const { timeUs: _, ...timeless } = sample;
    expect(
      sampleLine('http', 'http://h/m2m/containers/load', {
        ...timeless,
        mediaType: 'text/plain',
        body: Buffer.from('21.5'),
      }),
    ).toBe('http /m2m/containers/load 21.5');
    const frame = { ...sample, mediaType: 'application/vnd.gridcast.c37118', body: Buffer.from([0xaa, 1]) };
    expect(sampleLine('ws', URI, frame)).toContain('2 bytes of application/vnd.gridcast.c37118');
    expect(JSON.parse(sampleJson('ws', URI, frame))).toMatchObject({ binaryContent: 'qgE=' });
  });
});

test('the name is the application’s, else the path', () => {
  expect(nameOf(URI)).toBe('pmu-61');
  expect(nameOf('http://h:1/m2m/containers/load')).toBe('/m2m/containers/load');
});

describe('a body', () => {
  test('of JSON or CBOR is shown as JSON', () => {
    expect(bodyText('application/json', Buffer.from('{"a":1}'))).toBe('{\n  "a": 1\n}');
    expect(bodyText('application/cbor', Buffer.from([0xa1, 0x61, 0x61, 1]))).toBe('{\n  "a": 1\n}');
    expect(contentJson('application/senml+json', sample.body)).toEqual({
      mediaType: 'application/senml+json',
      document: pack,
    });
  });

  test('that is broken is not taken for what it says it is', () => {
    expect(bodyText('application/json', Buffer.from('{'))).toBe('1 bytes of application/json');
    expect(contentJson('application/json', Buffer.from('{'))).toEqual({
      mediaType: 'application/json',
      binaryContent: 'ew==',
    });
  });
});
