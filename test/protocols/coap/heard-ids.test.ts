import fc from 'fast-check';
import { HeardIds } from '../../../src/protocols/coap/heard-ids.js';

const LIFETIME_US = 100;

describe('the ids of non-confirmables', () => {
  const steps = fc.array(
    fc.record({ id: fc.oneof(fc.nat(40), fc.nat(0xffff)), waitUs: fc.nat(12), forgets: fc.boolean() }),
    { maxLength: 200 },
  );

  test('are those of a set that forgets each after its time, or the oldest when it is told to', () => {
    fc.assert(
      fc.property(steps, (taken) => {
        const heard = new HeardIds();
        const model = new Map<number, number>();
        let nowUs = 0;
        for (const { id, waitUs, forgets } of taken) {
          nowUs += waitUs;
          heard.expire(nowUs);
          for (const [each, expiresUs] of model) if (expiresUs <= nowUs) model.delete(each);
          expect(heard.has(id)).toBe(model.has(id));
          const [oldest] = model.keys();
          if (forgets && oldest !== undefined) {
            heard.forgetOldest();
            model.delete(oldest);
          }
          if (!model.has(id)) {
            heard.add(id, nowUs + LIFETIME_US);
            model.set(id, nowUs + LIFETIME_US);
          }
          expect(heard.size).toBe(model.size);
        }
        for (const { id } of taken) expect(heard.has(id)).toBe(model.has(id));
      }),
    );
  });

  test('are known among a whole lifetime of a publisher', () => {
    const heard = new HeardIds();
    for (let n = 0; n < 5000; n++) heard.add((65_000 + n) & 0xffff, n);
    heard.expire(2499);
    expect(heard.size).toBe(2500);
    expect([65_000, 65_000 + 2499, 65_000 + 2500, 65_000 + 4999].map((id) => heard.has(id & 0xffff))).toEqual([
      false,
      false,
      true,
      true,
    ]);
  });
});
