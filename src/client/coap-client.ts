/**
 * The CoAP client: one UDP socket of its own, on the same message layer that the broker answers with.
 *
 * What a CoAP publisher does besides, sending samples without waiting, is `publish`.
 */
import { lookup } from 'node:dns/promises';
import { systemClock, type Clock } from '../clock.js';
import { coapCode } from '../errors.js';
import { silentLog } from '../log.js';
import { systemNetwork, type Address, type Network } from '../network.js';
import {
  CoapClient as Asking,
  isFailure,
  type CoapFailure,
  type CoapRequest,
  type CoapResponse,
  type Patience,
} from '../protocols/coap/client.js';
import { Endpoint } from '../protocols/coap/endpoint.js';
import { CODE, codeText } from '../protocols/coap/message.js';
import { Observation, type ObservationEnding, type ObservationFigures } from '../protocols/coap/observation.js';
import { OPTION, uintOption, valuesOf, type Option } from '../protocols/coap/options.js';
import type { Congestion } from '../protocols/coap/parameters.js';
import { systemRandom, type Random } from '../random.js';
import { formatOfCoap, formatOfMediaType } from '../routing/format.js';
import {
  bytesOf,
  DEFAULT_TIMEOUT_MS,
  FAREWELL_MS,
  type Client,
  type ClientOptions,
  type ClientRequest,
  type ClientResponse,
  type Notification,
  type ObserveTerms,
  type RequestBody,
} from './client.js';
import { GridcastError, reasonOf } from './error.js';
import { iterate } from './inbox.js';
import { measuredUsOf } from './reading.js';
import { refusalOf, statusOf } from './refusal.js';
import { authority, resolve, type Target } from './target.js';

export interface CoapClientOptions extends ClientOptions {
  readonly network?: Network;
  readonly random?: Random;
  /** Must be the broker's. Default `standard`. */
  readonly congestion?: Congestion;
}

const CODES = { create: CODE.post, retrieve: CODE.get, update: CODE.put, delete: CODE.delete } as const;
const OCTETS = 'application/octet-stream';

export class CoapClient implements Client {
  readonly binding = 'coap';
  private readonly observations = new Set<Observation>();

  private isClosed = false;

  private constructor(
    private readonly base: Target,
    private readonly address: Address,
    private readonly asking: Asking,
    private readonly token: string | undefined,
  ) {}

  /**
   * Binds a UDP port; the broker hears of it with the first request, or with the token. Throws `unreachable` for a name without an
   * address, `refused` for a token that is not taken.
   */
  static async open(base: Target, options: CoapClientOptions = {}): Promise<CoapClient> {
    const { clock = systemClock, network = systemNetwork, random = systemRandom, congestion = 'standard' } = options;
    const { address, family } = await lookup(base.host).catch((error: unknown) => {
      throw new GridcastError('unreachable', `There is no address for ${base.host}: ${reasonOf(error)}.`);
    });
    const socket = await network.bindUdp({ host: family === 6 ? '::' : '0.0.0.0', port: 0 });
    const endpoint = new Endpoint({ socket, clock: clock satisfies Clock, random, congestion, log: silentLog });
    const client = new CoapClient(base, { host: address, port: base.port }, new Asking(endpoint), options.token);
    if (options.token !== undefined) await client.introduce();
    return client;
  }

  /** Binds this endpoint to the token [RFC9200-5.10.1]. The broker forgets it when the token expires, or after minutes of silence. */
  private async introduce(): Promise<void> {
    try {
      await this.show();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  private async show(timeoutMs = DEFAULT_TIMEOUT_MS): Promise<void> {
    const bytes = Buffer.from(this.token ?? '');
    const request = { ...this.requestOf('/authz-info', undefined, { mediaType: OCTETS, bytes }), code: CODE.post };
    const response = await this.asking.request(this.address, request, { timeoutMs });
    if (isFailure(response)) throw this.failed(response);
    read(response);
  }

  /** A broker that was started anew, or has not heard of us for minutes, knows no token any more: it is shown again, once. */
  private async again(
    request: CoapRequest,
    first: CoapResponse,
    patience: Patience,
  ): Promise<CoapResponse | CoapFailure> {
    try {
      await this.show(patience.timeoutMs);
    } catch {
      // It is not taken any more: what was said first is the answer.
      return first;
    }
    return this.asking.request(this.address, request, patience);
  }

  async request({
    op,
    to,
    accept,
    body,
    signal,
    timeoutMs = DEFAULT_TIMEOUT_MS,
  }: ClientRequest): Promise<ClientResponse> {
    signal?.throwIfAborted();
    if (this.isClosed) throw this.failed({ failure: 'closed' });
    const request = { ...this.requestOf(to, accept, body && bytesOf(body)), code: CODES[op] };
    const patience = { timeoutMs, ...(signal && { signal }) };
    const first = await this.asking.request(this.address, request, patience);
    const isUnknown = this.token !== undefined && !isFailure(first) && first.code === coapCode(4, 1);
    const response = isUnknown ? await this.again(request, first, patience) : first;
    if (!isFailure(response)) return read(response);
    signal?.throwIfAborted();
    throw this.failed(response);
  }

  /** Sends a sample in a non-confirmable and waits for nothing. False: too many messages towards this broker already. */
  publish(to: string, body: RequestBody): boolean {
    return this.asking.publish(this.address, { ...this.requestOf(to, undefined, body), code: CODE.post });
  }

  observe(to: string, terms: ObserveTerms = {}): AsyncIterableIterator<Notification> {
    return iterate((inbox) => {
      if (this.isClosed) throw this.failed({ failure: 'closed' });
      const request = { ...this.requestOf(to, terms.accept, undefined, terms), code: CODE.get };
      let lostBefore = 0;
      let isFirst = true;
      let cancelled = (): void => {};
      const observation = new Observation(this.asking, this.address, request, {
        measuredUs: ({ contentFormat, payload }) => measuredUsOf(mediaTypeOf(contentFormat), payload),
        notified: ({ payload, contentFormat, sequence, options }) => {
          // The first is the answer to the registration: the state then, of whatever slot, and not yet of the cadence.
          if (isFirst) return void (isFirst = false);
          const mediaType = mediaTypeOf(contentFormat);
          const timeUs = measuredUsOf(mediaType, payload);
          const { lost } = observation;
          const missed = Math.max(0, lost - lostBefore);
          lostBefore = lost;
          const from = locationOf(options);
          inbox.push({
            mediaType,
            body: payload,
            missed,
            sequence,
            ...(timeUs !== undefined && { timeUs }),
            ...(from !== undefined && { from }),
          });
        },
        ended: (ending, response) => {
          this.observations.delete(observation);
          inbox.fail(this.ended(ending, response));
          cancelled();
        },
      });
      this.observations.add(observation);
      return () =>
        new Promise<void>((done) => {
          if (!this.observations.has(observation)) return done();
          const stopWaiting = this.asking.endpoint.clock.after(FAREWELL_MS, () => observation.forget());
          cancelled = () => {
            stopWaiting();
            done();
          };
          observation.cancel();
        });
    }, terms.signal);
  }

  /** What came and in which state, of all observations that are open. */
  get figures(): readonly ObservationFigures[] {
    return Array.from(this.observations, ({ figures }) => figures);
  }

  close(): Promise<void> {
    this.isClosed = true;
    // The word leaves with the last flush; whether it arrives is not waited for: a notification too many meets no port.
    for (const observation of this.observations) observation.cancel();
    this.asking.endpoint.close();
    return Promise.resolve();
  }

  private requestOf(
    to: string,
    accept?: string,
    body?: RequestBody,
    terms: ObserveTerms = {},
  ): Omit<CoapRequest, 'code'> {
    const { path, query } = resolve(this.base, to);
    if (terms.rate !== undefined) query.set('rate', String(terms.rate));
    if (terms.class !== undefined) query.set('class', terms.class);
    if (terms.method !== undefined) query.set('method', terms.method);
    for (const [name, value] of new URLSearchParams(terms.conditions ?? '')) query.set(name, value);
    return {
      path: path
        .split('/')
        .filter((segment) => segment !== '')
        .map(decodeURIComponent),
      query: Array.from(query, ([name, value]) => `${name}=${value}`),
      ...(accept !== undefined && { accept: coapFormat(accept) }),
      ...(body && { contentFormat: coapFormat(body.mediaType), payload: body.bytes }),
    };
  }

  private failed({ failure }: CoapFailure): GridcastError {
    const where = authority(this.base);
    if (failure === 'closed' || failure === 'aborted')
      return new GridcastError('closed', 'This client has been closed.');
    if (failure === 'timed-out') return new GridcastError('timed-out', `${where} did not answer over CoAP.`);
    if (failure === 'reset') return new GridcastError('unreachable', `${where} rejected the message with a reset.`);
    return new GridcastError('protocol', `The exchange with ${where} failed: ${failure}.`);
  }

  private ended(ending: ObservationEnding, response: CoapResponse | undefined): GridcastError {
    if (ending === 'cancelled') return new GridcastError('closed', 'The observation has been cancelled.');
    if (ending !== 'not-observed' && ending !== 'ended-by-server') return this.failed({ failure: ending });
    if (response && response.code >= coapCode(4, 0)) return refused(response);
    return new GridcastError('protocol', `${authority(this.base)} does not let this resource be observed.`);
  }
}

const mediaTypeOf = (contentFormat: number | undefined): string =>
  contentFormat === undefined ? OCTETS : (formatOfCoap(contentFormat)?.mediaType ?? OCTETS);

function coapFormat(mediaType: string): number {
  const format = formatOfMediaType(mediaType);
  if (!format) throw new GridcastError('argument', `${JSON.stringify(mediaType)} has no number in CoAP.`);
  return format.coap;
}

function read(response: CoapResponse): ClientResponse {
  const { code, options, payload } = response;
  if (code >= coapCode(4, 0)) throw refused(response);
  const location = locationOf(options);
  return {
    // 2.04 is Changed here, and any other success an answer to a RETRIEVE or a DELETE.
    status: code === coapCode(2, 1) ? 'STATUS_CREATED' : code === coapCode(2, 3) ? 'STATUS_NOT_MODIFIED' : 'STATUS_OK',
    bytes: payload,
    ...(payload.length > 0 && { mediaType: mediaTypeOf(uintOption(options, OPTION.contentFormat)) }),
    ...(location !== undefined && { location }),
  };
}

/** Path of what was created, or of what a pattern's notification is of. */
function locationOf(options: readonly Option[]): string | undefined {
  const segments = valuesOf(options, OPTION.locationPath);
  if (segments.length === 0) return undefined;
  return segments.map((segment) => `/${encodeURIComponent(Buffer.from(segment).toString('utf8'))}`).join('');
}

function refused({ code, options, payload }: CoapResponse): GridcastError {
  const format = uintOption(options, OPTION.contentFormat);
  const error = refusalOf(statusOf('coap', code), format === undefined ? undefined : mediaTypeOf(format), payload);
  return error.status ? error : new GridcastError('refused', `${codeText(code)} ${error.message}`);
}
