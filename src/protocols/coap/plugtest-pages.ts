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
export const largeText = (bytes = LARGE_BYTES): Buffer =>
  Buffer.from(Array.from({ length: bytes / 64 }, (_, line) => `line ${line} `.padEnd(63, '.') + '\n').join(''));

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
    const state = { etag: exists ? this.etag : undefined };
    const refusal = checkConditions(state, request, op === 'retrieve' ? 'read' : 'write');
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

/** Pages that are made by POST; the oldest gives way. */
const MOST_CREATED = 8;

/** A POST makes a page below this one [TD_COAP_BLOCK_04]. */
class Folder implements Resource {
  readonly link = plainLink;
  private readonly made: string[] = [];
  private count = 0;

  constructor(
    private readonly name: string,
    private readonly revisions: Revisions,
    private readonly resources: Map<string, Resource>,
  ) {}

  act({ op, body }: Request): Response {
    if (op === 'retrieve') return textOf(FORMATS.link.mediaType, this.made.map((path) => `<${path}>`).join(','));
    if (op !== 'create') return notAllowed(['create', 'retrieve']);
    const id = String(++this.count);
    const path = `/${this.name}/${id}`;
    const page = new Page(this.revisions, ['retrieve', 'update', 'delete'], undefined);
    page.write(body?.bytes ?? new Uint8Array(0), formatOfMediaType(body?.mediaType ?? '') ?? FORMATS.octets);
    this.resources.set(path, page);
    const oldest = this.made.push(path) > MOST_CREATED ? this.made.shift() : undefined;
    if (oldest !== undefined) this.resources.delete(oldest);
    return answer('STATUS_CREATED', { location: [this.name, id] });
  }
}

const EVERY_OPERATION: readonly Operation[] = ['create', 'retrieve', 'update', 'delete'];
const CREATED_AT = { location: ['location1', 'location2', 'location3'] };

/** @param later answers after longer than a client waits for an acknowledgement: /separate */
export function pages(revisions: Revisions, later: () => Promise<void>): Map<string, Resource> {
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
  const resources = new Map<string, Resource>();
  const fixed: readonly [string, Resource][] = [
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
    ['/large-create', new Folder('large-create', revisions, resources)],
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
    ['/path/sub1', page(['retrieve'], '/path/sub1')],
    ['/path/sub2', page(['retrieve'], '/path/sub2')],
  ];
  for (const [path, resource] of fixed) resources.set(path, resource);
  return resources;
}

function multiFormat({ accept }: Request): Response {
  const [wanted = FORMATS.text.mediaType] = accept;
  if (wanted === FORMATS.text.mediaType) return textOf(wanted, 'plain text');
  if (wanted === FORMATS.xml.mediaType) return textOf(wanted, '<xml>text</xml>');
  return answer('STATUS_NOT_ACCEPTABLE', {
    detail: `This is written as ${FORMATS.text.mediaType} or ${FORMATS.xml.mediaType}.`,
  });
}
