import { Command } from '@commander-js/extra-typings';
import { McpctlError } from '../../../core/errors.ts';
import type { OverviewView } from '../../../core/operator/overview.ts';
import type { Context } from '../../who/context.ts';
import { objectFormatOption, type ObjectFormat } from '../../say/formats.ts';
import type { SeenLlm, SeenPool, SeenWhoami } from '../../net/views.ts';

export interface StatusOptions {
  output: ObjectFormat;
  /** Of the processes of the server, too. */
  system: boolean;
}

export function makeStatus(
  ctx: Context,
  run: (options: StatusOptions) => Promise<void> = (o) => runStatus(ctx, o),
) {
  return new Command('status')
    .summary('is the server there, who am I, what is running')
    .description(
      'Say whether the server can be reached, who you are there, how many llms, pools, tasks and workers it has, and how the last minutes went.',
    )
    .option('--system', 'and which edges serve, how the stores are, what the scheduler does', false)
    .addOption(objectFormatOption())
    .addHelpText('before', 'Examples:\n  mcpctl status\n  mcpctl status --system\n')
    .action((options) => run(options));
}

/** What was learnt before an error is printed all the same. */
async function runStatus(ctx: Context, { output, system: isWhole }: StatusOptions): Promise<void> {
  const target = await ctx.target();
  if (output === 'text') ctx.out.note(`Asking ${target.server} (from ${target.from}) …`);
  const client = await ctx.client();
  const from = ctx.clock.elapsed();
  const me = await client.whoami().catch((thrown: unknown) => {
    const away = thrown instanceof McpctlError && thrown.code === 'server_unreachable';
    if (output === 'text')
      ctx.out.line(`Server:  ${target.server} ${away ? 'cannot be reached' : 'answers'}`);
    throw thrown;
  });
  const ms = Math.round(ctx.clock.elapsed() - from);
  const [llms, pools, overview, system] = await Promise.all([
    client.llms.list({}),
    client.pools.list(),
    client.how.overview(),
    isWhole ? client.how.system() : undefined,
  ]);
  const summary = {
    server: target.server,
    from: target.from,
    answeredInMs: ms,
    ...summaryOf({ me, llms, pools }),
    ...(overview && { workers: overview.workers, lately: overview.lately }),
    ...(system && { system }),
  };
  const [{ printObject }, { factLines }, { systemLines }] = await Promise.all([
    import('../../say/print.ts'),
    import('../../say/table.ts'),
    import('./system-lines.ts'),
  ]);
  const lines = (): string[] => [
    ...factLines([
      ['Server', `${summary.server} answers (${ms} ms)`],
      ['Version', summary.version],
      ['User', `${summary.user} (${summary.binding ?? '-'}), token ${summary.token ?? '-'}`],
      ['Llms', `${summary.llms.active} active of ${summary.llms.total}`],
      ['Pools', summary.pools],
      ['Tasks', `${summary.tasks.pending} pending, ${summary.tasks.running} running`],
      ...(overview ? overviewFacts(overview) : []),
    ]),
    ...(system ? systemLines(ctx, system) : []),
  ];
  await printObject(ctx.out, output, { object: summary, lines });
}

function overviewFacts({ workers, lately }: OverviewView): [string, string][] {
  const { ended, failed, tokensPerS, firstTokenMs, seconds } = lately;
  const first = firstTokenMs === null ? '' : `, first token after ${(firstTokenMs / 1_000).toFixed(1)} s`;
  return [
    ['Workers', `${workers.there} of ${workers.total} there`],
    ['Lately', `${tokensPerS} tokens a second${first}, ${failed} of ${ended} failed (${seconds} s)`],
  ];
}

function summaryOf({ me, llms, pools }: { me: SeenWhoami; llms: SeenLlm[]; pools: SeenPool[] }) {
  const sum = (field: 'pending' | 'running'): number =>
    pools.reduce((total, pool) => total + (pool.view[field] ?? 0), 0);
  return {
    version: me.view.version ?? null,
    user: me.key,
    binding: me.view.binding,
    token: me.view.token,
    llms: { active: llms.filter((llm) => llm.view.status === 'active').length, total: llms.length },
    pools: pools.length,
    tasks: { pending: sum('pending'), running: sum('running') },
  };
}
