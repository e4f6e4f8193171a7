/**
 * Protobuf messages by the schemas in proto/, read once at start; nothing on the wire chooses a schema. The one import site
 * of protobufjs.
 */
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import { reasonOf, refuse, type Refusal } from '../errors.js';

/** Writes and reads one type of message. Field names are those of the schema in camel case. */
export interface MessageCodec<Message extends object> {
  /** Absent fields take the schema's default. */
  encode(message: Message): Uint8Array;
  /** Refused with 400 what is not this message. 64-bit integers are numbers, exact up to 2^53; absent fields have their defaults. */
  decode(bytes: Uint8Array): Message | Refusal;
}

/** Resolves from src/protocols, dist/protocols and dist/chunks alike. */
const SCHEMAS = new URL('../../proto/', import.meta.url);
const PLAIN = { longs: Number, enums: String, defaults: true, arrays: true } as const;

/** @param schema file name in proto/ @param type full name, `gridcast.v1.Sample` */
export function messageCodec<Message extends object>(schema: string, type: string): MessageCodec<Message> {
  const messageType = protobuf.loadSync(fileURLToPath(new URL(schema, SCHEMAS))).lookupType(type);
  return {
    encode: (message) => messageType.encode(message).finish(),
    decode(bytes) {
      try {
        return messageType.toObject(messageType.decode(bytes), PLAIN) as Message;
      } catch (error) {
        return refuse('STATUS_BAD_REQUEST', `The bytes are not a ${type} message: ${reasonOf(error)}.`);
      }
    },
  };
}

/** A field of a message as a description shows it. */
export interface FieldShape {
  /** In JSON's spelling. */
  readonly name: string;
  /** As the schema has it: `string`, `uint32`, or another message's name. */
  readonly type: string;
  readonly isRepeated: boolean;
  readonly comment: string;
}

export interface MessageShape {
  /** The member of the union that it is. */
  readonly name: string;
  readonly fields: readonly FieldShape[];
  readonly comment: string;
}

/** The messages that a union has as members, with the comments of the schema. */
export function messagesOf(schema: string, union: string): readonly MessageShape[] {
  const root = new protobuf.Root().loadSync(fileURLToPath(new URL(schema, SCHEMAS)), { alternateCommentMode: true });
  return root.lookupType(union).fieldsArray.map(({ name, type }) => {
    const message = root.lookupType(`${union.slice(0, union.lastIndexOf('.'))}.${type}`);
    const fields = message.fieldsArray.map((field) => ({
      name: field.name,
      type: field.type,
      isRepeated: field.repeated,
      comment: field.comment ?? '',
    }));
    return { name, fields, comment: message.comment ?? '' };
  });
}
