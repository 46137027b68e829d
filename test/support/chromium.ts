import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { WebSocket } from 'undici';
import { McpctlError } from '../../core/errors.ts';
import { openPage, type Page } from './chromium-page.ts';

const run = promisify(execFile);

/** What Chromium and its kin are called, and what a test run may say instead. */
const names = [
  process.env['CHROMIUM'],
  'chromium',
  'chromium-browser',
  'google-chrome',
  'google-chrome-stable',
];

/** A headless Chromium with a profile of its own, driven over the DevTools protocol. */
export interface Browser {
  /** A new page of this size, with nothing in it. Pages share their cookies. */
  page(size: { width: number; height: number }): Promise<Page>;
  close(): Promise<void>;
}

interface Answer {
  id?: number;
  method?: string;
  params?: Record<string, unknown>;
  sessionId?: string;
  result?: Record<string, unknown>;
  error?: { message: string };
}

/** One connection to the browser; `sessionId` says which page a call is for. */
export interface DevTools {
  call(method: string, params?: object, sessionId?: string): Promise<Record<string, unknown>>;
  on(heard: (event: Required<Pick<Answer, 'method'>> & Answer) => void): void;
}

async function firstOf(programs: readonly (string | undefined)[]): Promise<string | undefined> {
  for (const program of programs) {
    if (program !== undefined && (await run(program, ['--version']).catch(() => null)) !== null)
      return program;
  }
  return undefined;
}

/** @returns undefined where there is no Chromium: skip then, `this.skip()`. */
export async function startChromium(): Promise<Browser | undefined> {
  const program = await firstOf(names);
  if (program === undefined) return undefined;
  const profile = await mkdtemp(join(tmpdir(), 'mcpctl-chromium-'));
  const child = spawn(
    program,
    [
      '--headless=new',
      '--remote-debugging-port=0',
      `--user-data-dir=${profile}`,
      '--no-first-run',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--disable-background-networking',
      '--disable-component-update',
      '--hide-scrollbars',
      ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const socket = await connected(await addressOf(child));
  const devTools = devToolsOver(socket);
  return {
    page: (size) => openPage(devTools, size),
    async close() {
      // As a person closes it: its helpers end with it, so that nothing writes into the profile any more.
      await Promise.race([devTools.call('Browser.close').catch(() => null), exited]);
      await exited;
      socket.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** It says once, on stderr, where it listens. */
function addressOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const said: string[] = [];
    child.once('exit', () => reject(new McpctlError('internal', `Chromium ended: ${said.join('\n')}`)));
    if (!child.stderr) return reject(new McpctlError('internal', 'Chromium has no stderr.'));
    createInterface({ input: child.stderr }).on('line', (line) => {
      said.push(line);
      const address = /^DevTools listening on (ws:\S+)/.exec(line)?.[1];
      if (address !== undefined) resolve(address);
    });
  });
}

function connected(address: string): Promise<WebSocket> {
  const socket = new WebSocket(address);
  return new Promise((resolve, reject) => {
    socket.addEventListener('open', () => resolve(socket));
    socket.addEventListener('error', () => reject(new McpctlError('internal', `No way to ${address}.`)));
  });
}

function devToolsOver(socket: WebSocket): DevTools {
  let last = 0;
  const waiting = new Map<number, (answer: Answer) => void>();
  const listeners: Parameters<DevTools['on']>[0][] = [];
  socket.addEventListener('message', ({ data }) => {
    const answer = JSON.parse(String(data)) as Answer;
    const { id, method } = answer;
    if (id !== undefined) waiting.get(id)?.(answer);
    else if (method !== undefined) for (const heard of listeners) heard({ ...answer, method });
  });
  socket.addEventListener('close', () => {
    for (const answered of waiting.values()) answered({ error: { message: 'Chromium has gone.' } });
  });
  return {
    on: (heard) => void listeners.push(heard),
    call(method, params = {}, sessionId) {
      const id = ++last;
      return new Promise((resolve, reject) => {
        waiting.set(id, ({ result = {}, error }) => {
          waiting.delete(id);
          if (error) reject(new McpctlError('internal', `${method}: ${error.message}`));
          else resolve(result);
        });
        socket.send(
          JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) }),
        );
      });
    },
  };
}
