/**
 * The content formats: what a sample can be written as, one row each. The codecs are joined to the rows by the broker, so
 * that routing encodes a body once per sample and format without knowing any protocol.
 */

export interface ContentFormat {
  /** Index into a sample's cache of bodies. */
  readonly index: number;
  readonly mediaType: string;
  /** CoAP Content-Format number [IANA; 65000 and above: experimental range]. */
  readonly coap: number;
}

const row = (index: number, mediaType: string, coap: number): ContentFormat => ({ index, mediaType, coap });

export const FORMATS = {
  senmlJson: row(0, 'application/senml+json', 110),
  senmlCbor: row(1, 'application/senml+cbor', 112),
  protobuf: row(2, 'application/x-protobuf', 65001),
  c37118: row(3, 'application/vnd.gridcast.c37118', 65002),
  json: row(4, 'application/json', 50),
  cbor: row(5, 'application/cbor', 60),
  text: row(6, 'text/plain', 0),
  octets: row(7, 'application/octet-stream', 42),
  xml: row(8, 'application/xml', 41),
  link: row(9, 'application/link-format', 40),
} as const satisfies Record<string, ContentFormat>;

const BY_MEDIA_TYPE = new Map<string, ContentFormat>(
  Object.values(FORMATS).map((format) => [format.mediaType, format]),
);
const BY_COAP = new Map<number, ContentFormat>(Object.values(FORMATS).map((format) => [format.coap, format]));

/** The type and subtype of a media type in lower case, parameters dropped: what formats are compared by. */
export const bareMediaType = (mediaType: string): string =>
  BY_MEDIA_TYPE.has(mediaType) ? mediaType : (mediaType.split(';', 1)[0] ?? '').trim().toLowerCase();

export const formatOfMediaType = (mediaType: string): ContentFormat | undefined =>
  BY_MEDIA_TYPE.get(bareMediaType(mediaType));
export const formatOfCoap = (number: number): ContentFormat | undefined => BY_COAP.get(number);

/**
 * What of a container's newest contentInstance a delivery carries: the bare `content`, or the whole `instance`
 * (`.../latest/content` and `.../latest`).
 */
export type Projection = 'content' | 'instance';
