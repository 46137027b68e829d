import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { FoundBackend } from '../discover/probes.ts';

/** The model's id says what it is wherever it is shown: a demo. */
export const demoModelId = 'tiny-chat-demo';

/** The model's file: beside the sources, which is also where a build in `dist/` finds it. */
export function demoModelPath(): string {
  const places = ['./tiny-chat/tiny-chat.gguf', '../../../start/demo/tiny-chat/tiny-chat.gguf'];
  const [beside = '', ofSources = ''] = places.map((place) => fileURLToPath(new URL(place, import.meta.url)));
  return existsSync(beside) ? beside : ofSources;
}

/** The demo engine as if it had been found, for `suggestProviders`. @param url without `/v1`. */
export function demoBackendAt(url: string): FoundBackend {
  return { type: 'openai', url, models: [{ id: demoModelId, chat: true }] };
}
