import { createInterface, type Interface } from 'node:readline';
import { pause } from '../../core/runtime/clock.ts';
import type { Context } from '../who/context.ts';
import { Cancelled } from '../exit.ts';

/** Reads what the person types, a message at a time. */
export interface Prompt {
  /** @returns null after Ctrl-D. @throws Cancelled when Ctrl-C says to leave. */
  next(): Promise<string | null>;
  /** One line, asked for while `aside` works; null after Ctrl-D. @throws Cancelled as `next`. */
  question(text: string): Promise<string | null>;
  /** Lets go of the keyboard while `work` runs, so that Ctrl-C is a signal. */
  aside<T>(work: () => Promise<T>): Promise<T>;
  /** The next Ctrl-C leaves: the last one has just stopped an answer. */
  arm(): void;
  close(): void;
}

const PROMPT = '> ';

/** Lines that arrive this close to each other were pasted, and are one message. */
const PASTE_MS = 30;

export function createPrompt({
  terminal,
  interrupts,
  out,
}: Pick<Context, 'terminal' | 'interrupts' | 'out'>): Prompt {
  const { stdin, stderr } = terminal;
  const lines = createInterface({
    input: stdin,
    output: stderr,
    terminal: true,
    prompt: PROMPT,
    historySize: 1000,
  });
  const state = { armed: false, closed: false };
  lines.on('close', () => (state.closed = true));

  const interrupted = (leave: () => void): void => {
    if (lines.line !== '') {
      lines.write(null, { ctrl: true, name: 'e' });
      lines.write(null, { ctrl: true, name: 'u' });
    } else if (state.armed) leave();
    else {
      state.armed = true;
      out.note('\n(Ctrl-C again or Ctrl-D to leave)');
      lines.prompt();
    }
  };

  return {
    next: async () => {
      if (state.closed) return null;
      const message = await nextMessage({ lines, interrupted, signal: interrupts.signal });
      if (message !== '') state.armed = false;
      return message;
    },
    async question(text) {
      if (state.closed) return null;
      stdin.setRawMode?.(true);
      lines.setPrompt(text);
      try {
        return await nextMessage({ lines, interrupted, signal: interrupts.signal });
      } finally {
        lines.setPrompt(PROMPT);
        lines.pause();
        stdin.setRawMode?.(false);
      }
    },
    async aside(work) {
      lines.pause();
      stdin.setRawMode?.(false);
      try {
        return await work();
      } finally {
        if (!state.closed) stdin.setRawMode?.(true);
      }
    },
    arm: () => (state.armed = true),
    close: () => lines.close(),
  };
}

interface Reading {
  lines: Interface;
  /** Ctrl-C while the keyboard is ours. */
  interrupted: (leave: () => void) => void;
  signal: AbortSignal;
}

/** Shows the prompt and collects what arrives at once. */
function nextMessage({ lines, interrupted, signal }: Reading): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const typed: string[] = [];
    const leave = (): void => done(() => reject(new Cancelled('\nLeft.')));
    const onInterrupt = (): void => interrupted(leave);
    const onClose = (): void => done(() => resolve(typed.length > 0 ? typed.join('\n') : null));
    const onLine = (line: string): void => {
      typed.push(line);
      if (typed.length === 1) void pause(PASTE_MS).then(onClose);
    };
    const done = (settle: () => void): void => {
      lines.off('line', onLine).off('close', onClose).off('SIGINT', onInterrupt);
      signal.removeEventListener('abort', leave);
      settle();
    };
    lines.on('line', onLine).on('close', onClose).on('SIGINT', onInterrupt);
    signal.addEventListener('abort', leave);
    lines.prompt();
  });
}
