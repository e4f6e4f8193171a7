/** The machine of an alarm, cell by cell of the table in docs/alarms.md, which is read here. */
import { readFileSync } from 'node:fs';
import { ALARM_EVENTS, alarmMachine, type AlarmEvent } from '../../src/actors/alarm.js';
import { lifecyclesOf } from '../../src/kernel/lifecycle.js';
import { OPEN_STATES, type OpenState } from '../../src/routing/alarm.js';

/** Rows of the table: state, and by event the state after it; `-` where the event does nothing or is refused. */
function documented(): Map<string, Map<string, string>> {
  const lines = readFileSync('docs/alarms.md', 'utf8').split('\n');
  const cells = (line: string): string[] =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim());
  const head = lines.findIndex((line) => line.startsWith('| state '));
  const [, ...events] = cells(lines[head]!);
  const rows = new Map<string, Map<string, string>>();
  for (const line of lines.slice(head + 2)) {
    if (!line.startsWith('|')) break;
    const [state, ...afters] = cells(line);
    rows.set(state!, new Map(events.map((event, index) => [event, afters[index]!])));
  }
  return rows;
}

const WAY: Record<OpenState, AlarmEvent[]> = {
  normal: [],
  unacknowledgedActive: ['RAISE'],
  acknowledgedActive: ['RAISE', 'ACKNOWLEDGE'],
  unacknowledgedCleared: ['RAISE', 'CLEAR'],
};

const begin = lifecyclesOf(alarmMachine);

/** A machine in a state. */
function standing(outer: string, under: OpenState) {
  const lifecycle = begin();
  for (const type of WAY[under]) lifecycle.send({ type });
  if (outer === 'shelved') lifecycle.send({ type: 'SHELVE' });
  if (outer === 'suppressed') lifecycle.send({ type: 'SUPPRESS' });
  return lifecycle;
}

const table = documented();
const aside = ['shelved', 'suppressed'].flatMap((outer) => OPEN_STATES.map((under) => [outer, under] as const));

test('the table has all states and all events', () => {
  expect([...table.keys()]).toEqual([...OPEN_STATES, 'shelved', 'suppressed']);
  for (const row of table.values()) expect([...row.keys()]).toEqual([...ALARM_EVENTS]);
});

describe.each(OPEN_STATES.map((state) => [state] as const))('%s', (state) => {
  test.each(ALARM_EVENTS.map((event) => [event] as const))('%s', (type) => {
    const lifecycle = standing(state, state);
    expect(lifecycle.state).toBe(state);
    const documentedAfter = table.get(state)!.get(type)!;
    expect(lifecycle.snapshot.can({ type })).toBe(documentedAfter !== '-');
    lifecycle.send({ type });
    const [outer, under] = lifecycle.state.split('.');
    expect(outer).toBe(documentedAfter === '-' ? state : documentedAfter);
    // What is set aside is remembered.
    if (under !== undefined) expect(under).toBe(state);
    lifecycle.dispose();
    expect(lifecycle.state).toBe('disposed');
  });
});

describe.each(aside)('%s over %s', (outer, under) => {
  test.each(ALARM_EVENTS.map((event) => [event] as const))('%s', (type) => {
    const lifecycle = standing(outer, under);
    expect(lifecycle.state).toBe(`${outer}.${under}`);
    const after = table.get(outer)!.get(type)!;
    lifecycle.send({ type });
    if (after === 'moves beneath') {
      const beneath = table.get(under)!.get(type)!;
      expect(lifecycle.state).toBe(`${outer}.${beneath === '-' ? under : beneath}`);
    } else if (after === 'what is beneath') expect(lifecycle.state).toBe(under);
    else expect(lifecycle.state).toBe(`${after === '-' ? outer : after}.${under}`);
    lifecycle.dispose();
    expect(lifecycle.state).toBe('disposed');
  });
});
