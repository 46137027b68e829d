import { expect } from 'chai';
import type { Rule } from './checker/calls.ts';
import { check, tally } from './checker/check.ts';
import {
  pieceText,
  type BackendLine,
  type ClientLine,
  type Evidence,
  type FinalMessage,
  type FinalRow,
  type ToolCall,
  type ToolEvidence,
  type WorldLine,
} from './lines.ts';

interface Books {
  clients: ClientLine[];
  backends: BackendLine[];
  world: WorldLine[];
  rows: FinalRow[];
  messages: FinalMessage[];
  logs: { process: string; line: string }[];
  secrets: string[];
  tools?: ToolEvidence;
}

/** The n-th line of a kind in a call's log. */
type Place = [call: string, what: ClientLine['what'], n: number];

const idOf = (canary: string): string => `task-${canary}`;
const chunk = (content: string, finish: string | null = null): string =>
  JSON.stringify({ choices: [{ index: 0, delta: { content }, finish_reason: finish }] });
const row = (canary: string, more: Partial<FinalRow> = {}): FinalRow => ({
  ...{
    id: idOf(canary),
    canary,
    status: 'completed',
    errorCode: null,
    responseBody: null,
    attempts: 0,
    crashes: 0,
  },
  ...more,
});
const sent = (canary: string, more: object = {}): ClientLine => ({
  ...{ at: 0, call: canary, what: 'sent', door: 'infer', mode: 'stream', edge: 'e1', pool: 'wide', canary },
  ...{ boundMs: 1_000, probe: false },
  ...more,
});
const answered = (canary: string, status = 200, contentType = 'text/event-stream'): ClientLine => ({
  ...{ at: 10, call: canary, what: 'answered', status, contentType, taskId: idOf(canary) },
});
const data = (canary: string, text: string): ClientLine => ({
  at: 20,
  call: canary,
  what: 'data',
  text,
  id: null,
});
const ended = (canary: string, at = 100): ClientLine => ({ at, call: canary, what: 'ended', how: 'whole' });

/** A streamed call that went as it should, in three pieces. */
function good(books: Books, canary: string): void {
  const nonce = `n-${canary}`;
  const pieces = [0, 1, 2].map((seq) => data(canary, chunk(pieceText({ canary, nonce, seq }))));
  const end = [data(canary, chunk('', 'stop')), data(canary, '[DONE]'), ended(canary)];
  books.clients.push(sent(canary), answered(canary), ...pieces, ...end);
  books.backends.push(
    { at: 5, nonce, what: 'request', backend: 'b1', canary },
    { at: 50, nonce, what: 'finished', pieces: 3 },
  );
  books.rows.push(row(canary));
}

/** Two good calls, one answer without a stream, one async task. */
function goodBooks(): Books {
  const books: Books = {
    ...{ clients: [], backends: [], world: [], rows: [], messages: [], logs: [] },
    secrets: ['s3cret'],
  };
  good(books, 'c1');
  good(books, 'c2');
  good(books, 'c4');
  chatted(books, 'c4');
  const [canary, nonce] = ['c3', 'n-c3'];
  const content = [0, 1].map((seq) => pieceText({ canary, nonce, seq })).join('');
  const body = JSON.stringify({ choices: [{ message: { content }, finish_reason: 'stop' }] });
  const asked: BackendLine[] = [
    { at: 5, nonce, what: 'request', backend: 'b1', canary },
    { at: 50, nonce, what: 'finished', pieces: 2 },
  ];
  books.backends.push(...asked);
  books.rows.push(row(canary, { responseBody: body }));
  books.clients.push(
    sent(canary, { mode: 'whole', door: 'v1' }),
    answered(canary, 200, 'application/json'),
    { at: 90, call: canary, what: 'body', text: body },
    ended(canary),
  );
  return books;
}

/** The same call as a turn of a thread. */
function chatted(books: Books, canary: string): void {
  replace(books, [canary, 'sent', 0], [sent(canary, { door: 'thread' })]);
  const of = { threadId: 't1', status: 'complete', turnStatus: 'completed' };
  const content = [0, 1, 2].map((seq) => pieceText({ canary, nonce: `n-${canary}`, seq })).join('');
  books.messages.push(
    { ...of, turnIndex: 0, role: 'user', content: 'a script', taskId: null },
    { ...of, turnIndex: 1, role: 'assistant', content, taskId: idOf(canary) },
  );
}

function rulesOf(change: (books: Books) => void): Rule[] {
  const books = goodBooks();
  change(books);
  return check(books satisfies Evidence).map(({ rule }) => rule);
}

const line = (books: Books, [canary, what, n]: Place): ClientLine => {
  const wanted = books.clients.filter((l) => l.call === canary && l.what === what)[n];
  return wanted ?? expect.fail(`no line ${what} of ${canary}`);
};

/** Replaces the n-th line of that kind. */
function replace(books: Books, place: Place, by: ClientLine[]): void {
  books.clients.splice(books.clients.indexOf(line(books, place)), 1, ...by);
}

const drop = (books: Books, canary: string, what: ClientLine['what']): void => {
  books.clients = books.clients.filter((l) => l.call !== canary || l.what !== what);
};

describe('the checker of chaos', () => {
  it('has nothing to say of a run without a fault', () => {
    expect(rulesOf(() => undefined)).to.deep.equal([]);
  });

  it('finds a task that has no end', () => {
    expect(rulesOf(({ rows }) => rows.push(row('c9', { status: 'running' })))).to.deep.equal(['lost']);
  });

  it('finds a task that was accepted and is not there', () => {
    expect(
      rulesOf((books) => {
        books.rows = books.rows.filter(({ canary }) => canary !== 'c1');
      }),
    ).to.include('lost');
  });

  it('finds a task with two ends', () => {
    const failed = { status: 'error', errorCode: 'worker_lost' } as const;
    expect(
      rulesOf((books) => {
        books.rows = books.rows.map((r) => (r.canary === 'c1' ? { ...r, ...failed } : r));
      }),
    ).to.deep.equal(['doubled']);
  });

  it('finds a task that was cancelled and completed', () => {
    expect(
      rulesOf(({ clients }) => {
        clients.push({
          at: 60,
          call: 'c1',
          what: 'seen',
          by: 'delete',
          status: 'cancelled',
          code: 'task_cancelled',
        });
      }),
    ).to.deep.equal(['doubled']);
  });

  it('finds a call that became two tasks', () => {
    expect(rulesOf(({ rows }) => rows.push(row('c1', { id: 'another' })))).to.deep.equal(['doubled']);
  });

  it('finds one byte of another task', () => {
    const foreign = data('c1', chunk(pieceText({ canary: 'c2', nonce: 'n-c1', seq: 1 })));
    expect(rulesOf((books) => replace(books, ['c1', 'data', 1], [foreign]))).to.deep.equal(['crossed']);
    const torn = data('c1', chunk(`${pieceText({ canary: 'c1', nonce: 'n-c1', seq: 1 })}x`));
    expect(rulesOf((books) => replace(books, ['c1', 'data', 1], [torn]))).to.include('crossed');
  });

  it('finds a byte of another task in what is stored', () => {
    expect(
      rulesOf((books) => {
        books.rows = books.rows.map((r) => ({
          ...r,
          responseBody: r.responseBody?.replace('c3', 'c1') ?? null,
        }));
      }),
    ).to.deep.equal(['crossed']);
  });

  it('finds a stream made of two claims', () => {
    const second = data('c1', chunk(pieceText({ canary: 'c1', nonce: 'n-other', seq: 1 })));
    expect(rulesOf((books) => replace(books, ['c1', 'data', 1], [second]))).to.deep.equal(['mixed']);
  });

  it('finds a piece that is missing, and one that came twice', () => {
    expect(rulesOf((books) => replace(books, ['c1', 'data', 1], []))).to.deep.equal(['gap']);
    const twice = (books: Books): ClientLine[] => [
      line(books, ['c1', 'data', 1]),
      line(books, ['c1', 'data', 1]),
    ];
    expect(rulesOf((books) => replace(books, ['c1', 'data', 1], twice(books)))).to.deep.equal(['gap']);
  });

  it('finds a happy ending that did not happen', () => {
    expect(
      rulesOf((books) => {
        books.backends = books.backends.filter((l) => l.nonce !== 'n-c1' || l.what === 'request');
      }),
    ).to.deep.equal(['unearned', 'unearned']);
  });

  it('finds a success that lacks the last piece', () => {
    expect(rulesOf((books) => replace(books, ['c1', 'data', 2], []))).to.deep.equal(['unearned']);
  });

  it('finds a stream that ends without its last frame, or without a reason to finish', () => {
    expect(rulesOf((books) => replace(books, ['c1', 'data', 4], []))).to.deep.equal(['malformed']);
    expect(rulesOf((books) => replace(books, ['c1', 'data', 3], []))).to.deep.equal(['malformed']);
  });

  it('finds an error that is not in the form of its door', () => {
    const refusal = (text: string): Rule[] =>
      rulesOf(({ clients }) => {
        const body: ClientLine = { at: 20, call: 'c8', what: 'body', text };
        const answer = { ...answered('c8', 503, 'application/json'), taskId: null } as ClientLine;
        clients.push(sent('c8'), answer, body, ended('c8'));
      });
    expect(refusal('{"error":"Nobody is there.","code":"no_active_llm","requestId":"r"}')).to.deep.equal([]);
    expect(refusal('<html>')).to.deep.equal(['malformed']);
    expect(refusal('{"error":{"message":"m","code":"no_active_llm"}}')).to.deep.equal(['malformed']);
  });

  it('finds a thread that holds other than was shown, has an index twice, or a turn that never ended', () => {
    const changed = (at: 0 | 1, more: Partial<FinalMessage>): Rule[] =>
      rulesOf((books) => {
        books.messages = books.messages.map((message, n) => (n === at ? { ...message, ...more } : message));
      });
    const piece = (seq: number, nonce = 'n-c4', canary = 'c4'): string => pieceText({ canary, nonce, seq });
    expect(changed(1, { content: piece(0) + piece(1) })).to.deep.equal(['thread']);
    expect(changed(1, { content: '' })).to.deep.equal(['thread']);
    expect(changed(1, { content: [0, 1, 2, 3].map((seq) => piece(seq)).join('') })).to.deep.equal(['thread']);
    expect(changed(1, { content: [0, 1, 2].map((seq) => piece(seq, 'n-other')).join('') })).to.deep.equal([
      'thread',
    ]);
    expect(changed(1, { content: piece(0, 'n-c4', 'c1') })).to.include('thread');
    // Also of a caller who has left since: the thread may hold more of that answer, and no other one.
    const left = (content: string): Rule[] =>
      rulesOf((books) => {
        replace(books, ['c4', 'data', 4], []);
        replace(books, ['c4', 'data', 3], []);
        replace(books, ['c4', 'data', 2], []);
        replace(books, ['c4', 'ended', 0], [{ at: 60, call: 'c4', what: 'left' }]);
        books.messages = books.messages.map((message, n) => (n === 1 ? { ...message, content } : message));
      });
    expect(left([0, 1, 2].map((seq) => piece(seq)).join(''))).to.deep.equal([]);
    expect(left([0, 1, 2].map((seq) => piece(seq, 'n-other')).join(''))).to.deep.equal(['thread']);
    expect(changed(1, { turnIndex: 0 })).to.deep.equal(['thread']);
    expect(changed(1, { turnIndex: 2 })).to.deep.equal(['thread']);
    expect(changed(1, { status: 'pending' })).to.deep.equal(['thread']);
    expect(changed(0, { turnStatus: 'queued' })).to.deep.equal(['thread']);
    expect(changed(1, { status: 'error', turnStatus: 'error' })).to.deep.equal(['thread']);
    expect(rulesOf((books) => books.messages.pop())).to.deep.equal(['thread']);
  });

  it('finds a secret, a prompt and an answer in a log, and a secret that a caller was told', () => {
    const logged = (line: string): Rule[] => rulesOf(({ logs }) => void logs.push({ process: 'e1', line }));
    expect(logged('{"msg":"the edge listens"}')).to.deep.equal([]);
    expect(logged('{"msg":"with s3cret"}')).to.deep.equal(['leaked']);
    expect(logged('{"msg":"{\\"canary\\":\\"c1\\"}"}')).to.deep.equal(['leaked']);
    expect(logged(pieceText({ canary: 'f01-1', nonce: 'n1', seq: 0 }))).to.deep.equal(['leaked']);
    const leak = data('c1', '{"choices":[],"hint":"s3cret"}');
    expect(
      rulesOf((books) => replace(books, ['c1', 'data', 0], [line(books, ['c1', 'data', 0]), leak])),
    ).to.deep.equal(['leaked']);
  });

  it('finds a task that was shown to nobody and is lost with its worker', () => {
    const lostLater = (shown: ClientLine[]): Rule[] =>
      rulesOf((books) => {
        const accepted = { at: 12, call: 'later', what: 'body', text: JSON.stringify({ id: idOf('later') }) };
        const seen = { at: 80, call: 'later', what: 'seen', by: 'get', status: 'error', code: 'worker_lost' };
        books.clients.push(
          sent('later', { door: 'tasks', mode: 'later' }),
          answered('later', 202, 'application/json'),
          ...[accepted, ...shown, seen].map((one) => one as ClientLine),
          ended('later'),
        );
        books.rows.push(row('later', { status: 'error', errorCode: 'worker_lost' }));
      });
    expect(lostLater([])).to.deep.equal(['given up']);
    expect(
      lostLater([data('later', chunk(pieceText({ canary: 'later', nonce: 'n', seq: 0 })))]),
    ).to.not.include('given up');
  });

  it('tells how long callers waited for the first event', () => {
    const { clients, rows } = goodBooks();
    expect(tally({ clients, rows }).firstMs).to.deep.equal({ p50: 20, p99: 20 });
  });

  it('finds a client that waited too long, and one that has nothing at all', () => {
    expect(rulesOf((books) => replace(books, ['c1', 'ended', 0], [ended('c1', 1_001)]))).to.deep.equal([
      'late',
    ]);
    expect(rulesOf((books) => drop(books, 'c1', 'ended'))).to.include('late');
  });

  it('finds a connection that was cut off, unless its edge had gone', () => {
    const cut: ClientLine = { at: 40, call: 'c1', what: 'ended', how: 'broken' };
    const broken = (more: WorldLine[]): Rule[] =>
      rulesOf((books) => {
        replace(books, ['c1', 'ended', 0], [cut]);
        books.world.push(...more);
      });
    expect(broken([])).to.deep.equal(['broken']);
    expect(broken([{ at: 30, what: 'edge-down', edge: 'e2' }])).to.deep.equal(['broken']);
    expect(broken([{ at: 30, what: 'edge-down', edge: 'e1' }])).to.deep.equal([]);
  });

  it('knows the words of /v1 for errors, there alone', () => {
    const refusal = (door: 'v1' | 'infer', body: object): Rule[] =>
      rulesOf(({ clients }) => {
        const text: ClientLine = { at: 20, call: 'c8', what: 'body', text: JSON.stringify(body) };
        const answer = { ...answered('c8', 503, 'application/json'), taskId: null } as ClientLine;
        clients.push({ ...sent('c8'), door } as ClientLine, answer, text, ended('c8'));
      });
    const fault = { message: 'm', code: 'no_worker_available' };
    expect(refusal('v1', { error: fault })).to.deep.equal([]);
    expect(refusal('infer', { error: fault.message, code: fault.code })).to.deep.equal(['malformed']);
    expect(refusal('v1', { error: { ...fault, code: 'no_such_code' } })).to.deep.equal(['malformed']);
    // Of a whole answer that had been begun with 200, to keep its caller waiting.
    const late = (error: object): Rule[] =>
      rulesOf(({ clients }) => {
        const text: ClientLine = {
          at: 20,
          call: 'c8',
          what: 'body',
          text: `\n\n${JSON.stringify({ error })}`,
        };
        const answer = { ...answered('c8', 200, 'application/json'), taskId: null } as ClientLine;
        clients.push(
          { ...sent('c8', { mode: 'whole' }), door: 'v1' } as ClientLine,
          answer,
          text,
          ended('c8'),
        );
      });
    expect(late(fault)).to.deep.equal([]);
    expect(late({ ...fault, code: 'no_such_code' })).to.deep.equal(['malformed']);
  });

  it('finds a call of a tool that ran twice, that was told other than what became of it, or not why', () => {
    const call = (label: string, outcome: string, endedAt = 10): ToolCall => ({
      ...{ label, outcome, edge: 'e1', startedAt: 0, endedAt },
    });
    const toolRules = (tools: Partial<ToolEvidence>): Rule[] => {
      const none = { calls: [], ran: [], rows: [], struckAt: 5, isHarmless: false };
      return rulesOf((books) => (books.tools = { ...none, ...tools }));
    };
    const [id, label] = ['i', 'a'];
    expect(
      toolRules({ calls: [call('a', 'counted'), call('b', 'outcome_unknown')], ran: ['a', 'b'] }),
    ).to.deep.equal([]);
    expect(toolRules({ calls: [call('a', 'cut'), call('b', 'mcp_server_down')], ran: ['a'] })).to.deep.equal(
      [],
    );
    expect(toolRules({ ran: ['a', 'a'] })).to.deep.equal(['twice']);
    expect(toolRules({ calls: [call('a', 'counted')] })).to.deep.equal(['unearned']);
    expect(toolRules({ calls: [call('a', 'mcp_server_down')], ran: ['a'] })).to.deep.equal(['unearned']);
    expect(toolRules({ rows: [{ id, label, status: 'completed' }] })).to.deep.equal(['unearned']);
    expect(toolRules({ rows: [{ id, label, status: 'running' }] })).to.deep.equal(['lost']);
    expect(toolRules({ calls: [call('a', 'outcome_unknown', 4)] })).to.deep.equal(['unknown']);
    expect(toolRules({ calls: [call('a', 'outcome_unknown')], isHarmless: true })).to.deep.equal(['unknown']);
    expect(toolRules({ calls: [call('a', 'late')] })).to.deep.equal(['late']);
    expect(toolRules({ calls: [call('a', 'http 404')] })).to.deep.equal(['malformed']);
  });
});
