/**
 * Names that people know as somebody's service: whoever writes one of them means that service. A user gets one only
 * from an admin; else anybody could receive what was meant for it (decision 0014). `*` stands for any end.
 */
const wellKnown: readonly string[] = [
  'gpt-*',
  'chatgpt*',
  'o1',
  'o1-*',
  'o3',
  'o3-*',
  'o4',
  'o4-*',
  'codex-*',
  'text-embedding-*',
  'text-davinci-*',
  'text-moderation-*',
  'omni-moderation-*',
  'davinci-*',
  'babbage-*',
  'computer-use-*',
  'dall-e-*',
  'whisper-1',
  'tts-1',
  'tts-1-*',
  'claude',
  'claude-*',
  'gemini',
  'gemini-*',
  'imagen-*',
  'grok-*',
  'sonar',
  'sonar-*',
  'deepseek-chat',
  'deepseek-reasoner',
  'mistral-large-latest',
];

/** They begin like one, and are models that people run themselves. */
const open: readonly string[] = ['gpt-oss*', 'gpt-neo*', 'gpt-j*'];

const fits = (name: string, pattern: string): boolean =>
  pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;

/** Also with a maker before it (`openai/gpt-4o`), a tag behind it (`o3:latest`), or in capitals. */
export function isWellKnown(name: string): boolean {
  const last = name.toLowerCase().split(/[/:]/);
  return last.some(
    (part) =>
      wellKnown.some((pattern) => fits(part, pattern)) && !open.some((pattern) => fits(part, pattern)),
  );
}
