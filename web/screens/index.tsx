import { useSignal } from '@preact/signals';
import type { ComponentType } from 'preact';
import { useEffect } from 'preact/hooks';
import type * as others from './others.ts';
import { Empty } from '../parts/loaded.tsx';
import { Screen } from '../parts/page.tsx';
import { may } from '../state/session.ts';
import { Overview } from './overview.tsx';

interface Section {
  path: string;
  name: string;
  /** Whether there is anything of it that this user may see. */
  isOffered: () => boolean;
}

/** What the navigation lists. */
export const sections: readonly Section[] = [
  { path: '/', name: 'Overview', isOffered: () => true },
  { path: '/pools', name: 'Pools', isOffered: () => may('view', 'pool') },
  { path: '/llms', name: 'Llms', isOffered: () => may('view', 'llm') },
  { path: '/tasks', name: 'Tasks', isOffered: () => may('view', 'task') },
  { path: '/playground', name: 'Playground', isOffered: () => may('run', 'pool') || may('run', 'llm') },
  { path: '/workers', name: 'Workers', isOffered: () => may('view', 'session') || may('create', 'session') },
  { path: '/audit', name: 'Audit', isOffered: () => may('view', 'audit') },
  { path: '/usage', name: 'Usage', isOffered: () => may('view', 'task') },
  { path: '/access', name: 'Who may what', isOffered: () => true },
  { path: '/system', name: 'System', isOffered: () => may('view', 'board') },
];

function NotHere() {
  return (
    <Screen title="Not here">
      <Empty why="There is no such screen. It may have moved, or the address was cut off.">
        <p>
          <a href="/ui/">To the overview</a>
        </p>
      </Empty>
    </Screen>
  );
}

/**
 * A screen whose script is fetched when it is first gone to, so that the first load stays small. Its file may be gone where the
 * edge is of another release by now.
 */
function later(load: () => Promise<ComponentType>): ComponentType {
  let kept: ComponentType | undefined;
  return function Later() {
    const came = useSignal<ComponentType | 'failed' | null>(kept ?? null);
    useEffect(() => {
      if (kept) return;
      load().then(
        (screen) => (came.value = kept = screen),
        () => (came.value = 'failed'),
      );
    }, []);
    if (came.value === null) return <p class="quiet">Loading …</p>;
    if (came.value !== 'failed') return <came.value />;
    return (
      <Screen title="Not loaded">
        <Empty why="This screen could not be loaded: the server is away, or of another release by now.">
          <button type="button" onClick={() => location.reload()}>
            Load the page anew
          </button>
        </Empty>
      </Screen>
    );
  };
}

/** All in one file: a file each would be a dozen more, for what the screens share. */
const other = (name: keyof typeof others): ComponentType =>
  later(async () => (await import('./others.ts'))[name]);

const screens: readonly [RegExp, ComponentType][] = [
  [/^\/$/, Overview],
  [/^\/pools\/?$/, other('Pools')],
  [/^\/pools\/[^/]+$/, other('Pool')],
  [/^\/llms\/?$/, other('Llms')],
  [/^\/llms\/[^/]+$/, other('Llm')],
  [/^\/tasks\/?$/, other('Tasks')],
  [/^\/tasks\/[^/]+$/, other('Task')],
  [/^\/playground\/?$/, other('Playground')],
  [/^\/workers\/?$/, other('Workers')],
  [/^\/workers\/[^/]+$/, other('Worker')],
  [/^\/join-codes\/?$/, other('JoinCodes')],
  [/^\/audit\/?$/, other('Audit')],
  [/^\/usage\/?$/, other('Usage')],
  [/^\/access\/?$/, other('Access')],
  [/^\/system\/?$/, other('System')],
  [/^\/r\//, other('Resources')],
];

export const screenOf = (path: string): ComponentType =>
  screens.find(([at]) => at.test(path))?.[1] ?? NotHere;
