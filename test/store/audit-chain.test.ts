import { chainEvent, encodeEvent, followChain, GENESIS } from '../../src/store/audit-chain.js';

const event = (n: number) => ({ event: 'tried', originator: 'admin', target: `/m2m/${n}`, details: { n } });

test('a chain is followed from event to event', () => {
  let [made, followed] = [GENESIS, GENESIS];
  for (let n = 1; n <= 3; n++) {
    const bytes = encodeEvent(event(n), n);
    made = chainEvent(bytes, made);
    const next = followChain(bytes, followed);
    if (typeof next === 'string') throw new Error(next);
    followed = next;
    expect(followed).toEqual(made);
  }
});

test('any byte of an event that is another is found, whatever checksums stand around it', () => {
  const bytes = encodeEvent(event(1), 0);
  chainEvent(bytes, GENESIS);
  for (let at = 0; at < bytes.length; at++) {
    const forged = Buffer.from(bytes);
    forged[at] = (forged[at] ?? 0) ^ 1;
    expect(followChain(forged, GENESIS)).toMatch(/^event \d+ (is not what was written|follows|does not continue)/);
  }
});
