/** The descriptions of the interface, judged by the validators of those who write the standards, and by the running broker. */
import { createRequire } from 'node:module';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Ajv, type AnySchemaObject } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { JsonObject } from '../../../src/json.js';
import { asyncApi } from '../../../src/protocols/descriptions/asyncapi.js';
import { openApi, typeSchemas } from '../../../src/protocols/descriptions/openapi.js';
import { TYPES } from '../../../src/resources/types.js';
import { closeStage, http, startBroker } from '../../broker/stage.js';

afterEach(closeStage);

const require = createRequire(import.meta.url);
const formats = addFormats as unknown as (ajv: unknown) => void;

test('OpenAPI 3.1 is valid', async () => {
  const { valid, errors } = await new Validator().validate(structuredClone(openApi('1.2.3')));
  expect(errors ?? []).toEqual([]);
  expect(valid).toBe(true);
});

test('AsyncAPI 3 is valid', () => {
  const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
  const isValid = ajv.compile(require('@asyncapi/specs/schemas/3.0.0-without-$id.json') as AnySchemaObject);
  expect([isValid(asyncApi('1.2.3')), isValid.errors]).toEqual([true, null]);
});

test('every type with each of its verbs is described', () => {
  const { paths } = openApi('1.2.3') as unknown as { paths: Record<string, Record<string, { tags?: string[] }>> };
  const methods = { create: 'post', retrieve: 'get', update: 'put', delete: 'delete' } as const;
  for (const { name, verbs } of Object.values(TYPES))
    for (const verb of verbs) {
      const described = Object.values(paths).some((path) => path[methods[verb]]?.tags?.includes(name));
      expect([name, verb, described]).toEqual([name, verb, true]);
    }
});

test('what the broker answers is as described, and what it refuses is not', async () => {
  const running = await startBroker();
  const ajv = new Ajv2020({ strict: false });
  formats(ajv);
  const schemas = typeSchemas() as unknown as Record<string, AnySchemaObject>;
  const holds = (name: string, value: unknown): boolean => ajv.validate(schemas[name] ?? { not: {} }, value) === true;
  const bodies: readonly (readonly [string, string, JsonObject])[] = [
    ['/m2m/applications', 'application', { appId: 'meter-7', searchStrings: { searchString: ['meter'] } }],
    ['/m2m/containers', 'container', { id: 'load', maxNrOfInstances: 5, durability: 'grouped' }],
    ['/m2m/containers', 'container', { maxNrOfInstances: 'five' }],
    ['/m2m/containers', 'container', { unknown: 1 }],
    ['/m2m/containers', 'container', { creationTime: '2026-01-01T00:00:00Z' }],
    ['/m2m/notificationChannels', 'notificationChannel', {}],
    ['/m2m/notificationChannels', 'notificationChannel', { channelType: 'LONG_POLLING' }],
  ];
  for (const [path, type, body] of bodies) {
    const { status, location } = await http(running, 'POST', path, { [type]: body });
    expect([type, body, holds(`${type}.create`, body)]).toEqual([type, body, status === 201]);
    if (status !== 201) continue;
    const { json } = await http(running, 'GET', location);
    expect(holds(`${type}.response`, json[type])).toBe(true);
  }
});

test('the broker serves both', async () => {
  const running = await startBroker();
  expect((await http(running, 'GET', '/openapi.json')).json).toMatchObject({ openapi: '3.1.0' });
  expect((await http(running, 'GET', '/asyncapi.json')).json).toMatchObject({ asyncapi: '3.0.0' });
});
