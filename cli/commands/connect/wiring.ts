import { shellWord } from '../../../core/runtime/plain.ts';

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
export const js = (text: string): string =>
  `'${JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
/** JSON's strings are Python's and TOML's too. */
export const quote = (text: string): string => JSON.stringify(text);

export const jsKey = ({ token }: Wiring): string => (token === null ? 'process.env.MCPCTL_TOKEN' : js(token));
export const shellKey = ({ token }: Wiring): string =>
  token === null ? '"$MCPCTL_TOKEN"' : shellWord(token);

export const json = (value: object): string => `${JSON.stringify(value, null, 2)}\n`;
export const placeholder = 'Put a token in place of <token>: make one with "mcpctl token create NAME".';

/** Clients that start MCP servers which a file names: `mcpctl connect PROJECT CLIENT`. */
export const toolClients = ['claude', 'cursor', 'vscode'] as const;
