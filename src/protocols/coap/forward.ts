/** Requests to applications at `coap:`, each confirmable and from a socket of its own, answered as they answer. */
import { lookup } from 'node:dns/promises';
import { coapCode, isRefusal, reasonOf, refuse, statusOfCode, type Refusal } from '../../errors.js';
import type { Network } from '../../network.js';
import { FORMATS, formatOfCoap, formatOfMediaType } from '../../routing/format.js';
import { passedOn, type Forwarder } from '../../routing/forward.js';
import { answer, refused, type Operation, type Request } from '../../routing/primitive.js';
import { CoapClient, isFailure, type CoapRequest, type CoapResponse } from './client.js';
import { Endpoint, type EndpointOptions } from './endpoint.js';
import { CODE } from './message.js';
import { firstOf, OPTION, option, uintOption, type Option } from './options.js';

const DEFAULT_PORT = 5683;
/** [RFC7252-5.10] */
const LONGEST_ETAG = 8;
const CODES: Readonly<Record<Operation, number>> = {
  create: CODE.post,
  retrieve: CODE.get,
  update: CODE.put,
  delete: CODE.delete,
  notify: CODE.post,
};

export const coapForwarder =
  (network: Network, self: string, options: Omit<EndpointOptions, 'socket'>): Forwarder =>
  async (to, request, timeoutMs) => {
    let endpoint: Endpoint | undefined;
    const conditions = conditionsOf(request);
    const via = passedOn(request, self).map((name) => option(OPTION.via, name));
    if (isRefusal(conditions)) return refused(conditions);
    try {
      const { address, family } = await lookup(to.hostname.replace(/^\[(.*)\]$/, '$1'));
      const socket = await network.bindUdp({ host: family === 6 ? '::' : '0.0.0.0', port: 0 });
      endpoint = new Endpoint({ ...options, socket });
      const at = { host: address, port: Number(to.port) || DEFAULT_PORT };
      const response = await new CoapClient(endpoint).request(
        at,
        { ...requestOf(to, request), options: [...conditions, ...via] },
        { timeoutMs },
      );
      return isFailure(response)
        ? answer('STATUS_GATEWAY_TIMEOUT', { detail: `${to.host} did not answer: ${response.failure}.` })
        : responseOf(response);
    } catch (error) {
      return answer('STATUS_BAD_GATEWAY', { detail: `${to.host} is not reached: ${reasonOf(error)}.` });
    } finally {
      endpoint?.close();
    }
  };

function requestOf(to: URL, { op, body, accept }: Request): CoapRequest {
  const wanted = accept.map(formatOfMediaType).find((format) => format !== undefined);
  return {
    code: CODES[op],
    path: to.pathname.split('/').slice(1).map(decodeURIComponent),
    query: [...to.searchParams].map(([name, value]) => `${name}=${value}`),
    ...(wanted && { accept: wanted.coap }),
    ...(body && {
      contentFormat: (formatOfMediaType(body.mediaType) ?? FORMATS.octets).coap,
      payload: body.bytes,
    }),
  };
}

/** They are for the application to hold against its own state. CoAP has no dates: a read goes on without one, a write must not. */
function conditionsOf({
  op,
  ifMatch = [],
  ifNoneMatch = [],
  ifUnmodifiedSinceUs,
}: Request): readonly Option[] | Refusal {
  if (ifUnmodifiedSinceUs !== undefined && ifMatch.length === 0)
    return refuse('STATUS_PRECONDITION_FAILED', 'If-Unmodified-Since cannot be asked over CoAP; use If-Match.');
  const tags = op === 'retrieve' ? ifNoneMatch.filter((tag) => tag !== '*') : [];
  if (op !== 'retrieve' && ifNoneMatch.some((tag) => tag !== '*'))
    return refuse('STATUS_PRECONDITION_FAILED', 'If-None-Match names a tag, and over CoAP it can only be "*".');
  if ([...ifMatch, ...tags].some((tag) => tag.length > LONGEST_ETAG))
    return refuse('STATUS_PRECONDITION_FAILED', `An entity tag over CoAP has at most ${LONGEST_ETAG} bytes.`);
  return [
    ...ifMatch.map((tag) => option(OPTION.ifMatch, tag === '*' ? '' : Buffer.from(tag, 'latin1'))),
    ...tags.map((tag) => option(OPTION.etag, Buffer.from(tag, 'latin1'))),
    ...(op !== 'retrieve' && ifNoneMatch.includes('*') ? [option(OPTION.ifNoneMatch, '')] : []),
  ];
}

function responseOf({ code, options, payload }: CoapResponse) {
  const number = uintOption(options, OPTION.contentFormat);
  const format = number === undefined ? FORMATS.text : (formatOfCoap(number) ?? FORMATS.octets);
  // A success has the code of what was asked for [TS 102 921]: 2.02, 2.04 and 2.05 are one status.
  const isDone = code === coapCode(2, 2) || code === coapCode(2, 4);
  const etag = firstOf(options, OPTION.etag);
  return answer(isDone ? 'STATUS_OK' : statusOfCode('coap', code), {
    ...(etag && { etag: Buffer.from(etag).toString('latin1') }),
    ...(payload.length > 0 && { content: { kind: 'bytes', mediaType: format.mediaType, bytes: payload } as const }),
  });
}
