import { RttEstimator } from '../../../src/protocols/coap/rtt.js';

const MS = 1000;

describe('the RTT estimator', () => {
  test('starts at 2 s and knows no mean', () => {
    const rtt = new RttEstimator();
    expect(rtt.meanUs).toBeUndefined();
    expect(rtt.timeoutUs).toBe(2_000 * MS);
  });

  test('takes half of a first strong measurement: 3 x 40 ms and half of 2 s', () => {
    const rtt = new RttEstimator();
    rtt.measure(40 * MS, 0);
    expect(rtt.meanUs).toBe(40 * MS);
    expect(rtt.timeoutUs).toBe((0.5 * 120 + 0.5 * 2_000) * MS);
  });

  test('follows a steady path down to its round trip', () => {
    const rtt = new RttEstimator();
    for (let n = 0; n < 100; n++) rtt.measure(5 * MS, 0);
    expect(rtt.meanUs).toBeCloseTo(5 * MS);
    expect(rtt.timeoutUs).toBeLessThan(6 * MS);
  });

  test('learns a quarter from a retransmitted one, and nothing after a third retransmission', () => {
    const rtt = new RttEstimator();
    rtt.measure(3_000 * MS, 1);
    expect(rtt.timeoutUs).toBe((0.25 * 4_500 + 0.75 * 2_000) * MS);
    const before = rtt.timeoutUs;
    rtt.measure(30_000 * MS, 3);
    expect(rtt.timeoutUs).toBe(before);
  });
});
