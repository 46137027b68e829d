import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import type { Router } from 'express';
import type { Clock } from '../../core/runtime/clock.ts';
import { withoutWords } from './scrub.ts';
import { boardQueues, type BoardQueue, type ShownDeps } from './shown.ts';

export interface Boards {
  /** Looks at everything and changes nothing. */
  readOnly: Router;
  full: Router;
  /** Pools come and go: brings both boards up to date, at most every few seconds. */
  refresh(): Promise<void>;
}

const REFRESH_MS = 5_000;
/** How often an open page asks, in seconds: each time all queues on the board are asked. */
const POLL_S = 10;

const uiConfig = {
  boardTitle: 'mcpctl queues',
  // CLIENT LIST for each queue takes Redis seconds where many are connected.
  showWorkers: false,
  hideRedisDetails: true,
  hideDocsLink: true,
  showMetrics: false,
  pollingInterval: { showSetting: false, forceInterval: POLL_S },
  miscLinks: [{ text: 'Sign out', url: '/admin/logout' }],
};

/** Bull Board over the pools that have something to show; it polls every queue it knows, so it is told of few. */
export function createBoards(deps: ShownDeps & { clock: Clock; basePath: string }): Boards {
  const readOnly = boardOf(deps, true);
  const full = boardOf(deps, false);
  let refreshedAt = -Infinity;
  let refreshing: Promise<void> | null = null;

  const refresh = async (): Promise<void> => {
    const queues = await boardQueues(deps);
    readOnly.show(queues);
    full.show(queues);
    refreshedAt = deps.clock.elapsed();
  };
  return {
    readOnly: readOnly.router,
    full: full.router,
    async refresh() {
      if (deps.clock.elapsed() - refreshedAt < REFRESH_MS) return;
      refreshing ??= refresh().finally(() => (refreshing = null));
      await refreshing;
    },
  };
}

function boardOf(
  { queue, basePath }: ShownDeps & { basePath: string },
  readOnlyMode: boolean,
): { router: Router; show(queues: readonly BoardQueue[]): void } {
  const server = new ExpressAdapter();
  server.setBasePath(basePath);
  const { replaceQueues } = createBullBoard({
    queues: [],
    serverAdapter: server,
    options: { uiConfig, handlerHooks: { after: (_context, result) => withoutWords(result) } },
  });
  const adapterOf = ({ name, title, description }: BoardQueue): BullMQAdapter => {
    const adapter = new BullMQAdapter(queue.queueOf(name), {
      readOnlyMode,
      description,
      externalJobUrl: ({ data }) => ({ displayText: 'Task', href: `/admin/tasks/${taskIdOf(data)}` }),
    });
    // The board's menu and addresses say the queue's name, which is a hash; people know the pool's.
    adapter.getName = () => title;
    adapter.setFormatter('data', (data) => ({ task: taskIdOf(data) }));
    adapter.setFormatter('returnValue', () => null);
    return adapter;
  };
  return {
    router: server.getRouter() as Router,
    show: (queues) => replaceQueues(queues.map(adapterOf)),
  };
}

/** Whatever else a job may hold is not shown. */
function taskIdOf(data: unknown): string {
  const id = typeof data === 'object' && data !== null && 'T' in data ? String(data.T) : '';
  return /^[0-9a-f-]{36}$/.test(id) ? id : '';
}
