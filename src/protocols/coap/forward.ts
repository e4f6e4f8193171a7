/** Requests to applications at `coap:`, each confirmable and from a socket of its own, answered as they answer. */
import { lookup } from 'node:dns/promises';
import { coapCode, reasonOf, statusOfCode } from '../../errors.js';
import type { Network } from '../../network.js';
import { FORMATS, formatOfCoap, formatOfMediaType } from '../../routing/format.js';
import type { Forwarder } from '../../routing/forward.js';
import { answer, type Operation, type Request } from '../../routing/primitive.js';
import { CoapClient, isFailure, type CoapRequest, type CoapResponse } from './client.js';
import { Endpoint, type EndpointOptions } from './endpoint.js';
import { CODE } from './message.js';
import { OPTION, uintOption } from './options.js';

const DEFAULT_PORT = 5683;
const CODES: Readonly<Record<Operation, number>> = {
  create: CODE.post,
  retrieve: CODE.get,
  update: CODE.put,
  delete: CODE.delete,
  notify: CODE.post,
};

export const coapForwarder =
  (network: Network, options: Omit<EndpointOptions, 'socket'>): Forwarder =>
  async (to, request, timeoutMs) => {
    let endpoint: Endpoint | undefined;
    try {
      const { address, family } = await lookup(to.hostname.replace(/^\[(.*)\]$/, '$1'));
      const socket = await network.bindUdp({ host: family === 6 ? '::' : '0.0.0.0', port: 0 });
      endpoint = new Endpoint({ ...options, socket });
      const at = { host: address, port: Number(to.port) || DEFAULT_PORT };
      const response = await new CoapClient(endpoint).request(at, requestOf(to, request), { timeoutMs });
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

function responseOf({ code, options, payload }: CoapResponse) {
  const number = uintOption(options, OPTION.contentFormat);
  const format = number === undefined ? FORMATS.text : (formatOfCoap(number) ?? FORMATS.octets);
  // A success has the code of what was asked for [TS 102 921]: 2.02, 2.04 and 2.05 are one status.
  const isDone = code === coapCode(2, 2) || code === coapCode(2, 4);
  return answer(isDone ? 'STATUS_OK' : statusOfCode('coap', code), {
    ...(payload.length > 0 && { content: { kind: 'bytes', mediaType: format.mediaType, bytes: payload } as const }),
  });
}
