import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { McpctlError } from '../../core/errors.ts';
import { openPage, type Page } from './chromium-page.ts';
import { connectDevTools } from './dev-tools.ts';

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
  /** The same, as of another person: with cookies of its own. */
  stranger(size: { width: number; height: number }): Promise<Page>;
  close(): Promise<void>;
}

async function firstOf(programs: readonly (string | undefined)[]): Promise<string | undefined> {
  for (const program of programs) {
    if (program !== undefined && (await run(program, ['--version']).catch(() => null)) !== null)
      return program;
  }
  return undefined;
}

/** @returns undefined where there is no Chromium. */
async function startChromium(): Promise<Browser | undefined> {
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
  const devTools = await connectDevTools(await addressOf(child));
  return {
    page: (size) => openPage(devTools, size),
    async stranger(size) {
      const { browserContextId } = await devTools.call('Target.createBrowserContext');
      return await openPage(devTools, size, { browserContextId: String(browserContextId) });
    },
    async close() {
      // As a person closes it: its helpers end with it, so that nothing writes into the profile any more.
      await Promise.race([devTools.call('Browser.close').catch(() => null), exited]);
      await exited;
      devTools.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** It says once, on stderr, where it listens. */
function addressOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const lines: string[] = [];
    child.once('exit', () => reject(new McpctlError('internal', `Chromium ended: ${lines.join('\n')}`)));
    if (!child.stderr) return reject(new McpctlError('internal', 'Chromium has no stderr.'));
    createInterface({ input: child.stderr }).on('line', (line) => {
      lines.push(line);
      const address = /^DevTools listening on (ws:\S+)/.exec(line)?.[1];
      if (address !== undefined) resolve(address);
    });
  });
}

/** The browser of a hook that begins with one; where there is none, what the hook is for is skipped, and says why. */
export async function chromiumFor(hook: Mocha.Context): Promise<Browser> {
  const chromium = await startChromium();
  if (chromium) return chromium;
  if (hook.test) hook.test.title += ' (there is no Chromium here: set CHROMIUM to the path of one)';
  return hook.skip();
}
