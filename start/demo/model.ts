import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The model's id says what it is wherever it is shown: a demo. */
export const demoModelId = 'tiny-chat-demo';

/** The model's file: beside the sources, which is also where a build in `dist/` finds it. */
export function demoModelPath(): string {
  const places = ['./tiny-chat/tiny-chat.gguf', '../../../start/demo/tiny-chat/tiny-chat.gguf'];
  const [beside = '', ofSources = ''] = places.map((place) => fileURLToPath(new URL(place, import.meta.url)));
  return existsSync(beside) ? beside : ofSources;
}
