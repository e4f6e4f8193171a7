/** Which form of a sample an asker gets: by what he accepts, else by the default of his binding. */
import { refuse, type Refusal } from '../errors.js';
import { bareMediaType, FORMATS, formatOfMediaType, type ContentFormat, type Projection } from './format.js';
import type { Sample, SampleContent } from './sample.js';

const MEASUREMENT_FORMATS: readonly ContentFormat[] = [
  FORMATS.senmlJson,
  FORMATS.senmlCbor,
  FORMATS.json,
  FORMATS.cbor,
  FORMATS.protobuf,
  FORMATS.c37118,
];
const SNAPSHOT_FORMATS = MEASUREMENT_FORMATS.filter((format) => format !== FORMATS.protobuf);
const MEASUREMENT_TYPES = MEASUREMENT_FORMATS.map(({ mediaType }) => mediaType);
const INSTANCE_FORMATS: readonly ContentFormat[] = [FORMATS.json, FORMATS.cbor];

const isAnything = (type: string): boolean => type === '*/*' || type === 'application/*';

/**
 * The format for `projection`, or a 406 that lists what there is.
 *
 * @param kind what the container holds; undefined while it is empty, which fits anything
 * @param preferred the binding's default
 */
export function negotiate(
  projection: Projection,
  content: SampleContent | undefined,
  accept: readonly string[],
  preferred: ContentFormat,
): ContentFormat | Refusal {
  const possible = possibleFormats(projection, content);
  const fallback = possible.includes(preferred) ? preferred : possible[0];
  for (const type of accept.length > 0 ? accept : ['*/*']) {
    if (isAnything(type) && fallback) return fallback;
    const format = formatOfMediaType(type);
    if (format && possible.includes(format)) return format;
  }
  const offered =
    content?.kind === 'stored' && projection === 'content'
      ? [content.mediaType]
      : possible.map(({ mediaType }) => mediaType);
  return refuse('STATUS_NOT_ACCEPTABLE', `This is to be had as ${offered.join(', ')}, not as ${accept.join(', ')}.`);
}

function possibleFormats(projection: Projection, content: SampleContent | undefined): readonly ContentFormat[] {
  if (projection === 'instance') return INSTANCE_FORMATS;
  if (content === undefined) return Object.values(FORMATS);
  if (content.kind === 'measurement') return MEASUREMENT_FORMATS;
  if (content.kind === 'snapshot') return SNAPSHOT_FORMATS;
  const format = formatOfMediaType(content.mediaType);
  return format ? [format] : [];
}

/** The media types that a content is to be had as, without their parameters. */
export const mediaTypesOf = (content: SampleContent): readonly string[] =>
  content.kind === 'stored' ? [bareMediaType(content.mediaType)] : MEASUREMENT_TYPES;

/** Whether stored content of any media type, known here or not, is what the asker accepts. */
const acceptsStored = (mediaType: string, accept: readonly string[]): boolean =>
  accept.length === 0 || accept.some((type) => isAnything(type) || bareMediaType(type) === bareMediaType(mediaType));

/** The bytes of a sample's content for one asker. */
export function contentFor(
  sample: Sample,
  accept: readonly string[],
  preferred: ContentFormat,
): { readonly mediaType: string; readonly bytes: Uint8Array } | Refusal {
  const { content } = sample;
  if (content.kind === 'stored') {
    if (acceptsStored(content.mediaType, accept)) return { mediaType: content.mediaType, bytes: content.bytes };
    return refuse(
      'STATUS_NOT_ACCEPTABLE',
      `The content is stored as ${content.mediaType}, not as ${accept.join(', ')}.`,
    );
  }
  const format = negotiate('content', content, accept, preferred);
  if ('status' in format) return format;
  const bytes = sample.body('content', format);
  return bytes
    ? { mediaType: format.mediaType, bytes }
    : refuse('STATUS_NOT_ACCEPTABLE', `This sample has no form as ${format.mediaType}.`);
}
