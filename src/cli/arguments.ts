/** Reads what stands on the command line; what is wrong is said by commander, with the option's name, and ends with exit code 2. */
import { InvalidArgumentError, Option } from 'commander';
import { GridcastError } from '../client/error.js';
import { parseTarget, type Scheme } from '../client/target.js';
import { FORMATS, formatOfMediaType } from '../routing/format.js';
import { LATENCY_CLASSES } from '../routing/terms.js';

/** A mistake in what the user gave, found after parsing: exit code 2. */
export class UsageError extends Error {}

/** A URI of one of these schemes, as it was written. */
export const uriOf =
  (...schemes: readonly Scheme[]) =>
  (text: string): string => {
    try {
      const { scheme } = parseTarget(text);
      if (schemes.includes(scheme)) return text;
      throw new InvalidArgumentError(`Expected a URI with ${schemes.map((each) => `${each}://`).join(', ')}.`);
    } catch (error) {
      throw error instanceof GridcastError ? new InvalidArgumentError(error.message) : error;
    }
  };

export const anyUri = uriOf('coap', 'ws', 'wss', 'http', 'https');

/** `5`, `0.5`, `1/10`: a number above 0. */
export function positive(text: string): number {
  const [, numerator, denominator = '1'] = /^(\d+(?:\.\d+)?)(?:\/(\d+))?$/.exec(text) ?? [];
  const value = Number(numerator) / Number(denominator);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('Expected a number above 0, such as 5, 0.5 or 1/10.');
}

/** A whole number of at least 1. */
export function count(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('Expected a whole number of at least 1.');
}

/** A whole number, or 0 for none. */
export const countOrNone = (text: string): number => (text === '0' ? 0 : count(text));

/** A media type by its name or its short form here: `senml+cbor`, `protobuf`, `c37118`. */
export function mediaType(text: string): string {
  const short = SHORT_NAMES[text];
  if (short !== undefined) return short;
  if (formatOfMediaType(text)) return text;
  throw new InvalidArgumentError(`Expected a media type, or one of ${Object.keys(SHORT_NAMES).join(', ')}.`);
}
const SHORT_NAMES: Readonly<Record<string, string>> = {
  json: FORMATS.json.mediaType,
  cbor: FORMATS.cbor.mediaType,
  'senml+json': FORMATS.senmlJson.mediaType,
  'senml+cbor': FORMATS.senmlCbor.mediaType,
  protobuf: FORMATS.protobuf.mediaType,
  c37118: FORMATS.c37118.mediaType,
  text: FORMATS.text.mediaType,
};

export const gather = (text: string, before: readonly string[] = []): readonly string[] => [...before, text];

export const rateOption = (): Option =>
  new Option('--rate <R>', 'samples per second, dividing what the source reports').argParser(positive);
export const acceptOption = (): Option =>
  new Option('--accept <TYPE>', `format wanted: a media type, or ${Object.keys(SHORT_NAMES).join(', ')}`).argParser(
    mediaType,
  );
export const classOption = (): Option => new Option('--class <CLASS>', 'latency class').choices([...LATENCY_CLASSES]);
export const timeoutOption = (what: string, byDefault?: number): Option => {
  const option = new Option('--timeout <S>', what).argParser(positive);
  return byDefault === undefined ? option : option.default(byDefault);
};
export const jsonOption = (what = 'one JSON object per line'): Option => new Option('--json', what);
