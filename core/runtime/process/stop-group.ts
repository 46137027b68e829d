import { pause } from '../clock.ts';

const LOOK_MS = 50;

/** @returns whether anybody of that group is there. */
function signalGroup(leader: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-leader, signal);
    return true;
  } catch {
    return false; // all of it has ended
  }
}

/** Waits until nobody of a group is left. @returns false when somebody still is. */
async function untilEmpty(leader: number, withinMs: number): Promise<boolean> {
  for (let left = withinMs; left > 0; left -= LOOK_MS) {
    if (!signalGroup(leader, 0)) return true;
    await pause(LOOK_MS);
  }
  return !signalGroup(leader, 0);
}

/** Whoever of a group is left after `closeMs` gets SIGTERM, and after `termMs` more SIGKILL. */
export async function stopGroup(
  leader: number,
  { closeMs, termMs }: { closeMs: number; termMs: number },
): Promise<void> {
  if (await untilEmpty(leader, closeMs)) return;
  signalGroup(leader, 'SIGTERM');
  if (await untilEmpty(leader, termMs)) return;
  signalGroup(leader, 'SIGKILL');
  await untilEmpty(leader, termMs);
}
