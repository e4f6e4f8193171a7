/** What the window of remembered commands tells of those it has forgotten. */
import { recordOfRow, rowOf, type CommandRecord } from '../../src/actors/command-record.js';
import { CommandWindow, REMEMBERED } from '../../src/actors/command-window.js';

const NOON_US = Date.UTC(2026, 0, 1, 12) * 1000;
const MS = 1_000;
const acceptedUs = (number: number): number => NOON_US + number * MS;
const NOW_US = acceptedUs(2 * REMEMBERED);

/** Accepted a millisecond after the one before it. */
function record(number: number, state: 'accepted' | 'executed', forgottenUs = -Infinity): CommandRecord {
  const command = {
    commandId: `c-${number}`,
    action: 'operate',
    point: 'p',
    value: 0,
    deadlineMs: 1000,
    leaseMs: 1000,
  };
  const document = {
    number,
    command,
    issuer: 'scada-1',
    path: '/m2m/applications/feeder/containers/commands/contentInstances',
    states: [{ state, atUs: acceptedUs(number) }],
    ...(forgottenUs !== -Infinity && { forgottenUs }),
    dueUs: NOW_US,
    told: 1,
  };
  const made = recordOfRow(`scada-1 c-${number}`, { document }, { utcUs: NOW_US, monotonicUs: 0 });
  if (!made) throw new Error('no record');
  return made;
}

/** A full one, whose oldest is still under way, and then one more: the second has given way. */
function overfull(): CommandWindow {
  const window = new CommandWindow();
  for (let number = 1; number <= REMEMBERED; number++)
    window.add(record(number, number === 1 ? 'accepted' : 'executed'));
  expect(window.makeRoom().map(({ number }) => number)).toEqual([2]);
  window.add(record(REMEMBERED + 1, 'executed', window.forgottenUs));
  return window;
}

/** As after a restart: from the rows alone. */
function restarted(window: CommandWindow): CommandWindow {
  const next = new CommandWindow();
  const now = { utcUs: NOW_US, monotonicUs: 0 };
  next.restore([...window].flatMap((each) => recordOfRow(each.key, rowOf(each), now) ?? []));
  return next;
}

describe.each([
  ['', (window: CommandWindow) => window],
  [' after a restart', restarted],
])('what may have been one of those that gave way is refused%s', (_when, come) => {
  test('by the instant it names, be the oldest still there or not', () => {
    const window = come(overfull());
    expect(window.refusalOf(acceptedUs(2), NOW_US)?.detail).toContain('may have been executed already');
    expect(window.refusalOf(acceptedUs(2) + 1, NOW_US)).toBeUndefined();
  });

  test('though the window has room again', () => {
    const window = overfull();
    const [last] = [...window].slice(-2);
    if (last) window.forget(last);
    expect(come(window).refusalOf(acceptedUs(2), NOW_US)).toBeDefined();
  });
});

test('nothing is refused for what has given way where nothing has', () => {
  const window = new CommandWindow();
  for (let number = 1; number <= REMEMBERED; number++) window.add(record(number, 'executed'));
  expect(restarted(window).refusalOf(acceptedUs(1) - MS, NOW_US)).toBeUndefined();
});
