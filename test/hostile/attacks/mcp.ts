import { json, overConnections, requestOf, untilNext, type Attack, type Target } from '../attack.ts';
import { headOf } from '../raw.ts';
import { attackersProject } from './calls.ts';

const path = `/mcp/projects/${attackersProject}`;
const message = (method: string, params: object = {}): string =>
  JSON.stringify({ jsonrpc: '2.0', id: 1, method, params });

/** Ten thousand messages, of a few connections, as fast as a network brings them. */
const tenThousand =
  (request: (target: Omit<Target, 'over'>, n: number) => Buffer): Attack['prepare'] =>
  (target) =>
    overConnections(target, { count: 20 }, async (line, nth) => {
      for (let n = 0; n < 500 && line.isOn(); n++) {
        await line.send(request(target, nth * 500 + n));
        await untilNext(2);
      }
    });

const hello = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'm', version: '1' } };
/** Its turn comes within this, beside what the attack before has left to do. */
const TRIES = 60;

async function beginSession({ port, token }: Omit<Target, 'over'>): Promise<string> {
  for (let tried = 1; ; tried++) {
    const answer = await fetch(`http://127.0.0.1:${String(port)}${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: message('initialize', hello),
    });
    const [words, session] = [await answer.text(), answer.headers.get('mcp-session-id')];
    if (session !== null) return session;
    if (tried === TRIES) throw new Error(`No session was begun: ${words}`);
    await untilNext(500);
  }
}

/** What a client of a project may do to its endpoint. */
export const mcp: Readonly<Record<string, Attack>> = {
  'mcp-streams': {
    about: 'five hundred streams of one session that stay open',
    needsAnswers: true,
    inTurn: true,
    prepare: (target) => async (over) => {
      const session = await beginSession(target);
      const head = headOf(`GET ${path}`, target.token, [
        ...[json, 'accept: text/event-stream', `mcp-session-id: ${session}`],
      ]);
      return await overConnections(target, { count: 500 }, (line) => line.send(head))(over);
    },
  },
  'mcp-sessions': {
    about: 'ten thousand ids of MCP sessions that nobody was given',
    inTurn: true,
    prepare: tenThousand((target, n) =>
      requestOf(target, {
        ...{ path, body: message('ping') },
        headers: [`mcp-session-id: v1.${String(n).padStart(80, 'x')}.${'y'.repeat(43)}`],
      }),
    ),
  },
  'mcp-briefings': {
    about: 'ten thousand begin_session of a gated project',
    inTurn: true,
    prepare: tenThousand((target, n) => {
      const given = { name: 'begin_session', arguments: { task: `Release ${String(n)}` } };
      return requestOf(target, { path, body: message('tools/call', given) });
    }),
  },
};
