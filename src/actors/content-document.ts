/** What is created in a container that means something to the broker: the JSON of a command or an alarm, however it comes. */
import { isRefusal, refuse, type Refusal } from '../errors.js';
import { isObject, type Json } from '../json.js';
import type { Body, JsonObject } from '../routing/primitive.js';

/**
 * The document, bare or as the text of a contentInstance.
 *
 * @param noun `A command`, for the sentences
 */
export function contentDocument(body: Body, noun: string): JsonObject | Refusal {
  const document = body.document();
  if (isRefusal(document)) return document;
  const instance = document.contentInstance;
  if (instance === undefined) return document;
  const content = isObject(instance) ? instance.content : undefined;
  const text = isObject(content) ? content.textContent : undefined;
  if (typeof text !== 'string')
    return refuse('STATUS_BAD_REQUEST', `${noun} inside a contentInstance is its content.textContent, in JSON.`);
  let parsed: Json | undefined;
  try {
    parsed = JSON.parse(text) as Json;
  } catch {
    parsed = undefined;
  }
  return isObject(parsed) ? parsed : refuse('STATUS_BAD_REQUEST', `${noun} must be a JSON object.`);
}
