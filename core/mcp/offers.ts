import { z } from 'zod';
import { cleaned } from './clean.ts';
import { hasParts } from './parts.ts';
import { markOf, type PinState } from './pinned/pins.ts';

export const offerKinds = ['prompt', 'resource', 'template'] as const;
export type OfferKind = (typeof offerKinds)[number];
/** What one server may offer of each, beside its tools. */
export const MOST_OFFERS = { prompt: 256, resource: 500, template: 100 } as const satisfies Record<
  OfferKind,
  number
>;
const MOST_ARGUMENTS = 64;

const about = {
  title: z.string().max(256).optional(),
  description: z.string().max(8_192).optional(),
};
const annotationsSchema = z
  .object({
    audience: z
      .array(z.enum(['user', 'assistant']))
      .max(2)
      .optional(),
    priority: z.number().min(0).max(1).optional(),
    lastModified: z.string().max(64).optional(),
  })
  .optional();
const mimeType = z.string().max(256).optional();
/** It is a key of an index, too. */
const uriSchema = z.string().min(1).max(1_024);

export const promptSchema = z.object({
  name: z.string().min(1).max(256),
  ...about,
  arguments: z
    .array(z.object({ name: z.string().min(1).max(256), ...about, required: z.boolean().optional() }))
    .max(MOST_ARGUMENTS)
    .optional(),
});
export type Prompt = z.infer<typeof promptSchema>;

export const resourceSchema = z.object({
  uri: uriSchema,
  name: z.string().min(1).max(256),
  ...about,
  mimeType,
  size: z.number().nonnegative().optional(),
  annotations: annotationsSchema,
});
export type Resource = z.infer<typeof resourceSchema>;

export const templateSchema = z.object({
  uriTemplate: uriSchema,
  name: z.string().min(1).max(256),
  ...about,
  mimeType,
  annotations: annotationsSchema,
});
export type Template = z.infer<typeof templateSchema>;

/** What a server has beside tools, as its worker tells it. */
export const offersSchema = z.object({
  prompts: z.array(promptSchema).max(MOST_OFFERS.prompt).default([]),
  resources: z.array(resourceSchema).max(MOST_OFFERS.resource).default([]),
  templates: z.array(templateSchema).max(MOST_OFFERS.template).default([]),
});
export type Offers = z.infer<typeof offersSchema>;

export const noOffers: Offers = { prompts: [], resources: [], templates: [] };

/** What clients are told of something, under the name that a project gives it. */
export interface Listed {
  name: string;
  [field: string]: unknown;
}

const shownAbout = <T extends { title?: string | undefined; description?: string | undefined }>(
  thing: T,
): T => ({
  ...thing,
  ...(thing.title === undefined ? {} : { title: cleaned(thing.title) }),
  ...(thing.description === undefined ? {} : { description: cleaned(thing.description) }),
});

/** As clients are told of it, under the name that its project gives it. */
export const shownPrompt = (prompt: Prompt, { name, state }: { name: string; state: PinState }): Listed => ({
  ...shownAbout(prompt),
  name,
  ...(prompt.arguments && { arguments: prompt.arguments.map(shownAbout) }),
  ...markOf(state),
});

export const shownResource = (resource: Resource | Template, state: PinState): object => ({
  ...shownAbout(resource),
  name: cleaned(resource.name),
  ...markOf(state),
});

/** Whether a URI is one that a template makes: what stands in braces is any text. */
export const isOfTemplate = (uriTemplate: string, uri: string): boolean =>
  hasParts(uri, uriTemplate.split(/\{[^{}]*\}/));

/** Resources that are heard of: by one stream of a client, by one user, in all, and of one server. */
export const MOST_SUBSCRIBED = { stream: 64, user: 256, userAtServer: 64, all: 4_096, server: 256 } as const;

/** Body of `POST /api/v1/llms/_provider-resources`: which resources of a server are others now, of those that it was asked to tell of. */
export const resourceNewsSchema = z.object({
  providerSessionId: z.uuid(),
  server: z.string().max(64),
  updated: z.array(uriSchema).max(MOST_SUBSCRIBED.server).default([]),
});

/** Its answer: of which somebody wants to hear. */
export const wantedResourcesSchema = z.object({ wanted: z.array(z.string()) });
