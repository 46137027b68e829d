import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import type { Express } from 'express';
import type { QueueDoor } from '../../../core/queue/door.ts';
import { offered } from './offered.ts';
import { taskIdOf } from './said.ts';
import type { BoardQueue } from './shown.ts';

/** How often an open page asks, in seconds: each time all queues on the board are asked. */
const POLL_S = 5;

const uiConfig = {
  boardTitle: 'mcpctl queues',
  // CLIENT LIST for each queue takes Redis seconds where many are connected.
  showWorkers: false,
  hideRedisDetails: true,
  hideDocsLink: true,
  showMetrics: false,
  pollingInterval: { showSetting: false, forceInterval: POLL_S },
  miscLinks: [
    { text: 'API', url: '/admin/api' },
    { text: 'Sign out', url: '/admin/logout' },
  ],
};

export interface Board {
  app: Express;
  /** From now on these queues and no others. */
  show(queues: readonly BoardQueue[]): void;
}

export interface BoardOptions {
  queueOf: QueueDoor['queueOf'];
  basePath: string;
  readOnlyMode: boolean;
}

/** One Bull Board. What it fails with goes to who mounts it, as it was thrown: it is not for people's eyes. */
export function createBoard({ queueOf, basePath, readOnlyMode }: BoardOptions): Board {
  const server = new ExpressAdapter();
  server.setBasePath(basePath);
  const { replaceQueues } = createBullBoard({
    queues: [],
    serverAdapter: server,
    options: { uiConfig, handlerHooks: offered },
  });
  // Its own would send the message: an address of Redis, a piece of what a worker wrote into a job.
  server.setErrorHandler((thrown) => {
    throw thrown;
  });
  const adapterOf = ({ name, title, description }: BoardQueue): BullMQAdapter => {
    const adapter = new BullMQAdapter(queueOf(name), {
      readOnlyMode,
      allowRetries: false,
      description,
      externalJobUrl: ({ data }) => ({ displayText: 'Task', href: `/admin/tasks/${taskIdOf(data)}` }),
    });
    // The board's menu and addresses say the queue's name, which is a hash; people know the pool's.
    adapter.getName = () => title;
    adapter.setFormatter('data', (data) => ({ task: taskIdOf(data) }));
    return adapter;
  };
  const app = server.getRouter() as Express;
  app.disable('x-powered-by');
  return { app, show: (queues) => replaceQueues(queues.map(adapterOf)) };
}
