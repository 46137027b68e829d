import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { writePrivately } from '../../core/runtime/files/private-file.mjs';
import { agree, type Face } from '../face/face.ts';
import { runCall } from './keepers.ts';

/** Whether we have switched it on, so that uninstall takes back its own and no more. */
const markOf = ({ home }: Face): string => join(home.root, 'lingers');

/** As loginctl takes them: one whose number has no name here, as in a container, by the number. */
export function userOfLinger(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.());
  }
}

/** Whether a user's services go on as they log out; undefined: nobody can tell. */
export function doesLinger(face: Face): boolean | undefined {
  const { status, text } = runCall(
    ['loginctl', 'show-user', userOfLinger(), '--property=Linger', '--value'],
    face,
  );
  if (status === 0) return text === 'yes';
  return status === null ? undefined : false; // of who is not logged in loginctl knows nothing
}

/** The commonest failure of just this: a worker that ends with its owner's last session, and is not there after a restart. */
export async function askToLinger(face: Face): Promise<boolean> {
  if (doesLinger(face) !== false) return true;
  const name = userOfLinger();
  face.say(`! Lingering is off for ${name}: it would stop when you log out, and not start at boot.`);
  const command = `loginctl enable-linger ${name}`;
  if (!face.yes && !face.asks) {
    face.say(`  To turn it on:  sudo ${command}`);
    return false;
  }
  if (!(await agree(face, `  Turn it on?  ${command} `, true))) return false;
  const isOn = runCall(['loginctl', 'enable-linger', name], face).status === 0 || bySudo(face, name);
  if (isOn) writePrivately(markOf(face), 'on\n');
  face.say(
    isOn
      ? '✓ it is on (uninstall turns it off again, as it was turned on here)'
      : `  That was refused. As an administrator:  sudo ${command}`,
  );
  return isOn;
}

/** Asks for a password itself, so only where somebody is. */
function bySudo({ asks, env }: Face, name: string): boolean {
  if (!asks) return false;
  return spawnSync('sudo', ['loginctl', 'enable-linger', name], { env, stdio: 'inherit' }).status === 0;
}

export function stopLingering(face: Face): void {
  const mark = markOf(face);
  if (!existsSync(mark)) return;
  const isOff = runCall(['loginctl', 'disable-linger', userOfLinger()], face).status === 0;
  if (isOff) rmSync(mark, { force: true });
  face.say(
    isOff
      ? '✓ lingering is off again'
      : `! Lingering is still on. As an administrator:  sudo loginctl disable-linger ${userOfLinger()}`,
  );
}
