/**
 * Observing over plain HTTP, as ETSI has it: a channel to be notified on, a subscription that names it, and a poll that the
 * broker holds until there is something to tell [TS 102 921 10.37].
 *
 *     POST notificationChannels ──> contactURI, longPollingURI
 *     POST .../subscriptions (contact = contactURI)
 *     GET longPollingURI ──> 200 notify | 202 nothing yet      again and again
 *     DELETE both
 *
 * A channel of its own for each observation: a slow one delays no other.
 */
import { parseTime } from '../clock.js';
import { STATUSES, type Status } from '../errors.js';
import type { Json, JsonObject } from '../routing/primitive.js';
import {
  jsonOf,
  member,
  type ClientRequest,
  type ClientResponse,
  type Notification,
  type ObserveTerms,
} from './client.js';
import { GridcastError } from './error.js';
import { pathAndQuery, type Target } from './target.js';

/** The first segment of every path: the broker's sclBase. */
const SCL_BASE = '/m2m';
/** The broker holds a poll for 60 s at most; an answer later than that comes from nobody. */
const POLL_PATIENCE_MS = 90_000;

/** What an observation needs of the HTTP client. */
export interface Poller {
  request(request: ClientRequest): Promise<ClientResponse>;
  /** Creates something that lasts as long as an observation: `discard` deletes it, or the client's end. */
  make(request: Omit<ClientRequest, 'op'>): Promise<ClientResponse>;
  /** Deletes what `make` has made, the newest first. That it is gone already, or the broker is, is no fault. */
  discard(paths: readonly string[]): Promise<void>;
}

/** Yields what the channel brings; the subscription and the channel are deleted when the iteration ends. */
export async function* pollNotifications(
  client: Poller,
  target: Target,
  terms: ObserveTerms,
): AsyncGenerator<Notification, void, undefined> {
  const { signal } = terms;
  const made: string[] = [];
  const make = async (to: string, body: JsonObject): Promise<Json | undefined> => {
    const response = await client.make({ to, body, ...(signal && { signal }) });
    if (response.location !== undefined) made.push(response.location);
    return jsonOf(response.bytes);
  };
  try {
    const channel = await make(`${SCL_BASE}/notificationChannels`, {
      notificationChannel: { channelType: 'LONG_POLLING' },
    });
    const contact = text(channel, 'notificationChannel', 'contactURI');
    const poll = text(channel, 'notificationChannel', 'channelData', 'longPollingURI');
    await make(...subscriptionTo(target, contact, terms));
    for (;;) {
      const response = await client.request({
        op: 'retrieve',
        to: poll,
        timeoutMs: POLL_PATIENCE_MS,
        ...(signal && { signal }),
      });
      if (response.status === 'STATUS_OK') yield* notificationsOf(jsonOf(response.bytes), terms);
    }
  } finally {
    await client.discard(made);
  }
}

const TERMS: readonly string[] = ['rate', 'class', 'method'];

/** What is subscribed to: the collection, and which attribute of it [TS 102 690 9.2.3.8]. */
function subscriptionTo(target: Target, contact: string, terms: ObserveTerms): [to: string, body: JsonObject] {
  const [resource, told] = split(target.path);
  const { query } = target;
  const isCondition = (name: string): boolean => name === 'field' || name.startsWith('c.');
  const unknown = [...query.keys()].filter((name) => !TERMS.includes(name) && !isCondition(name));
  // Left out in silence it would be a stream of another rate than was asked for.
  if (unknown.length > 0) {
    const detail = `A subscription over HTTP takes ${TERMS.join(', ')}, field and c.*, not ${unknown.join(', ')}.`;
    throw new GridcastError('argument', detail);
  }
  const [rate, latencyClass] = [terms.rate ?? query.get('rate'), terms.class ?? query.get('class')];
  const inQuery = new URLSearchParams([...query].filter(([name]) => isCondition(name))).toString();
  const [conditions, method] = [terms.conditions ?? inQuery, terms.method ?? query.get('method')];
  return [
    pathAndQuery({ path: `${resource}/subscriptions`, query: new URLSearchParams() }),
    {
      subscription: {
        contact,
        ...(terms.accept !== undefined && { accept: terms.accept }),
        ...(rate !== null && { rate: Number(rate) }),
        ...(latencyClass !== null && { latencyClass }),
        ...(conditions !== '' && { conditions }),
        ...(method !== null && { method }),
        ...told,
      },
    },
  ];
}

/**
 * `.../contentInstances/latest/content` is the attribute `latest/content` of `.../contentInstances`; what stands before the first `*`
 * is where a pattern is subscribed to.
 */
function split(path: string): [resource: string, told: JsonObject] {
  const [, anchor, pattern] = /^(.*?)\/(\*\/.+)$/.exec(path) ?? [];
  if (anchor !== undefined && pattern !== undefined) return [anchor, { pattern }];
  const [, resource, attributeAccessor] = /^(.*\/contentInstances)\/(.+)$/.exec(path) ?? [];
  if (resource === undefined || attributeAccessor === undefined) return [path.replace(/\/$/, ''), {}];
  return [resource, { filterCriteria: { attributeAccessor } }];
}

/** One, or what of a pattern's members comes together. */
function* notificationsOf(
  document: Json | undefined,
  { routed }: ObserveTerms,
): Generator<Notification, void, undefined> {
  const collection = member(document, 'notifyCollection', 'notify');
  const notifies: readonly (Json | undefined)[] = Array.isArray(collection) ? collection : [member(document, 'notify')];
  for (const notify of notifies) {
    const path = member(notify, 'path');
    const isOver = member(notify, 'statusCode') !== 'STATUS_OK';
    if (isOver && typeof path === 'string') routed?.({ path, isOpen: false, reason: text(notify, 'reason') });
    else yield notificationOf(notify);
  }
}

function notificationOf(notify: Json | undefined): Notification {
  const status = text(notify, 'statusCode');
  if (status !== 'STATUS_OK') {
    const reason = member(notify, 'reason');
    const known = Object.hasOwn(STATUSES, status) ? (status as Status) : undefined;
    throw new GridcastError(
      'refused',
      typeof reason === 'string' ? reason : `The subscription has ended: ${status}.`,
      known,
    );
  }
  const representation = member(notify, 'representation');
  const inText = member(representation, 'textContent');
  const time = member(notify, 'time');
  const timeUs = typeof time === 'string' ? parseTime(time) : undefined;
  const from = member(notify, 'path');
  return {
    mediaType: text(representation, 'contentType'),
    body:
      typeof inText === 'string' ? Buffer.from(inText) : Buffer.from(text(representation, 'binaryContent'), 'base64'),
    missed: Number(member(notify, 'missed') ?? 0),
    ...(timeUs !== undefined && { timeUs }),
    ...(typeof from === 'string' && { from }),
  };
}

function text(json: Json | undefined, ...names: readonly string[]): string {
  const value = member(json, ...names);
  if (typeof value === 'string') return value;
  throw new GridcastError('protocol', `The broker’s answer has no text in ${names.join('.')}.`);
}
