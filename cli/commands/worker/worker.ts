import { Command } from '@commander-js/extra-typings';
import { plain } from '../../../core/runtime/plain.ts';
import type { Context } from '../../who/context.ts';
import { eachOf } from '../../each.ts';
import { makeWorkerApprove } from './approve.ts';
import { makeWorkerCodes, makeWorkerWithdraw } from './codes.ts';
import { makeWorkerInvite } from './invite.ts';
import type { WorkerCall } from '../../net/workers.ts';

export function makeWorker(ctx: Context) {
  return new Command('worker')
    .summary('let workers in, and say whether they are given tasks')
    .description('Let workers in, and say whether they are given tasks. (To see workers: mcpctl get worker.)')
    .addHelpText(
      'before',
      'Examples:\n  mcpctl worker invite --pool gpu\n  mcpctl worker pause ada-desk\n  mcpctl worker resume ada-desk\n  mcpctl worker revoke 019a6f3e\n',
    )
    .addCommand(makeWorkerInvite(ctx))
    .addCommand(makeWorkerCodes(ctx))
    .addCommand(makeWorkerWithdraw(ctx))
    .addCommand(makeWorkerApprove(ctx))
    .addCommand(makeWorkerCall(ctx, 'pause'))
    .addCommand(makeWorkerCall(ctx, 'resume'))
    .addCommand(makeWorkerCall(ctx, 'drain'))
    .addCommand(makeWorkerCall(ctx, 'revoke'));
}

const abouts: Readonly<Record<WorkerCall, string>> = {
  pause:
    'Give workers nothing new. What they run goes on; it lasts until "mcpctl worker resume", whatever restarts meanwhile.',
  resume: 'Give workers tasks again, after a pause or a drain.',
  drain:
    'Give workers nothing new until nothing of theirs runs: their state is "draining", then "drained", and the machine may be switched off. "mcpctl worker resume" ends it.',
  revoke:
    'Put workers out at once, as a revoked token does. What nobody has seen of their tasks starts over elsewhere. They may not come back as they were. What they joined with ends with them; another token of theirs is revoked by "mcpctl token revoke".',
};

/** @internal tests parse its arguments alone */
function makeWorkerCall(
  ctx: Context,
  call: WorkerCall,
  run: (options: { workers: string[] }) => Promise<void> = (o) => runWorkerCall(ctx, call, o),
) {
  return new Command(call)
    .description(abouts[call])
    .argument('<worker...>', 'which ones: by the name of their machine, or by id')
    .addHelpText('before', `Examples:\n  mcpctl worker ${call} ada-desk\n`)
    .action((workers) => run({ workers }));
}

async function runWorkerCall(
  ctx: Context,
  call: WorkerCall,
  { workers }: { workers: string[] },
): Promise<void> {
  const client = await ctx.client();
  await eachOf(ctx, workers, async (worker) => {
    const { state, running } = await client.workers.call(worker, call);
    const runs = call === 'drain' && running !== undefined && running > 0 ? `; ${running} still run` : '';
    ctx.out.line(`worker/${worker} ${call === 'revoke' ? 'revoked' : plain(state ?? 'told')}${runs}`);
    if (call === 'revoke')
      ctx.out.note(
        'What it joined with is over. A token that was made for it otherwise stays: mcpctl token revoke, if it is not to.',
      );
  });
}
