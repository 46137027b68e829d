import { stringify } from 'yaml';
import { shellWord } from '../../../core/runtime/plain.ts';
import { quote, shellKey, json, placeholder, type ClientKind } from './wiring.ts';

/**
 * Its subagents ask for `opus`, `sonnet` and `haiku`, each of which is a variable of its own. A key of Anthropic's in the
 * environment would be sent beside the token: to a server that has no business with it.
 */
export const claudeCode: ClientKind = {
  goes: 'For a shell, before it starts claude.',
  text: (w) => `export ANTHROPIC_BASE_URL=${shellWord(w.server)}
export ANTHROPIC_AUTH_TOKEN=${shellKey(w)}
unset ANTHROPIC_API_KEY
export ANTHROPIC_MODEL=${shellWord(w.model)}
export ANTHROPIC_DEFAULT_OPUS_MODEL=${shellWord(w.model)}
export ANTHROPIC_DEFAULT_SONNET_MODEL=${shellWord(w.model)}
export ANTHROPIC_DEFAULT_HAIKU_MODEL=${shellWord(w.model)}
export CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1
`,
};

export const codex: ClientKind = {
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

export const opencode: ClientKind = {
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

export const continueDev: ClientKind = {
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

export const openWebUi: ClientKind = {
  goes: 'The environment of Open WebUI; as a file for docker run --env-file.',
  tokenFrom: 'Put a token in place of <token>: make one with "mcpctl token create NAME".',
  text: (w) => `ENABLE_OPENAI_API=true
OPENAI_API_BASE_URL=${w.baseUrl}
OPENAI_API_KEY=${w.token ?? '<token>'}
DEFAULT_MODELS=${w.model}
AIOHTTP_CLIENT_TIMEOUT=
`,
};

export const vscode: ClientKind = {
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

export const zed: ClientKind = {
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

export const librechat: ClientKind = {
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

/** What LiteLLM, and so aider, calls an OpenAI-compatible model. */
export const aider: ClientKind = {
  goes: 'For a shell, before it starts aider.',
  text: (w) => `export OPENAI_API_BASE=${shellWord(w.baseUrl)}
export OPENAI_API_KEY=${shellKey(w)}
export AIDER_MODEL=${shellWord(`openai/${w.model}`)}
`,
};

/** The CLI of version 3: before, `openai-compatible` was called `openai`. */
export const cline: ClientKind = {
  goes: 'For a shell; or the same into the settings of Cline: API Provider OpenAI Compatible, Base URL, API Key, Model ID.',
  text: (w) =>
    `cline auth -p openai-compatible -k ${shellKey(w)} -m ${shellWord(w.model)} -b ${shellWord(w.baseUrl)}\n`,
};

export const n8n: ClientKind = {
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
