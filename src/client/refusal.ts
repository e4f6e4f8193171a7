/** Reads what a broker says when it refuses: an errorInfo in JSON or CBOR, or a sentence as plain text. */
import { isRefusal, STATUSES, type Status } from '../errors.js';
import { readValue } from '../protocols/codec.js';
import { member, textOf } from './client.js';
import { GridcastError } from './error.js';

const isStatus = (name: unknown): name is Status => typeof name === 'string' && Object.hasOwn(STATUSES, name);

/** The first row with this code of a binding; several statuses share one, and the errorInfo tells them apart. */
export function statusOf(binding: 'http' | 'coap', code: number): Status | undefined {
  return (Object.keys(STATUSES) as Status[]).find((status) => STATUSES[status][binding] === code);
}

/** @param fallback the status that the code of the binding stands for */
export function refusalOf(
  fallback: Status | undefined,
  mediaType: string | undefined,
  bytes: Uint8Array,
): GridcastError {
  const read = mediaType === undefined ? undefined : readValue(mediaType, bytes);
  const document = read === undefined || isRefusal(read) ? undefined : read.parsed;
  const named = member(document, 'errorInfo', 'statusCode');
  const told = member(document, 'errorInfo', 'additionalInfo');
  const status = isStatus(named) ? named : (fallback ?? 'STATUS_INTERNAL_SERVER_ERROR');
  const text = typeof told === 'string' ? told : document === undefined ? textOf(bytes).trim() : '';
  return new GridcastError('refused', text === '' ? STATUSES[status].sentence : text, status);
}
