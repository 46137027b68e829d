/**
 * What became of a claim: `handed back`, so that its task and its job are the requeue's; `lost`, somebody else's by now; or
 * how its task ended.
 */
export type LetGo =
  { kind: 'handed back' | 'lost' | 'completed' | 'cancelled' } | { kind: 'failed'; code: string };

/** The job behind a claim. One of the ends is called, at most once; none throws when it is not ours any more. */
export interface HeldJob {
  complete(): Promise<void>;
  /** It shows as failed on the board, with the catalogue's code. */
  fail(code: string): Promise<void>;
}

/** What the end of a claim makes of its job. */
export async function finishJob(job: HeldJob, letGo: LetGo): Promise<void> {
  switch (letGo.kind) {
    case 'handed back':
      return; // it stays for the requeue to move
    case 'failed':
      return await job.fail(letGo.code);
    case 'completed':
    case 'cancelled':
    case 'lost':
      return await job.complete();
  }
}
