import {
  OpenAPIRegistry,
  OpenApiGeneratorV31,
  type RouteConfig,
  type ZodContentObject,
} from '@asteasolutions/zod-to-openapi';
import { z } from 'zod';
import { apiErrorSchema } from '../../core/api-error.ts';
import { entryOf, type ErrorCode } from '../../core/errors.ts';
import type { Definition } from '../../core/resources/define.ts';
import { stored } from '../../core/resources/index.ts';
import { catalogueOperation, operationsOf } from '../resources/operations.ts';
import type { Operation } from './operation.ts';
import { apiOperations } from './operations.ts';
import { workerOperations } from './worker.ts';

const tags = [
  { name: 'inference', description: 'Ask an llm. OpenAI clients use `/v1`, which is OpenAI’s own API.' },
  { name: 'tasks', description: 'Every inference is a task.' },
  { name: 'threads', description: 'Conversations with agents, kept until they are deleted.' },
  { name: 'llms', description: 'What can be called by name.' },
  { name: 'pools', description: 'Llms with the same pool key.' },
  { name: 'sessions', description: 'Workers that publish, as people see and govern them.' },
  { name: 'tokens', description: 'Who may call.' },
  { name: 'resources', description: 'What kinds of things there are.' },
  { name: 'ollama', description: 'Ollama’s own protocol, for clients that know no other.' },
  { name: 'worker', description: 'What a worker says to the edge.' },
];

const errorSchema = apiErrorSchema.meta({ id: 'Error' });

/** Every call may be refused so. */
const always: readonly ErrorCode[] = [
  'unauthenticated',
  'forbidden',
  'too_many_requests',
  'internal',
  'unavailable',
];
/** Every call with a body, and every one that makes something new, may be refused so. */
const withBody: readonly ErrorCode[] = [
  'invalid_json',
  'body_too_large',
  'unsupported_media_type',
  'shutting_down',
];

const fixed: readonly Operation[] = [...apiOperations, ...workerOperations, catalogueOperation];

export const operations: readonly Operation[] = [...fixed, ...stored.flatMap(operationsOf)];

/**
 * The OpenAPI 3.1 document of `/api/v1`, from the schemas that the routes check with. Equal to docs/openapi.json.
 * @param definitions of the resources that are served besides.
 */
export function openApiDocument(version: string, definitions: readonly Definition[] = stored): object {
  const registry = new OpenAPIRegistry();
  registry.registerComponent('securitySchemes', 'bearer', { type: 'http', scheme: 'bearer' });
  registry.registerComponent('securitySchemes', 'apiKey', {
    type: 'apiKey',
    in: 'header',
    name: 'x-api-key',
  });
  for (const operation of [...fixed, ...definitions.flatMap(operationsOf)])
    registry.registerPath(pathOf(operation));
  const generator = new OpenApiGeneratorV31(registry.definitions);
  return generator.generateDocument({
    openapi: '3.1.0',
    info: {
      title: 'mcpctl',
      version,
      description:
        'The registry, its pools and tasks. `/v1` beside it is OpenAI’s API and not told again here.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [{ url: '/api/v1' }],
    tags: [...tags, ...definitions.map(({ plural, about }) => ({ name: plural, description: about }))],
  });
}

function pathOf(operation: Operation): RouteConfig {
  const { tag, summary, about, query, headers } = operation;
  const { method, path } = callOf(operation);
  const params = [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name);
  return {
    method,
    path,
    tags: [tag],
    summary,
    operationId: idOf(operation),
    ...(about === undefined ? {} : { description: about }),
    ...(operation.servedAt === undefined ? {} : { servers: [{ url: operation.servedAt }] }),
    security: operation.isPublic ? [] : [{ bearer: [] }, { apiKey: [] }],
    request: {
      ...(params.length > 0
        ? { params: z.object(Object.fromEntries(params.map((name) => [name, z.string()]))) }
        : {}),
      ...(query ? { query } : {}),
      ...(headers ? { headers } : {}),
      ...bodyOf(operation),
    },
    responses: {
      ...answersOf(operation),
      ...refusals([...always, ...(operation.body ? withBody : []), ...operation.errors]),
    },
  };
}

/**
 * `GET /llms/{name}` → its method and path.
 * @internal the document is compared with it
 */
export function callOf({ call }: Operation): {
  method: 'get' | 'post' | 'put' | 'patch' | 'delete';
  path: string;
} {
  const [method = '', path = ''] = call.split(' ');
  return { method: method.toLowerCase() as 'get', path };
}

/** `DELETE /tasks/{id}` → `deleteTasksId`. */
function idOf(operation: Operation): string {
  const { method, path } = callOf(operation);
  const words = path.split(/[^A-Za-z]+/).filter(Boolean);
  return method + words.map((word) => (word[0] ?? '').toUpperCase() + word.slice(1)).join('');
}

function bodyOf({ body, bodyType = 'application/json' }: Operation) {
  if (!body) return {};
  return { body: { required: true, content: { [bodyType]: { schema: body } } } };
}

/** One per status; a status may come with bodies of several types. */
function answersOf(operation: Operation) {
  const { summary, also = [] } = operation;
  const byStatus: Record<string, { description: string; content?: ZodContentObject }> = {};
  for (const { status, answer, answerType = 'application/json' } of [operation, ...also]) {
    const described = (byStatus[status] ??= { description: status === 202 ? 'Accepted' : summary });
    const schema = answerType === 'application/json' ? answer : z.string();
    if (schema) described.content = { ...described.content, [answerType]: { schema } };
  }
  return byStatus;
}

/** One answer per status, naming its codes. */
function refusals(codes: readonly ErrorCode[]) {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set(codes)) {
    const { status } = entryOf(code);
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, of]) => [
      status,
      {
        description: of.map((code) => `\`${code}\`: ${entryOf(code).message}`).join('\n\n'),
        content: { 'application/json': { schema: errorSchema } },
      },
    ]),
  );
}
