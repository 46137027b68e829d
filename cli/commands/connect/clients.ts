import { openai, openaiPython, aiSdk, langchain, anthropic, curl } from './packages.ts';
import {
  claudeCode,
  codex,
  opencode,
  continueDev,
  openWebUi,
  vscode,
  zed,
  librechat,
  aider,
  cline,
  n8n,
} from './programs.ts';
import type { ClientKind } from './wiring.ts';

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
