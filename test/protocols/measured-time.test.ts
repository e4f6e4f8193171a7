/** When a publisher's pack was measured: JSON without a time is not read, and that makes no difference. */
import { isRefusal } from '../../src/errors.js';
import { absoluteUs, measuredTimeOf, readSenml } from '../../src/protocols/senml-reader.js';

const TYPE = 'application/senml+json';

test.each([
  '[{"n":"load","u":"W","v":1}]',
  '[{"n":"load","u":"W","v":1},{"n":"seq","v":2}]',
  '[{"n":"load","v":1,"t":1795421713.25}]',
  '[{"bn":"a","bt":1795421713,"n":"b","v":1}]',
  '[{"bt":1795421713,"n":"b","v":1,"t":2.5}]',
  '[{"n":"load","v":1,"\\u0074":1795421713}]',
  '[{"n":"load","v":1,"b\\u0074":1795421713}]',
  '[{"n":"load","vs":"\\"t\\"","t":1795421713}]',
  '[{"n":"load","v":1,"t":5}]',
  '[{"n":"load","v":1},{"n":"b","v":1,"t":1795421713}]',
  '[{"n":"load"',
  '[]',
  '{}',
  '',
])('%s', (text) => {
  const bytes = Buffer.from(text);
  const records = readSenml(TYPE, bytes);
  const expected = isRefusal(records) || !records[0] ? undefined : absoluteUs(records[0]);
  expect(measuredTimeOf(TYPE, bytes)).toBe(expected);
});
