import { systemClock } from '../../../src/clock.js';
import { refuse, type Refusal } from '../../../src/errors.js';
import { silentLog } from '../../../src/log.js';
import type { Frame, MessageFrame } from '../../../src/protocols/ws/frames.js';
import { Hearing } from '../../../src/protocols/ws/hearing.js';

const LATER = refuse('STATUS_SERVICE_UNAVAILABLE', 'The disk of the store is full.');

/** Settled promises have been followed, and the turn has ended. */
const followed = (): Promise<void> => new Promise((done) => setImmediate(() => setImmediate(done)));

/** A hearing whose session decides when it is told to. */
function hearing() {
  const said: string[] = [];
  const received: { readonly name: string; readonly decide: (refusal?: Refusal) => void }[] = [];
  const session = {
    receive: (kind: MessageFrame['kind'], body: MessageFrame['body']) =>
      new Promise<Refusal | undefined>((decide) => received.push({ name: `${kind} ${body.n}`, decide })),
  };
  const say = (frame: Frame): void => void said.push('seq' in frame ? `${frame.t} ${frame.seq}` : frame.t);
  const half = new Hearing(session, say, { clock: systemClock, log: silentLog });
  return {
    said,
    names: () => received.map(({ name }) => name),
    take: (seq: number, kind: MessageFrame['kind'] = 'outcome') => half.take({ t: 'msg', seq, kind, body: { n: seq } }),
    decide: async (at: number, refusal?: Refusal) => {
      received[at]?.decide(refusal);
      await followed();
    },
  };
}

describe('what a peer says on the reliable lane', () => {
  test('words and alarms are received without waiting for the one before, and acknowledged in their order', async () => {
    const { take, decide, names, said } = hearing();
    take(1);
    take(2, 'alarm');
    take(3, 'alarm');
    take(4);
    expect(names()).toEqual(['outcome 1', 'alarm 2', 'alarm 3', 'outcome 4']);
    for (const at of [3, 2, 1]) await decide(at);
    expect(said).toEqual([]);
    await decide(0);
    // One for all that the first has held up.
    expect(said).toEqual(['ack 4']);
  });

  test('all that is settled in one turn has one acknowledgement', async () => {
    const { take, decide, said } = hearing();
    for (const seq of [1, 2, 3]) take(seq);
    await Promise.all([decide(0), decide(1, refuse('STATUS_CONFLICT', 'It is over.'))]);
    expect(said).toEqual(['error 2', 'ack 2']);
    await decide(2);
    expect(said).toEqual(['error 2', 'ack 2', 'ack 3']);
  });

  test('a fault of the broker is told as one, and the word is not asked for again', async () => {
    const said: Frame[] = [];
    const receive = (): Promise<undefined> => {
      throw new Error('a bug');
    };
    const half = new Hearing({ receive }, (frame) => void said.push(frame), { clock: systemClock, log: silentLog });
    half.take({ t: 'msg', seq: 1, kind: 'alarm', body: {} });
    await followed();
    expect(said).toMatchObject([
      { t: 'error', status: 'STATUS_INTERNAL_SERVER_ERROR', seq: 1 },
      { t: 'ack', seq: 1 },
    ]);
  });

  test('what comes again while it is being taken is not heard twice', async () => {
    const { take, decide, names, said } = hearing();
    for (const seq of [1, 2, 1, 2]) take(seq);
    expect(names()).toEqual(['outcome 1', 'outcome 2']);
    for (const at of [0, 1]) await decide(at);
    take(1);
    await followed();
    expect(names()).toEqual(['outcome 1', 'outcome 2']);
    expect(said).toEqual(['ack 1', 'ack 2', 'ack 2']);
  });

  test('after one that is refused for now nothing is acknowledged before it comes again, whatever became of it the first time', async () => {
    const { take, decide, names, said } = hearing();
    for (const seq of [1, 2, 3]) take(seq);
    await decide(0);
    await decide(1, LATER);
    expect(said).toEqual(['ack 1', 'error 2']);
    take(4);
    for (const seq of [2, 3]) take(seq);
    expect(names()).toEqual(['outcome 1', 'outcome 2', 'outcome 3', 'outcome 2', 'outcome 3']);
    // The first coming of 3: it says nothing for 2.
    await decide(2);
    await decide(4);
    expect(said).toEqual(['ack 1', 'error 2']);
    await decide(3);
    expect(said).toEqual(['ack 1', 'error 2', 'ack 3']);
  });
});
