/** Groups that are near to what FRAMESIZE can say, and what of them is told as CFG-3. */
import { answerTo } from '../../../src/protocols/c37118/answer.js';
import { decode, encode } from '../../../src/protocols/c37118/codec.js';
import { COMMANDS } from '../../../src/protocols/c37118/command.js';
import { concentratorOf } from '../../../src/protocols/c37118/concentrate.js';
import type { Configuration3 } from '../../../src/protocols/c37118/configuration3.js';
import { Configuration3Parts } from '../../../src/protocols/c37118/configuration3-parts.js';
import { measurementOf } from '../../support/measurement.js';
import { frameAt, pmu, stream } from './stream.js';

const SLOT_US = 1_700_000_000_000_000;

/** A group of so many PMUs whose names are as long as a CFG-2 can say. */
function group(count: number) {
  const named = (text: string): string => text.padEnd(16, '.');
  const measurements = Array.from({ length: count }, (_, index) => {
    const idCode = 1 + index;
    const names = Array.from({ length: 16 }, (__, point) => named(`point ${point}`));
    const digitals = [{ names, normalState: 0, validInputs: 0xffff }];
    const own = stream([pmu(idCode, { stationName: named(`Station ${idCode}`), digitals })], { streamId: idCode });
    const [configuration, frame] = [encode(own), frameAt(own, SLOT_US)];
    return measurementOf({ configuration: () => configuration, frame: () => frame });
  });
  return concentratorOf(500, 50)(measurements, SLOT_US);
}

test('a CFG-3 that is larger than a frame is told in several, by which the data can be read', () => {
  const framed = group(180);
  const frames = answerTo(COMMANDS.sendConfiguration3, 500, framed!, SLOT_US);
  expect(frames.length).toBe(2);
  const parts = new Configuration3Parts();
  const joined = frames.map((frame) => {
    const part = decode(frame);
    return part.kind === 'configuration3Part' ? parts.take(part) : part;
  });
  const whole = joined.at(-1) as Configuration3;
  expect(whole).toMatchObject({ kind: 'configuration3', streamId: 500, dataRate: 50 });
  const two = decode(framed!.configuration());
  expect(two.kind === 'configuration2' && two.pmus.map(({ stationName }) => stationName)).toEqual(
    whole.pmus.map(({ stationName }) => stationName),
  );
  // In datagrams it is cut smaller.
  for (const frame of answerTo(COMMANDS.sendConfiguration3, 500, framed!, SLOT_US, 1_400))
    expect(frame.length).toBeLessThanOrEqual(1_400);
});

test('a group that a CFG-2 has no room for is no stream', () => {
  expect(group(250)).toBeUndefined();
});
