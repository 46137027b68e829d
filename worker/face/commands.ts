import { isSea } from 'node:sea';
import { McpctlError } from '../../core/errors.ts';
import type { WorkerArguments, WorkerCommand } from '../arguments.ts';
import { readOwnCredentials } from '../sources/credentials.ts';
import { openFace, type Face } from './face.ts';

/** Those that speak with this machine's owner, and end. */
export type FaceCommand = Exclude<
  WorkerCommand,
  'run' | 'status' | 'pause' | 'resume' | 'drain' | 'version' | 'help'
>;

/** What the process does then. */
type Next = 'end' | 'serve' | 'failed';
type Command = (face: Face, asked: WorkerArguments) => Promise<Next>;

const endsWell = (isWell: boolean): Next => (isWell ? 'end' : 'failed');

/** Each loads what it needs. */
const commands: Readonly<Record<FaceCommand, Command>> = {
  async detect(face) {
    const { detect } = await import('./detect.ts');
    await detect(face);
    return 'end';
  },
  async init(face) {
    const { init } = await import('./init.ts');
    face.answer({ ...(await init(face)) });
    const { credentials } = await readOwnCredentials(face.home);
    face.say(`Next: ${credentials ? 'mcplocal run' : 'mcplocal join https://mcpctl.example'}.`);
    return 'end';
  },
  async join(face, { code, pools, replace, run, words }) {
    const [{ join }, { shareThere }] = await Promise.all([import('./join.ts'), import('./share-there.ts')]);
    const server = words[0] ?? (await serverOf(face));
    const joined = await join(face, { server, code, pools, replace });
    const shared = await shareThere(face, joined.pools);
    if (run) {
      const { tryFirst } = await import('./try-calls.ts');
      const tried = shared.length > 0 ? await tryFirst(face, shared) : [];
      face.answer({ ...joined, shared, tried });
      const keeps = 'To keep it running: mcplocal service install';
      face.say(`Runs until Ctrl-C. ${shared.length > 0 ? keeps : 'Nothing is shared yet: mcplocal init'}.`);
      return 'serve';
    }
    face.answer({ ...joined, shared });
    const next = 'mcplocal run, or mcplocal service install to keep it running';
    face.say(`Next: ${shared.length > 0 ? next : 'mcplocal init'}.`);
    return 'end';
  },
  async leave(face, asked) {
    const { leave } = await import('./leave.ts');
    await leave(face, asked);
    return 'end';
  },
  async service(face, { system, dryRun, follow, words }) {
    const { service } = await import('../service/service.ts');
    // Of a single file that is what it was called as, which is no path.
    const program = isSea() ? process.execPath : (process.argv[1] ?? '');
    const options = { system, dryRun, follow, program, platform: process.platform, waitMs: 10_000 };
    await service(face, words[0], options);
    return 'end';
  },
  async doctor(face) {
    const { doctor } = await import('./doctor/doctor.ts');
    return endsWell(await doctor(face));
  },
  async test(face, { words }) {
    const { tryCalls } = await import('./try-calls.ts');
    return endsWell(await tryCalls(face, words[0]));
  },
  async usage(face, { hours }) {
    const { showUsage } = await import('./usage.ts');
    await showUsage(face, hours);
    return 'end';
  },
  async update(face) {
    const { update } = await import('./update.ts');
    await update(face);
    return 'end';
  },
};

/** @throws McpctlError as the command does. */
export async function runFace(
  asked: WorkerArguments & { command: FaceCommand },
  env: NodeJS.ProcessEnv,
  streams?: Parameters<typeof openFace>[2],
): Promise<Next> {
  return await commands[asked.command](openFace(env, asked, streams), asked);
}

/** That of `mcpctl login`, where no other is named. */
async function serverOf({ home }: Face): Promise<string> {
  const { credentials } = await readOwnCredentials(home);
  if (credentials) return credentials.mcpdUrl;
  throw new McpctlError('usage', 'Say where: mcplocal join https://mcpctl.example --code CODE.');
}
