import { signal } from '@preact/signals';
import type { Whoami } from '../../core/access.ts';
import { readCatalogue } from './catalogue.ts';
import { call, type Fault, isFault, whenSignedOut } from '../net/api.ts';
import { startLive, stopLive } from '../net/live.ts';

export const who = signal<Whoami | null>(null);
/** `asking` at the very start; `out` shows the sign-in, over the page if somebody was here. */
export const door = signal<'asking' | 'in' | 'out'>('asking');
export const doorFault = signal<Fault | null>(null);

whenSignedOut(() => {
  if (door.value !== 'in') return;
  stopLive();
  door.value = 'out';
});

/** Nothing that was shown stays in this page's memory. */
const leave = (): void => location.assign('/ui/');

/** All tabs have one cookie: who signs in at one of them is who asks in all. */
const tabs = new BroadcastChannel('mcpctl-door');
tabs.onmessage = ({ data: user }: MessageEvent<string>) => {
  if (who.value && who.value.user !== user) leave();
  else if (door.value === 'out') void enter('GET', '/whoami');
};

async function enter(method: 'GET' | 'POST', path: string, body?: object): Promise<void> {
  try {
    const now = await call<Whoami>(method, path, { body });
    tabs.postMessage(now.user);
    if (who.value && who.value.user !== now.user) return leave();
    who.value = now;
    door.value = 'in';
    doorFault.value = null;
    startLive();
    void readCatalogue();
  } catch (thrown) {
    door.value = 'out';
    // That nobody is signed in is no fault.
    if (isFault(thrown) && (thrown.status !== 401 || method === 'POST')) doorFault.value = thrown;
  }
}

const exchange = (body: { token: string } | { once: string }): Promise<void> =>
  enter('POST', '/ui/session', body);

/** A code in the address is taken out of it before anything is asked, so that no history or log has it. */
export async function begin(): Promise<void> {
  const once = /^#once=([\w-]+)$/.exec(location.hash)?.[1];
  if (once === undefined) return await enter('GET', '/whoami');
  history.replaceState(null, '', location.pathname + location.search);
  await exchange({ once });
}

export const signIn = (token: string): Promise<void> => exchange({ token });

export async function signOut(): Promise<void> {
  await call('DELETE', '/ui/session').catch(() => undefined); // it ends with its time at the latest
  stopLive();
  leave();
}

/** Whether to show a control at all; the server decides. */
export const may = (verb: keyof Whoami['may'], resource: string): boolean =>
  who.value?.may[verb].includes(resource) ?? false;
