/**
 * The rules of all containers at work: each sample of a container with rules is looked at as it passes the router; any other
 * container's sample costs one comparison with undefined.
 *
 *     sample ── RuleCheck per rule ── came or went ──> Alarms.report        source: the container
 *     silence ── one deadline per stale rule, moved on when it finds that something came ──> Alarms.report
 */
import type { Cancel, Clock } from '../clock.js';
import type { Refusal } from '../errors.js';
import type { Log } from '../log.js';
import { rulesOf, type AlarmRule } from '../resources/alarm-rules.js';
import { isActive, type AlarmReport } from '../routing/alarm.js';
import { RuleCheck } from '../routing/alarm-rule.js';
import type { ValueReader } from '../routing/field.js';
import type { Route } from '../routing/router.js';
import type { Sample } from '../routing/sample.js';
import type { Alarms } from './alarms.js';
import type { Schedule } from './notification-channel.js';
import type { Node, Resources } from './resources.js';

export interface AlarmRulesOptions {
  readonly alarms: Pick<Alarms, 'report' | 'find'>;
  readonly resources: Resources;
  readonly clock: Clock;
  readonly log: Log;
  readonly schedule: Schedule;
  readonly valueOf: ValueReader;
}

export class AlarmRules {
  private readonly watches = new Map<Node, RuleWatch>();

  constructor(private readonly options: AlarmRulesOptions) {}

  /** A container was created or written anew: its rules are what it says now. */
  apply(container: Node): void {
    const rules = rulesOf(container.attributes.get('alarmRules'));
    const standing = this.watches.get(container);
    if (JSON.stringify(rules) === JSON.stringify(standing?.rules ?? [])) return;
    this.drop(container, rules);
    const contentInstances = container.child('contentInstances');
    const route = contentInstances && this.options.resources.routeOf(contentInstances);
    if (rules.length > 0 && route)
      this.watches.set(container, new RuleWatch(container.reference, route, rules, this.options));
  }

  /** Rules that are no more: what they raised clears. */
  drop(container: Node, kept: readonly AlarmRule[] = []): void {
    const watch = this.watches.get(container);
    watch?.dispose();
    this.watches.delete(container);
    for (const { condition } of watch?.rules ?? []) {
      if (kept.some((rule) => rule.condition === condition)) continue;
      this.options.alarms.report(container.reference, { condition, state: 'normal' });
    }
  }

  dispose(): void {
    for (const watch of this.watches.values()) watch.dispose();
    this.watches.clear();
  }
}

class RuleWatch {
  private readonly checks: readonly RuleCheck[];
  private readonly deadlines = new Map<AlarmRule, Cancel>();
  /** Rules whose stream is silent. */
  private readonly silent = new Set<AlarmRule>();
  private seenUs: number;

  constructor(
    private readonly source: string,
    private readonly route: Route,
    readonly rules: readonly AlarmRule[],
    private readonly options: AlarmRulesOptions,
  ) {
    this.seenUs = options.clock.monotonicUs();
    this.checks = rules
      .filter(({ kind }) => kind !== 'stale')
      .map((rule) => new RuleCheck(rule, this.stands(rule), options.valueOf));
    for (const rule of rules) {
      if (rule.kind !== 'stale') continue;
      if (this.stands(rule)) this.silent.add(rule);
      else this.arm(rule);
    }
    route.watch = this.see;
  }

  dispose(): void {
    this.route.watch = undefined;
    for (const cancel of this.deadlines.values()) cancel();
    this.deadlines.clear();
    this.silent.clear();
  }

  private readonly see = (sample: Sample): void => {
    this.seenUs = sample.arrivedUs;
    try {
      for (const check of this.checks) if (check.see(sample)) this.tellOf(check);
      // What comes to nothing is silent again at once, and waits for the next sample.
      if (this.silent.size > 0) for (const rule of [...this.silent]) this.sounds(rule);
    } catch (error) {
      this.options.log.error({ err: error, container: this.source }, 'a rule failed by a fault of the broker');
    }
  };

  private tellOf(check: RuleCheck): void {
    const { rule, isActive: isBeyond, value } = check;
    this.tell(rule, isBeyond, value, () => {
      if (check.isActive === isBeyond) check.isActive = !isBeyond;
    });
  }

  private sounds(rule: AlarmRule): void {
    this.silent.delete(rule);
    this.arm(rule);
    this.tell(rule, false, undefined, () => this.silent.add(rule));
  }

  private fallsSilent(rule: AlarmRule): void {
    this.silent.add(rule);
    this.tell(rule, true, undefined, () => {
      if (this.silent.delete(rule)) this.arm(rule);
    });
  }

  private arm(rule: AlarmRule, afterS = rule.staleAfterS ?? 0): void {
    const { schedule, clock } = this.options;
    this.deadlines.get(rule)?.();
    const cancel = schedule(afterS * 1000, () => {
      const leftS = (rule.staleAfterS ?? 0) - (clock.monotonicUs() - this.seenUs) / 1e6;
      if (leftS > 0) this.arm(rule, leftS);
      else this.fallsSilent(rule);
    });
    this.deadlines.set(rule, cancel);
  }

  /** @param undone it came to nothing, for want of room or with its actor: the next sample says it again */
  private tell(rule: AlarmRule, isBeyond: boolean, value: number | undefined, undone: () => void): void {
    const { condition, priority, text } = rule;
    const report: AlarmReport = {
      condition,
      state: isBeyond ? 'active' : 'normal',
      ...(priority !== undefined && { priority }),
      ...(text !== undefined && { text }),
      ...(value !== undefined && { value }),
    };
    // One that the disk refused stands all the same.
    const answered = (refusal?: Refusal): void => {
      if (refusal && this.stands(rule) !== isBeyond) undone();
    };
    if (!this.options.alarms.report(this.source, report, answered)) undone();
  }

  private stands({ condition }: AlarmRule): boolean {
    const record = this.options.alarms.find(this.source, condition);
    return record !== undefined && isActive(record.alarm);
  }
}
