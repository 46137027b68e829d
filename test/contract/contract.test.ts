/**
 * The contract with clients (docs/clients.md, docs/openai.md): the packages that people use, as they use them,
 * against one real system. Each file beside this one holds the facts of one subject; they share the system.
 */
import { agentFacts } from './agents.ts';
import { aiSdkFacts } from './ai-sdk.ts';
import { anthropicFacts } from './anthropic.ts';
import { byteFacts } from './bytes.ts';
import { clientShapeFacts } from './client-shapes.ts';
import { langChainFacts } from './langchain.ts';
import { nameFacts } from './names.ts';
import { networkFacts } from './network.ts';
import { ollamaFacts } from './ollama.ts';
import { openDoor, type Door } from './door.ts';
import { openAiFacts } from './openai.ts';
import { responsesFacts } from './responses.ts';
import { retryFacts } from './retries.ts';
import { beginRealSilence, silenceFacts } from './silence.ts';
import { snippetFacts } from './snippets.ts';
import { streamFacts } from './streams.ts';
import { tinyFacts } from './tiny.ts';
import { translatedFacts } from './translated.ts';

describe('the OpenAI-compatible door, by the clients that people use', function () {
  this.timeout(60_000);
  let door: Door;
  let real: Awaited<ReturnType<typeof beginRealSilence>>;
  const at = (): Door => door;
  before(async function () {
    door = await openDoor();
    real = await beginRealSilence(door);
    door.keepPublished();
    for (const facts of this.test?.parent?.suites ?? []) facts.afterAll(() => door.endPublished());
  });
  after(() => door.close());

  streamFacts(at);
  openAiFacts(at);
  aiSdkFacts(at);
  langChainFacts(at);
  agentFacts(at);
  anthropicFacts(at);
  responsesFacts(at);
  translatedFacts(at);
  clientShapeFacts(at);
  ollamaFacts(at);
  byteFacts(at);
  nameFacts(at);
  tinyFacts(at);
  snippetFacts(at);
  retryFacts(at);
  silenceFacts(at, () => real.pieces);
  networkFacts(() => at().network);
});
