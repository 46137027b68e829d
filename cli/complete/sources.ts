import type { Verb } from '../../core/resources/define.ts';
import { catalogueEntry, type CatalogueEntry } from '../../core/resources/catalogue.ts';
import { resources } from '../../core/resources/index.ts';
import { llmStatuses, operationSchema } from '../../core/llm.ts';
import { taskSources, taskStatuses } from '../../core/task/task.ts';
import { clients } from '../commands/connect/clients.ts';
import { processWords } from '../commands/logs/logs.ts';
import { methods } from '../net/http.ts';
import type { Doing } from '../resources/types.ts';

/** Names that only a server, or a file of this machine, knows. */
export type Live = 'pool' | 'callable' | 'task' | 'unfinished task' | 'ended task' | 'token' | 'context';

/** What is one agent's. */
export type AgentHas = 'personality' | 'thread';

/** What may stand in one place of a command line. */
export type Source =
  | { of: 'nothing' }
  | { of: 'files' }
  | { of: 'commands' }
  | { of: 'statuses' }
  | { of: 'words'; words: readonly string[] }
  | { of: 'typed'; doing: Doing }
  | { of: 'names'; live: Live | CatalogueEntry }
  /** Of the agent that was said before. */
  | { of: 'agent'; has: AgentHas };

/** Names of things that are no more than what is said of them. */
const llm = catalogueEntry(resources.llm);
const project = catalogueEntry(resources.project);
const agent = catalogueEntry(resources.agent);
const user = catalogueEntry(resources.user);
const group = catalogueEntry(resources.group);
const secret = catalogueEntry(resources.secret);
const server = catalogueEntry(resources.server);
const template = catalogueEntry(resources.template);
const worker = catalogueEntry(resources.session);

const nothing: Source = { of: 'nothing' };
const words = (...all: string[]): Source => ({ of: 'words', words: all });
const names = (live: Live | CatalogueEntry): Source => ({ of: 'names', live });
const verbs = ['view', 'create', 'edit', 'delete', 'run'] satisfies Verb[];
const typed = (doing: Doing): Source => ({ of: 'typed', doing });

/** By the name of the command; the last source goes for all further arguments where the last may be given again. */
export const argumentSources: Readonly<Record<string, readonly Source[]>> = {
  get: [typed('get')],
  describe: [typed('describe')],
  edit: [typed('edit')],
  delete: [typed('delete')],
  rename: [typed('rename'), nothing],
  diff: [words('server'), names(server)],
  approve: [words('server'), names(server)],
  logs: [words(...processWords), names(server)],
  restart: [words(...processWords), names(server)],
  backup: [{ of: 'files' }],
  'backup verify': [{ of: 'files' }],
  restore: [{ of: 'files' }],
  'create llm': [nothing],
  'create secret': [nothing],
  'create server': [nothing],
  chat: [names(agent)],
  'chat-llm': [names('callable')],
  connect: [words(...Object.keys(clients)), names('callable')],
  call: [names(project), nothing],
  console: [names(project)],
  'task get': [names('task')],
  'task logs': [names('task')],
  'task cancel': [names('unfinished task')],
  'task retry': [names('ended task')],
  'task wait': [names('unfinished task')],
  'token create': [nothing],
  'token revoke': [names('token')],
  'explain llm': [names('callable')],
  'explain task': [names('task')],
  'pool allow': [names('pool'), names(user)],
  'pool deny': [names('pool'), names(user)],
  'pool owner': [names('pool'), names(user)],
  'worker approve': [nothing],
  'worker withdraw': [nothing],
  'worker pause': [names(worker)],
  'worker resume': [names(worker)],
  'worker drain': [names(worker)],
  'worker revoke': [names(worker)],
  'group add': [names(group), names(user)],
  'group remove': [names(group), names(user)],
  'secret rotate': [names(secret)],
  'secret rollback': [names(secret)],
  'secret versions': [names(secret)],
  'secret reveal': [names(secret), nothing],
  'auth can-i': [words(...verbs), typed('get')],
  'auth who-can': [words(...verbs), typed('get')],
  'auth why': [words(...verbs), typed('get')],
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
  '--filename': { of: 'files' },
  '--status': { of: 'statuses' },
  '--kind': words('public', 'virtual'),
  '--type': words('openai', 'ollama', 'anthropic'),
  '--pool': names('pool'),
  '--llm': names('callable'),
  '--project': names(project),
  '--agent': names(agent),
  '--personality': { of: 'agent', has: 'personality' },
  '--limit': nothing,
  '--selector': nothing,
  '--sort-by': nothing,
  '--interval': words('1s', '2s', '10s', '1m'),
  '--timeout': words('30s', '10m', '1h'),
  '--rename': nothing,
  '--set': nothing,
  '--prune-kinds': nothing,
  '--yes-prune': nothing,
  '--message': nothing,
  '--system': nothing,
  '--system-append': nothing,
  '--system-file': { of: 'files' },
  '--title': nothing,
  '--from': { of: 'files' },
  '--turn': nothing,
  '--thread': { of: 'agent', has: 'thread' },
  '--param': nothing,
  '--temperature': nothing,
  '--max-tokens': nothing,
  '--top-p': nothing,
  '--top-k': nothing,
  '--seed': nothing,
  '--stop': nothing,
  '--tools': { of: 'files' },
  '--tool': nothing,
  '--client': nothing,
  '--mcp-server': names(server),
  '--prompt': nothing,
  '--uri': nothing,
  '--pin': names(llm),
  '--model': nothing,
  '--url': nothing,
  '--pool-name': names('pool'),
  '--tier': nothing,
  '--api-key-env': nothing,
  '--api-key-file': nothing,
  '--api-key-secret': nothing,
  '--max-concurrency': nothing,
  '--description': nothing,
  '--alias': nothing,
  '--from-file': nothing,
  '--from-env': nothing,
  '--from-stdin': nothing,
  '--to': nothing,
  '--output': { of: 'files' },
  '--passphrase-file': { of: 'files' },
  '--identity': { of: 'files' },
  '--only': words('user', 'group', 'rbac', 'llm', 'secret', 'agent', 'prompt', 'project'),
  '--actor': names(user),
  '--verb': words('create', 'edit', 'delete', 'reveal', 'backup', 'restore'),
  '--resource': typed('get'),
  '--name': nothing,
  '--outcome': nothing,
  '--request-id': nothing,
  '--hours': words('1', '24', '168'),
  '--owner': names(user),
  '--member': names(llm),
  '--session': names(worker),
  '--source': words(...taskSources),
  '--code': nothing,
  '--id-prefix': nothing,
  '--request': { of: 'files' },
  '--operation': words(...operationSchema.options),
  '--since': nothing,
  '--until': nothing,
  '--user': names(user),
  '--transfer-to': names(user),
  '--as': names(user),
  '--binding': nothing,
  '--expires': words('7d', '30d', '90d'),
  '--expires-in-days': nothing,
  '--data': nothing,
  '--header': nothing,
  '--allowed-origin': nothing,
  '--from-template': names(template),
  '--package': nothing,
  '--integrity': nothing,
  '--program': nothing,
  '--command': nothing,
  '--arg': nothing,
  '--env': nothing,
  '--limits': nothing,
};

/** Of those that have any. */
export const statusesOf: Readonly<Record<string, readonly string[]>> = {
  llm: llmStatuses,
  task: taskStatuses,
};
