import type { InferCall } from '../../net/infer.ts';

export interface Message {
  role: 'user' | 'assistant';
  content: string;
}

/** How the llm is asked, whatever is asked. */
export interface Asking {
  name: string;
  system?: string | undefined;
  temperature?: number | undefined;
  maxTokens?: number | undefined;
  stream: boolean;
  pin?: string | undefined;
}

/** The whole conversation as one call: the server remembers none of it. */
export function inferCallOf({ name, pin, ...asking }: Asking, messages: readonly Message[]): InferCall {
  const { system, temperature, maxTokens } = asking;
  return {
    llm: name,
    pin,
    body: {
      model: name,
      messages: [...(system === undefined ? [] : [{ role: 'system', content: system }]), ...messages],
      temperature,
      max_tokens: maxTokens,
    },
  };
}
