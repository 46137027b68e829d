import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { AlreadySaid } from '../../exit.ts';
import { objectFormatOption, type ObjectFormat } from '../../say/formats.ts';
import { cell } from '../../say/text.ts';

export interface AuthAskOptions {
  how: 'can-i' | 'why';
  verb: string;
  /** `llm`, or one by its name: `llm/gpt`. */
  what: string;
  as?: string | undefined;
  output: ObjectFormat;
}

const about = {
  'can-i': 'Say yes or no: may you, or somebody else, do that? Exit code 3 is no.',
  why: 'Say by which documents and groups you, or somebody else, may do that.',
} as const;

export function makeAuthAsk(
  ctx: Context,
  how: AuthAskOptions['how'],
  run: (options: AuthAskOptions) => Promise<void> = (o) => runAuthAsk(ctx, o),
) {
  return new Command(how)
    .description(about[how])
    .argument('<verb>', 'view, create, edit, delete or run')
    .argument('<what>', 'a resource, or one by its name: llm/gpt')
    .option('--as <user>', 'ask of this user (who may view users, groups and rbac)')
    .addOption(objectFormatOption())
    .addHelpText('before', `Examples:\n  mcpctl auth ${how} run llm/gpt\n`)
    .action((verb, what, options) => run({ how, verb, what, ...options }));
}

/** `llm/gpt` in its parts. */
export function askedOf(what: string): { resource: string; name: string | undefined } {
  const [resource = '', ...rest] = what.split('/');
  return { resource, name: rest.length > 0 ? rest.join('/') : undefined };
}

async function runAuthAsk(ctx: Context, { how, verb, what, as, output }: AuthAskOptions): Promise<void> {
  const [{ printObject }, { authenticated }] = await Promise.all([
    import('../../say/print.ts'),
    import('../../who/target.ts'),
  ]);
  // Asked about another, and not as another: that takes fewer rights.
  const client = await ctx.clientFor(authenticated(await ctx.target()));
  const whom = as ?? ctx.globals().as;
  const review = await client.access.review({ verb, ...askedOf(what), as: whom });
  const ways = review.why.map(({ rbac, via, binding }) =>
    rbac === '' ? `${binding}: it is your own` : `${binding}: rbac ${rbac}, ${via}`,
  );
  const limits = review.limitedBy === undefined ? [] : [`limited by ${review.limitedBy}`];
  const nothing =
    review.allowed || ways.length + limits.length > 0
      ? []
      : [`nothing that is granted to ${whom ?? 'you'}, to a group or to everyone lets that`];
  const lines = (): string[] =>
    [review.allowed ? 'yes' : 'no', ...(how === 'why' ? [...ways, ...limits, ...nothing] : [])].map(cell);
  await printObject(ctx.out, output, { object: { ...review }, lines });
  if (how === 'can-i' && !review.allowed) throw new AlreadySaid(3);
}
