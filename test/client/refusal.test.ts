import { encode } from 'cborg';
import { STATUSES, type Status } from '../../src/errors.js';
import { refusalOf, statusOf } from '../../src/client/refusal.js';

const errorInfo = { errorInfo: { statusCode: 'STATUS_CONFLICT', additionalInfo: 'The id pmu-1 is taken.' } };

describe('what a broker refuses', () => {
  test.each([
    ['application/json', Buffer.from(JSON.stringify(errorInfo))],
    ['application/cbor', encode(errorInfo)],
  ])('is read from %s, its own status before that of the code', (mediaType, bytes) => {
    const error = refusalOf('STATUS_BAD_REQUEST', mediaType, bytes);
    expect(error).toMatchObject({
      kind: 'refused',
      status: 'STATUS_CONFLICT',
      code: 409,
      message: 'The id pmu-1 is taken.',
    });
  });

  test('is the text of an answer that is only text', () => {
    expect(refusalOf('STATUS_NOT_FOUND', undefined, Buffer.from('No such thing.'))).toMatchObject({
      status: 'STATUS_NOT_FOUND',
      message: 'No such thing.',
    });
  });

  test('has the sentence of its status where the answer is empty or strange', () => {
    const sentence = STATUSES.STATUS_FORBIDDEN.sentence;
    expect(refusalOf('STATUS_FORBIDDEN', undefined, new Uint8Array()).message).toBe(sentence);
    expect(
      refusalOf('STATUS_FORBIDDEN', 'application/json', Buffer.from('{"errorInfo":{"statusCode":"NONSENSE"}}')),
    ).toMatchObject({
      status: 'STATUS_FORBIDDEN',
      message: sentence,
    });
  });

  test('every code of both bindings has a status with that code', () => {
    for (const status of Object.keys(STATUSES) as Status[]) {
      for (const binding of ['http', 'coap'] as const) {
        const code = STATUSES[status][binding];
        const found = statusOf(binding, code);
        expect(found && STATUSES[found][binding]).toBe(code);
      }
    }
    expect(statusOf('http', 418)).toBeUndefined();
  });
});
