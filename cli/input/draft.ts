import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { McpctlError, messageOf } from '../../core/errors.ts';
import { writePrivately } from '../../core/runtime/files/private-file.mjs';
import { Cancelled } from '../exit.ts';
import type { Context } from '../who/context.ts';
import { readFileText } from './stdin.ts';

/** A file that a person edits, readable by them alone. What they typed stays until it is removed. */
export interface Draft {
  path: string;
  /**
   * Opens the editor on this text. @returns what was saved. @throws Cancelled where the editor says that it failed,
   * McpctlError `usage` where it cannot be run, leaves no text, or the disk takes no file.
   */
  edit(text: string): Promise<string>;
  remove(): Promise<void>;
  /** Removes it unless something was typed into it. @returns whether it is kept. */
  keepTyped(): Promise<boolean>;
}

/** @param editor a program and its arguments, as in `code --wait`; no shell reads it. */
export async function openDraft(
  { interrupts }: Pick<Context, 'interrupts'>,
  { name, editor }: { name: string; editor: string },
): Promise<Draft> {
  const path = join(await mendable(() => mkdtemp(join(tmpdir(), 'mcpctl-edit-'))), name);
  const [program = '', ...args] = editor.trim().split(/\s+/);
  const remove = (): Promise<void> => rm(dirname(path), { recursive: true, force: true });
  let first: string | undefined;
  return {
    path,
    async edit(text) {
      first ??= text;
      // Beside it and then in its place: a full disk takes nothing of what was typed before.
      await mendable(() => writePrivately(path, text));
      await ended(program, [...args, path]);
      return await readFileText(interrupts, path, { called: 'What the editor left' });
    },
    remove,
    async keepTyped() {
      const isTyped = (await readFile(path, 'utf8').catch(() => first)) !== first;
      if (!isTyped) await remove();
      return isTyped;
    },
  };
}

/** @throws McpctlError `usage`: there is nothing wrong with us. */
async function mendable<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    throw new McpctlError(
      'usage',
      `No file to edit can be written in ${tmpdir()}: ${messageOf(thrown)}; name another folder in TMPDIR.`,
    );
  }
}

async function ended(program: string, args: readonly string[]): Promise<void> {
  const advice = 'name another in VISUAL or EDITOR';
  const child = spawn(program, args, { stdio: 'inherit' });
  try {
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
    if (code === 0) return;
    throw new Cancelled(`Cancelled: the editor ${program} left with ${code ?? signal ?? 'nothing'}.`);
  } catch (thrown) {
    if (thrown instanceof Cancelled) throw thrown;
    throw new McpctlError('usage', `The editor ${program} cannot be run: ${messageOf(thrown)}; ${advice}.`);
  }
}
