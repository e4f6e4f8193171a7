/** The simulated device: what it did stands in a file, once for each command, wherever it died. */
import { systemClock, type Clock } from '../../src/clock.js';
import { startDevice, type SimulatedDeviceOptions } from '../../src/sim/device.js';
import { becomes, COMMANDS, FEEDER, feeder, historyOf, issue, OPEN } from '../broker/command-stage.js';
import { closeStage, until, whenStageCloses, type RunningBroker } from '../broker/stage.js';
import { MemoryDisk } from '../support/memory-disk.js';

afterEach(closeStage);

const LOCATION = `${COMMANDS}/anonymous~open-1`;

/** Waits of a minute have no end here: they are those of devices that are killed meanwhile. */
const PATIENT: Clock = { ...systemClock, after: (ms, run) => (ms < 60_000 ? systemClock.after(ms, run) : () => {}) };

async function start(running: RunningBroker, disk: MemoryDisk, options: Partial<SimulatedDeviceOptions> = {}) {
  const lines: string[] = [];
  const uri = `${running.ws.replace('/m2m', '')}${FEEDER}`;
  const simulated = await startDevice(
    { uri, delayMs: 0, lingerMs: 0, ledger: 'ledger', effects: 'effects', ...options },
    { clock: PATIENT, disk, tell: (line) => lines.push(line) },
  );
  let isKilled = false;
  whenStageCloses(async () => {
    // A dead disk never answers.
    const closed = simulated.close();
    if (!isKilled) await closed;
  });
  return { lines, killed: () => (isKilled = true) };
}

const effectsOn = (disk: MemoryDisk): string => Buffer.from(disk.contents().get('effects') ?? []).toString();

test('executes with a synced line, and rejects for a point that it does not have', async () => {
  const running = await feeder();
  const disk = new MemoryDisk();
  const { lines, killed } = await start(running, disk, { points: ['breaker-1'] });
  await issue(running, OPEN);
  await becomes(running, LOCATION, 'executed');
  const other = await issue(running, { ...OPEN, commandId: 'b', point: 'breaker-9' });
  expect(await becomes(running, other.location, 'rejected')).toMatchObject({ reason: 'there is no breaker-9 here' });
  killed();
  expect(effectsOn(disk.crash())).toBe('open-1 breaker-1 0\n');
  expect(lines).toEqual(['command open-1 breaker-1 0', 'effect open-1 breaker-1 0', 'command b breaker-9 0']);
});

test.each([
  ['between its effect and its answer', { lingerMs: 60_000 }, 'effect', 'executed'],
  ['before its effect', { delayMs: 60_000 }, 'command', 'rejected'],
] as const)(
  'killed %s it says in its next life what became of it, and does nothing twice',
  async (_name, slow, at, state) => {
    const running = await feeder();
    const disk = new MemoryDisk();
    const { lines, killed } = await start(running, disk, slow);
    await issue(running, { ...OPEN, deadlineMs: 120_000 });
    await until('it is that far', () => lines.some((line) => line.startsWith(at)));
    killed();
    const next = disk.kill();
    const second = await start(running, next);
    await becomes(running, LOCATION, state);
    expect(await historyOf(running, LOCATION)).toEqual(['accepted', 'dispatched', 'acknowledged', state]);
    expect(effectsOn(next)).toBe(state === 'executed' ? 'open-1 breaker-1 0\n' : '');
    expect(second.lines).toEqual([]);
  },
);
