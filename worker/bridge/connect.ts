import { McpctlError } from '../../core/errors.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { homeAt } from '../../core/runtime/files/home.ts';
import { openNetwork } from '../../core/runtime/network/network.ts';
import { readConfig } from '../../core/runtime/settings/config.ts';
import { withProxies } from '../../core/runtime/settings/network.ts';
import { readCredentials } from '../sources/credentials.ts';
import { createProjectEndpoint } from './project-endpoint.ts';
import { projectNamed, StdioBridge } from './stdio.ts';

/**
 * `mcplocal mcp connect PROJECT`: that project's tools over this process's input and output, called as whoever is logged in
 * here. Resolves when the input ends or a signal comes. @throws McpctlError `unauthenticated` where nobody is logged in.
 */
export async function connectProject(
  asked: string,
  { environment, note }: { environment: NodeJS.ProcessEnv; note: (sentence: string) => void },
): Promise<void> {
  const project = projectNamed(asked);
  const names = ['home', 'httpProxy', 'httpsProxy', 'noProxy', 'caFile', 'nodeCaFile'] as const;
  const config = readConfig(withProxies(environment), names);
  const { credentials, warnings } = await readCredentials(homeAt(config.home).credentials);
  if (!credentials) throw new McpctlError('unauthenticated', warnings.join(' '));
  for (const warning of warnings) note(warning);
  const endpoint = createProjectEndpoint({ ...credentials, network: openNetwork(config, { reuse: true }) });
  const bridge = new StdioBridge({
    ...{ project, endpoint, clock: systemClock, note },
    ...{ input: process.stdin, output: process.stdout },
  });
  process.stdout.on('error', () => bridge.stop()); // the client has gone
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => bridge.stop());
  await bridge.run();
}
