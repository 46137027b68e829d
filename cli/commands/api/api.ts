import { Command, Option } from '@commander-js/extra-typings';
import { collect } from '../../input/arguments.ts';
import type { Context } from '../../who/context.ts';
import type { ApiOptions } from './run-api.ts';

export function makeApi(ctx: Context, run?: (options: ApiOptions) => Promise<void>) {
  return new Command('api')
    .summary('call the API itself')
    .description(
      'Call the API as you are logged in, and print the answer as it comes. Of POST, PUT and PATCH the body comes from --data, or from stdin when it is a pipe. When the status is not 2xx it is said on stderr, and the exit code is 1, or 4 for 401.',
    )
    .argument('<method>', 'GET, POST, PUT, PATCH, DELETE, HEAD or OPTIONS')
    .argument('<path>', 'like /api/v1/llms or /v1/models')
    .option('-d, --data <text>', 'the body; @FILE reads it from a file, - from stdin')
    .addOption(
      new Option('-H, --header <header>', 'send this, too: "name: value"; may be given again').argParser(
        collect,
      ),
    )
    .addHelpText(
      'before',
      `Examples:
  mcpctl api GET /api/v1/llms
  mcpctl api GET "/api/v1/tasks?status=running&limit=5"
  mcpctl api POST /api/v1/llms/tiny-chat/infer -d '{"messages":[{"role":"user","content":"Hello"}]}'
  mcpctl api POST /api/v1/tasks -d @task.json -H "idempotency-key: night-1"
`,
    )
    .action(async (method, path, { data, header }) => {
      const options = { method, path, data, headers: header ?? [] };
      if (run) return run(options);
      const { runApi } = await import('./run-api.ts');
      return runApi(ctx, options);
    });
}
