import { Command, Option } from '@commander-js/extra-typings';
import { McpctlError } from '../../../core/errors.ts';
import { collect, countOf } from '../../input/arguments.ts';
import type { Context } from '../../who/context.ts';
import { formatOption, type Format } from '../../say/formats.ts';

export interface CreateLlmOptions {
  name: string;
  type: string;
  model: string;
  url: string;
  poolName?: string | undefined;
  tier?: string | undefined;
  apiKeyEnv?: string | undefined;
  apiKeyFile?: string | undefined;
  apiKeySecret?: string | undefined;
  maxConcurrency?: number | undefined;
  description?: string | undefined;
  alias?: string[] | undefined;
  output: Format;
}

export function makeCreateLlm(
  ctx: Context,
  run: (options: CreateLlmOptions) => Promise<void> = (o) => runCreateLlm(ctx, o),
) {
  return new Command('llm')
    .summary('make a public llm')
    .description(
      'Make a public llm: a backend that the operator holds URL and key of. (Llms on your own machine are published by mcplocal, not made here.)',
    )
    .argument('<name>', '1 to 63 of a-z 0-9 . _ -')
    .requiredOption('--type <type>', 'what the backend speaks: openai, ollama …')
    .requiredOption('--model <id>', "the model's id at the backend")
    .requiredOption('--url <url>', "the backend's URL, as the hosted worker reaches it")
    .option('--pool-name <name>', 'join this pool')
    .option('--tier <tier>', 'a word of yours that sorts llms: fast, heavy …')
    .addOption(
      new Option('--api-key-env <name>', "the hosted worker's environment variable with the key").conflicts(
        'apiKeyFile',
      ),
    )
    .option('--api-key-file <path>', 'the file with the key, on the machine of the hosted worker')
    .addOption(
      new Option('--api-key-secret <name/key>', 'the secret with the key, and which of its values').conflicts(
        ['apiKeyEnv', 'apiKeyFile'],
      ),
    )
    .addOption(new Option('--max-concurrency <n>', 'most tasks at once').argParser(countOf))
    .option('--description <text>', 'a line for people')
    .addOption(new Option('--alias <name>', 'another name; may be given again').argParser(collect))
    .addOption(formatOption())
    .addHelpText(
      'before',
      `Examples:
  mcpctl create llm qwen-big --type openai --model qwen3:30b --url http://10.0.0.7:8000/v1
  mcpctl create llm gpt --type openai --model gpt-5 --url https://api.openai.com/v1 --api-key-env OPENAI_API_KEY
  mcpctl create llm qwen-2 --type openai --model qwen3:30b --url http://10.0.0.8:8000/v1 --pool-name qwen-big
`,
    )
    .action((name, options) => run({ name, ...options }));
}

/** `openai/OPENAI_KEY` */
function secretIn(text: string): { name: string; key: string } {
  const at = text.indexOf('/');
  if (at > 0 && at < text.length - 1) return { name: text.slice(0, at), key: text.slice(at + 1) };
  throw new McpctlError('usage', 'The secret is written like --api-key-secret openai/OPENAI_KEY.');
}

/** The server checks every field; its faults are shown each with its path. */
async function runCreateLlm(ctx: Context, options: CreateLlmOptions): Promise<void> {
  const { name, type, model, url, apiKeyEnv, apiKeyFile, apiKeySecret, alias, output, ...rest } = options;
  const ref =
    apiKeyEnv !== undefined
      ? { env: apiKeyEnv }
      : apiKeyFile !== undefined
        ? { file: apiKeyFile }
        : apiKeySecret !== undefined
          ? { secretRef: secretIn(apiKeySecret) }
          : undefined;
  const body = { name, type, model, url, ...rest, apiKeyRef: ref, aliases: alias };
  const [{ catalogueEntry }, { llm }] = await Promise.all([
    import('../../../core/resources/catalogue.ts'),
    import('../../../core/resources/llm.ts'),
  ]);
  const entry = catalogueEntry(llm);
  const made = await (await ctx.client()).resources.create(entry, body);
  if (output === 'table' || output === 'wide') {
    ctx.out.line(`llm/${made.key} created`);
    return;
  }
  const [{ listingOf, printListings }, { instantsFor }, { columnsOf }] = await Promise.all([
    import('../../say/print.ts'),
    import('../../say/columns.ts'),
    import('../../resources/shown.ts'),
  ]);
  const columns = columnsOf(entry, instantsFor({ clock: ctx.clock, tty: false }));
  await printListings(ctx, [listingOf(llm.word, [made], columns)], {
    format: output,
    headers: true,
    single: true,
  });
}
