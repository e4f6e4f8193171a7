/**
 * FETCH [RFC8132-2]: a retrieve whose filter is too long, or too private, for a URI. Its body is the filterCriteria that TS 102 921
 * knows from subscriptions, as JSON or CBOR, and becomes the query that a GET would have had.
 *
 *     {"filterCriteria": {"attributeAccessor": "searchStrings", "searchString": ["a", "b"]}}
 *         ──> ?attributeAccessor=searchStrings&searchString=a&searchString=b
 */
import { isRefusal, refuse, type Refusal } from '../../errors.js';
import type { Body, Json, JsonObject } from '../../routing/primitive.js';

const ROOT = 'filterCriteria';

/** The query that a body stands for, behind the one of the URI. */
export function queryOfBody(body: Body | undefined, query: URLSearchParams): URLSearchParams | Refusal {
  if (!body) return refuse('STATUS_BAD_REQUEST', `A FETCH needs a body: ${EXAMPLE}.`);
  const document = body.document();
  if (isRefusal(document)) return document;
  const { [ROOT]: criteria, ...others } = document;
  if (!isCriteria(criteria) || Object.keys(others).length > 0)
    return refuse('STATUS_BAD_REQUEST', `The body of a FETCH has one root key, ${ROOT}: ${EXAMPLE}.`);
  const whole = new URLSearchParams(query);
  for (const [name, value] of Object.entries(criteria)) {
    for (const each of isList(value) ? value : [value]) {
      if (!isPlain(each))
        return refuse(
          'STATUS_BAD_REQUEST',
          `${ROOT}.${name} must be a text, a number, true or false, or a list of them.`,
        );
      whole.append(name, String(each));
    }
  }
  return whole;
}

const EXAMPLE = `{"${ROOT}":{"attributeAccessor":"latest/content"}}`;

const isCriteria = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isList = (value: Json | undefined): value is readonly Json[] => Array.isArray(value);
const isPlain = (value: Json | undefined): value is string | number | boolean =>
  ['string', 'number', 'boolean'].includes(typeof value);
