/** What /metrics tells of the broker: integers that others count, read when Prometheus asks. */
import type { Broker } from './broker.js';
import type { Metrics, Reading } from './metrics.js';
import type { HistoryLog } from './store/history-log.js';

export function exposeFigures(broker: Broker): void {
  const { metrics, quotas, subscriptions, sessions, commands, resources, sources, snapshots, archives, wheel } = broker;
  metrics.counter('gridcast_answers_total', 'Answers to requests, by status', ['status'], () =>
    counted(broker.dispatcher.answers, 'status'),
  );
  const { ended } = broker.router;
  const ofRoutes = (figure: keyof typeof ended): number =>
    ended[figure] + sum(resources.allRoutes(), (route) => route[figure]);

  metrics.counter('gridcast_samples_published_total', 'Samples taken in', [], () => [[{}, ofRoutes('published')]]);
  metrics.counter('gridcast_samples_refused_total', 'Samples that nobody was offered', ['reason'], () => [
    [{ reason: 'duplicate' }, ofRoutes('duplicates')],
    [{ reason: 'out-of-order' }, ofRoutes('outOfOrder')],
  ]);
  metrics.counter(
    'gridcast_source_clock_steps_total',
    'Sources whose clock stepped back beyond the lag limit',
    [],
    () => [[{}, ofRoutes('clockSteps')]],
  );
  metrics.gauge('gridcast_passive_resources', 'Idle resources that are rows, each with all below it', [], () => [
    [{}, resources.tree.passive.count],
  ]);
  metrics.gauge('gridcast_passive_bytes', 'Memory of the rows and of what finds them', [], () => [
    [{}, resources.tree.passive.bytes],
  ]);
  metrics.counter('gridcast_deliveries_total', 'received = delivered + decimated + dropped + held', ['outcome'], () => {
    const { ended } = subscriptions;
    let [received, delivered, decimated, held] = [ended.received, ended.delivered, ended.decimated, 0];
    for (const account of subscriptions.accounts()) {
      received += account.received;
      delivered += account.delivered;
      decimated += account.decimated;
      held += account.held;
    }
    return [
      [{ outcome: 'received' }, received],
      [{ outcome: 'delivered' }, delivered],
      [{ outcome: 'decimated' }, decimated],
      [{ outcome: 'held' }, held],
    ];
  });
  metrics.counter(
    'gridcast_dropped_total',
    'Samples of an asked cadence that did not reach a subscriber',
    ['reason'],
    () => {
      const dropped = new Map(subscriptions.ended.dropped);
      for (const account of subscriptions.accounts()) {
        for (const [reason, count] of Object.entries(account.dropped))
          dropped.set(reason, (dropped.get(reason) ?? 0) + count);
      }
      return [...dropped].map(([reason, count]): Reading => [{ reason }, count]);
    },
  );
  const byClass = (figure: 'timed' | 'late') => (): Reading[] =>
    broker.router.classes.map((row): Reading => [{ class: row.latencyClass }, row[figure]]);
  metrics.counter(
    'gridcast_deliveries_timed_total',
    'Offers to subscribers of samples whose age is known, by latency class',
    ['class'],
    byClass('timed'),
  );
  metrics.counter(
    'gridcast_deliveries_late_total',
    'Of these, older than the deadline of the class',
    ['class'],
    byClass('late'),
  );
  metrics.gauge('gridcast_subscriptions', 'Subscriptions that stand', [], () => [[{}, subscriptions.population.size]]);
  metrics.counter('gridcast_subscription_endings_total', 'Subscriptions that are over, by reason', ['ending'], () =>
    counted(subscriptions.endings, 'ending'),
  );
  metrics.gauge('gridcast_endpoints', 'Connected endpoints', [], () => [[{}, sessions.population.size]]);
  metrics.counter('gridcast_endpoint_endings_total', 'Endpoints that are gone, by reason', ['ending'], () =>
    counted(sessions.endings, 'ending'),
  );
  metrics.gauge('gridcast_endpoints_detached', 'Sessions that wait for their peer to come back', [], () => [
    [{}, sessions.detached.size],
  ]);
  metrics.counter('gridcast_endpoints_resumed_total', 'Sessions whose peer came back', [], () => [
    [{}, sessions.resumed],
  ]);
  metrics.counter('gridcast_connections_lost_total', 'Connections that broke under their session', ['cause'], () =>
    counted(sessions.losses, 'cause'),
  );
  metrics.counter('gridcast_command_outcomes_total', 'Commands by outcome', ['state'], () =>
    counted(commands.outcomes, 'state'),
  );
  metrics.gauge('gridcast_resources', 'Resources that others have created, subscriptions apart', [], () => [
    [{}, quotas.resources],
  ]);
  metrics.counter('gridcast_quota_refusals_total', 'Requests refused as a limit was reached', ['limit'], () =>
    counted(quotas.refusals, 'limit'),
  );
  exposeAlarms(broker);
  exposeAccess(broker);
  metrics.gauge('gridcast_sources', 'PMU streams by state', ['source', 'state'], () =>
    [...sources.figures()].map(({ name, state }): Reading => [{ source: name, state }, 1]),
  );
  metrics.counter('gridcast_source_frames_total', 'Data frames of each PMU stream', ['source'], () =>
    [...sources.figures()].map(({ name, health }): Reading => [{ source: name }, health?.dataFrames ?? 0]),
  );
  metrics.counter('gridcast_source_missing_total', 'Slots of each PMU stream that brought no frame', ['source'], () =>
    [...sources.figures()].map(({ name, health }): Reading => [{ source: name }, health?.missingSlots ?? 0]),
  );
  metrics.counter(
    'gridcast_source_unread_total',
    'Datagrams of PMUs that send unasked which found the receive buffer full, by the address they are sent to',
    ['at'],
    () => Array.from(sources.unread(), ([at, datagrams]): Reading => [{ at }, datagrams]),
  );
  metrics.counter('gridcast_snapshots_total', 'Sets and samples of each group', ['group', 'figure'], () =>
    [...snapshots.figures()].flatMap(([group, figures]) =>
      Object.entries(figures).map(([figure, count]): Reading => [{ group, figure }, count]),
    ),
  );
  if (archives.log) exposeHistory(metrics, archives.log);
  metrics.gauge('gridcast_deadlines', 'Leases, deadlines and holds on the timer wheel', [], () => [[{}, wheel.size]]);
}

function exposeHistory(metrics: Metrics, log: Pick<HistoryLog<never>, 'lost' | 'waiting'>): void {
  metrics.gauge('gridcast_history_waiting', 'Instances that wait to be written to the disk', [], () => [
    [{}, log.waiting],
  ]);
  metrics.counter(
    'gridcast_history_lost_total',
    'Instances not kept, as the disk took nothing for too long',
    [],
    () => [[{}, log.lost]],
  );
}

function exposeAccess({ metrics, access }: Broker): void {
  const { refusals } = access.audit;
  metrics.counter('gridcast_requests_refused_total', 'Requests refused for want of rights', ['status'], () =>
    counted(refusals.counts, 'status'),
  );
  metrics.counter(
    'gridcast_refusals_summed_total',
    'Of these, told in the audit trail by their number only',
    [],
    () => [[{}, refusals.summed]],
  );
}

function exposeAlarms({ metrics, alarms }: Broker): void {
  const byPriority = (counts: readonly number[]): Reading[] =>
    counts.map((count, index) => [{ priority: String(index + 1) }, count]);
  metrics.gauge('gridcast_alarms', 'Alarms that are kept, by state and priority', ['state', 'priority'], () => {
    const counts = new Map<string, number>();
    for (const { alarm } of alarms.all()) {
      const key = `${alarm.state} ${alarm.priority}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    return [...counts].map(([key, count]): Reading => {
      const [state = '', priority = ''] = key.split(' ');
      return [{ state, priority }, count];
    });
  });
  metrics.counter('gridcast_alarm_reports_total', 'Reports of alarms by what they came to', ['outcome'], () =>
    Object.entries(alarms.outcomes).map(([outcome, count]): Reading => [{ outcome }, count]),
  );
  metrics.gauge('gridcast_alarm_reports_waiting', 'Reports that have come to nothing yet', ['priority'], () =>
    byPriority(alarms.waiting),
  );
  const { figures } = alarms.places.pump;
  metrics.counter(
    'gridcast_alarm_deliveries_total',
    'To all subscribers: offered = told + conflated + dropped + pending',
    ['outcome'],
    () => Object.entries(figures).map(([outcome, count]): Reading => [{ outcome }, count as number]),
  );
  metrics.gauge('gridcast_alarm_deliveries_pending', 'Changes that wait for subscribers', ['priority'], () =>
    byPriority(alarms.places.pending),
  );
  metrics.gauge('gridcast_alarms_unwritten', 'Alarms that were told and could not be written to disk', [], () => [
    [{}, alarms.journal.owed],
  ]);
}

function sum<Row>(rows: Iterable<Row>, figure: (row: Row) => number): number {
  let total = 0;
  for (const row of rows) total += figure(row);
  return total;
}

const counted = (counts: ReadonlyMap<string, number>, label: string): Reading[] =>
  [...counts].map(([name, count]) => [{ [label]: name }, count]);
