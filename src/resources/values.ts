/**
 * The value types of attributes [TS 102 921 schemas]: each says what it takes and complains, in one sentence, of what it does not.
 * A value is checked and then kept as it was sent; an object with an unknown member is refused, so nothing unseen is stored.
 */
import { parseTime } from '../clock.js';
import { isObject, type Json, type JsonObject } from '../json.js';

export { isObject, type Json, type JsonObject };

export interface ValueType {
  /** What is taken, to follow "it must be". */
  readonly expected: string;
  /** The same as a JSON Schema, for descriptions of the interface; what a schema cannot say, `check` does. */
  readonly schema: JsonObject;
  /** What is wrong with `value`, a whole sentence that names the place `at`; `undefined` when nothing is. */
  check(value: Json, at: string): string | undefined;
}

const SHOWN_CHARACTERS = 60;

/** A value as a sentence can carry it: cut short, since it is the user's and may be of any size. */
export function shown(value: Json | undefined): string {
  const text = value === undefined ? 'absent' : JSON.stringify(value);
  return text.length <= SHOWN_CHARACTERS ? text : `${text.slice(0, SHOWN_CHARACTERS)}...`;
}

/** Longer than any name, URI or label. What is larger is content, and content has its container's limit. */
const LONGEST_TEXT = 4_096;
/** As many as a group has members at most. */
const MOST_ITEMS = 10_000;

/** A value without parts. */
export const simple = (expected: string, holds: (value: Json) => boolean, schema: JsonObject): ValueType => ({
  expected,
  schema,
  check(value, at) {
    if (typeof value === 'string' && value.length > LONGEST_TEXT)
      return `${at} has ${value.length} characters; the longest text that is taken has ${LONGEST_TEXT}.`;
    return holds(value) ? undefined : `${at} is ${shown(value)}; it must be ${expected}.`;
  },
});

export const string = simple('a string', (value) => typeof value === 'string', { type: 'string' });
export const boolean = simple('true or false', (value) => typeof value === 'boolean', { type: 'boolean' });
/** xs:long without sign: counts, bytes, seconds, milliseconds. */
export const long = simple(
  'a whole number of 0 or more',
  (value) => Number.isSafeInteger(value) && Number(value) >= 0,
  {
    type: 'integer',
    minimum: 0,
  },
);
/** Samples per second; 0.1 is one in ten seconds. */
export const rate = simple(
  'a number above 0, samples per second',
  (value) => typeof value === 'number' && Number.isFinite(value) && value > 0,
  { type: 'number', exclusiveMinimum: 0 },
);
export const dateTime = simple(
  'a date and time with zone, such as 2026-11-23T08:15:00Z',
  (value) => typeof value === 'string' && parseTime(value) !== undefined,
  { type: 'string', format: 'date-time' },
);
export const uri = simple('a URI', (value) => typeof value === 'string' && /^\S+$/.test(value), {
  type: 'string',
  format: 'uri-reference',
});
export const absoluteUri = simple(
  'an absolute URI, such as coap://gateway-7.example/m2m',
  (value) => typeof value === 'string' && /^[a-z][a-z0-9+.-]*:\S+$/i.test(value),
  { type: 'string', format: 'uri' },
);
/** A path of this SCL. */
export const localPath = simple(
  'a path here that starts with "/"',
  (value) => typeof value === 'string' && /^\/[^\s/?#]\S*$/.test(value),
  { type: 'string', format: 'uri-reference' },
);
/** Whether there is one of that name is not looked into: the answer would tell of rights that the asker may not know of. */
export const accessRightId = simple(
  'the path or URI of an accessRight, such as /m2m/accessRights/operators',
  (value) => typeof value === 'string' && /^\S*\/accessRights\/[^\s/]+$/.test(value),
  { type: 'string', format: 'uri-reference' },
);
/** Where notifications go: elsewhere, or to a resource of this SCL. */
export const contact = simple(
  'an absolute URI, or a path here that starts with "/"',
  (value) => typeof value === 'string' && /^([a-z][a-z0-9+.-]*:\S+|\/\S*)$/i.test(value),
  { type: 'string', format: 'uri-reference' },
);

export const oneOf = (...words: readonly string[]): ValueType =>
  simple(`one of ${words.join(', ')}`, (value) => typeof value === 'string' && words.includes(value), {
    type: 'string',
    enum: words,
  });

export const listOf = (item: ValueType, fewest = 0): ValueType => {
  const expected = `a list of ${fewest > 0 ? `at least ${fewest}: ` : ''}${item.expected}`;
  return {
    expected,
    schema: { type: 'array', items: item.schema, ...(fewest > 0 && { minItems: fewest }) },
    check(value, at) {
      if (Array.isArray(value) && value.length > MOST_ITEMS)
        return `${at} has ${value.length} items; the longest list that is taken has ${MOST_ITEMS}.`;
      if (!Array.isArray(value) || value.length < fewest) return `${at} is ${shown(value)}; it must be ${expected}.`;
      for (const [index, member] of (value as readonly Json[]).entries()) {
        const complaint = item.check(member, `${at}[${index}]`);
        if (complaint) return complaint;
      }
      return undefined;
    },
  };
};

/** An object with these members and no others; those of `mandatory` must be there. */
export const record = (members: Readonly<Record<string, ValueType>>, mandatory: readonly string[] = []): ValueType => {
  // A Map: `constructor` and `__proto__` are names like any other, and unknown here.
  const types = new Map(Object.entries(members));
  const expected = `an object of ${[...types.keys()].join(', ')}`;
  return {
    expected,
    schema: {
      type: 'object',
      properties: Object.fromEntries([...types].map(([name, { schema }]) => [name, schema])),
      additionalProperties: false,
      ...(mandatory.length > 0 && { required: mandatory }),
    },
    check(value, at) {
      if (!isObject(value)) return `${at} is ${shown(value)}; it must be ${expected}.`;
      for (const [name, member] of Object.entries(value)) {
        const type = types.get(name);
        if (!type) return `${at}.${name} is not known; ${at} must be ${expected}.`;
        const complaint = member === undefined ? undefined : type.check(member, `${at}.${name}`);
        if (complaint) return complaint;
      }
      const missing = mandatory.find((name) => value[name] === undefined);
      return missing === undefined ? undefined : `${at}.${missing} is missing; ${at} must be ${expected}.`;
    },
  };
};

const searchString = listOf(string);
export const searchStrings = record({ searchString }, ['searchString']);
export const uriList = record({ reference: listOf(uri) }, ['reference']);
/** Members of a group are resources of this SCL: others are not reached from here. */
export const memberList = record({ reference: listOf(localPath) }, ['reference']);
export const schedule = record({ scheduleString: listOf(string, 1) }, ['scheduleString']);
export const integrityValResults = record({ ivalResults: long, signedIvalResult: long, secureTimeStamp: dateTime });
export const announceTo = record({ activated: boolean, sclList: uriList, global: boolean });
export const contentTypes = record({ contentType: listOf(string, 1) }, ['contentType']);

const pathList = record(
  { aPoCPath: listOf(record({ path: string, accessRightID: accessRightId, searchStrings }, ['path'])) },
  ['aPoCPath'],
);
export const aPoCPaths: ValueType = {
  expected: pathList.expected,
  schema: pathList.schema,
  check(value, at) {
    const complaint = pathList.check(value, at);
    if (complaint) return complaint;
    const paths = pathsOf(value);
    const twice = paths.find((path, index) => paths.indexOf(path) !== index);
    return twice === undefined ? undefined : `${at} has the path ${shown(twice)} twice; each may be there once.`;
  },
};

/** The paths of an aPoCPaths. */
export const pathsOf = (value: Json): readonly string[] =>
  (value as { aPoCPath: readonly { path: string }[] }).aPoCPath.map(({ path }) => path);

const contactMembers = record({ contactURI: uri, other: string });
/** Either way to say where somebody is. */
export const contactInfo: ValueType = {
  expected: 'an object of contactURI or other',
  schema: { ...contactMembers.schema, minProperties: 1, maxProperties: 1 },
  check(value, at) {
    const complaint = contactMembers.check(value, at);
    if (complaint) return complaint;
    const { contactURI, other } = value as JsonObject;
    return (contactURI === undefined) === (other === undefined)
      ? `${at} must have one of contactURI and other.`
      : undefined;
  },
};

/** As long as the container has room for. */
const contentText: ValueType = {
  ...string,
  check: (value, at) => (typeof value === 'string' ? undefined : `${at} is ${shown(value)}; it must be a string.`),
};
const content = record({ contentType: string, textContent: contentText, binaryContent: contentText }, ['contentType']);
/** JSON's form of a contentInstance's content: its media type, and text or base64. */
export const instanceContent: ValueType = {
  expected: content.expected,
  schema: content.schema,
  check(value, at) {
    const complaint = content.check(value, at);
    if (complaint) return complaint;
    const { textContent, binaryContent } = value as JsonObject;
    if ((textContent === undefined) === (binaryContent === undefined))
      return `${at} must have one of textContent and binaryContent.`;
    if (typeof binaryContent !== 'string' || BASE64.test(binaryContent)) return undefined;
    return `${at}.binaryContent is ${shown(binaryContent)}; it must be base64.`;
  },
};
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Members of filterCriteria that look into contentInstances, and so make sense on nothing else. */
const CONTENT_FILTERS = {
  creator: string,
  searchString,
  createdSince: dateTime,
  createdUntil: dateTime,
  sizeFrom: long,
  sizeUntil: long,
  contentType: listOf(string),
  metaDataOnly: boolean,
} as const satisfies Record<string, ValueType>;

export const CONTENT_FILTER_NAMES: readonly string[] = Object.keys(CONTENT_FILTERS);
export const filterCriteria = record({
  ifModifiedSince: dateTime,
  ifUnmodifiedSince: dateTime,
  ifMatch: listOf(string),
  ifNoneMatch: listOf(string),
  attributeAccessor: string,
  ...CONTENT_FILTERS,
});
