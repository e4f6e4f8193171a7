import { CommandDesk, type CommandHandler } from '../../src/client/command-desk.js';
import type { JsonObject } from '../../src/routing/primitive.js';
import { ManualClock } from '../support/manual-clock.js';

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const open: JsonObject = { commandId: 'c-1', point: 'breaker-1', value: 'open', deadlineMs: 100 };

function desk(handle: CommandHandler) {
  const clock = new ManualClock();
  const words: string[] = [];
  const commands = new CommandDesk(handle, clock, ({ commandId, state, reason }) => {
    words.push([commandId, state, reason].filter(Boolean).join(' '));
    return Promise.resolve();
  });
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
    expect(words).toEqual([
      'c-1 acknowledged',
      'c-2 acknowledged',
      'c-1 rejected locked',
      'c-2 rejected spring not charged',
    ]);
  });

  test('rejects at the deadline, aborts the handler, and what comes of it later is not said', async () => {
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
    late();
    await settled();
    expect(words).toEqual(['c-1 acknowledged', 'c-1 rejected the deadline passed before it was done']);
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
