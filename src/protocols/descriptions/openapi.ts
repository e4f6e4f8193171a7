/**
 * The HTTP interface as OpenAPI 3.1, read off the type table and the status table: what is described is what is checked.
 *
 *     sclBase ──collections──> /m2m/applications ──creates──> /m2m/applications/{applicationId} ──> ...
 */
import { STATUSES, type Status } from '../../errors.js';
import type { Json, JsonObject } from '../../json.js';
import type { AttributeRow, Presence } from '../../resources/attribute.js';
import { ANY_PATH } from '../../resources/retarget.js';
import { TYPES, type TypeName, type TypeRow, type Verb } from '../../resources/types.js';
import { FORMATS } from '../../routing/format.js';

const SCL_BASE = '/m2m';
const METHODS = { create: 'post', retrieve: 'get', update: 'put', delete: 'delete' } as const satisfies Record<
  Verb,
  string
>;
type Form = 'create' | 'update' | 'response';

const MEDIA_TYPES = [FORMATS.json.mediaType, FORMATS.cbor.mediaType];
/** What any request may be answered with, beside its success. */
const FAILURES: readonly Status[] = [
  'STATUS_BAD_REQUEST',
  'STATUS_PERMISSION_DENIED',
  'STATUS_NOT_FOUND',
  'STATUS_NOT_ACCEPTABLE',
  'STATUS_INTERNAL_SERVER_ERROR',
  'STATUS_SERVICE_UNAVAILABLE',
];
const FAILURES_OF: Readonly<Record<Verb, readonly Status[]>> = {
  create: ['STATUS_FORBIDDEN', 'STATUS_CONFLICT', 'STATUS_TOO_LARGE', 'STATUS_UNSUPPORTED_MEDIA_TYPE'],
  retrieve: ['STATUS_NOT_MODIFIED'],
  update: ['STATUS_PRECONDITION_FAILED', 'STATUS_TOO_LARGE', 'STATUS_UNSUPPORTED_MEDIA_TYPE'],
  delete: ['STATUS_PRECONDITION_FAILED'],
};

/** @param version of the program */
export function openApi(version: string): JsonObject {
  const paths: Record<string, JsonObject> = {};
  addPaths(paths, SCL_BASE, TYPES.sclBase, []);
  return {
    openapi: '3.1.0',
    info: {
      title: 'Gridcast',
      version,
      description: 'The ETSI M2M resource tree over HTTP. Attributes that are marked so are not in the standard.',
    },
    paths,
    // Whether one must come with a token is each broker's configuration.
    security: [{ bearer: [] }, {}],
    components: {
      schemas: { ...typeSchemas(), errorInfo: ERROR_INFO },
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } },
    },
  };
}

/** Where it stands, and what can stand below. A type that stands below itself is described once. */
function addPaths(paths: Record<string, JsonObject>, path: string, row: TypeRow, above: readonly TypeName[]): void {
  paths[path] = operationsOf(path, row);
  if (row.name === 'contentInstances')
    for (const place of ['latest', 'oldest'])
      paths[`${path}/${place}`] = operationsOf(`${path}/${place}`, TYPES.contentInstance);
  for (const [name, verbs] of row.virtual) {
    const at = `${path}/${name === ANY_PATH ? '{ownPath}' : name}`;
    paths[at] = virtualOperations(at, name === ANY_PATH ? row.name : name, verbs);
  }
  const line = [...above, row.name];
  for (const name of row.collections) addPaths(paths, `${path}/${name}`, TYPES[name], line);
  for (const name of row.creates) {
    const child: TypeRow = TYPES[name];
    if (line.includes(name) || (child.below && !child.below.some((owner) => owner === above.at(-1)))) continue;
    addPaths(paths, `${path}/{${name}Id}`, child, line);
  }
}

function operationsOf(path: string, row: TypeRow): JsonObject {
  const operations = row.verbs.map((verb) => [METHODS[verb], operation(path, row, verb)] as const);
  return { ...parametersOf(path), ...Object.fromEntries(operations) };
}

function operation(path: string, row: TypeRow, verb: Verb): JsonObject {
  const written = verb === 'create' ? row.creates : [row.name];
  const hasBody = verb === 'create' || verb === 'update';
  const success: Status = verb === 'create' ? 'STATUS_CREATED' : 'STATUS_OK';
  const shown = verb === 'create' ? row.creates : verb === 'delete' ? [] : [row.name];
  return {
    operationId: `${verb}${path.replaceAll(/[/{]+(\w)/g, (_, letter: string) => letter.toUpperCase()).replaceAll('}', '')}`,
    tags: [row.name],
    ...(hasBody && { requestBody: { required: true, content: contentOf(written, verb) } }),
    responses: {
      [STATUSES[success].http]: {
        description: STATUSES[success].sentence,
        ...(shown.length > 0 && { content: contentOf(shown, 'response') }),
      },
      ...(hasBody || verb === 'delete' ? { 204: { description: 'Done; there is nothing to show.' } } : {}),
      ...failures([...FAILURES, ...FAILURES_OF[verb]]),
    },
  };
}

const virtualOperations = (path: string, name: string, verbs: readonly Verb[]): JsonObject => ({
  ...parametersOf(path),
  ...Object.fromEntries(
    verbs.map((verb) => [
      METHODS[verb],
      {
        tags: [name],
        responses: {
          200: { description: STATUSES.STATUS_OK.sentence, content: anything },
          202: { description: STATUSES.STATUS_ACCEPTED.sentence },
          ...failures(FAILURES),
        },
      },
    ]),
  ),
});

const anything = Object.fromEntries(MEDIA_TYPES.map((type) => [type, { schema: { type: 'object' } }]));

function parametersOf(path: string): JsonObject {
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
  if (names.length === 0) return {};
  return { parameters: names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })) };
}

const contentOf = (types: readonly TypeName[], form: Form): JsonObject =>
  Object.fromEntries(
    MEDIA_TYPES.map((mediaType) => [
      mediaType,
      { schema: types.length === 1 ? rootOf(types[0]!, form) : { oneOf: types.map((type) => rootOf(type, form)) } }, // it has one
    ]),
  );

/** A document has one root key, named after its type. */
const rootOf = (type: TypeName, form: Form): JsonObject => ({
  type: 'object',
  properties: { [type]: { $ref: `#/components/schemas/${type}.${form}` } },
  required: [type],
  additionalProperties: false,
});

function failures(statuses: readonly Status[]): JsonObject {
  const rows = new Map(statuses.map((status) => [STATUSES[status].http, STATUSES[status].sentence]));
  const content = Object.fromEntries(
    MEDIA_TYPES.map((type) => [type, { schema: { $ref: '#/components/schemas/errorInfo' } }]),
  );
  return Object.fromEntries(
    [...rows].map(([http, description]) => [http, { description, ...(http >= 400 && { content }) }]),
  );
}

const ERROR_INFO: JsonObject = {
  type: 'object',
  properties: {
    errorInfo: {
      type: 'object',
      properties: {
        statusCode: { type: 'string', enum: Object.keys(STATUSES) },
        additionalInfo: { type: 'string', description: 'What was wrong, where, and what would be right.' },
      },
      required: ['statusCode'],
    },
  },
  required: ['errorInfo'],
};

/** Of every type: what a CREATE takes, what an UPDATE takes, and what is answered. */
export function typeSchemas(): JsonObject {
  const forms = (row: TypeRow): readonly (readonly [string, JsonObject])[] => [
    [`${row.name}.create`, schemaOf(row, 'create')],
    [`${row.name}.update`, schemaOf(row, 'update')],
    [`${row.name}.response`, schemaOf(row, 'response')],
  ];
  return Object.fromEntries(Object.values(TYPES).flatMap((row: TypeRow) => forms(row)));
}

const IS_PRESENT: Readonly<Record<Presence, boolean>> = {
  M: true,
  'M*': true,
  O: true,
  NP: false,
  NA: false,
  '-': false,
};

function schemaOf(row: TypeRow, form: Form): JsonObject {
  const attributes = [...row.attributes.values()].filter((each) => IS_PRESENT[each[form]]);
  const required = attributes.filter((each) => each[form].startsWith('M')).map(({ name }) => name);
  return {
    type: 'object',
    properties: Object.fromEntries(attributes.map((each) => [each.name, attributeSchema(each, form)])),
    additionalProperties: false,
    // A server that has nothing to say of an attribute with a default of none leaves it out.
    ...(form !== 'response' && required.length > 0 && { required }),
  };
}

function attributeSchema({ value, default: standard, clamp, derived, origin }: AttributeRow, form: Form): JsonObject {
  // What the SCL makes itself is no value that anybody writes: only its kind is known.
  if (form === 'response' && derived) return { description: 'Set by the SCL.' };
  const notes = [
    ...(clamp ? [`Moved into ${clamp[0]} to ${clamp[1]} where it lies outside.`] : []),
    ...(origin ? ['Not in the standard.'] : []),
  ];
  return {
    ...value.schema,
    ...(standard !== undefined && form !== 'response' && { default: standard satisfies Json }),
    ...(notes.length > 0 && { description: notes.join(' ') }),
  };
}
