import { piecesOf, type Evidence, type FinalMessage, type FinalRow } from '../lines.ts';
import type { Call } from './calls.ts';

interface Finding {
  rule: 'thread';
  says: string;
}

interface Story {
  call: Call;
  row: FinalRow | undefined;
}

const asMessage: Readonly<Record<string, string>> = {
  completed: 'complete',
  error: 'error',
  cancelled: 'cancelled',
};

/**
 * A thread holds what its callers were shown, each message at an index of its own, each ended as its task did; and nothing is
 * under way in it when all is over.
 */
export function threadFaults(stories: readonly Story[], { messages, rows }: Evidence): Finding[] {
  const byTask = new Map(rows.map((row) => [row.id, row]));
  const answers = new Map(
    messages.flatMap((message) => (message.taskId === null ? [] : [[message.taskId, message]])),
  );
  return [
    ...indices(messages),
    ...messages.flatMap((message) => ended(message, byTask.get(message.taskId ?? ''))),
    ...stories.flatMap(({ call, row }) =>
      call.sent.door === 'thread' && row ? shown(call, row, answers.get(row.id)) : [],
    ),
  ];
}

const find = (says: string): Finding => ({ rule: 'thread', says });
const nameOf = ({ threadId, turnIndex }: FinalMessage): string =>
  `message ${turnIndex} of thread ${threadId}`;

function indices(messages: readonly FinalMessage[]): Finding[] {
  const findings: Finding[] = [];
  const next = new Map<string, number>();
  for (const message of messages) {
    const due = next.get(message.threadId) ?? 0;
    if (message.turnIndex !== due) findings.push(find(`${nameOf(message)} stands where ${due} was due`));
    next.set(message.threadId, message.turnIndex + 1);
  }
  return findings;
}

function ended(message: FinalMessage, row: FinalRow | undefined): Finding[] {
  const { status, turnStatus, role, content } = message;
  if (asMessage[turnStatus] === undefined)
    return [find(`${nameOf(message)} is of a turn that is ${turnStatus}`)];
  if (role !== 'assistant') return [];
  if (status !== asMessage[turnStatus] || (row && turnStatus !== row.status))
    return [
      find(`${nameOf(message)} is ${status}, its turn ${turnStatus}, its task ${row?.status ?? 'gone'}`),
    ];
  const pieces = piecesOf(content);
  const canary = row?.canary ?? pieces?.[0]?.canary;
  const nonces = new Set(pieces?.map(({ nonce }) => nonce));
  const isOwn = pieces?.every((piece, n) => piece.canary === canary && piece.seq === n) === true;
  return isOwn && nonces.size <= 1 ? [] : [find(`${nameOf(message)} holds what no backend wrote for it`)];
}

/** Codes that a caller hears of its connection, and not of its task. */
const ofTheCall = new Set(['settle_pending', 'unavailable', 'internal', 'gone']);

/** Also of a caller who has left: an edge reads on for them, so that what they were shown stays what the thread holds. */
function shown(call: Call, row: FinalRow, message: FinalMessage | undefined): Finding[] {
  const whose = `call ${call.sent.canary} (task ${row.id})`;
  if (!message) return [find(`${whose} has no answer in its thread`)];
  const seen = call.parts.flatMap(({ pieces }) => pieces.flatMap((piece) => piece ?? []));
  const stored = piecesOf(message.content) ?? [];
  const most = seen.reduce((count, { seq }) => Math.max(count, seq + 1), 0);
  const tells = `${whose} was shown ${most} pieces, and its thread holds ${stored.length}`;
  if (stored.length < most || (most > 0 && stored[0]?.nonce !== seen[0]?.nonce)) return [find(tells)];
  const { end } = call;
  const heardAll = end.kind === 'completed' || (end.kind === 'failed' && !ofTheCall.has(end.code));
  return heardAll && !call.left && stored.length !== most ? [find(tells)] : [];
}
