import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { McpctlError } from '../../core/errors.ts';
import { pause } from '../../core/runtime/clock.ts';
import type { DevTools } from './dev-tools.ts';

export interface Page {
  /** Resolves when the page and what it names are loaded. */
  goto(url: string): Promise<void>;
  /** The value of an expression in the page; a promise is awaited. */
  evaluate(expression: string): Promise<unknown>;
  /** Until the expression is true; fails after `withinMs` with what the page says. */
  until(expression: string, withinMs?: number): Promise<void>;
  /** Presses a key of the keyboard itself, as `Tab`, `Enter` or `j`: what it does there is the browser's. It wants to be in front. */
  key(name: string): Promise<void>;
  /** Types into what has the focus. */
  write(text: string): Promise<void>;
  /** As when its window is made of another size, or zoomed: `scale` pixels of the screen to one of the page. */
  size(of: { width: number; height: number; scale?: number }): Promise<void>;
  /** What its script holds, in bytes, when nothing is left to be collected. */
  heap(): Promise<number>;
  /** As when a person chooses its tab: the others are hidden. */
  front(): Promise<void>;
  /** As when a person closes its tab. */
  shut(): Promise<void>;
  /** What the person's system prefers, as `{ 'prefers-color-scheme': 'dark' }`; the rest is as usual. */
  prefers(features: Readonly<Record<string, string>>): Promise<void>;
  /** Runs in each document that it goes to from now on, before any script of that. */
  prepare(source: string): Promise<void>;
  /** As for who comes for the first time, over a line that answers so much later. */
  slowly(latencyMs: number): Promise<void>;
  /** Of the whole page as text. */
  text(): Promise<string>;
  /** What went wrong in it since it was opened: violations of the policy, console errors, exceptions, failed loads. */
  faults: readonly string[];
  /** Every address that it asked for. */
  asked: readonly string[];
  /** Every request as it was made, with its headers and body, as JSON. */
  sent: readonly { method: string; url: string; text: string }[];
  /** Writes `<name>.png` into the folder that SCREENSHOTS names; without one it does nothing. */
  screenshot(name: string): Promise<void>;
}

const STEP_MS = 50;
/** Of keys that write nothing by themselves, as Windows numbers them. */
const codes: Readonly<Record<string, number>> = { Tab: 9, Enter: 13, Escape: 27, End: 35, Home: 36 };

/** Kept from before any script of the page runs, so that no violation is missed. */
const listen = `addEventListener('securitypolicyviolation', (event) =>
  console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sample));`;

export async function openPage(
  devTools: DevTools,
  { width, height }: { width: number; height: number },
  where: { browserContextId?: string } = {},
): Promise<Page> {
  const { targetId } = await devTools.call('Target.createTarget', { url: 'about:blank', ...where });
  const attached = await devTools.call('Target.attachToTarget', { targetId, flatten: true });
  const sessionId = String(attached['sessionId']);
  const call = (method: string, params?: object) => devTools.call(method, params, sessionId);
  const faults: string[] = [];
  const asked: string[] = [];
  const sent: { method: string; url: string; text: string }[] = [];
  let loaded = (): void => undefined;
  devTools.on((event) => {
    if (event.sessionId !== sessionId) return;
    if (event.method === 'Page.loadEventFired') loaded();
    const { fault, url } = meaningOf(event.method, event.params ?? {});
    if (fault !== undefined) faults.push(fault);
    if (url !== undefined) asked.push(url);
    if (event.method === 'Network.requestWillBeSent') {
      // What is behind `#` stays in the browser.
      const { urlFragment: _, ...request } = event.params?.['request'] as Record<string, unknown>;
      sent.push({ ...(request as { method: string; url: string }), text: JSON.stringify(request) });
    }
  });
  await Promise.all(['Page', 'Runtime', 'Log', 'Network'].map((domain) => call(`${domain}.enable`)));
  await call('Page.addScriptToEvaluateOnNewDocument', { source: listen });
  const resize: Page['size'] = async ({ scale: deviceScaleFactor = 1, ...of }) => {
    const metrics = { ...of, deviceScaleFactor, mobile: of.width < 600 };
    await call('Emulation.setDeviceMetricsOverride', metrics);
  };
  await resize({ width, height });

  const evaluate = async (expression: string): Promise<unknown> => {
    const how = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails } = (await call('Runtime.evaluate', how)) as {
      result?: { value?: unknown };
      exceptionDetails?: unknown;
    };
    if (exceptionDetails) throw new McpctlError('internal', JSON.stringify(exceptionDetails).slice(0, 500));
    return result?.value;
  };
  const text = async (): Promise<string> => String(await evaluate('document.body?.innerText ?? ""'));
  return {
    faults,
    asked,
    sent,
    evaluate,
    text,
    size: resize,
    async key(name) {
      const text = name === 'Enter' ? '\r' : name.length === 1 ? name : undefined;
      const key = { key: name, windowsVirtualKeyCode: codes[name] ?? name.toUpperCase().charCodeAt(0) };
      await call('Input.dispatchKeyEvent', { type: 'keyDown', ...key, ...(text !== undefined && { text }) });
      await call('Input.dispatchKeyEvent', { type: 'keyUp', ...key });
    },
    async write(text) {
      await call('Input.insertText', { text });
    },
    async heap() {
      await call('HeapProfiler.collectGarbage');
      return Number((await call('Runtime.getHeapUsage'))['usedSize']);
    },
    async front() {
      await call('Page.bringToFront');
    },
    async shut() {
      await devTools.call('Target.closeTarget', { targetId });
    },
    async prefers(features) {
      const each = Object.entries(features).map(([name, value]) => ({ name, value }));
      await call('Emulation.setEmulatedMedia', { features: each });
    },
    async prepare(source) {
      await call('Page.addScriptToEvaluateOnNewDocument', { source });
    },
    async slowly(latency) {
      await call('Network.setCacheDisabled', { cacheDisabled: true });
      const rates = { downloadThroughput: -1, uploadThroughput: -1 };
      await call('Network.emulateNetworkConditions', { offline: false, latency, ...rates });
    },
    async goto(url) {
      const done = new Promise<void>((resolve) => (loaded = resolve));
      await call('Page.navigate', { url });
      await done;
    },
    async until(expression, withinMs = 30_000) {
      const end = performance.now() + withinMs;
      // While it navigates there is no page to ask.
      while ((await evaluate(expression).catch(() => false)) !== true) {
        if (performance.now() > end)
          throw new McpctlError('timed_out', `Not within ${withinMs} ms: ${expression}\n${await text()}`);
        await pause(STEP_MS);
      }
    },
    async screenshot(name) {
      const folder = process.env['SCREENSHOTS'];
      if (folder === undefined) return;
      const { data } = await call('Page.captureScreenshot', { format: 'png' });
      await writeFile(join(folder, `${name}.png`), Buffer.from(String(data), 'base64'));
    },
  };
}

/** What an event of the DevTools says of the page's health, and of what it loads. */
function meaningOf(method: string, params: Record<string, unknown>): { fault?: string; url?: string } {
  switch (method) {
    case 'Runtime.consoleAPICalled':
      return params['type'] === 'error' ? { fault: `console: ${JSON.stringify(params['args'])}` } : {};
    case 'Runtime.exceptionThrown':
      return { fault: `exception: ${JSON.stringify(params['exceptionDetails'])}` };
    case 'Log.entryAdded': {
      const { level, text, url } = params['entry'] as { level: string; text: string; url?: string };
      return level === 'error' ? { fault: `log: ${text} ${url ?? ''}` } : {};
    }
    case 'Network.requestWillBeSent': {
      const { url } = params['request'] as { url: string };
      return { url };
    }
    case 'Network.loadingFailed':
      // Chromium's own word for what a page that is left no longer waits for.
      return params['errorText'] === 'net::ERR_ABORTED'
        ? {}
        : { fault: `load: ${String(params['errorText'])}` };
    default:
      return {};
  }
}
