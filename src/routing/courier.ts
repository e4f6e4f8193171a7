/** How a notification reaches a contact that is not connected: a POST to its URI, over whichever protocol the URI names. */
import type { JsonObject } from './primitive.js';

/** What the contact answered, as a status of HTTP; 502 for one that was not reached, 504 for one that did not answer in time. */
export type Courier = (to: URL, notify: JsonObject, timeoutMs: number) => Promise<number>;

/** By the scheme of the URI, `http:` say. */
export type Couriers = Readonly<Record<string, Courier>>;
