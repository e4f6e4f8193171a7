import { FairQueueing, Flow } from '../../../src/protocols/transport/fair-queueing.js';
import { ManualClock } from '../../support/manual-clock.js';

/** Peers whose messages are noted as they are heard; turns end one by one. */
function stage() {
  const clock = new ManualClock();
  let ends: (() => void)[] = [];
  clock.atTurnEnd = (run) => void ends.push(run);
  const queueing = new FairQueueing(clock);
  const heard: string[] = [];
  return {
    heard,
    flow: () => new Flow(queueing, (bytes) => heard.push(bytes.toString('latin1'))),
    /** Whether another turn is wanted. */
    endTurn: (): boolean => {
      const due = ends;
      ends = [];
      due.forEach((run) => run());
      return ends.length > 0;
    },
  };
}

const say = (flow: Flow, name: string, count: number, bytes = 0): void => {
  for (let n = 0; n < count; n++) flow.put(Buffer.from(`${name}${n}`.padEnd(bytes, ' '), 'latin1'), false);
};
const named = (name: string, count: number): string[] => Array.from({ length: count }, (_, n) => `${name}${n}`);

describe('fair queueing', () => {
  test('who says little is heard at once, whatever others have said before', () => {
    const { flow, heard } = stage();
    say(flow(), 'flood', 1000);
    say(flow(), 'command', 1);
    expect(heard.length).toBeLessThan(50);
    expect(heard.at(-1)).toBe('command0');
  });

  test('all is heard in the end, each flow in its order, the flows in rotation', () => {
    const { flow, heard, endTurn } = stage();
    const [a, b] = [flow(), flow()];
    say(a, 'a', 1000);
    say(b, 'b', 500);
    const before = heard.length;
    const isMore = endTurn();
    expect(isMore).toBe(true);
    const turn = heard.slice(before);
    expect(turn.filter((each) => each.startsWith('b'))).toHaveLength(turn.length / 2);
    // What comes now stands behind what waits.
    say(b, 'late', 1);
    let turns = 1;
    while (endTurn()) turns++;
    expect(turns).toBeGreaterThan(5);
    expect(heard.filter((each) => each.startsWith('a'))).toEqual(named('a', 1000));
    expect(heard.filter((each) => !each.startsWith('a'))).toEqual([...named('b', 500), 'late0']);
  });

  test('a new turn brings a new share', () => {
    const { flow, heard, endTurn } = stage();
    const one = flow();
    for (let turn = 0; turn < 5; turn++) {
      say(one, `${turn}-`, 10);
      expect(heard).toHaveLength(10 * (turn + 1));
      endTurn();
    }
    expect(endTurn()).toBe(false);
  });

  test('a queue is bounded: beyond it the oldest is heard at once, and none is lost', () => {
    const { flow, heard, endTurn } = stage();
    const one = flow();
    const bytes = 64 * 1024;
    say(one, 'x', 100, bytes);
    expect(heard.length).toBeGreaterThan(80);
    while (endTurn());
    expect(heard.map((each) => each.trimEnd())).toEqual(named('x', 100));
  });

  test('who leaves has been heard', () => {
    const { flow, heard, endTurn } = stage();
    const one = flow();
    say(one, 'x', 300);
    one.end();
    expect(heard).toEqual(named('x', 300));
    while (endTurn());
    expect(heard).toHaveLength(300);
  });
});
