/**
 * Names that people know as somebody's service: whoever writes one of them means that service. A user gets one only
 * from an admin; else anybody could receive what was meant for it (decision 0014). `*` stands for any end. Dots and
 * underscores are dashes here.
 */
const wellKnown: readonly string[] = [
  'gpt-*',
  ...['gpt3*', 'gpt4*', 'gpt5*', 'gpt6*'],
  'chatgpt*',
  ...['1', '2', '3', '4', '5', '6', '7', '8', '9'].flatMap((n) => [`o${n}`, `o${n}-*`, `o${n}mini`]),
  ...['codex', 'codex-*'],
  ...['text-embedding', 'text-embedding-*'],
  'text-davinci-*',
  'text-moderation-*',
  'omni-moderation-*',
  'davinci-*',
  'babbage-*',
  'computer-use-*',
  'dall-e*',
  'dalle*',
  ...['sora', 'sora-*'],
  'whisper-1',
  'tts-1',
  'tts-1-*',
  'claude*',
  ...['opus', 'opus-*', 'sonnet', 'sonnet-*', 'haiku', 'haiku-*'],
  'gemini*',
  'imagen-*',
  'grok*',
  'sonar',
  'sonar-*',
  'deepseek-chat',
  'deepseek-reasoner',
  ...['mistral', 'codestral', 'ministral', 'pixtral', 'magistral', 'devstral'].flatMap((family) =>
    ['latest', 'small-latest', 'medium-latest', 'large-latest', '3b-latest', '8b-latest'].map(
      (version) => `${family}-${version}`,
    ),
  ),
];

/** They begin like one, and are models that people run themselves. */
const open: readonly string[] = ['gpt-oss*', 'gpt-neo*', 'gpt-j*'];

/** Who makes or sells them, and where: `openai.gpt-4o`, `us.anthropic.claude-…` as Bedrock writes it. */
const before =
  /^(us|eu|apac|global|openai|azure|anthropic|aws|bedrock|amazon|google|vertex|vertex-ai|xai|x-ai|mistralai|perplexity|deepseek|openrouter)-/;

const fits = (name: string, pattern: string): boolean =>
  pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern;

const isOne = (name: string): boolean =>
  wellKnown.some((pattern) => fits(name, pattern)) && !open.some((pattern) => fits(name, pattern));

/** Also with a maker before it (`openai/gpt-4o`), a tag behind it (`o3:latest`), in capitals, or with other dashes. */
export function isWellKnown(name: string): boolean {
  return name
    .toLowerCase()
    .split(/[/:]/)
    .some((part) => {
      let rest = part.replace(/[._-]+/g, '-');
      for (let shorter = rest; ; rest = shorter) {
        if (isOne(rest)) return true;
        shorter = rest.replace(before, '');
        if (shorter === rest) return false;
      }
    });
}
