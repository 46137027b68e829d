import { signal } from '@preact/signals';
import type { ComponentType } from 'preact';
import { useEffect } from 'preact/hooks';
import type * as everyOther from './others.ts';
import { Empty, NotForToken } from '../parts/loaded.tsx';
import { Screen } from '../parts/page.tsx';
import { may } from '../state/session.ts';
import { Overview } from './overview.tsx';

type Others = typeof everyOther;

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
  { path: '/mcp', name: 'MCP', isOffered: () => may('view', 'server') || may('view', 'project') },
  { path: '/audit', name: 'Audit', isOffered: () => may('view', 'audit') },
  { path: '/usage', name: 'Usage', isOffered: () => may('view', 'task') },
  { path: '/access', name: 'Who may what', isOffered: () => true },
  { path: '/system', name: 'System', isOffered: () => may('view', 'board') },
];

/** By a link that somebody with other rights gave them. */
const notOffered = ({ name, path }: Section): ComponentType =>
  function NotOffered() {
    return (
      <Screen title={name}>
        <NotForToken
          why={
            path === '/playground'
              ? 'Your token may not ask any model.'
              : `Your token may not see this: ${name}.`
          }
        />
      </Screen>
    );
  };

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

/** The second file: null until it has come. */
const others = signal<Others | 'failed' | null>(null);

function fetchOthers(): void {
  if (others.value !== null && others.value !== 'failed') return;
  import('./others.ts').then(
    (screens) => (others.value = screens),
    () => (others.value = 'failed'),
  );
}

/**
 * A screen of the file that is fetched when one of them is first gone to, so that the first load stays small. All are in one: a file each would be
 * a dozen more, for what they share. It may be gone where the edge is of another release by now.
 */
const other = (name: keyof Others): ComponentType =>
  function Later() {
    useEffect(fetchOthers, []);
    if (others.value === null) return <p class="quiet">Loading …</p>;
    if (others.value === 'failed') return <NotLoaded />;
    const Shown = others.value[name];
    return <Shown />;
  };

function NotLoaded() {
  return (
    <Screen title="Not loaded">
      <Empty why="This screen could not be loaded: the server is away, or of another release by now.">
        <button type="button" onClick={() => location.reload()}>
          Load the page anew
        </button>
      </Empty>
    </Screen>
  );
}

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
  [/^\/mcp\/?$/, other('Mcp')],
  [/^\/mcp\/[^/]+$/, other('Traffic')],
  [/^\/audit\/?$/, other('Audit')],
  [/^\/usage\/?$/, other('Usage')],
  [/^\/access\/?$/, other('Access')],
  [/^\/system\/?$/, other('System')],
  [/^\/r\//, other('Resources')],
];

const refusals = new Map(sections.map((section) => [section, notOffered(section)]));

export function screenOf(path: string): ComponentType {
  const section = sections.find(({ path: of }) => of !== '/' && path.startsWith(of));
  if (section?.isOffered() === false) return refusals.get(section) ?? NotHere;
  return screens.find(([at]) => at.test(path))?.[1] ?? NotHere;
}
