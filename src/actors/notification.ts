/** The document of a notification, wherever it goes that has no notifications of its own [TS 102 921 10.25]. */
import { formatTime } from '../clock.js';
import { contentField, type InstanceContent } from '../resources/instance.js';
import type { Delivery } from '../routing/delivery.js';
import { FORMATS } from '../routing/format.js';
import type { JsonObject } from '../routing/primitive.js';
import type { Sample } from '../routing/sample.js';

/** @param reference of the subscription @param body in the delivery's format */
export function notificationOf(
  reference: string,
  delivery: Delivery,
  sample: Sample,
  body: Uint8Array,
): { readonly notify: JsonObject } {
  const isAsStored = sample.content.kind === 'stored' && delivery.projection === 'content';
  const mediaType = isAsStored ? sample.content.mediaType : delivery.format.mediaType;
  return {
    notify: {
      statusCode: 'STATUS_OK',
      ...(reference !== '' && { subscriptionReference: reference }),
      time: formatTime(sample.measuredUs),
      missed: delivery.missed,
      representation: contentField({ mediaType, bytes: body }),
    },
  };
}

/** An instance's content inside a document: a measurement is shown as SenML+JSON. */
export function shownContent(sample: Sample): InstanceContent | undefined {
  const { content } = sample;
  if (content.kind === 'stored') return { mediaType: content.mediaType, bytes: content.bytes };
  const bytes = sample.body('content', FORMATS.senmlJson);
  return bytes && { mediaType: FORMATS.senmlJson.mediaType, bytes };
}
