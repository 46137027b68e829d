import { stringify } from 'yaml';

/** What a configuration is made of. */
export interface Wiring {
  /** As people give it, without a slash at its end. */
  server: string;
  /** With `/v1`. */
  baseUrl: string;
  model: string;
  contextLength: number | undefined;
  /** null: left for whoever uses it, under the name MCPCTL_TOKEN. */
  token: string | null;
}

/** A program or package that people call llms with. */
export interface ClientKind {
  /** Ends with a line feed. docs/clients.md holds the same text. */
  text(wiring: Wiring): string;
  /** Where the text goes, as a sentence. */
  goes: string;
  /** Where its token comes from when it is not in it; undefined: the environment, as usual. */
  tokenFrom?: string;
}

/** JavaScript, as people write it. */
const js = (text: string): string =>
  `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
/** JSON's strings are Python's and TOML's too. */
const quote = (text: string): string => JSON.stringify(text);
/** In single quotes for a shell. */
const shell = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

const jsKey = ({ token }: Wiring): string => (token === null ? 'process.env.MCPCTL_TOKEN' : js(token));
const shellKey = ({ token }: Wiring): string => (token === null ? '"$MCPCTL_TOKEN"' : shell(token));

const openai: ClientKind = {
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

const openaiPython: ClientKind = {
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

const aiSdk: ClientKind = {
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

const langchain: ClientKind = {
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

const anthropic: ClientKind = {
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

/**
 * Its subagents ask for `opus`, `sonnet` and `haiku`, each of which is a variable of its own. A key of Anthropic's in the
 * environment would be sent beside the token: to a server that has no business with it.
 */
const claudeCode: ClientKind = {
  goes: 'For a shell, before it starts claude.',
  text: (w) => `export ANTHROPIC_BASE_URL=${shell(w.server)}
export ANTHROPIC_AUTH_TOKEN=${shellKey(w)}
unset ANTHROPIC_API_KEY
export ANTHROPIC_MODEL=${shell(w.model)}
export ANTHROPIC_DEFAULT_OPUS_MODEL=${shell(w.model)}
export ANTHROPIC_DEFAULT_SONNET_MODEL=${shell(w.model)}
export ANTHROPIC_DEFAULT_HAIKU_MODEL=${shell(w.model)}
export CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1
`,
};

const codex: ClientKind = {
  goes: 'Goes into ~/.codex/config.toml.',
  tokenFrom: 'Codex reads the token from MCPCTL_TOKEN: make one with "mcpctl token create NAME".',
  text: (w) => `model = ${quote(w.model)}
model_provider = "mcpctl"
${w.contextLength === undefined ? '' : `model_context_window = ${String(w.contextLength)}\n`}
[model_providers.mcpctl]
name = "mcpctl"
base_url = ${quote(w.baseUrl)}
wire_api = "responses"
${w.token === null ? 'env_key = "MCPCTL_TOKEN"' : `http_headers = { Authorization = ${quote(`Bearer ${w.token}`)} }`}
`,
};

const continueDev: ClientKind = {
  goes: 'Goes into ~/.continue/config.yaml.',
  tokenFrom:
    'Continue reads the token from ~/.continue/.env, as MCPCTL_TOKEN=…: make one with "mcpctl token create NAME".',
  text: (w) =>
    stringify(
      {
        name: 'mcpctl',
        version: '1.0.0',
        schema: 'v1',
        models: [
          {
            name: w.model,
            provider: 'openai',
            model: w.model,
            apiBase: w.baseUrl,
            apiKey: w.token ?? '${{ secrets.MCPCTL_TOKEN }}',
            roles: ['chat', 'edit', 'apply'],
            ...(w.contextLength === undefined
              ? {}
              : { defaultCompletionOptions: { contextLength: w.contextLength } }),
          },
        ],
      },
      { lineWidth: 0 },
    ),
};

const openWebUi: ClientKind = {
  goes: 'The environment of Open WebUI; as a file for docker run --env-file.',
  tokenFrom: 'Put a token in place of <token>: make one with "mcpctl token create NAME".',
  text: (w) => `ENABLE_OPENAI_API=true
OPENAI_API_BASE_URL=${w.baseUrl}
OPENAI_API_KEY=${w.token ?? '<token>'}
DEFAULT_MODELS=${w.model}
AIOHTTP_CLIENT_TIMEOUT=
`,
};

const curl: ClientKind = {
  goes: 'For a shell.',
  text: (w) => `curl --no-buffer ${shell(`${w.baseUrl}/chat/completions`)} \\
  -H ${w.token === null ? '"Authorization: Bearer $MCPCTL_TOKEN"' : shell(`Authorization: Bearer ${w.token}`)} \\
  -H 'Content-Type: application/json' \\
  -d ${shell(JSON.stringify({ model: w.model, stream: true, messages: [{ role: 'user', content: 'Hello!' }] }))}
`,
};

/** What LiteLLM, and so aider, calls an OpenAI-compatible model. */
const aider: ClientKind = {
  goes: 'For a shell, before it starts aider.',
  text: (w) => `export OPENAI_API_BASE=${shell(w.baseUrl)}
export OPENAI_API_KEY=${shellKey(w)}
export AIDER_MODEL=${shell(`openai/${w.model}`)}
`,
};

const json = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;
const placeholder = 'Put a token in place of <token>: make one with "mcpctl token create NAME".';

const vscode: ClientKind = {
  goes: 'Goes into chatLanguageModels.json of VS Code (Chat: Manage Language Models, provider Custom Endpoint).',
  tokenFrom: placeholder,
  text: (w) =>
    json([
      {
        name: 'mcpctl',
        vendor: 'customendpoint',
        apiKey: w.token ?? '<token>',
        apiType: 'chat-completions',
        models: [
          {
            id: w.model,
            name: w.model,
            url: `${w.baseUrl}/chat/completions`,
            toolCalling: true,
            vision: false,
            maxInputTokens: w.contextLength ?? 32_768,
            maxOutputTokens: Math.min(4_096, Math.floor((w.contextLength ?? 32_768) / 2)),
          },
        ],
      },
    ]),
};

const zed: ClientKind = {
  goes: 'Goes into the settings.json of Zed.',
  tokenFrom:
    'Zed reads the token from MCPCTL_API_KEY, or asks for it: make one with "mcpctl token create NAME".',
  // Zed takes no key from its settings, but comments.
  text: (w) =>
    (w.token === null ? '' : `// For the environment of Zed: MCPCTL_API_KEY=${w.token}\n`) +
    json({
      language_models: {
        openai_compatible: {
          mcpctl: {
            api_url: w.baseUrl,
            available_models: [
              {
                name: w.model,
                display_name: w.model,
                max_tokens: w.contextLength ?? 32_768,
                capabilities: {
                  tools: true,
                  images: false,
                  parallel_tool_calls: false,
                  prompt_cache_key: false,
                },
              },
            ],
          },
        },
      },
      agent: { default_model: { provider: 'mcpctl', model: w.model } },
    }),
};

const opencode: ClientKind = {
  goes: 'Goes into ~/.config/opencode/opencode.json, or opencode.json of a project.',
  text: (w) =>
    json({
      $schema: 'https://opencode.ai/config.json',
      provider: {
        mcpctl: {
          npm: '@ai-sdk/openai-compatible',
          name: 'mcpctl',
          options: { baseURL: w.baseUrl, apiKey: w.token ?? '{env:MCPCTL_TOKEN}' },
          models: {
            [w.model]: {
              name: w.model,
              ...(w.contextLength === undefined
                ? {}
                : {
                    limit: {
                      context: w.contextLength,
                      output: Math.min(4_096, Math.floor(w.contextLength / 2)),
                    },
                  }),
            },
          },
        },
      },
      model: `mcpctl/${w.model}`,
    }),
};

const librechat: ClientKind = {
  goes: 'Goes into librechat.yaml.',
  tokenFrom:
    'LibreChat reads the token from its .env, as MCPCTL_TOKEN=…: make one with "mcpctl token create NAME".',
  text: (w) =>
    stringify(
      {
        version: '1.3.17',
        endpoints: {
          custom: [
            {
              name: 'mcpctl',
              apiKey: w.token ?? '${MCPCTL_TOKEN}',
              baseURL: w.baseUrl,
              models: { default: [w.model], fetch: true },
              titleConvo: true,
              titleModel: w.model,
              modelDisplayLabel: 'mcpctl',
            },
          ],
        },
      },
      { lineWidth: 0 },
    ),
};

/** The CLI of version 3: before, `openai-compatible` was called `openai`. */
const cline: ClientKind = {
  goes: 'For a shell; or the same into the settings of Cline: API Provider OpenAI Compatible, Base URL, API Key, Model ID.',
  text: (w) =>
    `cline auth -p openai-compatible -k ${shellKey(w)} -m ${shell(w.model)} -b ${shell(w.baseUrl)}\n`,
};

const n8n: ClientKind = {
  goes: 'Imported with n8n import:credentials --input=FILE; then choose it, and the model by its name, in an OpenAI Chat Model.',
  tokenFrom: placeholder,
  text: (w) =>
    json([
      {
        id: 'mcpctl',
        name: 'mcpctl',
        type: 'openAiApi',
        data: { apiKey: w.token ?? '<token>', url: w.baseUrl, header: false },
      },
    ]),
};

/** By the name that \`mcpctl connect\` takes. */
export const clients: Readonly<Record<string, ClientKind>> = {
  openai,
  'openai-python': openaiPython,
  'ai-sdk': aiSdk,
  langchain,
  anthropic,
  'claude-code': claudeCode,
  codex,
  opencode,
  continue: continueDev,
  'open-webui': openWebUi,
  vscode,
  zed,
  librechat,
  aider,
  cline,
  n8n,
  curl,
};
