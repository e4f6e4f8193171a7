/**
 * The audit trail as it grows: what has been written to it is an instance of the broker's own `audit` container, for whoever reads
 * or observes that. The trail itself is the store's; these are the last few events, in memory.
 */
import { formatTime, type Clock } from '../clock.js';
import { AUDIT_CONTAINER, BROKER_APPLICATION } from '../routing/alarm.js';
import type { AuditEvent, Store } from '../store/store.js';
import type { Resources } from './resources.js';

export class AuditFeed {
  private told = 0;

  constructor(private readonly options: { readonly resources: Resources; readonly clock: Clock }) {}

  tell(events: readonly AuditEvent[]): void {
    const { resources, clock } = this.options;
    const { id } = resources.tree.root;
    const path = [id, 'applications', BROKER_APPLICATION, 'containers', AUDIT_CONTAINER, 'contentInstances'];
    const contentInstances = resources.tree.nodeAt(path);
    if (!contentInstances) return; // somebody has deleted it
    const at = formatTime(clock.wallUs());
    for (const { event, originator, target, details } of events)
      resources.tell(contentInstances, `${at}-${++this.told}`, {
        at,
        event,
        originator,
        target,
        ...(details && { details }),
      });
  }
}

/** A store that tells of the audit events it has taken. */
export const audited = (store: Store, taken: (events: readonly AuditEvent[]) => void): Store => ({
  get trouble() {
    return store.trouble;
  },
  write(writing, done) {
    store.write(writing, (refusal) => {
      done(refusal);
      if (!refusal && writing.audit && writing.audit.length > 0) taken(writing.audit);
    });
  },
  open: () => store.open(),
  provide: (table, rows) => store.provide(table, rows),
  onTrouble: (listener) => store.onTrouble(listener),
  close: () => store.close(),
});
