/** The bodies of samples as foreign decoders read them: Python's cbor2 and Google's protoc. */
import { spawnSync } from 'node:child_process';
import { writeSampleProto } from '../../src/protocols/sample-message.js';
import { writeSenmlCbor } from '../../src/protocols/senml-cbor.js';
import { measurementOf } from '../support/measurement.js';

const TIME_US = 1_387_808_155_020_001;
const run = (command: string, args: readonly string[], input?: Uint8Array): { ok: boolean; text: string } => {
  const { status, stdout, stderr } = spawnSync(command, args, { input });
  return { ok: status === 0, text: String(status === 0 ? stdout : stderr) };
};

/** Debian's interpreter is where python3-cbor2 is installed, whatever else is first in the path. */
const PYTHON = '/usr/bin/python3';
const hasCbor2 = run(PYTHON, ['-c', 'import cbor2']).ok;
const hasProtoc = run('protoc', ['--version']).ok;

(hasCbor2 ? test : test.skip)('SenML+CBOR is read by cbor2 (Debian: python3-cbor2)', () => {
  const script =
    'import cbor2,json,sys; print(json.dumps([sorted(r.items()) for r in cbor2.loads(sys.stdin.buffer.read())]))';
  const { text } = run(PYTHON, ['-c', script], writeSenmlCbor(measurementOf(), TIME_US));
  expect(JSON.parse(text)).toEqual([
    [
      [-3, 1387808155.020001],
      [-2, 'pmu-61/'],
      [0, 'stat'],
      [2, 2048],
    ],
    [
      [0, 'time-quality'],
      [2, 0],
    ],
    [
      [0, 'frequency'],
      [1, 'Hz'],
      [2, 50.01],
    ],
    [
      [0, 'rocof'],
      [2, -0.02],
    ],
    [
      [0, 'VA/magnitude'],
      [1, 'V'],
      [2, Math.fround(100.077583)],
    ],
    [
      [0, 'VA/angle'],
      [1, 'rad'],
      [2, Math.fround(-1.567345)],
    ],
    [
      [0, 'I_A/magnitude'],
      [1, 'A'],
      [2, 12.5],
    ],
    [
      [0, 'I_A/angle'],
      [1, 'rad'],
      [2, 0],
    ],
    [
      [0, 'load/value'],
      [2, -7.25],
    ],
    [
      [0, 'digital/0'],
      [2, 0x8001],
    ],
  ]);
});

(hasProtoc ? test : test.skip)(
  'protobuf is read by protoc with the published schema (Debian: protobuf-compiler)',
  () => {
    const measurement = measurementOf({ frequencyHz: NaN });
    const { text } = run(
      'protoc',
      ['--decode=gridcast.v1.Sample', '-Iproto', 'proto/sample.proto'],
      writeSampleProto(measurement, TIME_US),
    );
    expect(text.trim().split('\n')).toEqual([
      'measured_us: 1387808155020001',
      'id_code: 61',
      'configuration_count: 3',
      'stat: 2048',
      'frequency_hz: nan',
      'rocof_hz_per_s: -0.02',
      'magnitudes: 100.07758331298828',
      'magnitudes: 12.5',
      'angles: -1.5673450231552124',
      'angles: 0',
      'analogs: -7.25',
      'digitals: 32769',
    ]);
  },
);
