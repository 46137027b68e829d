import { deliverClaim } from '../../../core/queue/task/claim.ts';
import { McpctlError } from '../../../core/errors.ts';
import { claimOf, type SpeakingCall, type UplinkDeps } from './claim-of.ts';

/** Pins a claim for its worker, which does nothing before it has heard of it. @throws McpctlError as `claimOf`; `claim_lost`. */
export async function deliver(deps: UplinkDeps, call: SpeakingCall): Promise<void> {
  const { claim } = await claimOf(deps, call);
  if (!(await deliverClaim(deps, claim))) throw new McpctlError('claim_lost');
}
