import { z } from 'zod';
import type { ErrorCode } from '../../core/errors.ts';

/** One call of the API as the document tells it; the schemas are those that the route checks with. */
export interface Operation {
  /** `GET /llms/{name}`, below `/api/v1`, unless `servedAt` tells. */
  call: `${'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'} /${string}`;
  tag: string;
  summary: string;
  servedAt?: '/';
  /** For who has no token. */
  isPublic?: true;
  /** More than a line, in Markdown. */
  about?: string;
  query?: z.ZodObject;
  headers?: z.ZodObject;
  body?: z.ZodType;
  /** Of the body, where it is not JSON. */
  bodyType?: string;
  status: number;
  answer?: z.ZodType;
  answerType?: string;
  /** What it is answered with besides, by what was asked for. */
  also?: readonly Pick<Operation, 'status' | 'answer' | 'answerType'>[];
  /** What it may be refused with, besides what every call may be. */
  errors: readonly ErrorCode[];
}

/** Of who writes over what they have read. */
export const ifMatch = z.object({
  'if-match': z.string().optional().meta({ description: 'The ETag of the revision that was read.' }),
});

/** Of who comes back to a stream. */
export const lastEventId = z.object({ 'last-event-id': z.string().optional() });

/** Of who heard that a list changed, as many do at once. */
export const lookAgain = z.object({
  'x-mcpctl-max-age-ms': z.string().optional().meta({
    description:
      'So old may the answer be, up to 1,000 ms, where others with the same token ask for the same; without it, it is made anew.',
  }),
});

/** A page of a list. */
export const listOf = (item: z.ZodType): z.ZodType =>
  z.object({ items: z.array(item), next: z.string().nullable() });
