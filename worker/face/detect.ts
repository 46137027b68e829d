import { discoverBackends, portsLookedAt } from '../../core/discover/discover.ts';
import type { FoundBackend } from '../../core/discover/probes.ts';
import { isSharable } from '../../core/discover/suggest.ts';
import { oneLine } from '../../core/runtime/plain.ts';
import type { Face } from './face.ts';

const labels: Readonly<Record<FoundBackend['type'], string>> = {
  lmstudio: 'LM Studio',
  ollama: 'Ollama',
  vllm: 'vLLM',
  llamacpp: 'llama.cpp',
  openai: 'OpenAI-like',
};

/** `32k`, as people say how long a text may be. */
export const lengthText = (tokens: number | undefined): string =>
  tokens === undefined ? '' : tokens < 1_024 ? String(tokens) : `${String(Math.round(tokens / 1_024))}k`;

type Model = FoundBackend['models'][number];

/** What a model can do besides, in a word or two. */
export const abilitiesOf = ({ chat, tools, vision }: Model): string =>
  chat ? [tools && 'tools', vision && 'vision'].filter(Boolean).join(', ') : 'embeddings';

/** Looks for model servers on this machine, and says what is where. Publishes nothing and writes nothing. */
export async function look(face: Face): Promise<FoundBackend[]> {
  const where = { ollamaHost: face.env['OLLAMA_HOST'] };
  face.say('Looking on this machine only, one second …');
  const backends = await discoverBackends(where);
  for (const { type, url, models } of backends) {
    const loaded = models.filter((model) => model.loaded === true).length;
    const many = models.length === 1 ? '1 model' : `${String(models.length)} models`;
    face.say(
      `  ${labels[type].padEnd(11)} ${url.padEnd(28)} ${many}${loaded > 0 ? `, ${String(loaded)} loaded` : ''}`,
    );
    const odd = models.filter(({ id }) => !isSharable(id)).length;
    if (odd > 0)
      face.say(
        `  ${String(odd)} of those cannot be shared: a model's name has 1 to 256 letters and nothing that does not show.`,
      );
  }
  const taken = new Set(backends.map(({ url }) => Number(new URL(url).port)));
  const free = portsLookedAt(where).filter((port) => !taken.has(port));
  if (free.length > 0) face.say(`  nothing on ${free.join(', ')}`);
  return backends;
}

/** A backend calls its models as it likes, and each has one line here. */
function shownModel({ id }: Model): string {
  const name = oneLine(id);
  return name.length > MOST_SHOWN ? `${name.slice(0, MOST_SHOWN)}…` : name;
}
const MOST_SHOWN = 256;

export async function detect(face: Face): Promise<void> {
  const backends = await look(face);
  for (const { url, models } of backends)
    for (const model of models)
      face.say(
        `  ${url}  ${shownModel(model)}  ${[lengthText(model.contextLength), abilitiesOf(model)].filter(Boolean).join('  ')}`.trimEnd(),
      );
  face.say(
    backends.length > 0
      ? 'Nothing is shared by that: mcplocal init asks which of them are to be.'
      : 'Start a model server here, such as Ollama or LM Studio, and look again.',
  );
  face.answer({ backends });
}
