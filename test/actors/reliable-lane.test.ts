import { ReliableLane } from '../../src/actors/reliable-lane.js';
import { ManualClock } from '../support/manual-clock.js';

/** A lane to a peer that does what the test says. */
function stage() {
  const clock = new ManualClock();
  const sent: number[] = [];
  const state = { overruns: 0, isCongested: false };
  const lane = new ReliableLane(
    {
      transmit: (seq) => sent.push(seq),
      congested: (isCongested) => (state.isCongested = isCongested),
      overrun: () => state.overruns++,
    },
    clock.after,
  );
  const send = (count = 1): void => {
    for (let n = 0; n < count; n++) lane.send({ kind: 'alarm', body: {} });
  };
  return { clock, lane, sent, state, send };
}

describe('a peer that answers heart-beats and acknowledges nothing', () => {
  test.each([1, 64])('of %i messages is given up after 15 s, and no later than 30', (count) => {
    const { clock, state, send } = stage();
    send(count);
    clock.advance(14_999);
    expect(state.overruns).toBe(0);
    clock.advance(1);
    expect(state.overruns).toBe(1);
  });

  test('has 15 s from its last acknowledgement on, 30 at most', () => {
    const { clock, lane, state, send } = stage();
    send(3);
    clock.advance(14_000);
    lane.acknowledge(1);
    clock.advance(15_000);
    expect(state.overruns).toBe(0);
    clock.advance(1_000);
    expect(state.overruns).toBe(1);
  });

  test('is not given up while it acknowledges something, be it slowly', () => {
    const { clock, lane, sent, state, send } = stage();
    send(64);
    for (let n = 0; n < 50; n++) {
      clock.advance(14_000);
      lane.acknowledge(n + 1);
      send();
    }
    expect(state.overruns).toBe(0);
    expect(sent).toHaveLength(114);
  });

  test('has done nothing wrong while it is away, and has its time anew when it is back', () => {
    const { clock, lane, state, send } = stage();
    send();
    clock.advance(10_000);
    lane.hold();
    send();
    expect(clock.pending).toBe(0);
    clock.advance(29_000);
    lane.replay();
    clock.advance(14_000);
    expect(state.overruns).toBe(0);
    clock.advance(1_000);
    expect(state.overruns).toBe(1);
  });
});

test('a lane that is empty watches nothing soon after, and one that is over nothing at once', () => {
  const { clock, lane, state, send } = stage();
  send(2);
  lane.acknowledge(2);
  clock.advance(15_000);
  expect(clock.pending).toBe(0);
  send();
  lane.dispose();
  expect(clock.pending).toBe(0);
  expect(state.overruns).toBe(0);
});

test('above three quarters for 5 s, or full, it is given up', () => {
  const { clock, lane, state, send } = stage();
  send(769);
  expect(state.isCongested).toBe(true);
  clock.advance(4_999);
  lane.acknowledge(1);
  expect(state.isCongested).toBe(false);
  clock.advance(5_000);
  expect(state.overruns).toBe(0);
  send();
  clock.advance(5_000);
  expect(state.overruns).toBe(1);
  send(256);
  expect(state.overruns).toBe(2);
});
