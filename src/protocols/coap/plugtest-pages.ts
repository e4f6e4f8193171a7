/**
 * What the plugtest resources hold and answer. A page is bytes in one format with an entity tag; a few answer otherwise.
 */
import { FORMATS, formatOfMediaType, type ContentFormat } from '../../routing/format.js';
import { answer, type Operation, type Request, type Response } from '../../routing/primitive.js';
import type { Link } from '../../routing/site.js';
import { checkConditions, etagOf, type Revisions } from '../../resources/revision.js';

export interface Resource {
  readonly link: Omit<Link, 'path'>;
  act(request: Request): Response | Promise<Response>;
}

/** Longer than one block of 1,024 bytes. */
const LARGE_BYTES = 1_600;
/** Lines of 64 characters, so that a missing or doubled block is seen by eye. */
export const largeText = (): Buffer =>
  Buffer.from(Array.from({ length: LARGE_BYTES / 64 }, (_, line) => `line ${line} `.padEnd(63, '.') + '\n').join(''));

const plainLink: Omit<Link, 'path'> = { contentFormats: [], isObservable: false };

const notAllowed = (allow: readonly Operation[]): Response =>
  answer('STATUS_METHOD_NOT_ALLOWED', { allow, detail: `This resource takes ${allow.join(', ')}.` });

/** Bytes that can be read, written and taken away, as far as `allow` goes. */
export class Page implements Resource {
  bytes: Uint8Array | undefined;
  format: ContentFormat = FORMATS.text;
  private etag: string;

  constructor(
    private readonly revisions: Revisions,
    readonly allow: readonly Operation[],
    private readonly initial: Uint8Array | undefined,
    readonly link: Omit<Link, 'path'> = plainLink,
    /** What CREATE answers besides being stored. */
    private readonly created: Partial<Response> = {},
  ) {
    this.bytes = initial;
    this.etag = etagOf(revisions.next());
  }

  act(request: Request): Response {
    const { op, body } = request;
    const exists = this.bytes !== undefined;
    const refusal = checkConditions(exists ? this.etag : undefined, request, op === 'retrieve' ? 'read' : 'write');
    if (refusal) return { ...refusal, etag: this.etag };
    if (!this.allow.includes(op)) return notAllowed(this.allow);
    if (!exists && op !== 'update')
      return answer('STATUS_NOT_FOUND', { detail: 'There is nothing here; PUT creates it.' });
    switch (op) {
      case 'retrieve':
        return this.read();
      case 'update':
        this.write(body?.bytes ?? new Uint8Array(0), formatOfMediaType(body?.mediaType ?? '') ?? FORMATS.octets);
        return answer(exists ? 'STATUS_OK' : 'STATUS_CREATED', { etag: this.etag });
      case 'delete':
        this.clear();
        return answer('STATUS_OK');
      default:
        return answer('STATUS_CREATED', this.created);
    }
  }

  write(bytes: Uint8Array, format: ContentFormat): void {
    this.bytes = bytes;
    this.format = format;
    this.etag = etagOf(this.revisions.next());
  }

  /** Back to the start, so that the next test finds what it expects. */
  clear(): void {
    this.bytes = this.initial;
    this.format = FORMATS.text;
    this.etag = etagOf(this.revisions.next());
  }

  read(): Response {
    const { mediaType } = this.format;
    return answer('STATUS_OK', {
      etag: this.etag,
      content: { kind: 'bytes', mediaType, bytes: this.bytes ?? new Uint8Array(0) },
    });
  }
}

const textOf = (mediaType: string, text: string): Response =>
  answer('STATUS_OK', { content: { kind: 'bytes', mediaType, bytes: Buffer.from(text) } });

/** A resource that answers one operation by a function. */
const only = (op: Operation, make: (request: Request) => Response | Promise<Response>, link = plainLink): Resource => ({
  link,
  act: (request) => (request.op === op ? make(request) : notAllowed([op])),
});

const EVERY_OPERATION: readonly Operation[] = ['create', 'retrieve', 'update', 'delete'];
const CREATED_AT = { location: ['location1', 'location2', 'location3'] };

/** @param later answers after longer than a client waits for an acknowledgement: /separate */
export function pages(revisions: Revisions, later: () => Promise<void>): ReadonlyMap<string, Resource> {
  const page = (
    allow: readonly Operation[],
    text?: string,
    link?: Omit<Link, 'path'>,
    created?: Partial<Response>,
  ): Page => new Page(revisions, allow, text === undefined ? undefined : Buffer.from(text), link, created);
  const typed = (
    resourceType: string | undefined,
    interfaceDescription: string | undefined,
    size?: number,
  ): Omit<Link, 'path'> => ({
    ...plainLink,
    ...(resourceType !== undefined && { resourceType }),
    ...(interfaceDescription !== undefined && { interfaceDescription }),
    ...(size !== undefined && { size }),
  });
  const large = largeText();
  const { text, xml, link } = FORMATS;
  return new Map<string, Resource>([
    ['/test', page(EVERY_OPERATION, 'a test resource', typed('Type1', 'If1'), CREATED_AT)],
    ['/location1/location2/location3', page(EVERY_OPERATION, 'created by a POST to /test')],
    ['/separate', only('retrieve', async () => (await later(), textOf(text.mediaType, 'answered separately')))],
    ['/seg1/seg2/seg3', page(['retrieve'], 'three segments deep')],
    [
      '/query',
      only('retrieve', ({ query }) =>
        textOf(text.mediaType, [...query].map(([name, value]) => `${name}=${value}`).join('&')),
      ),
    ],
    [
      '/location-query',
      only('create', () =>
        answer('STATUS_CREATED', { location: ['location-query'], locationQuery: ['first=1', 'second=2'] }),
      ),
    ],
    ['/multi-format', only('retrieve', multiFormat, { contentFormats: [text.coap, xml.coap], isObservable: false })],
    ['/validate', page(['retrieve', 'update', 'delete'], 'valid so far')],
    ['/create1', page(['retrieve', 'update', 'delete'])],
    ['/large', page(['retrieve'], large.toString(), typed('Type1 Type2', undefined, large.length))],
    [
      '/large-update',
      page(['retrieve', 'update', 'delete'], large.toString(), typed(undefined, undefined, large.length)),
    ],
    ['/large-create', page(['create', 'retrieve'], large.toString(), undefined, { location: ['large-create'] })],
    [
      '/large-post',
      only('create', () =>
        answer('STATUS_OK', { content: { kind: 'bytes', mediaType: text.mediaType, bytes: large } }),
      ),
    ],
    ['/link1', page(['retrieve'], 'link 1', typed('Type1 Type2', 'If1'))],
    ['/link2', page(['retrieve'], 'link 2', typed('Type2 Type3', 'If2'))],
    ['/link3', page(['retrieve'], 'link 3', typed('Type1 Type3', 'foo'))],
    ['/link4', page(['retrieve'], 'link 4', typed('', undefined))],
    [
      '/path',
      only('retrieve', () => textOf(link.mediaType, '</path/sub1>,</path/sub2>'), {
        contentFormats: [link.coap],
        isObservable: false,
      }),
    ],
    ['/path/sub1', page(['retrieve'], 'sub 1')],
    ['/path/sub2', page(['retrieve'], 'sub 2')],
  ]);
}

function multiFormat({ accept }: Request): Response {
  const [wanted = FORMATS.text.mediaType] = accept;
  if (wanted === FORMATS.text.mediaType) return textOf(wanted, 'plain text');
  if (wanted === FORMATS.xml.mediaType) return textOf(wanted, '<xml>text</xml>');
  return answer('STATUS_NOT_ACCEPTABLE', {
    detail: `This is written as ${FORMATS.text.mediaType} or ${FORMATS.xml.mediaType}.`,
  });
}
