import { shellWord } from '../../../core/runtime/plain.ts';
import { js, quote, jsKey, type ClientKind } from './wiring.ts';

export const openai: ClientKind = {
  goes: 'JavaScript for the openai package (npm install openai).',
  text: (w) => `import OpenAI from 'openai';

const client = new OpenAI({ baseURL: ${js(w.baseUrl)}, apiKey: ${jsKey(w)} });

const stream = await client.chat.completions.create({
  model: ${js(w.model)},
  messages: [{ role: 'user', content: 'Hello!' }],
  stream: true,
});
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta.content ?? '');
`,
};

export const openaiPython: ClientKind = {
  goes: 'Python for the openai package (pip install openai).',
  text: (w) => `import os
from openai import OpenAI

client = OpenAI(base_url=${quote(w.baseUrl)}, api_key=${w.token === null ? 'os.environ["MCPCTL_TOKEN"]' : quote(w.token)})

stream = client.chat.completions.create(
    model=${quote(w.model)},
    messages=[{"role": "user", "content": "Hello!"}],
    stream=True,
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="", flush=True)
`,
};

export const aiSdk: ClientKind = {
  goes: 'JavaScript for the AI SDK (npm install ai@5 @ai-sdk/openai-compatible@1).',
  text: (w) => `import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { streamText } from 'ai';

const mcpctl = createOpenAICompatible({
  name: 'mcpctl',
  baseURL: ${js(w.baseUrl)},
  apiKey: ${jsKey(w)},
  includeUsage: true,
});

const { textStream } = streamText({ model: mcpctl(${js(w.model)}), prompt: 'Hello!' });
for await (const text of textStream) process.stdout.write(text);
`,
};

export const langchain: ClientKind = {
  goes: 'JavaScript for LangChain (npm install @langchain/openai @langchain/core).',
  text: (w) => `import { ChatOpenAI } from '@langchain/openai';

const model = new ChatOpenAI({
  model: ${js(w.model)},
  apiKey: ${jsKey(w)},
  configuration: { baseURL: ${js(w.baseUrl)} },
});

for await (const chunk of await model.stream('Hello!')) process.stdout.write(chunk.text);
`,
};

export const anthropic: ClientKind = {
  goes: 'JavaScript for the @anthropic-ai/sdk package (npm install @anthropic-ai/sdk).',
  // The package adds /v1 by itself.
  text: (w) => `import Anthropic from '@anthropic-ai/sdk';

const client = new Anthropic({ baseURL: ${js(w.server)}, apiKey: ${jsKey(w)} });

const stream = client.messages.stream({
  model: ${js(w.model)},
  max_tokens: 1024,
  messages: [{ role: 'user', content: 'Hello!' }],
});
stream.on('text', (text) => process.stdout.write(text));
await stream.finalMessage();
`,
};

export const curl: ClientKind = {
  goes: 'For a shell.',
  text: (w) => `curl --no-buffer ${shellWord(`${w.baseUrl}/chat/completions`)} \\
  -H ${w.token === null ? '"Authorization: Bearer $MCPCTL_TOKEN"' : shellWord(`Authorization: Bearer ${w.token}`)} \\
  -H 'Content-Type: application/json' \\
  -d ${shellWord(JSON.stringify({ model: w.model, stream: true, messages: [{ role: 'user', content: 'Hello!' }] }))}
`,
};
