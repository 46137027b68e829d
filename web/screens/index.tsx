import type { ComponentType } from 'preact';
import { may } from '../state/session.ts';
import { Access } from './access.tsx';
import { Llm, Llms } from './llms.tsx';
import { Overview } from './overview.tsx';
import { Playground } from './playground.tsx';
import { Resources } from './resources.tsx';
import { Usage } from './usage.tsx';
import { Worker, Workers } from './workers.tsx';
import { Audit } from './audit.tsx';
import { Pool, Pools } from './pools.tsx';
import { Task } from './task.tsx';
import { Tasks } from './tasks.tsx';
import { Screen } from '../parts/page.tsx';
import { Empty } from '../parts/loaded.tsx';

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

const screens: readonly [RegExp, ComponentType][] = [
  [/^\/$/, Overview],
  [/^\/pools\/?$/, Pools],
  [/^\/pools\/[^/]+$/, Pool],
  [/^\/llms\/?$/, Llms],
  [/^\/llms\/[^/]+$/, Llm],
  [/^\/tasks\/?$/, Tasks],
  [/^\/tasks\/[^/]+$/, Task],
  [/^\/playground\/?$/, Playground],
  [/^\/workers\/?$/, Workers],
  [/^\/workers\/[^/]+$/, Worker],
  [/^\/audit\/?$/, Audit],
  [/^\/usage\/?$/, Usage],
  [/^\/access\/?$/, Access],
  [/^\/r\//, Resources],
];

export const screenOf = (path: string): ComponentType =>
  screens.find(([at]) => at.test(path))?.[1] ?? NotHere;
