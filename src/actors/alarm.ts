/**
 * The alarm actor: one alarm, which is one condition of one source [ISA-18.2].
 *
 *     normal ── RAISE ──> unacknowledgedActive ── ACKNOWLEDGE ──> acknowledgedActive ── CLEAR ──> normal
 *                           │            ^  └───────────────────── ESCALATE ─┘
 *                         CLEAR        RAISE
 *                           v            │
 *                       unacknowledgedCleared ── ACKNOWLEDGE ──> normal
 *
 *     any of these ── SHELVE ──> shelved ── UNSHELVE, or its time is over ──> where it would be by now
 *     any, shelved too ── SUPPRESS ──> suppressed ── UNSUPPRESS ──> where it would be by now
 *
 * Under shelving and suppression the alarm goes on as if nobody saw it: what came and went meanwhile waits to be acknowledged
 * when it is seen again. An actor stands while its alarm is not normal; a normal alarm is a row.
 */
import { formatTime, parseTime, type Clock } from '../clock.js';
import { refuse, type Refusal } from '../errors.js';
import type { Behaviour, Cell, CellKind } from '../kernel/cell.js';
import { lifecyclesOf, setup, type Dispose, type Lifecycle } from '../kernel/lifecycle.js';
import {
  DEFAULT_PRIORITY,
  isActive,
  openStateOf,
  type Act,
  type Alarm,
  type AlarmAction,
  type AlarmActionName,
  type AlarmReport,
  type AlarmState,
  type OpenState,
} from '../routing/alarm.js';
import type { Schedule } from './notification-channel.js';
import { FAULTS } from './resource.js';

/** Told once: a refusal, or that what was asked for stands. */
export type Answered = (refusal?: Refusal) => void;

export type AlarmMessage =
  | { readonly type: 'REPORT'; readonly report: AlarmReport; readonly answered: Answered }
  | { readonly type: 'ACT'; readonly action: AlarmAction; readonly by: string; readonly answered: Answered }
  /** The time of a shelving is over. */
  | { readonly type: 'LEASE_OVER' };

export const ALARM_EVENTS = [
  'RAISE',
  /** Raised again while active, with a higher priority: what was acknowledged was less. */
  'ESCALATE',
  'CLEAR',
  'ACKNOWLEDGE',
  'SHELVE',
  'UNSHELVE',
  'SUPPRESS',
  'UNSUPPRESS',
] as const;
export type AlarmEvent = (typeof ALARM_EVENTS)[number];
type AlarmEventObject = { readonly type: AlarmEvent } | Dispose;

/** What the source's own events do, seen or not. */
const SOURCE_MOVES: Readonly<Record<OpenState, Partial<Record<AlarmEvent, OpenState>>>> = {
  normal: { RAISE: 'unacknowledgedActive' },
  unacknowledgedActive: { CLEAR: 'unacknowledgedCleared' },
  acknowledgedActive: { CLEAR: 'normal', ESCALATE: 'unacknowledgedActive' },
  unacknowledgedCleared: { RAISE: 'unacknowledgedActive' },
};
const ACKNOWLEDGE_MOVES: Partial<Record<OpenState, OpenState>> = {
  unacknowledgedActive: 'acknowledgedActive',
  unacknowledgedCleared: 'normal',
};

const openStates = Object.fromEntries(
  Object.entries(SOURCE_MOVES).map(([name, moves]) => {
    const acknowledged = ACKNOWLEDGE_MOVES[name as OpenState];
    const on = {
      ...moves,
      ...(acknowledged && { ACKNOWLEDGE: acknowledged }),
      SHELVE: `#alarm.shelved.${name}`,
      SUPPRESS: `#alarm.suppressed.${name}`,
    };
    return [name, { on }];
  }),
);

/** The same states again, out of sight; each knows the way back. */
const asideState = (back: 'UNSHELVE' | 'UNSUPPRESS', others: Partial<Record<AlarmEvent, string>>) => ({
  initial: 'normal',
  states: Object.fromEntries(
    Object.entries(SOURCE_MOVES).map(([name, moves]) => {
      const aside = Object.entries(others).map(([event, target]) => [event, `#alarm.${target}.${name}`] as const);
      const on: Record<string, string> = { ...moves, ...Object.fromEntries(aside), [back]: `#alarm.${name}` };
      return [name, { on }];
    }),
  ),
});

export const alarmMachine = setup({ types: { events: {} as AlarmEventObject } }).createMachine({
  id: 'alarm',
  initial: 'normal',
  on: { DISPOSE: '.disposed' },
  states: {
    ...openStates,
    shelved: asideState('UNSHELVE', { SHELVE: 'shelved', SUPPRESS: 'suppressed' }),
    suppressed: asideState('UNSUPPRESS', {}),
    disposed: { type: 'final' },
  },
});
const alarmLifecycle = lifecyclesOf(alarmMachine);

const WAY_TO: Readonly<Record<AlarmState, readonly AlarmEvent[]>> = {
  normal: [],
  unacknowledgedActive: ['RAISE'],
  acknowledgedActive: ['RAISE', 'ACKNOWLEDGE'],
  unacknowledgedCleared: ['RAISE', 'CLEAR'],
  shelved: ['SHELVE'],
  suppressed: ['SUPPRESS'],
};

const EVENT_OF = {
  acknowledge: 'ACKNOWLEDGE',
  shelve: 'SHELVE',
  unshelve: 'UNSHELVE',
  suppress: 'SUPPRESS',
  unsuppress: 'UNSUPPRESS',
} as const satisfies Record<AlarmActionName, AlarmEvent>;

/** What a report came to; one that was active already was repeated, one that was normal already is idle. */
export type ReportOutcome = 'raised' | 'cleared' | 'repeated' | 'idle';

/** Whatever life its actor is in: the alarm as it is now. */
export interface AlarmSubject {
  alarm: Alarm;
}

/** What an operator did. */
export interface Deed {
  readonly action: AlarmActionName;
  readonly by: string;
  readonly comment: string | undefined;
}

export interface AlarmOptions {
  readonly clock: Clock;
  readonly schedule: Schedule;
  /** The alarm is another one now, by a report or a deed: it is to be journalled, told and answered. */
  readonly changed: (by: 'raised' | 'cleared' | Deed, answered: Answered) => void;
  /** A report changed nothing. */
  readonly unchanged: (outcome: 'repeated' | 'idle', answered: Answered) => void;
  /** A report was not handled: its actor crashed over it, or is down. */
  readonly lost: (refusal: Refusal, answered: Answered) => void;
}

/** Who takes a shelving back when its time is over. */
const BROKER = 'gridcast';

export function alarmKind(subject: AlarmSubject, options: AlarmOptions): CellKind<AlarmMessage> {
  return {
    start: (cell) => new AlarmBehaviour(subject, options, cell),
    // While its actor is being restarted a report waits: what is wrong out there does not come again by itself.
    isConflatable: ({ type }) => type !== 'ACT',
    undelivered(message, fault) {
      if (message.type === 'REPORT') options.lost(FAULTS[fault], message.answered);
      else if (message.type === 'ACT') message.answered(FAULTS[fault]);
    },
  };
}

class AlarmBehaviour implements Behaviour<AlarmMessage> {
  private readonly lifecycle: Lifecycle<typeof alarmMachine>;
  private cancelLease: () => void = () => {};

  constructor(
    private readonly subject: AlarmSubject,
    private readonly options: AlarmOptions,
    private readonly cell: Cell<AlarmMessage>,
  ) {
    this.lifecycle = alarmLifecycle();
    cell.own(() => this.lifecycle.dispose());
    cell.own(() => this.cancelLease());
    // A new life begins where the last one stood.
    const { alarm } = subject;
    const open = openStateOf(alarm);
    for (const type of [...WAY_TO[open], ...(alarm.state === open ? [] : WAY_TO[alarm.state])])
      this.lifecycle.send({ type });
    this.armLease();
  }

  receive(message: AlarmMessage): void {
    switch (message.type) {
      case 'REPORT':
        this.report(message.report, message.answered);
        return;
      case 'ACT':
        this.act(message.action, message.by, message.answered);
        return;
      case 'LEASE_OVER':
        if (this.subject.alarm.state === 'shelved') {
          this.lifecycle.send({ type: 'UNSHELVE' });
          this.write({}, { action: 'unshelve', by: BROKER, comment: undefined }, () => {});
        }
    }
  }

  private report({ state, ...said }: AlarmReport, answered: Answered): void {
    const { alarm } = this.subject;
    const { priority = DEFAULT_PRIORITY, text, value } = said;
    const what = { priority, ...(text !== undefined && { text }), ...(value !== undefined && { value }) };
    const at = formatTime(this.options.clock.wallUs());
    if (state === 'normal') {
      if (!isActive(alarm)) return this.options.unchanged('idle', answered);
      this.lifecycle.send({ type: 'CLEAR' });
      // The value that it is normal at is worth knowing; what was wrong stays said.
      this.write({ cleared: at, ...(value !== undefined && { value }) }, 'cleared', answered);
    } else if (!isActive(alarm)) {
      this.lifecycle.send({ type: 'RAISE' });
      const { text: _text, value: _value, acknowledged: _by, cleared: _cleared, ...rest } = alarm;
      this.subject.alarm = rest;
      this.write({ ...what, raised: at, count: alarm.count + 1 }, 'raised', answered);
    } else if (priority < alarm.priority) {
      this.lifecycle.send({ type: 'ESCALATE' });
      this.write(what, 'raised', answered);
    } else {
      this.options.unchanged('repeated', answered);
    }
  }

  private act({ action, forS, comment, alarmId }: AlarmAction, by: string, answered: Answered): void {
    const { clock } = this.options;
    const type = EVENT_OF[action];
    if (!this.lifecycle.snapshot.can({ type })) {
      const { state } = this.subject.alarm;
      return answered(refuse('STATUS_CONFLICT', `The alarm ${alarmId} is ${state}; ${RIGHT_STATES[action]}.`));
    }
    this.lifecycle.send({ type });
    const nowUs = clock.wallUs();
    const act: Act = { by, at: formatTime(nowUs), ...(comment !== undefined && { comment }) };
    const note = {
      ...(action === 'acknowledge' && { acknowledged: act }),
      ...(action === 'shelve' && { shelved: { ...act, until: formatTime(nowUs + forS * 1e6) } }),
      ...(action === 'suppress' && { suppressed: act }),
    };
    this.write(note, { action, by, comment }, answered);
    this.armLease();
  }

  /** Makes the alarm what the machine says, with what else is new. */
  private write(what: Partial<Alarm>, by: 'raised' | 'cleared' | Deed, answered: Answered): void {
    const { under: _under, shelved, suppressed, acknowledged, ...rest } = { ...this.subject.alarm, ...what };
    const [outer, inner] = this.lifecycle.state.split('.') as [AlarmState, OpenState?];
    this.subject.alarm = {
      ...rest,
      state: outer,
      ...(inner && { under: inner }),
      ...(outer === 'shelved' && shelved && { shelved }),
      ...(outer === 'suppressed' && suppressed && { suppressed }),
      // Only what still holds: who acknowledged what is unacknowledged again is in the audit trail.
      ...(!isUnacknowledged(inner ?? outer) && acknowledged && { acknowledged }),
      changed: formatTime(this.options.clock.wallUs()),
    };
    this.options.changed(by, answered);
  }

  private armLease(): void {
    this.cancelLease();
    const { alarm } = this.subject;
    if (alarm.state !== 'shelved' || !alarm.shelved) return;
    const [untilUs, sinceUs] = [parseTime(alarm.shelved.until), parseTime(alarm.shelved.at)];
    if (untilUs === undefined || sinceUs === undefined) return;
    const { clock, schedule } = this.options;
    // Where the clock was set back before a restart nothing has more time left than it had at first.
    const leftUs = Math.min(untilUs - clock.wallUs(), untilUs - sinceUs);
    this.cancelLease = schedule(leftUs / 1000, () => this.cell.tell({ type: 'LEASE_OVER' }));
  }
}

const isUnacknowledged = (state: AlarmState): boolean => state.startsWith('unacknowledged');

const RIGHT_STATES: Readonly<Record<AlarmActionName, string>> = {
  acknowledge: 'only one that is unacknowledgedActive or unacknowledgedCleared can be acknowledged',
  shelve: 'one that is suppressed cannot be shelved as well',
  unshelve: 'only one that is shelved can be unshelved',
  suppress: 'it is suppressed already',
  unsuppress: 'only one that is suppressed can be unsuppressed',
};
