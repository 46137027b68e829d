import { llmStatuses } from '../../core/llm.ts';
import { taskStatuses } from '../../core/task.ts';
import { clients } from '../commands/connect/clients.ts';
import { methods } from '../http.ts';
import type { ResourceType } from '../resources.ts';

/** Names that only a server, or a file of this machine, knows. */
export type Live =
  'llm' | 'pool' | 'callable' | 'task' | 'unfinished task' | 'ended task' | 'token' | 'context';

/** What may stand in one place of a command line. */
export type Source =
  | { of: 'nothing' }
  | { of: 'files' }
  | { of: 'commands' }
  | { of: 'statuses' }
  | { of: 'words'; words: readonly string[] }
  | { of: 'typed'; types: readonly ResourceType[] }
  | { of: 'names'; live: Live };

const nothing: Source = { of: 'nothing' };
const words = (...all: string[]): Source => ({ of: 'words', words: all });
const names = (live: Live): Source => ({ of: 'names', live });
const typed = (...types: ResourceType[]): Source => ({ of: 'typed', types });

/** By the name of the command; the last source goes for all further arguments where the last may be given again. */
export const argumentSources: Readonly<Record<string, readonly Source[]>> = {
  get: [typed('llm', 'pool', 'task')],
  describe: [typed('llm', 'pool', 'task')],
  delete: [typed('llm', 'task')],
  'create llm': [nothing],
  'chat-llm': [names('callable')],
  connect: [words(...Object.keys(clients)), names('callable')],
  'task get': [names('task')],
  'task logs': [names('task')],
  'task cancel': [names('unfinished task')],
  'task retry': [names('ended task')],
  'task wait': [names('unfinished task')],
  'token create': [nothing],
  'token revoke': [names('token')],
  'pool allow': [names('pool'), nothing],
  'pool deny': [names('pool'), nothing],
  'pool owner': [names('pool'), nothing],
  'config get-contexts': [names('context')],
  'config use-context': [names('context')],
  'config set-context': [names('context')],
  'config delete-context': [names('context')],
  api: [
    words(...methods),
    words(
      ...['llms', 'pools', 'tasks', 'tokens', 'whoami'].map((name) => `/api/v1/${name}`),
      ...['/v1/models', '/v1/chat/completions', '/livez', '/readyz', '/metrics', '/openapi.json'],
    ),
  ],
  help: [{ of: 'commands' }],
};

/** By the long name of the option; those with choices know themselves. */
export const optionSources: Readonly<Record<string, Source>> = {
  '--server': nothing,
  '--context': names('context'),
  '--token-file': { of: 'files' },
  '--ca-file': { of: 'files' },
  '--status': { of: 'statuses' },
  '--kind': words('public', 'virtual'),
  '--type': words('openai', 'ollama', 'anthropic'),
  '--pool': names('pool'),
  '--llm': names('callable'),
  '--limit': nothing,
  '--selector': nothing,
  '--sort-by': nothing,
  '--interval': words('1s', '2s', '10s', '1m'),
  '--timeout': words('30s', '10m', '1h'),
  '--message': nothing,
  '--system': nothing,
  '--temperature': nothing,
  '--max-tokens': nothing,
  '--pin': names('llm'),
  '--model': nothing,
  '--url': nothing,
  '--pool-name': names('pool'),
  '--tier': nothing,
  '--api-key-env': nothing,
  '--api-key-file': nothing,
  '--max-concurrency': nothing,
  '--description': nothing,
  '--alias': nothing,
  '--user': nothing,
  '--expires-in-days': nothing,
  '--data': nothing,
  '--header': nothing,
};

export const statusesOf: Readonly<Record<ResourceType, readonly string[]>> = {
  llm: llmStatuses,
  task: taskStatuses,
  pool: [],
};
