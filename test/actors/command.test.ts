/** The command actor on a store that answers when it is told to: what is true while a state is being journalled, and after. */
import { commandKind, type CommandMessage, type Step } from '../../src/actors/command.js';
import { nobody, stateOf, type CommandRecord } from '../../src/actors/command-record.js';
import { refuse, type Refusal } from '../../src/errors.js';
import { Population } from '../../src/kernel/population.js';
import { Wheel } from '../../src/kernel/wheel.js';
import { silentLog } from '../../src/log.js';
import { seededRandom } from '../../src/random.js';
import type { Word } from '../../src/routing/command.js';
import { ManualClock } from '../support/manual-clock.js';

const SICK = refuse('STATUS_SERVICE_UNAVAILABLE', 'The disk is full.');

function stage(deadlineMs = 10_000) {
  const clock = new ManualClock();
  const { schedule } = new Wheel(clock, (error) => {
    throw error;
  });
  const dueIn = (ms: number) => ({ utcUs: clock.wallUs() + ms * 1000, monotonicUs: clock.monotonicUs() + ms * 1000 });
  const record: CommandRecord = {
    key: 'scada-1 c-1',
    number: 1,
    command: {
      commandId: 'c-1',
      action: 'operate',
      point: 'breaker-1',
      value: 0,
      deadlineMs,
      leaseMs: 1,
      dueUs: undefined,
      issuedUs: undefined,
      isSelected: false,
    },
    issuer: 'scada-1',
    session: undefined,
    others: new Set(),
    path: [],
    application: '/m2m/applications/feeder',
    states: [{ state: 'accepted', atUs: clock.wallUs() }],
    forgottenUs: -Infinity,
    due: dueIn(deadlineMs),
    told: 1,
    isSent: false,
    isWriting: false,
    onWritten: () => {},
  };
  const sent: string[] = [];
  const device = { isThere: true };
  let settle: ((refusal?: Refusal) => void) | undefined;
  const write = (_record: CommandRecord, { entry }: Step, done: (refusal?: Refusal) => void): void => {
    record.isWriting = true;
    settle = (refusal) => {
      settle = undefined;
      record.isWriting = false;
      if (!refusal) record.states.push(entry);
      done(refusal);
      record.onWritten();
    };
  };
  const population: Population<CommandMessage> = new Population<CommandMessage>({
    name: 'commands',
    kind: () =>
      commandKind(record, {
        schedule,
        clock,
        canGo: () => device.isThere,
        send: () => {
          record.isSent = true;
          sent.push('operate');
        },
        sendCancel: () => sent.push('cancel'),
        write,
        broker: 'broker',
      }),
    clock,
    random: seededRandom(1),
    log: silentLog,
  });
  const cell = population.activate(record.key);
  const replies: (string | undefined)[] = [];
  const say = (state: Word['state']): void =>
    cell.tell({
      type: 'WORD',
      word: { commandId: 'c-1', state },
      by: 'rtu-7',
      reply: (refusal) => replies.push(refusal?.status ?? 'taken'),
    });
  return {
    clock,
    record,
    cell,
    sent,
    device,
    replies,
    say,
    isWriting: () => settle !== undefined,
    /** The store has it, or refuses it. */
    written: (refusal?: Refusal) => {
      if (!settle) throw new Error('nothing is being written');
      settle(refusal);
    },
    states: () => record.states.map(({ state }) => state),
    end: () => {
      population.stop();
      expect(clock.pending).toBe(0);
      // It is remembered for a day, its actor is not.
      expect(record.onWritten).toBe(nobody);
    },
  };
}

test('it is sent when its dispatch is written, and not where the store refused that; it goes when the store takes it', () => {
  const { clock, sent, written, states, isWriting, end } = stage();
  expect([isWriting(), sent]).toEqual([true, []]);
  written(SICK);
  expect([states(), sent]).toEqual([['accepted'], []]);
  clock.advance(1_000);
  written();
  expect([states(), sent]).toEqual([['accepted', 'dispatched'], ['operate']]);
  end();
});

test('a word that the store refused has changed nothing, and is taken when it comes again', () => {
  const { written, say, replies, states, end } = stage();
  written();
  say('executed');
  expect(replies).toEqual([]);
  written(SICK);
  expect([replies, states()]).toEqual([['STATUS_SERVICE_UNAVAILABLE'], ['accepted', 'dispatched']]);
  say('executed');
  written();
  expect([replies.at(-1), states()]).toEqual(['taken', ['accepted', 'dispatched', 'executed']]);
  end();
});

test('words that come while one is being written are taken after it, in order', () => {
  const { written, say, replies, states, isWriting, end } = stage();
  written();
  say('acknowledged');
  say('executed');
  say('executed');
  say('rejected');
  written();
  expect([replies, states()]).toEqual([['taken'], ['accepted', 'dispatched', 'acknowledged']]);
  written();
  expect(replies).toEqual(['taken', 'taken', 'taken', 'STATUS_CONFLICT']);
  expect([states().at(-1), isWriting()]).toEqual(['executed', false]);
  end();
});

test('a deadline that passes while the device’s word is being written comes too late', () => {
  const { clock, written, say, states, isWriting, end } = stage(100);
  written();
  say('executed');
  clock.advance(200);
  written();
  expect([states(), isWriting()]).toEqual([['accepted', 'dispatched', 'executed'], false]);
  end();
});

test('a deadline that passes while a word is being written that the store refuses is the end', () => {
  const { clock, written, say, replies, states, end } = stage(100);
  written();
  say('executed');
  clock.advance(200);
  written(SICK);
  written();
  expect([states(), replies]).toEqual([['accepted', 'dispatched', 'unknown'], ['STATUS_SERVICE_UNAVAILABLE']]);
  end();
});

test('one whose deadline has passed never goes out, though the store does not take its end yet', () => {
  const { clock, cell, device, written, states, sent, isWriting, end } = stage(100);
  written(SICK);
  device.isThere = false;
  clock.advance(100);
  written(SICK);
  device.isThere = true;
  cell.tell({ type: 'DISPATCH' });
  expect([isWriting(), sent]).toEqual([false, []]);
  clock.advance(1_000);
  written();
  expect([states(), sent]).toEqual([['accepted', 'expired'], []]);
  end();
});

test('an actor that crashes while a state is being written finds it written in its next life', () => {
  const { clock, cell, record, written, say, replies, states, end } = stage();
  written();
  say('acknowledged');
  cell.fail(new Error('a bug'));
  expect(replies).toEqual(['STATUS_INTERNAL_SERVER_ERROR']);
  clock.advance(1_000);
  say('executed');
  written();
  expect(stateOf(record)).toBe('acknowledged');
  written();
  expect([replies.at(-1), states()]).toEqual(['taken', ['accepted', 'dispatched', 'acknowledged', 'executed']]);
  end();
});
