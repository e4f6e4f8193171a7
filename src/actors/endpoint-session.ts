/** What a binding holds of an endpoint: its session. */
import { isRefusal, refuse, type Refusal } from '../errors.js';
import type { Cell } from '../kernel/cell.js';
import { readWord } from '../routing/command.js';
import type { Delivery } from '../routing/delivery.js';
import type { Ending } from '../routing/endings.js';
import type { PatternSubscription, RouteSink } from '../routing/pattern.js';
import type { JsonObject, Request, Response } from '../routing/primitive.js';
import type { ReliableKind, Session, Subscribed } from '../routing/site.js';
import type { Terms } from '../routing/terms.js';
import type { Alarms } from './alarms.js';
import type { Connected, EndpointMessage } from './endpoint.js';

/** Messages to the endpoint's actor, and words straight to those they are for. */
export class EndpointSession implements Session {
  constructor(
    private readonly endpoint: Connected,
    private readonly cell: Cell<EndpointMessage>,
    private readonly alarms: Alarms,
    private readonly lost: (cause: Ending) => void,
  ) {}

  get id(): string {
    return this.endpoint.id;
  }

  request(request: Request): Promise<Response> {
    return this.endpoint.options.dispatcher.dispatch(request, this.id);
  }

  subscribe(request: Request, terms: Terms): Promise<Subscribed | Response> {
    return new Promise((reply) => this.cell.tell({ type: 'SUBSCRIBE', request, terms, reply }));
  }

  open(delivery: Delivery): void {
    this.cell.tell({ type: 'OPEN', delivery });
  }

  subscribePattern(request: Request, terms: Terms, sink: RouteSink): Promise<PatternSubscription | Response> {
    return new Promise((reply) => this.cell.tell({ type: 'SUBSCRIBE_PATTERN', request, terms, sink, reply }));
  }

  unsubscribe(delivery: Delivery, ending: Ending): void {
    this.cell.tell({ type: 'UNSUBSCRIBE', delivery, ending });
  }

  acknowledge(seq: number): void {
    this.cell.tell({ type: 'ACKNOWLEDGE', seq });
  }

  receive(kind: ReliableKind, body: JsonObject): Promise<Refusal | undefined> {
    return kind === 'alarm' ? this.alarms.word(this.endpoint.peer, body) : Promise.resolve(this.hear(kind, body));
  }

  close(ending: Ending): void {
    this.cell.tell({ type: 'CLOSE', ending });
  }

  detach(cause: Ending, isWanted: boolean): void {
    this.lost(cause);
    this.cell.tell({ type: 'DETACH', cause, isWanted });
  }

  resume(): void {
    this.cell.tell({ type: 'RESUME' });
  }

  private hear(kind: ReliableKind, body: JsonObject): Refusal | Promise<Refusal | undefined> {
    if (kind !== 'outcome') {
      return refuse(
        'STATUS_NOT_IMPLEMENTED',
        `A ${kind} is created in the tree, not sent on the reliable lane; a device sends "outcome" and "alarm".`,
      );
    }
    const word = readWord(body);
    return isRefusal(word) ? word : this.endpoint.commands.word(this.endpoint.peer, word);
  }
}
