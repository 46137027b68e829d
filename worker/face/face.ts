import { emitKeypressEvents } from 'node:readline';
import { createInterface } from 'node:readline/promises';
import { McpctlError } from '../../core/errors.ts';
import { homeAt, type Home } from '../../core/runtime/files/home.ts';
import { openNetwork, type Network } from '../../core/runtime/network/network.ts';
import { plain } from '../../core/runtime/plain.ts';
import { readConfig } from '../../core/runtime/settings/config.ts';
import { withProxies } from '../../core/runtime/settings/network.ts';

/** What a command of this machine's owner has: their home, the way to the server, and themselves, where they can be asked. */
export interface Face {
  home: Home;
  env: NodeJS.ProcessEnv;
  /** The way to the server; opened when it is first asked for. */
  network: () => Network;
  /** The answer is one JSON text on stdout, and what people read goes to stderr. */
  json: boolean;
  /** Everything that would be asked is agreed to. */
  yes: boolean;
  /** Whether somebody is there who may be asked. */
  asks: boolean;
  stdin: NodeJS.ReadStream;
  /** Where dialogues are shown. */
  screen: NodeJS.WriteStream;
  /** A line of the answer, or, beside an answer in JSON, of what is said besides. */
  say: (line: string) => void;
  /** What programs read; only with `json`. */
  answer: (object: Readonly<Record<string, unknown>>) => void;
}

export interface FaceOptions {
  json: boolean;
  yes: boolean;
  /** False: nothing is asked, whoever is there. */
  input: boolean;
}

export function openFace(
  env: NodeJS.ProcessEnv,
  { json, yes, input }: FaceOptions,
  { stdin, stdout, stderr }: Pick<NodeJS.Process, 'stdin' | 'stdout' | 'stderr'> = process,
): Face {
  const names = ['home', 'httpProxy', 'httpsProxy', 'noProxy', 'caFile', 'nodeCaFile'] as const;
  const config = readConfig(withProxies(env), names);
  const screen = json ? stderr : stdout;
  let network: Network | undefined;
  return {
    ...{ env, json, yes, stdin, screen },
    home: homeAt(config.home),
    network: () => (network ??= openNetwork(config)),
    asks: input && !yes && stdin.isTTY && screen.isTTY,
    say: (line) => void screen.write(`${plain(line)}\n`),
    answer: (object) => void (json && stdout.write(`${JSON.stringify(object, undefined, 2)}\n`)),
  };
}

/** Whoever may be asked. */
interface Asked {
  asks: boolean;
  stdin: NodeJS.ReadableStream;
  screen: NodeJS.WritableStream;
}

const givenUp = (): McpctlError => new McpctlError('usage', 'Given up.');

/**
 * One line from the person. @throws McpctlError `usage` on Ctrl-C and Ctrl-D, and where nobody can be asked.
 * @param instead what to give instead of an answer, for the sentence.
 */
export async function ask(
  { asks, stdin, screen }: Asked,
  prompt: string,
  instead = '--yes',
): Promise<string> {
  if (!asks) throw new McpctlError('usage', `${prompt.trim()} Nobody can be asked here: say ${instead}.`);
  const lines = createInterface({ input: stdin, output: screen, terminal: true, historySize: 0 });
  const stopped = new AbortController();
  lines.on('SIGINT', () => stopped.abort());
  lines.on('close', () => stopped.abort());
  try {
    return (await lines.question(plain(prompt), { signal: stopped.signal })).trim();
  } catch (thrown) {
    if (stopped.signal.aborted) throw givenUp();
    throw thrown;
  } finally {
    lines.close();
  }
}

/** @param otherwise what Enter alone means; with `yes` everything is agreed to. @throws McpctlError `usage`, as `ask`. */
export async function agree(
  face: Asked & Pick<Face, 'yes'>,
  question: string,
  otherwise: boolean,
): Promise<boolean> {
  if (face.yes) return true;
  const answer = await ask(face, `${question} ${otherwise ? '[Y/n]' : '[y/N]'} `);
  return answer === '' ? otherwise : /^y(es)?$/i.test(answer);
}

/** Of a terminal that does not say how large it is. */
const USUAL = { columns: 80, rows: 24 } as const;

/**
 * Several of some lines: Space marks, A marks all or none, the arrows and pages move, Enter goes on. Where the screen is too low for
 * all of them, those around the one that is pointed at are shown.
 * @param marked which are marked to begin with. @returns which are in the end. @throws McpctlError `usage` on Ctrl-C.
 */
export async function choose(
  { stdin, screen }: Pick<Face, 'stdin' | 'screen'>,
  lines: readonly string[],
  marked: readonly boolean[],
): Promise<boolean[]> {
  const marks = lines.map((_, n) => marked[n] ?? false);
  let at = 0;
  let top = 0;
  const width = Math.max(20, screen.columns || USUAL.columns);
  // What scrolled away cannot be drawn again.
  const height = Math.min(lines.length, Math.max(1, (screen.rows || USUAL.rows) - 3));
  const isCut = height < lines.length;
  const show = (text: string): void =>
    void screen.write(`\r\u001b[2K${[...text].slice(0, width - 1).join('')}\n`);
  const draw = (again: boolean): void => {
    top = Math.max(at - height + 1, Math.min(top, at));
    if (again) screen.write(`\u001b[${String(height + Number(isCut))}A`);
    for (const [n, line] of lines.slice(top, top + height).entries())
      show(`${top + n === at ? '>' : ' '} [${marks[top + n] ? 'x' : ' '}] ${plain(line)}`);
    const count = marks.filter(Boolean).length;
    if (isCut) show(`  ${String(at + 1)} of ${String(lines.length)}, ${String(count)} marked`);
  };
  const moves: Readonly<Record<string, () => number>> = {
    up: () => at - 1,
    down: () => at + 1,
    pageup: () => at - height,
    pagedown: () => at + height,
    home: () => 0,
    end: () => lines.length - 1,
  };
  emitKeypressEvents(stdin);
  const before = stdin.isRaw;
  stdin.setRawMode(true);
  stdin.resume();
  draw(false);
  try {
    await new Promise<void>((resolve, reject) => {
      const end = (): void => reject(givenUp());
      stdin.once('end', end);
      const press = (_text: string | undefined, key: { name?: string; ctrl?: boolean }): void => {
        const { name = '', ctrl = false } = key;
        const isOver = name === 'return' || name === 'enter';
        const isEnd = ctrl && (name === 'c' || name === 'd');
        if (name === 'space') marks[at] = !marks[at];
        if (name === 'a' && !ctrl) marks.fill(marks.includes(false));
        if (Object.hasOwn(moves, name)) at = Math.max(0, Math.min(lines.length - 1, moves[name]?.() ?? at));
        if (!isOver && !isEnd) return draw(true);
        stdin.off('keypress', press);
        stdin.off('end', end);
        if (isEnd) reject(givenUp());
        else resolve();
      };
      stdin.on('keypress', press);
    });
  } finally {
    stdin.setRawMode(before);
    stdin.pause();
  }
  return marks;
}
