/**
 * One CoAP request by node-coap: what the CLI's get, post, put and delete use, so that every day somebody asks the broker with
 * another's implementation than its own. The one import site of `coap`.
 */
import coap, { type IncomingMessage } from 'coap';
import type { ClientRequest, ClientResponse } from '../client/client.js';
import { bytesOf } from '../client/client.js';
import { GridcastError, reasonOf } from '../client/error.js';
import { refusalOf, statusOf } from '../client/refusal.js';
import { authority, parseTarget } from '../client/target.js';
import type { Clock } from '../clock.js';
import { coapCode } from '../errors.js';
import { formatOfCoap, formatOfMediaType } from '../routing/format.js';

const METHODS = { create: 'POST', retrieve: 'GET', update: 'PUT', delete: 'DELETE' } as const;
/** Block1 of 1,024 bytes, number 0: node-coap cuts what is longer. */
const FIRST_BLOCK = Buffer.of(6);
const BLOCK_BYTES = 1024;

// node-coap knows some formats by name and reads ETags as text; numbers and bytes are what is on the wire.
const asBytes = (value: unknown): Buffer => (Buffer.isBuffer(value) ? value : Buffer.from(String(value)));
coap.registerOption('ETag', asBytes, asBytes);

/** @param request its `to` is a whole coap:// URI. Throws a GridcastError as `Client.request` does. */
export function coapRequest(
  { op, to, accept, body, signal, timeoutMs = 10_000 }: ClientRequest,
  clock: Clock,
): Promise<ClientResponse> {
  const target = parseTarget(to);
  const where = authority(target);
  const sent = body && bytesOf(body);
  return new Promise((resolve, reject) => {
    // One of its own: it closes itself after the answer, and giving up closes it, retransmissions and all.
    const agent = new coap.Agent({ type: target.host.includes(':') ? 'udp6' : 'udp4' });
    const request = agent.request({
      hostname: target.host,
      port: target.port,
      method: METHODS[op],
      confirmable: true,
      ...(accept !== undefined && { accept: formatNumber(accept) }),
      ...(sent && { contentFormat: formatNumber(sent.mediaType) }),
    });
    const finish = (settle: () => void): void => {
      cancel();
      signal?.removeEventListener('abort', abort);
      request.removeAllListeners('response');
      settle();
    };
    const giveUp = (reason: unknown): void => {
      agent.close();
      finish(() => reject(reason));
    };
    const abort = (): void => giveUp(signal?.reason);
    const cancel = clock.after(timeoutMs, () =>
      giveUp(new GridcastError('timed-out', `${where} did not answer over CoAP within ${timeoutMs} ms.`)),
    );
    signal?.addEventListener('abort', abort);
    // Stays for good: node-coap may report a late failure of an exchange that is over.
    request.on('error', (error: Error) =>
      finish(() => reject(new GridcastError('unreachable', `No CoAP answer from ${where}: ${reasonOf(error)}.`))),
    );
    request.on('response', (response: IncomingMessage) => finish(() => settleWith(read(response), resolve, reject)));
    // Given as options, decoded: node-coap would send the escapes of a URI as they stand.
    request.setOption('Uri-Path', segmentsOf(target.path));
    request.setOption(
      'Uri-Query',
      Array.from(target.query, ([name, value]) => Buffer.from(`${name}=${value}`)),
    );
    if (sent && sent.bytes.length > BLOCK_BYTES) request.setOption('Block1', FIRST_BLOCK);
    request.end(sent && Buffer.from(sent.bytes));
  });
}

function settleWith(
  result: ClientResponse | GridcastError,
  resolve: (response: ClientResponse) => void,
  reject: (error: Error) => void,
): void {
  if (result instanceof GridcastError) reject(result);
  else resolve(result);
}

const segmentsOf = (path: string): Buffer[] =>
  path
    .split('/')
    .filter((segment) => segment !== '')
    .map((segment) => Buffer.from(decodeURIComponent(segment)));

function formatNumber(mediaType: string): number {
  const format = formatOfMediaType(mediaType);
  if (!format) throw new GridcastError('argument', `${JSON.stringify(mediaType)} has no number in CoAP.`);
  return format.coap;
}

function read(response: IncomingMessage): ClientResponse | GridcastError {
  const [group = 0, detail = 0] = response.code.split('.').map(Number);
  const code = coapCode(group, detail);
  const format = response.headers['Content-Format'];
  const mediaType =
    typeof format === 'number' ? formatOfCoap(format)?.mediaType : format === undefined ? undefined : String(format);
  const bytes = response.payload;
  if (group >= 4) return refusalOf(statusOf('coap', code), mediaType, bytes);
  // Of an option that repeats, `headers` has only the last.
  const options = response._packet.options ?? [];
  const location = options
    .filter(({ name }) => name === 'Location-Path')
    .map(({ value }) => `/${encodeURIComponent(String(value))}`);
  return {
    status: code === coapCode(2, 1) ? 'STATUS_CREATED' : 'STATUS_OK',
    bytes,
    ...(mediaType !== undefined && { mediaType }),
    ...(location.length > 0 && { location: location.join('') }),
  };
}
