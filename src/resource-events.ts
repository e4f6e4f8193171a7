/** What else in the broker has to know when resources come, change and go. */
import type { Access } from './actors/access.js';
import type { AlarmRules } from './actors/alarm-rules.js';
import type { Alarms } from './actors/alarms.js';
import type { Archives } from './actors/archives.js';
import type { Passivation } from './actors/passivation.js';
import type { Patterns } from './actors/patterns.js';
import type { ResourceMessage } from './actors/resource.js';
import type { ResourceEvents, Resources } from './actors/resources.js';
import type { Snapshots } from './actors/snapshots.js';
import type { SubscriptionResources } from './actors/subscription-resources.js';
import type { Subscriptions } from './actors/subscriptions.js';
import type { Population } from './kernel/population.js';
import type { Sources } from './sources.js';

export interface Concerned {
  readonly access: Access;
  readonly alarms: Alarms;
  readonly archives: Archives;
  readonly passivation: Passivation;
  readonly population: Population<ResourceMessage>;
  readonly resources: Resources;
  readonly rules: AlarmRules;
  readonly patterns: Patterns;
  readonly shown: SubscriptionResources;
  readonly snapshots: Snapshots;
  readonly sources: Sources;
  readonly subscriptions: Subscriptions;
}

export const resourceEvents = (parts: Concerned): ResourceEvents => ({
  activated: (node, changedUs) => parts.passivation.woke(node, changedUs),
  created: (node) => {
    parts.passivation.came(node);
    parts.snapshots.changed(node);
    if (node.type === 'subscription') return parts.shown.open(node);
    if (node.type === 'application') return parts.sources.attach(node);
    if (node.row.isContainer) {
      parts.alarms.places.adopt(node);
      parts.rules.apply(node);
      return parts.archives.attach(node);
    }
    return undefined;
  },
  updated: (node) => {
    parts.snapshots.changed(node);
    if (node.row.isContainer) parts.archives.retain(node);
    if (node.type === 'application') parts.sources.reattach(node);
    if (node.row.isContainer) parts.rules.apply(node);
  },
  written: (node, before, by) => {
    parts.access.written(node, before, by);
    parts.patterns.changed(node);
  },
  rated: (contentInstances) => {
    parts.subscriptions.rerate(contentInstances);
    if (contentInstances.parent) parts.patterns.changed(contentInstances.parent);
    parts.snapshots.rated(contentInstances);
  },
  removed: (node, ending, by) => {
    parts.access.removed(node, by);
    parts.snapshots.removed(node, ending);
    const channel = parts.resources.channelOf(node);
    if (channel) parts.shown.closeChannel(channel);
    if (node.type === 'subscription') parts.shown.close(node, ending);
    if (node.type === 'group') parts.shown.closeAggregates(node);
    if (node.type === 'application') {
      parts.sources.detach(node);
      parts.alarms.applicationGone(node.reference);
    }
    if (node.row.isContainer) {
      parts.rules.drop(node);
      parts.alarms.places.leave(node);
    }
    parts.subscriptions.closeRoute(node, ending);
    if (node.type === 'contentInstances') parts.archives.detach(node);
    parts.population.end(node.reference);
  },
});
