import fc from 'fast-check';
import { isRefusal } from '../../src/errors.js';
import { readValue } from '../../src/protocols/codec.js';
import { sampleEncoder } from '../../src/protocols/sample-encoder.js';
import { readSampleProto, writeSampleProto } from '../../src/protocols/sample-message.js';
import { FORMATS, type ContentFormat } from '../../src/routing/format.js';
import { Sample } from '../../src/routing/sample.js';
import { anyMeasurement, anyTimeUs, FRAME, measurementOf } from '../support/measurement.js';

const TIME_US = 1_387_808_155_020_001;
const TIME = '2013-12-23T14:15:55.020001Z';
/** As a PMU's: without an id, which is its time tag. */
const measured = (): Sample =>
  new Sample({ kind: 'measurement', measurement: measurementOf() }, TIME_US, 0, 0, sampleEncoder);
const stored = (mediaType: string, bytes: Uint8Array): Sample =>
  new Sample({ kind: 'stored', mediaType, bytes }, TIME_US, 0, 0, sampleEncoder, TIME);

function instance(sample: Sample, format: ContentFormat): unknown {
  const read = readValue(format.mediaType, sample.body('instance', format) ?? Buffer.alloc(0));
  return isRefusal(read) ? read : read.parsed;
}

describe('the content of a sample', () => {
  test('of a PMU is to be had in all formats that hold a measurement, and in no other', () => {
    const sample = measured();
    const written = Object.entries(FORMATS).filter(([, format]) => sample.body('content', format) !== undefined);
    expect(written.map(([name]) => name)).toEqual(['senmlJson', 'senmlCbor', 'protobuf', 'c37118', 'json', 'cbor']);
    expect(sample.body('content', FORMATS.c37118)).toBe(FRAME);
  });

  test('is written once, and plain JSON and CBOR share the bytes of SenML', () => {
    const sample = measured();
    for (const [plain, senml] of [
      [FORMATS.json, FORMATS.senmlJson],
      [FORMATS.cbor, FORMATS.senmlCbor],
    ] as const) {
      expect(sample.body('content', plain)).toBe(sample.body('content', senml));
    }
  });

  test('that was stored is its own bytes in its own format alone, parameters or not', () => {
    const bytes = Buffer.from('hello');
    const sample = stored('Text/Plain; charset=utf-8', bytes);
    for (const format of Object.values(FORMATS)) {
      expect(sample.body('content', format)).toBe(format === FORMATS.text ? bytes : undefined);
    }
  });
});

describe('the instance of a sample', () => {
  const times = { creationTime: TIME, lastModifiedTime: TIME };

  test('of a PMU holds its SenML+JSON, equally in JSON and CBOR', () => {
    const sample = measured();
    const pack = Buffer.from(sample.body('content', FORMATS.senmlJson) ?? []).toString();
    const content = { contentType: 'application/senml+json', textContent: pack };
    const expected = { contentInstance: { id: TIME, ...times, contentSize: pack.length, content } };
    expect(instance(sample, FORMATS.json)).toEqual(expected);
    expect(instance(sample, FORMATS.cbor)).toEqual(expected);
    expect(sample.body('instance', FORMATS.senmlJson)).toBeUndefined();
  });

  test.each([
    ['text', 'text/plain', Buffer.from('46 Hz ½'), { textContent: '46 Hz ½' }],
    ['JSON of a vendor', 'application/vnd.meter+json', Buffer.from('{}'), { textContent: '{}' }],
    ['octets', 'application/octet-stream', Buffer.from('ab'), { binaryContent: 'YWI=' }],
    ['text that is no UTF-8', 'text/plain', Buffer.from([0xff]), { binaryContent: '/w==' }],
  ])('holds %s by its media type', (_, mediaType, bytes, form) => {
    expect(instance(stored(mediaType, bytes), FORMATS.json)).toEqual({
      contentInstance: { id: TIME, ...times, contentSize: bytes.length, content: { contentType: mediaType, ...form } },
    });
  });
});

describe('a measurement as protobuf', () => {
  test('keeps every value to the last bit, absent ones as NaN', () => {
    const processing = fc.option(fc.constant({ method: 'fir', inputRate: 30, outputRate: 5, groupDelayS: 0.8 }));
    fc.assert(
      fc.property(anyMeasurement, anyTimeUs, processing, (sent, measuredUs, done) => {
        const measurement = { ...sent, processing: done ?? undefined };
        const { descriptor, stat, timeQuality, frequencyHz, rocofHzPerS, phasors, analogs, digitals } = measurement;
        expect(readSampleProto(writeSampleProto(measurement, measuredUs))).toEqual({
          ...{ measuredUs, idCode: descriptor.idCode, configurationCount: descriptor.configurationCount },
          ...{ stat, timeQuality, frequencyHz, rocofHzPerS, analogs, digitals },
          processing: done,
          magnitudes: phasors.map(({ magnitude }) => magnitude),
          angles: phasors.map(({ angle }) => angle),
        });
      }),
    );
  });

  test('of random bytes is a message or a refusal', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        const read = readSampleProto(bytes);
        expect(isRefusal(read) || typeof read.measuredUs === 'number').toBe(true);
      }),
    );
    expect(isRefusal(readSampleProto(Buffer.from('0a05', 'hex')))).toBe(true);
  });
});
