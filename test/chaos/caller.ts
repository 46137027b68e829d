import { Agent, request, type IncomingMessage } from 'node:http';
import { pause } from '../../core/runtime/clock.ts';
import { isTerminal, type TaskStatus } from '../../core/task/task.ts';
import type { Script } from './backend.ts';
import type { Journal } from './journal.ts';
import type { Door, Mode } from './lines.ts';

export interface Order {
  door: Door;
  mode: Mode;
  pool: string;
  edge: string;
  script: Script;
  boundMs: number;
  probe?: boolean;
  /** With the door `thread`. */
  thread?: string;
  headers?: Record<string, string>;
}

/** One caller at work. */
export interface Placed {
  call: string;
  canary: string;
  /** Resolves when the caller has what it gets: a result, an error, or nothing any more. */
  done: Promise<Verdict>;
  /** Resolves with how many events it has had as soon as it has that many, or at its end. */
  events(count: number): Promise<number>;
  /** Closes the connection, as a caller who loses interest. */
  leave(): void;
  /** Stops reading, without closing. */
  stall(): void;
  taskId(): string | null;
  isDone(): boolean;
}

export interface Verdict {
  completed: boolean;
  how: 'whole' | 'broken' | 'refused' | 'late';
  status: number;
  endedAt: number;
  startedAt: number;
}

export interface Callers {
  place(order: Order): Placed;
  /** `DELETE`; what it answers is noted as seen. */
  cancel(placed: Placed, edge: string): Promise<void>;
  /** Follows a task whose stream broke off, at another edge; resolves with what came of it. */
  resume(placed: Placed, edge: string): Promise<Verdict>;
  close(): void;
}

interface CallersDeps {
  /** Where each edge listens. */
  url: (edge: string) => string;
  /** The same; or another one while that is down, as behind a load balancer. */
  anyUrl: (edge: string) => string;
  token: string;
  journal: () => Journal;
}

/** A caller gives up this much after its bound, so that a late answer is seen to be late. */
const SLACK_MS = 2_000;
const POLL_WAIT_S = 10;

interface State {
  call: string;
  order: Order;
  startedAt: number;
  taskId: string | null;
  events: number;
  lastId: string | null;
  finishSeen: boolean;
  done: boolean;
  heard: Set<() => void>;
  leave: () => void;
  stall: () => void;
}

export function createCallers(deps: CallersDeps): Callers {
  // A connection that broke must not fail the next call; 0 = as many as it takes.
  const agent = new Agent({ keepAlive: false, maxSockets: Infinity });
  const placed = new WeakMap<Placed, State>();
  let count = 0;

  const headers = { authorization: `Bearer ${deps.token}`, 'content-type': 'application/json' };
  const ask = (ask: Asking): Promise<Answer> =>
    exchange({ ...ask, agent, headers: { ...headers, ...ask.headers } });

  const place = (order: Order): Placed => {
    count += 1;
    const call = `k${String(count)}`;
    const { door, mode, edge, pool, boundMs, script, probe = false } = order;
    const state: State = {
      ...{ call, order, startedAt: performance.now(), taskId: null, events: 0, lastId: null },
      ...{ finishSeen: false, done: false, heard: new Set(), leave: () => undefined, stall: () => undefined },
    };
    deps
      .journal()
      .client({ call, what: 'sent', door, mode, edge, pool, canary: script.canary, boundMs, probe });
    const done = run(state).finally(() => {
      state.done = true;
      state.heard.forEach((heard) => heard());
    });
    const mine: Placed = {
      call,
      done,
      canary: script.canary,
      taskId: () => state.taskId,
      isDone: () => state.done,
      leave: () => state.leave(),
      stall: () => state.stall(),
      events: (wanted) =>
        new Promise((resolve) => {
          const look = (): void => {
            if (state.events < wanted && !state.done) return;
            state.heard.delete(look);
            resolve(state.events);
          };
          state.heard.add(look);
          look();
        }),
    };
    placed.set(mine, state);
    return mine;
  };

  const run = async (state: State): Promise<Verdict> => {
    const { call, order } = state;
    const journal = deps.journal();
    const left = (): number => state.startedAt + order.boundMs + SLACK_MS - performance.now();
    const answer = await ask({ ...doorOf(deps.url(order.edge), order), state, journal, withinMs: left() });
    let how = answer.how;
    let completed = answer.status === 200 && state.finishSeen && how === 'whole';
    const { taskId } = state;
    if (how === 'whole' && answer.status === 202 && taskId !== null) {
      const seen = await untilSeen(state, left);
      completed = seen === 'completed';
      if (seen === null) how = 'late';
    }
    journal.client({ call, what: 'ended', how, ...(answer.why === undefined ? {} : { why: answer.why }) });
    return verdict(state, { completed, how, status: answer.status });
  };

  /** Asks for the task until it has ended, wherever an edge answers. */
  const untilSeen = async (state: State, left: () => number): Promise<TaskStatus | null> => {
    while (left() > 0) {
      const path = `/api/v1/tasks/${state.taskId ?? ''}`;
      const target = new URL(`${path}?wait=${String(POLL_WAIT_S)}`, deps.anyUrl(state.order.edge));
      const answer = await ask({
        method: 'GET',
        target,
        withinMs: Math.min(left(), POLL_WAIT_S * 1_000 + 5_000),
      });
      const view = answer.status === 200 && answer.how === 'whole' ? viewOf(answer.text) : null;
      if (view && isTerminal(view.status)) {
        deps.journal().client({ call: state.call, what: 'seen', by: 'get', ...view });
        return view.status;
      }
      if (!view) await pause(250);
    }
    return null;
  };

  return {
    place,
    async cancel(mine, edge) {
      const state = placed.get(mine);
      if (!state?.taskId) return;
      const target = new URL(`/api/v1/tasks/${state.taskId}`, deps.anyUrl(edge));
      const answer = await ask({ method: 'DELETE', target, withinMs: 10_000 });
      const view = answer.status === 200 && answer.how === 'whole' ? viewOf(answer.text) : null;
      if (view) deps.journal().client({ call: state.call, what: 'seen', by: 'delete', ...view });
    },
    async resume(mine, edge) {
      const state = placed.get(mine);
      const journal = deps.journal();
      if (!state?.taskId) return { completed: false, how: 'refused', status: 0, endedAt: 0, startedAt: 0 };
      const from = state.lastId === null ? 'start' : 'position';
      const target = new URL(`/api/v1/tasks/${state.taskId}/stream`, deps.url(edge));
      if (state.lastId !== null) target.searchParams.set('after', state.lastId);
      state.finishSeen &&= from === 'position';
      journal.client({ call: state.call, what: 'resumed', edge, from });
      const answer = await ask({ method: 'GET', target, state, journal, withinMs: state.order.boundMs });
      journal.client({ call: state.call, what: 'ended', how: answer.how });
      const completed = answer.status === 200 && state.finishSeen && answer.how === 'whole';
      return verdict(state, { completed, how: answer.how, status: answer.status });
    },
    close: () => agent.destroy(),
  };
}

function verdict(state: State, ending: Pick<Verdict, 'completed' | 'how' | 'status'>): Verdict {
  return { ...ending, startedAt: state.startedAt, endedAt: performance.now() };
}

function viewOf(text: string): { status: TaskStatus; code: string | null } | null {
  try {
    const view = JSON.parse(text) as { status?: TaskStatus; error?: { code?: string } | null };
    return view.status === undefined ? null : { status: view.status, code: view.error?.code ?? null };
  } catch {
    return null; // cut off
  }
}

function doorOf(url: string, { door, mode, pool, script, thread: threadId, headers = {} }: Order) {
  const chat = { messages: [{ role: 'user', content: JSON.stringify(script) }], stream: mode === 'stream' };
  const at = (path: string): URL => new URL(path, url);
  const post = { method: 'POST', headers } as const;
  switch (door) {
    case 'tasks':
      return { ...post, target: at('/api/v1/tasks'), body: JSON.stringify({ llm: pool, request: chat }) };
    case 'v1':
      return { ...post, target: at('/v1/chat/completions'), body: JSON.stringify({ model: pool, ...chat }) };
    case 'thread': {
      const turn = { message: JSON.stringify(script), threadId, stream: mode === 'stream' };
      const path = `/api/v1/agents/${pool}/chat`;
      return { ...post, headers, target: at(path), body: JSON.stringify(turn) };
    }
    case 'infer': {
      const prefer: Record<string, string> = mode === 'later' ? { prefer: 'respond-async' } : {};
      const target = at(`/api/v1/llms/${pool}/infer`);
      return { ...post, headers: { ...prefer, ...headers }, target, body: JSON.stringify(chat) };
    }
  }
}

interface Asking {
  method: string;
  target: URL;
  headers?: Record<string, string>;
  body?: string;
  withinMs: number;
  /** Whose lines to write, and where; without them nothing is noted. */
  state?: State;
  journal?: Journal;
}

interface Answer {
  status: number;
  how: Verdict['how'];
  text: string;
  why?: string;
}

/** One HTTP exchange; never throws. */
function exchange({
  agent,
  method,
  target,
  headers,
  body,
  withinMs,
  state,
  journal,
}: Asking & { agent: Agent }) {
  return new Promise<Answer>((resolve) => {
    const answer: Answer = { status: 0, how: 'refused', text: '' };
    let res: IncomingMessage | undefined;
    const sent = request(target, { agent, method, headers: { ...headers } });
    const settle = (how: Answer['how'], why?: string): void => {
      clearTimeout(timer);
      resolve({ ...answer, how, ...(why === undefined ? {} : { why }) });
    };
    const timer = setTimeout(() => {
      settle('late');
      sent.destroy();
    }, withinMs);
    if (state && journal) {
      state.leave = () => {
        if (state.done) return;
        journal.client({ call: state.call, what: 'left' });
        settle('broken', 'left');
        sent.destroy();
      };
      state.stall = () => void res?.pause();
    }
    const cut = (thrown: Error): void => {
      const refused = 'code' in thrown && thrown.code === 'ECONNREFUSED';
      settle(refused ? 'refused' : 'broken', thrown.message);
    };
    sent.on('error', cut);
    sent.on('response', (incoming) => {
      res = incoming;
      answer.status = incoming.statusCode ?? 0;
      const sse = String(incoming.headers['content-type']).startsWith('text/event-stream');
      const note = state && journal ? noter(state, journal, incoming) : undefined;
      incoming.setEncoding('utf8');
      incoming.on('data', (text: string) => {
        if (sse) note?.events(text);
        else answer.text += text;
      });
      incoming.on('error', cut);
      incoming.on('end', () => {
        if (!sse) note?.body(answer.text);
        settle(incoming.complete ? 'whole' : 'broken');
      });
    });
    sent.end(body);
  });
}

/** Writes down what a caller gets, as it gets it. */
function noter(state: State, journal: Journal, res: IncomingMessage) {
  const { call } = state;
  // A 503 may name a task of which nobody knows whether its row was committed: that is no acceptance.
  const header = res.statusCode === 503 ? undefined : res.headers['x-mcpctl-task-id'];
  const taskId = typeof header === 'string' ? header : null;
  state.taskId = taskId ?? state.taskId;
  const contentType = res.headers['content-type'] ?? '';
  journal.client({
    ...{ call, what: 'answered', status: res.statusCode ?? 0, contentType },
    taskId,
  });
  let text = '';
  const block = (lines: readonly string[]): void => {
    const field = (name: string): string | null =>
      lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? null;
    const [data, id] = [field('data'), field('id')];
    if (data === null) return;
    if (id !== null) state.lastId = id;
    if (/"finish_reason":"/.test(data)) state.finishSeen = true;
    journal.client({ call, what: 'data', text: withoutPad(data), id });
    if (data.includes('"content":"<')) state.events += 1;
    state.heard.forEach((heard) => heard());
  };
  return {
    events(more: string): void {
      text += more;
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        block(text.slice(0, end).split('\n'));
        text = text.slice(end + 2);
      }
    },
    body(whole: string): void {
      if (/"finish_reason":"/.test(whole)) state.finishSeen = true;
      journal.client({ call, what: 'body', text: whole });
    },
  };
}

/** The padding of large events is not worth keeping. */
const withoutPad = (data: string): string => data.replace(/"pad":"x+"/, '"pad":""');
