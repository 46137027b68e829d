import { PassThrough } from 'node:stream';
import { readArguments } from '../../worker/arguments.ts';
import { runFace, type FaceCommand } from '../../worker/face/commands.ts';

/** What a command of `mcplocal` showed people, answered programs, and does then. */
export interface Said {
  shown: string;
  answer: Record<string, unknown>;
  next: string;
}

/** A command of `mcplocal` in this process, where nobody can be asked. @throws McpctlError as the command does. */
export async function mcplocal(env: NodeJS.ProcessEnv, ...argv: string[]): Promise<Said> {
  const written = { stdout: '', stderr: '' };
  const stream = (name: 'stdout' | 'stderr') =>
    Object.assign(
      new PassThrough().on('data', (piece: Buffer) => (written[name] += piece.toString())),
      { isTTY: false },
    ) as unknown as NodeJS.WriteStream & { fd: 1 };
  const streams = {
    stdin: stream('stdout') as never,
    stdout: stream('stdout'),
    stderr: stream('stderr') as never,
  };
  const asked = readArguments(argv);
  const next = await runFace({ ...asked, command: asked.command as FaceCommand }, env, streams);
  const isJson = asked.json;
  const answer = isJson ? (JSON.parse(written.stdout) as Record<string, unknown>) : {};
  return { shown: isJson ? written.stderr : written.stdout, answer, next };
}

/** How such a command ends: `ok`, or the code and the sentence of its failure. */
export const endOf = (env: NodeJS.ProcessEnv, ...argv: string[]): Promise<string> =>
  mcplocal(env, ...argv).then(
    () => 'ok',
    (thrown: { code: string; message: string }) => `${thrown.code}: ${thrown.message}`,
  );
