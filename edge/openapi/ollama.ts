import { z } from 'zod';
import type { ErrorCode } from '../../core/errors.ts';
import { chatSchema, embeddingsSchema, embedSchema, generateSchema, showSchema } from '../ollama/request.ts';
import type { Operation } from './operation.ts';

const model = z.looseObject({
  name: z.string(),
  model: z.string(),
  modified_at: z.string(),
  details: z.looseObject({ family: z.string() }),
});
const models = z.object({ models: z.array(model) });
const answerSchema = z.looseObject({ model: z.string(), created_at: z.string(), done: z.boolean() });

/** The calls of Ollama's own protocol, beside `/api/v1`; what may be refused is what an inference may be. */
export const ollamaOperations = (errors: readonly ErrorCode[]): readonly Operation[] => {
  const asked = { tag: 'ollama', status: 200, servedAt: '/', errors } as const;
  const plain = { ...asked, errors: [] } as const;
  const lines = { status: 200, answerType: 'application/x-ndjson' };
  return [
    {
      ...plain,
      call: 'GET /api/version',
      summary: 'The version of the protocol',
      answer: z.object({ version: z.string() }),
    },
    { ...plain, call: 'GET /api/tags', summary: 'Models that may be called', answer: models },
    { ...plain, call: 'GET /api/ps', summary: 'Those of them that are loaded', answer: models },
    {
      ...plain,
      call: 'POST /api/show',
      summary: 'One model',
      body: showSchema,
      answer: z.looseObject({ capabilities: z.array(z.string()) }),
      errors: ['llm_not_found', 'invalid_request'],
    },
    {
      ...asked,
      call: 'POST /api/chat',
      summary: 'Chat',
      body: chatSchema,
      answer: answerSchema,
      also: [lines],
    },
    {
      ...asked,
      call: 'POST /api/generate',
      summary: 'A prompt, as a chat',
      body: generateSchema,
      answer: answerSchema,
      also: [lines],
    },
    {
      ...asked,
      call: 'POST /api/embed',
      summary: 'Embeddings',
      body: embedSchema,
      answer: z.looseObject({ embeddings: z.array(z.array(z.number())) }),
    },
    {
      ...asked,
      call: 'POST /api/embeddings',
      summary: 'One embedding, as it was called before',
      body: embeddingsSchema,
      answer: z.looseObject({ embedding: z.array(z.number()) }),
    },
  ];
};
