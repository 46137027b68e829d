import { request } from 'node:http';
import { McpctlError } from '../../core/errors.ts';
import { jsonValue } from '../../core/text/json-text.ts';
import { localLogsSchema, localStatusSchema, type LocalAction, type LocalStatus } from './protocol.ts';

const WITHIN_MS = 5_000;
const MOST_BYTES = 4 * 1024 * 1024;

/** Asks the worker of this home. @param ms for how long, of a pause. @throws McpctlError `server_unreachable` when none runs, `bad_answer`. */
export async function askWorker(
  path: string,
  what: 'status' | LocalAction,
  ms?: number,
): Promise<LocalStatus> {
  const { status, text } = await call(path, what, ms === undefined ? '' : `?ms=${String(ms)}`);
  if (status !== 200)
    throw new McpctlError('bad_answer', `The worker answered ${String(status)}: ${text.trim()}`);
  try {
    return localStatusSchema.parse(JSON.parse(text));
  } catch {
    throw new McpctlError('bad_answer', 'The worker that runs here is of another version; restart it.');
  }
}

/** What an MCP server of that worker printed last beside its messages. @throws McpctlError as `askWorker`, `server_not_found`. */
export async function askLogs(path: string, server: string): Promise<string> {
  const { status, text } = await call(path, `logs/${encodeURIComponent(server)}`);
  if (status === 404)
    throw new McpctlError('server_not_found', `The worker that runs here does not run '${server}'.`);
  const logs = localLogsSchema.safeParse(jsonValue(text));
  if (status === 200 && logs.success) return logs.data.printed;
  throw new McpctlError('bad_answer', 'The worker that runs here is of another version; restart it.');
}

function call(path: string, what: string, query = ''): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const method = what === 'status' || what.startsWith('logs/') ? 'GET' : 'POST';
    const req = request({ socketPath: path, path: `/${what}${query}`, method, timeout: WITHIN_MS }, (res) => {
      let text = '';
      res.setEncoding('utf8');
      res.on('data', (piece: string) => {
        text += piece;
        if (text.length > MOST_BYTES) req.destroy();
      });
      res.on('end', () => resolve({ status: res.statusCode ?? 0, text }));
      res.on('error', () => reject(silent()));
    });
    req.on('timeout', () => req.destroy(silent()));
    req.on('error', (thrown: NodeJS.ErrnoException) => reject(notThere(thrown, path)));
    req.end();
  });
}

function silent(): McpctlError {
  return new McpctlError('server_unreachable', 'The worker that runs with this home does not answer.');
}

function notThere(thrown: NodeJS.ErrnoException, path: string): McpctlError {
  if (thrown instanceof McpctlError) return thrown;
  if (['ENOENT', 'ECONNREFUSED', 'ENOTSOCK'].includes(thrown.code ?? '')) {
    return new McpctlError(
      'server_unreachable',
      `No worker runs with this home (nobody listens at ${path}). Start one with "mcplocal run", or set MCPCTL_HOME.`,
    );
  }
  if (thrown.code !== 'EACCES') return silent();
  return new McpctlError('server_unreachable', `The worker of this home belongs to another user (${path}).`);
}
