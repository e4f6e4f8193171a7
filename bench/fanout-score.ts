/** The fan-out's tables and plots, and how it stands to T1 to T5. */
import {
  medianOf,
  paceOf,
  perDeliveryUs,
  SHAPES,
  shapesOf,
  type FanoutEffort,
  type Round,
  type Shape,
  type Standing,
} from './fanout.js';
import { median, microseconds, table } from './figures.js';
import { BODY_BYTES } from './load.js';
import { dots } from './plot.js';
import { quoted, type Outcome, type TargetRow } from './targets.js';

/** All of a slot's deliveries out within [T2]. */
const SLOT_US = 3000;
/** A pump that uses more of its core than this, and more than the broker, is what is measured. */
const PUMP_LIMIT = 0.9;

const rateOf = ({ pumped }: Round): number => (pumped.inTime / pumped.elapsedUs) * 1e6;
const pumpShare = ({ pumped }: Round): number => pumped.cpuUs / pumped.elapsedUs;
const brokerShare = ({ cpuUs, pumped }: Round): number => cpuUs / pumped.elapsedUs;
const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
const perSecond = (rate: number): string =>
  rate >= 1e6 ? `${(rate / 1e6).toFixed(2)}M/s` : `${(rate / 1e3).toFixed(1)}k/s`;
const us = (value: number): string => `${value.toFixed(value < 1 ? 3 : 2)} us`;

/** @param absent who was left out, and why */
export function score(stood: readonly Standing[], effort: FanoutEffort, absent: readonly string[]): Outcome {
  const targets = targetRows(stood);
  const text = [
    `100 topics, 10 subscribers each (long polling: ${paceOf('long polling')}/s, all others ${paceOf('CoAP')}/s; saturated: as fast as it goes), ${BODY_BYTES}-byte bodies; ${effort.rounds} rounds of ${effort.pacedS} s paced and ${effort.saturatedS} s saturated, medians. ${elsewhere(stood)}`,
    'Gridcast takes its samples as CoAP NON in all its rows; CPU is of the broker process, per message that reached a subscriber.',
    ...absent.map((line) => `${line}.`),
    '',
    costTable(stood),
    '',
    rateTable(stood),
    '',
    ...lossLines(stood),
  ].join('\n');
  return { text, targets, figures: figuresOf(stood), plots: plotsOf(stood) };
}

function costTable(stood: readonly Standing[]): string {
  const rows = stood
    .filter(({ kind }) => !kind.isFloor)
    .map((one) => {
      const of = (shape: Shape, figure: (round: Round) => number): number => medianOf(one, shape, figure);
      const cells = (['even', 'burst'] as const).flatMap((shape) => [
        us(of(shape, perDeliveryUs)),
        microseconds(of(shape, ({ pumped }) => pumped.ageUs.p50)),
        microseconds(of(shape, ({ pumped }) => pumped.ageUs.p99)),
        percent(of(shape, brokerShare)),
      ]);
      return [named(one), one.kind.over, ...cells, percent(of('even', pumpShare)), one.rssMib.toFixed(0)];
    });
  const head = (shape: string): string[] => [`${shape}: CPU`, 'age p50', 'age p99', 'broker'];
  return table(['broker', 'over', ...head('even'), ...head('burst'), 'pump, even', 'RSS MiB'], rows);
}

function rateTable(stood: readonly Standing[]): string {
  const rows = stood.map((one) => [
    named(one),
    one.kind.over,
    ...(['100 x 10', '1 x 100'] as const).flatMap((shape) => [
      perSecond(medianOf(one, shape, rateOf)),
      us(medianOf(one, shape, perDeliveryUs)),
      percent(medianOf(one, shape, brokerShare)),
      `${percent(medianOf(one, shape, pumpShare))}${isHeldBack(one, shape) ? ', the limit' : ''}`,
    ]),
  ]);
  const head = (shape: string): string[] => [shape, 'CPU', 'broker', 'pump'];
  return table(['saturated', 'over', ...head('100 x 10'), ...head('1 x 100')], rows);
}

/** Then the rate is the pump's, and the CPU per delivery the one figure to compare. */
const isHeldBack = (one: Standing, shape: Shape): boolean =>
  medianOf(one, shape, pumpShare) > Math.max(PUMP_LIMIT, medianOf(one, shape, brokerShare));

const named = ({ kind }: Standing): string => `${kind.name} ${kind.version()}`.trim();

/** What did not come: dropped by a count of ours, or lost on the way. */
function lossLines(stood: readonly Standing[]): string[] {
  return stood.flatMap((one) =>
    shapesOf(one.kind).flatMap((shape) => {
      const rounds = one.rounds.get(shape) ?? [];
      const sum = (figure: (round: Round) => number): number => rounds.reduce((total, each) => total + figure(each), 0);
      const lost = rounds.some(({ accounts }) => accounts)
        ? sum(({ accounts, pumped }) => Math.max(0, (accounts?.delivered ?? 0) - pumped.received))
        : 0;
      const unsent = sum(({ pumped }) => pumped.refused);
      const writtenOff = sum(({ pumped }) => pumped.writtenOff);
      const dropped = new Map<string, number>();
      for (const { accounts } of rounds)
        for (const [reason, count] of accounts?.dropped ?? [])
          if (count > 0) dropped.set(reason, (dropped.get(reason) ?? 0) + count);
      const parts = [
        ...[...dropped].map(([reason, count]) => `${count} dropped as ${reason}`),
        ...(lost > 0 ? [`${lost} sent that did not arrive`] : []),
        ...(writtenOff > 0 ? [`${writtenOff} awaited in vain`] : []),
        ...(unsent > 0 ? [`${unsent} that the pump could not send`] : []),
      ];
      const received = sum(({ pumped }) => pumped.received);
      return parts.length === 0
        ? []
        : [`- ${one.kind.name}, ${shape}: beside ${received} received, ${parts.join(', ')}.`];
    }),
  );
}

function elsewhere(stood: readonly Standing[]): string {
  const all = stood.flatMap(({ rounds }) => [...rounds.values()].flat());
  const share = (figure: (round: Round) => number): string =>
    percent(median(all.map((each) => figure(each) / each.pumped.elapsedUs)));
  return `Meanwhile other processes used ${share(({ othersUs }) => othersUs)} of a core, and the machine's host withheld ${share(({ stolenUs }) => stolenUs)}.`;
}

/** Who did best by a figure; undefined where nobody of that kind took part. */
function best(
  stood: readonly Standing[],
  isOne: (one: Standing) => boolean,
  figure: (one: Standing) => number,
): { readonly one: Standing; readonly value: number } | undefined {
  return stood
    .filter(isOne)
    .map((one) => ({ one, value: figure(one) }))
    .filter(({ value }) => Number.isFinite(value))
    .sort((a, b) => a.value - b.value)[0];
}

function targetRows(stood: readonly Standing[]): TargetRow[] {
  const find = (name: string): Standing | undefined => stood.find(({ kind }) => kind.name.startsWith(name));
  const coap = find('Gridcast, CoAP');
  const [nats, mosquitto, nodeCoap] = ['nats', 'mosquitto', 'node-coap'].map(find);
  const ws = best(
    stood,
    ({ kind }) => kind.isOurs && kind.over === 'WebSocket',
    (one) => medianOf(one, 'even', perDeliveryUs),
  )?.one;
  const cpu = (shape: Shape) => (one: Standing) => medianOf(one, shape, perDeliveryUs);
  const rows: TargetRow[] = [];
  /** @param most of figure over reference; @param least where more is better */
  const row = (
    target: string,
    what: string,
    one: Standing | undefined,
    other: Standing | undefined,
    figure: (one: Standing) => number,
    { show, most, least }: { show: (value: number) => string; most?: number; least?: number },
  ): void => {
    if (!one || !other) return;
    const [ours, theirs] = [figure(one), figure(other)];
    const ratio = ours / theirs;
    rows.push({
      target,
      what: `${one.kind.name}: ${what}`,
      figure: show(ours),
      peers: `${other.kind.name} ${show(theirs)}`,
      ratio: `${ratio.toFixed(2)} x`,
      wanted: most !== undefined ? `<= ${most} x` : `>= ${least} x`,
      isMet: most !== undefined ? ratio <= most : ratio >= (least ?? NaN),
      command: quoted('fanout'),
    });
  };
  const isPeer = ({ kind }: Standing): boolean => !kind.isOurs && !kind.isFloor;
  const bestEven = best(stood, isPeer, cpu('even'))?.one;
  row('T1', 'CPU per delivery, even', coap, bestEven, cpu('even'), { show: us, most: 0.8 });
  for (const p of ['p50', 'p99'] as const)
    row('T1', `age ${p}, even`, coap, mosquitto, (one) => medianOf(one, 'even', ({ pumped }) => pumped.ageUs[p]), {
      show: microseconds,
      most: 1,
    });
  row('T2', 'CPU per delivery, burst', coap, nats, cpu('burst'), { show: us, most: 0.9 });
  row('T2', 'CPU per delivery, burst', coap, mosquitto, cpu('burst'), { show: us, most: 0.3 });
  if (coap) {
    const age = (of: 'p99' | 'longest'): number => medianOf(coap, 'burst', ({ pumped }) => pumped.ageUs[of]);
    rows.push({
      ...{ target: 'T2', what: `${coap.kind.name}: longest age, burst`, peers: '', ratio: '' },
      figure: `${microseconds(age('longest'))} (p99 ${microseconds(age('p99'))})`,
      ...{ wanted: `<= ${microseconds(SLOT_US)}`, isMet: age('longest') <= SLOT_US, command: quoted('fanout') },
    });
  }
  for (const shape of ['100 x 10', '1 x 100'] as const) {
    const floor = best(stood, ({ kind }) => kind.isFloor, cpu(shape))?.one;
    row('T3', `CPU per delivery, ${shape}`, coap, floor, cpu(shape), { show: us, most: 1.25 });
  }
  const rate = (one: Standing): number => medianOf(one, '100 x 10', rateOf);
  row('T3', 'rate, 100 x 10', coap, mosquitto, rate, { show: perSecond, least: 6 });
  row('T3', 'rate, 100 x 10', coap, nodeCoap, rate, { show: perSecond, least: 20 });
  const bestTcp = best(stood, (one) => isPeer(one) && one.kind.over !== 'CoAP', cpu('even'))?.one;
  row('T4', 'CPU per delivery, even', ws, bestTcp, cpu('even'), { show: us, most: 0.95 });
  for (const shape of ['100 x 10', '1 x 100'] as const)
    row('T5', `CPU per delivery, ${shape}`, ws, nats, cpu(shape), { show: us, most: 1 });
  return rows;
}

const figuresOf = (stood: readonly Standing[]): unknown =>
  stood.map(({ kind, rounds, rssMib }) => ({
    ...{ name: kind.name, over: kind.over, version: kind.version(), rssMib },
    rounds: Object.fromEntries(
      [...rounds].map(([shape, taken]) => [
        shape,
        taken.map(({ accounts, ...rest }) => ({
          ...rest,
          ...(accounts && { accounts: { ...accounts, dropped: Object.fromEntries(accounts.dropped) } }),
        })),
      ]),
    ),
  }));

function plotsOf(stood: readonly Standing[]): Record<string, string> {
  const names = (shapes: readonly Shape[]): readonly Standing[] =>
    stood.filter(({ kind }) => shapes.some((shape) => shapesOf(kind).includes(shape)));
  const plot = (title: string, axis: string, shapes: readonly Shape[], figure: (round: Round) => number): string => {
    const shown = names(shapes);
    const series = shapes.map((shape) => ({ name: shape, values: shown.map((one) => medianOf(one, shape, figure)) }));
    const value = { name: axis, isLogarithmic: true };
    return dots(
      title,
      value,
      shown.map(({ kind }) => kind.name),
      series,
    );
  };
  return {
    'fanout-cpu': plot('Broker CPU per delivery', 'microseconds', SHAPES, perDeliveryUs),
    'fanout-age': plot('Age, 99th percentile', 'microseconds', ['even', 'burst'], ({ pumped }) => pumped.ageUs.p99),
    'fanout-rate': plot('Deliveries, saturated', 'a second', ['100 x 10', '1 x 100'], rateOf),
  };
}
