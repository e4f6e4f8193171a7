/**
 * What becomes of commands, told: to the issuer, on his session or another one until he has it, and in the container.
 *
 *     state ──> container, its observers
 *       └─────> issuer's session ── acknowledged ──> known to be told: noted in the row
 *                    └── he is away ──> when a session of his begins, over a restart as well
 */
import type { Clock } from '../clock.js';
import type { ReliableBody, ReliableKind } from '../routing/site.js';
import type { Store } from '../store/store.js';
import { instanceIdOf, isOver, outcomeDocument, rowOf, stateOf, type CommandRecord } from './command-record.js';
import type { CommandWindow } from './command-window.js';
import type { Resources } from './resources.js';

/** Sends on the reliable lane of whoever is meant; false when nobody is there. */
export interface Lanes {
  /** @param acknowledged called once the peer has it; never where its session ends before */
  toDevice(application: string, kind: ReliableKind, body: ReliableBody, acknowledged?: () => void): boolean;
  toIssuer(
    issuer: string,
    session: string | undefined,
    kind: ReliableKind,
    body: ReliableBody,
    acknowledged?: () => void,
  ): boolean;
  toSession(session: string, kind: ReliableKind, body: ReliableBody): boolean;
  hasDevice(application: string): boolean;
}

export interface OutcomesOptions {
  readonly resources: Resources;
  readonly clock: Clock;
  readonly store: Store;
  readonly lanes: Pick<Lanes, 'toIssuer' | 'toSession'>;
}

export class CommandOutcomes {
  /** By issuer: commands of whose newest state he is not known to have heard. */
  private readonly untold = new Map<string, Set<CommandRecord>>();

  constructor(
    private readonly options: OutcomesOptions,
    private readonly window: CommandWindow,
  ) {}

  /** A session of this originator has begun or ended: what he was not told, or was told there, is told again. */
  tellAll(originator: string): void {
    for (const record of [...(this.untold.get(originator) ?? [])]) this.tell(record);
  }

  /** It is remembered no more. */
  forget(record: CommandRecord): void {
    const records = this.untold.get(record.issuer);
    if (records?.delete(record) && records.size === 0) this.untold.delete(record.issuer);
  }

  /** Of states that he acts upon, or waits for: they are told until he has them. */
  note(record: CommandRecord): void {
    const state = stateOf(record);
    if (record.told >= record.states.length || (state !== 'selected' && !isOver(state))) return;
    const records = this.untold.get(record.issuer) ?? new Set();
    this.untold.set(record.issuer, records.add(record));
  }

  tell(record: CommandRecord): void {
    const { issuer, session, states } = record;
    const count = states.length;
    const heard = (): void => this.told(record, count);
    const { lanes } = this.options;
    const outcome = outcomeDocument(record);
    lanes.toIssuer(issuer, session, 'outcome', outcome, heard);
    for (const other of record.others ?? []) lanes.toSession(other, 'outcome', outcome);
  }

  private told(record: CommandRecord, count: number): void {
    if (count <= record.told) return;
    record.told = count;
    if (count < record.states.length) return;
    if (!this.untold.get(record.issuer)?.has(record)) return;
    this.forget(record);
    // While a newer state is being journalled its row comes after this one's.
    if (record.isWriting || this.window.get(record.key) !== record) return;
    const changes = [{ table: 'command', key: record.key, row: rowOf(record) }] as const;
    this.options.store.write({ changes, durability: 'grouped' }, () => {});
  }

  /** The newest state takes the place of the one before, in the container and at its observers. */
  publish(record: CommandRecord): void {
    const { resources, clock } = this.options;
    const contentInstances = resources.tree.nodeAt(record.path);
    const history = contentInstances?.history;
    if (!history) return;
    const instanceId = instanceIdOf(record);
    const standing = history.find(instanceId);
    if (standing) history.delete(standing, clock.wallUs());
    resources.tell(contentInstances, instanceId, outcomeDocument(record));
  }
}
