/**
 * The WebSocket interface as AsyncAPI 3, read off proto/primitive.proto, which both subprotocols follow; and CoAP's
 * observations, which are the same subscriptions.
 *
 *     Frame { oneof: hello, welcome, req, ... } ──> a message each; "t" names it in JSON
 */
import type { JsonObject } from '../../json.js';
import { FORMATS } from '../../routing/format.js';
import { LATENCY_CLASSES } from '../../routing/terms.js';
import { messagesOf, type FieldShape } from '../protobuf.js';

const ANY: JsonObject = {};
/** Members whose spelling in JSON is their own: a body is JSON itself where it is JSON, and a time is a text. */
const OWN_SPELLINGS: Readonly<Record<string, { readonly name: string; readonly schema: JsonObject }>> = {
  payload: { name: 'body', schema: ANY },
  body: { name: 'body', schema: ANY },
  timeUs: { name: 'time', schema: { type: 'string', format: 'date-time' } },
};
const SCHEMAS: Readonly<Record<string, JsonObject>> = {
  string: { type: 'string' },
  bool: { type: 'boolean' },
  uint32: { type: 'integer', minimum: 0 },
  int64: { type: 'integer' },
  double: { type: 'number' },
  bytes: ANY,
};
const FROM_CLIENT = ['hello', 'req', 'sub', 'unsub', 'msg', 'ack', 'ping', 'pong'];
const FROM_BROKER = ['welcome', 'res', 'ntf', 'batch', 'route', 'end', 'msg', 'ack', 'ping', 'pong', 'error'];

/** @param version of the program */
export function asyncApi(version: string): JsonObject {
  const frames = messagesOf('primitive.proto', 'gridcast.v1.Frame');
  const names = frames.map(({ name }) => name);
  const refs = (chosen: readonly string[], channel: string): readonly JsonObject[] =>
    chosen.map((name) => ({ $ref: `#/channels/${channel}/messages/${name}` }));
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Gridcast',
      version,
      description:
        'Streams, commands and alarms over WebSocket; streams over CoAP Observe. Requests are those of /openapi.json.',
    },
    servers: {
      websocket: {
        host: 'localhost:8080',
        protocol: 'ws',
        description: 'Subprotocols gridcast.v1+json and gridcast.v1.',
      },
      coap: { host: 'localhost:5683', protocol: 'coap' },
    },
    channels: {
      session: {
        address: '/m2m',
        servers: [{ $ref: '#/servers/websocket' }],
        messages: Object.fromEntries(names.map((name) => [name, { $ref: `#/components/messages/${name}` }])),
      },
      observation: {
        address: '/m2m/{resource}',
        servers: [{ $ref: '#/servers/coap' }],
        parameters: { resource: { description: 'The path of a resource, or of .../contentInstances/latest/content.' } },
        messages: { notification: { $ref: '#/components/messages/notification' } },
      },
    },
    operations: {
      toBroker: { action: 'receive', channel: { $ref: '#/channels/session' }, messages: refs(FROM_CLIENT, 'session') },
      fromBroker: { action: 'send', channel: { $ref: '#/channels/session' }, messages: refs(FROM_BROKER, 'session') },
      observed: {
        action: 'send',
        channel: { $ref: '#/channels/observation' },
        messages: refs(['notification'], 'observation'),
      },
    },
    components: {
      messages: {
        ...Object.fromEntries(frames.map(({ name, fields, comment }) => [name, message(name, fields, comment)])),
        notification: {
          summary: `A GET with Observe 0 opens it; rate, c.pmin and class (${LATENCY_CLASSES.join(', ')}) are its query.`,
          contentType: FORMATS.senmlCbor.mediaType,
          payload: ANY,
        },
      },
    },
  };
}

function message(t: string, fields: readonly FieldShape[], comment: string): JsonObject {
  const spelled = fields.map(({ name, type, isRepeated, comment: description }) => {
    const own = OWN_SPELLINGS[name];
    const schema = own?.schema ?? SCHEMAS[type] ?? ANY;
    const described = {
      ...(isRepeated ? { type: 'array', items: schema } : schema),
      ...(description && { description }),
    };
    return [own?.name ?? name, described] as const;
  });
  return {
    name: t,
    ...(comment && { summary: comment }),
    contentType: FORMATS.json.mediaType,
    payload: { type: 'object', properties: { t: { const: t }, ...Object.fromEntries(spelled) }, required: ['t'] },
  };
}
