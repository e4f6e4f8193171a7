import { formatTime } from '../../src/clock.js';
import { CommandDesk, type CommandHandler, type DeskOptions } from '../../src/client/command-desk.js';
import type { LedgerEntry } from '../../src/client/ledger.js';
import type { Word } from '../../src/routing/command.js';
import type { JsonObject } from '../../src/routing/primitive.js';
import { ManualClock } from '../support/manual-clock.js';

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const open: JsonObject = { commandId: 'c-1', point: 'breaker-1', value: 'open', deadlineMs: 100 };

function desk(handle: CommandHandler, { ledger, recall }: Pick<DeskOptions, 'ledger' | 'recall'> = {}) {
  const clock = new ManualClock();
  const words: string[] = [];
  const say = ({ commandId, state, reason }: Word): Promise<void> => {
    words.push([commandId, state, reason].filter(Boolean).join(' '));
    return Promise.resolve();
  };
  const commands = new CommandDesk({ handle, clock, say, ...(ledger && { ledger }), ...(recall && { recall }) });
  return { commands, clock, words };
}

describe('a device', () => {
  test('acknowledges at once and says executed when its handler is done', async () => {
    let done = (): void => {};
    const { commands, clock, words } = desk(async (command) => {
      expect(command).toMatchObject({
        commandId: 'c-1',
        action: 'operate',
        point: 'breaker-1',
        value: 'open',
        deadlineMs: 100,
      });
      await new Promise<void>((resolve) => (done = resolve));
      return { state: 'executed' };
    });
    commands.take(open);
    await settled();
    expect(words).toEqual(['c-1 acknowledged']);
    done();
    await settled();
    expect(words).toEqual(['c-1 acknowledged', 'c-1 executed']);
    expect(clock.pending).toBe(0);
  });

  test('rejects with the reason given, or with what was thrown', async () => {
    const { commands, words } = desk(({ commandId }) => {
      if (commandId === 'c-1') return { state: 'rejected', reason: 'locked' };
      throw new Error('spring not charged');
    });
    commands.take(open);
    commands.take({ ...open, commandId: 'c-2' });
    await settled();
    const of = (commandId: string): string[] => words.filter((word) => word.startsWith(commandId));
    expect(of('c-1')).toEqual(['c-1 acknowledged', 'c-1 rejected locked']);
    expect(of('c-2')).toEqual(['c-2 acknowledged', 'c-2 rejected spring not charged']);
  });

  test('aborts its handler at the deadline; what comes of it is said, be it late', async () => {
    let late = (): void => {};
    let isAborted = false;
    const { commands, clock, words } = desk(async (_, signal) => {
      signal.addEventListener('abort', () => (isAborted = true));
      await new Promise<void>((resolve) => (late = resolve));
      return { state: 'executed' };
    });
    commands.take(open);
    await settled();
    clock.advance(99);
    await settled();
    expect(isAborted).toBe(false);
    clock.advance(1);
    await settled();
    expect(isAborted).toBe(true);
    expect(words).toEqual(['c-1 acknowledged']);
    late();
    await settled();
    expect(words).toEqual(['c-1 acknowledged', 'c-1 executed']);
  });

  test('rejects what its handler gave up at the deadline', async () => {
    const { commands, clock, words } = desk(
      (_, signal) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
    );
    commands.take(open);
    await settled();
    clock.advance(100);
    await settled();
    expect(words).toEqual(['c-1 acknowledged', 'c-1 rejected the deadline passed before it was done']);
  });

  test.each([0, -5])('does not execute what arrives with %i ms left', async (deadlineMs) => {
    let executions = 0;
    const { commands, words } = desk(() => (executions++, { state: 'executed' }));
    commands.take({ ...open, deadlineMs });
    await settled();
    expect(executions).toBe(0);
    expect(words).toEqual(['c-1 rejected the deadline passed before it was done']);
  });

  describe('told the instant of the deadline', () => {
    const due = (ms: number): JsonObject => ({ ...open, dueAt: formatTime(Date.UTC(2026, 0, 1) * 1000 + ms * 1000) });
    const counting = () => {
      const executed: string[] = [];
      return { executed, ...desk(({ commandId }) => (executed.push(commandId), { state: 'executed' })) };
    };

    test('does not execute what was on its way for too long, and names both clocks', async () => {
      const { commands, clock, words, executed } = counting();
      clock.advance(150);
      commands.take(due(100));
      await settled();
      expect(executed).toEqual([]);
      expect(words).toEqual([
        'c-1 rejected it came after its deadline: due at 2026-01-01T00:00:00.100000Z, and here it is 2026-01-01T00:00:00.150000Z',
      ]);
    });

    test.each([
      ['what is left of it, where it was on its way for a while', 30, 0],
      ['the span from the arrival, where the clock is behind', 100, -3_600_000],
    ])('stops its handler after %s', async (_name, leftMs, stepMs) => {
      const left: number[] = [];
      let isAborted = false;
      const { commands, clock } = desk((_, signal, leftNowMs) => {
        left.push(leftNowMs());
        signal.addEventListener('abort', () => (isAborted = true));
        return new Promise<never>(() => {});
      });
      clock.advance(70);
      clock.step(stepMs);
      commands.take(due(100));
      await settled();
      clock.advance(leftMs - 1);
      expect(isAborted).toBe(false);
      clock.advance(1);
      expect(isAborted).toBe(true);
      expect(left).toEqual([leftMs]);
    });

    test('tells a handler that asks, before any timer has fired', async () => {
      const left: number[] = [];
      const { commands, clock } = desk((_, signal, leftMs) => {
        clock.step(500);
        left.push(leftMs());
        return { state: signal.aborted ? 'rejected' : 'executed' };
      });
      commands.take(due(100));
      await settled();
      expect(left).toEqual([-400]);
    });

    test('neither selects nor operates too late, and lets go of the point', async () => {
      const { commands, clock, words, executed } = counting();
      commands.take({ ...due(100), action: 'select', leaseMs: 10_000 });
      clock.advance(200);
      commands.take({ ...due(150), action: 'operate', selected: true });
      commands.take({ ...due(150), commandId: 'c-2', action: 'select', leaseMs: 10_000 });
      commands.take({ ...due(900), commandId: 'c-3' });
      await settled();
      expect(executed).toEqual(['c-3']);
      expect(words).toEqual([
        'c-1 acknowledged',
        expect.stringContaining('c-1 rejected it came after its deadline'),
        expect.stringContaining('c-2 rejected it came after its deadline'),
        'c-3 acknowledged',
        'c-3 executed',
      ]);
    });

    test('says the last word again of what it has done in time', async () => {
      const { commands, clock, words } = counting();
      commands.take(due(100));
      await settled();
      clock.advance(200);
      commands.take(due(100));
      await settled();
      expect(words).toEqual(['c-1 acknowledged', 'c-1 executed', 'c-1 executed']);
    });
  });

  test('executes a command that comes twice once, and says its last word again', async () => {
    let executions = 0;
    const { commands, words } = desk(() => {
      executions++;
      return { state: 'executed' };
    });
    commands.take(open);
    await settled();
    commands.take(open);
    await settled();
    expect(executions).toBe(1);
    expect(words).toEqual(['c-1 acknowledged', 'c-1 executed', 'c-1 executed']);
  });

  test('stops a command that is cancelled', async () => {
    const { commands, words } = desk(
      (_, signal) =>
        new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
    );
    commands.take(open);
    await settled();
    commands.take({ commandId: 'c-1', action: 'cancel' });
    await settled();
    expect(words).toEqual(['c-1 acknowledged', 'c-1 rejected cancelled']);
  });

  test('rejects what is no command, if it has an id to answer to', async () => {
    const { commands, words } = desk(() => ({ state: 'executed' }));
    commands.take({ commandId: 'c-1', value: 'open' });
    commands.take({ point: 'breaker-1' });
    await settled();
    expect(words).toEqual([expect.stringContaining('c-1 rejected A command needs a "point"')]);
  });
});

describe('a device that is selected before it is operated', () => {
  const select = { ...open, action: 'select', leaseMs: 1000 };
  const operate = { ...open, action: 'operate', selected: true };
  const counting = () => {
    const executed: string[] = [];
    return { executed, ...desk(({ commandId }) => (executed.push(commandId), { state: 'executed' })) };
  };

  test('holds the point, and executes the operate of the same command once', async () => {
    const { commands, words, executed, clock } = counting();
    commands.take(select);
    commands.take({ ...open, commandId: 'other' });
    commands.take({ ...select, commandId: 'another' });
    await settled();
    expect(executed).toEqual([]);
    commands.take(operate);
    await settled();
    commands.take(operate);
    await settled();
    expect(executed).toEqual(['c-1']);
    expect(words).toEqual([
      'c-1 acknowledged',
      'other rejected the point is selected under another command',
      'another rejected the point is selected under another command',
      'c-1 acknowledged',
      'c-1 executed',
      'c-1 executed',
    ]);
    expect(clock.pending).toBe(0);
  });

  test.each([
    ['its lease is over', (desk: ReturnType<typeof counting>) => desk.clock.advance(1000)],
    [
      'it was cancelled',
      ({ commands }: ReturnType<typeof counting>) => commands.take({ commandId: 'c-1', action: 'cancel' }),
    ],
  ])('lets go of the point when %s, and does not operate then', async (_name, end) => {
    const device = counting();
    device.commands.take(select);
    await settled();
    end(device);
    device.commands.take(operate);
    device.commands.take({ ...open, commandId: 'c-2' });
    await settled();
    expect(device.executed).toEqual(['c-2']);
    expect(device.words).toContain(
      'c-1 rejected it is not selected here: the lease is over, or the device has started anew',
    );
  });

  test('does not operate what an earlier life of it had selected', async () => {
    const { commands, words, executed } = counting();
    commands.take(operate);
    await settled();
    expect(executed).toEqual([]);
    expect(words).toEqual(['c-1 rejected it is not selected here: the lease is over, or the device has started anew']);
  });
});

describe('a device with a ledger', () => {
  /** One that is read by the next life. */
  function memory() {
    const entries = new Map<string, LedgerEntry>();
    const state = { isBroken: false };
    const written: string[] = [];
    const ledger = {
      open: () => Promise.resolve([...entries.values()]),
      write: (entry: LedgerEntry, durability: 'grouped' | 'synced') => {
        if (state.isBroken) return Promise.reject(new Error('the disk is full'));
        entries.set(entry.command.commandId, entry);
        const what = `${entry.word?.state ?? 'intended'}${entry.isTold ? ' told' : ''}`;
        written.push(`${entry.command.commandId} ${what}${durability === 'grouped' ? ', at leisure' : ''}`);
        return Promise.resolve();
      },
      forget: () => {},
      close: () => Promise.resolve(),
    };
    return { ledger, written, state };
  }

  test('writes its intent before it acts, its verdict before it says so, and that it was heard', async () => {
    const { ledger, written } = memory();
    const seen: string[][] = [];
    const { commands, words } = desk(() => (seen.push([...written], [...words]), { state: 'executed' }), { ledger });
    commands.take(open);
    await settled();
    expect(seen).toEqual([['c-1 intended'], ['c-1 acknowledged']]);
    expect(words).toEqual(['c-1 acknowledged', 'c-1 executed']);
    expect(written).toEqual(['c-1 intended', 'c-1 executed', 'c-1 executed told, at leisure']);
  });

  test.each([
    ['what its recall says', () => ({ state: 'executed' }) as const, 'c-1 executed'],
    ['that nobody knows', undefined, 'c-1 rejected interrupted: whether it was done is not known'],
    [
      'that nobody knows, if its recall does not',
      () => undefined,
      'c-1 rejected interrupted: whether it was done is not known',
    ],
  ])(
    'that died between effect and verdict says, in its next life, %s; it does not act again',
    async (_name, recall, word) => {
      const { ledger, written } = memory();
      let effects = 0;
      const first = desk(() => (effects++, new Promise<never>(() => {})), { ledger });
      first.commands.take(open);
      await settled();
      const second = desk(() => (effects++, { state: 'executed' }), { ledger, ...(recall && { recall }) });
      await second.commands.open();
      await settled();
      second.commands.take(open);
      await settled();
      expect(effects).toBe(1);
      expect(second.words).toEqual([word, word]);
      expect(written.at(-1)).toMatch(/ told, at leisure$/);
    },
  );

  test('that died before its word was heard says it in its next life, and once it was heard no more', async () => {
    const { ledger } = memory();
    const clock = new ManualClock();
    const deaf = new CommandDesk({
      handle: () => ({ state: 'executed' }),
      clock,
      say: () => new Promise<void>(() => {}),
      ledger,
    });
    deaf.take(open);
    await settled();
    for (const expected of [['c-1 executed'], []]) {
      const { commands, words } = desk(() => ({ state: 'rejected' }), { ledger });
      await commands.open();
      await settled();
      expect(words).toEqual(expected);
    }
  });

  test('that took to be written until the deadline was over, and no timer has fired yet, does not act', async () => {
    const { ledger } = memory();
    let executions = 0;
    const { commands, clock, words } = desk(() => (executions++, { state: 'executed' }), {
      ledger: {
        ...ledger,
        write: (entry) => {
          if (!entry.word) clock.step(500);
          return Promise.resolve();
        },
      },
    });
    commands.take({ ...open, dueAt: formatTime(clock.wallUs() + 100_000) });
    await settled();
    expect(executions).toBe(0);
    expect(words).toEqual(['c-1 rejected the deadline passed before it was done']);
  });

  test('that can not be written does not act', async () => {
    const { ledger, state } = memory();
    state.isBroken = true;
    let effects = 0;
    const { commands, words } = desk(() => (effects++, { state: 'executed' }), { ledger });
    commands.take(open);
    await settled();
    expect([effects, words]).toEqual([0, ['c-1 rejected the disk is full']]);
  });
});
