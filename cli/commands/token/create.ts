import { Command, Option } from '@commander-js/extra-typings';
import type { TokenCreate } from '../../../core/access.ts';
import { presets, roles, type Preset } from '../../../core/access/filter.ts';
import { McpctlError } from '../../../core/errors.ts';
import { collect, countOf, daysOf } from '../../input/arguments.ts';
import type { Context } from '../../who/context.ts';
import { objectFormatOption, type ObjectFormat } from '../../say/formats.ts';
import { cell } from '../../say/text.ts';

export interface TokenCreateOptions {
  name: string;
  user?: string | undefined;
  preset?: Preset | undefined;
  binding?: string[] | undefined;
  pool?: string[] | undefined;
  expires?: number | undefined;
  expiresInDays?: number | undefined;
  output: ObjectFormat;
}

export function makeTokenCreate(
  ctx: Context,
  run: (options: TokenCreateOptions) => Promise<void> = (o) => runTokenCreate(ctx, o),
) {
  return new Command('create')
    .description('Make a token and print it. It is shown this once; the server keeps only its hash.')
    .argument('<name>', 'what to call it, like the machine it is for')
    .option('--user <name>', 'for this user, who is made if new (admins only)')
    .addOption(
      new Option('--preset <preset>', 'what it lets through of what its user may (default: call)').choices(
        presets,
      ),
    )
    .addOption(
      new Option(
        '--binding <binding>',
        'of that this alone, like run:llm:gpt; may be given again. admin or user: what a new user may do',
      ).argParser(collect),
    )
    .addOption(new Option('--pool <key>', 'good for this pool only; may be given again').argParser(collect))
    .addOption(new Option('--expires <time>', 'no longer good after that, like 30d').argParser(daysOf))
    .addOption(new Option('--expires-in-days <n>', 'the same').argParser(countOf))
    .addOption(objectFormatOption())
    .addHelpText(
      'before',
      `Examples:
  mcpctl token create laptop > token.txt
  mcpctl token create worker --preset publish --pool tiny-chat
  mcpctl token create ci --user robot --binding run:llm:tiny-chat --expires 30d
`,
    )
    .action((name, options) => run({ name, ...options }));
}

async function runTokenCreate(ctx: Context, options: TokenCreateOptions): Promise<void> {
  const { pool, output, binding = [], expires, ...more } = options;
  const body = { ...more, ...bodyOf(binding), ...(expires !== undefined && { expiresInDays: expires }) };
  const [{ printObject }, { warningsOf }, client] = await Promise.all([
    import('../../say/print.ts'),
    import('../../net/views.ts'),
    ctx.client(),
  ]);
  const made = await client.tokens.create({ ...body, pools: pool });
  const of = made.view.preset ? ` (${made.view.preset})` : '';
  const until = made.view.expiresAt ? `, good until ${made.view.expiresAt}` : '';
  ctx.out.note(
    `Token ${made.view.name ?? options.name} for ${made.view.user ?? 'you'}${of}${until}. It is not shown again.`,
  );
  for (const warning of warningsOf(made)) ctx.out.note(warning);
  const shown = { object: { resource: 'token', ...made.raw }, lines: () => [cell(made.view.token)] };
  await printObject(ctx.out, output, shown);
}

/** `admin` and `user` say what a new user may do; all else what the token lets through. */
function bodyOf(texts: readonly string[]): Pick<TokenCreate, 'binding' | 'bindings'> {
  const binding = (['admin', 'user'] as const).find((word) => texts.includes(word));
  const bindings = texts.filter((text) => text !== 'admin' && text !== 'user').map(grantOf);
  return { ...(binding && { binding }), ...(bindings.length > 0 && { bindings }) };
}

function grantOf(text: string): NonNullable<TokenCreate['bindings']>[number] {
  const [word, resource, ...name] = text.split(':');
  const role = roles.find((each) => each === word);
  if (role === undefined || !resource)
    throw new McpctlError(
      'usage',
      `--binding ${text}: write role:resource or role:resource:name, as run:llm:gpt; roles are ${roles.join(', ')}.`,
    );
  return { role, resource, ...(name.length > 0 && { name: name.join(':') }) };
}
