import type { TaskStatus } from '../../core/task/task.ts';

/**
 * What a chaos run writes down: append-only logs, one JSON object a line. `at` is milliseconds by the one clock
 * of the process that plays callers, backends and fate, so lines of different logs may be compared.
 */

/** `thread`: a turn of a thread that several callers chat in. */
export type Door = 'infer' | 'v1' | 'tasks' | 'thread';
/** How the caller wants its answer: as events, as one body, or later by the task's id. */
export type Mode = 'stream' | 'whole' | 'later';

export type ClientLine = { at: number; call: string } & (
  | {
      what: 'sent';
      door: Door;
      mode: Mode;
      edge: string;
      pool: string;
      /** The mark of this task: in its prompt, and in each piece of its answer. */
      canary: string;
      /** The caller must have its result, or its error, this long after `sent`. */
      boundMs: number;
      /** Sent after a fault to see when the affected part works again. */
      probe: boolean;
    }
  | { what: 'answered'; status: number; contentType: string; taskId: string | null }
  | { what: 'data'; text: string; id: string | null }
  | { what: 'body'; text: string }
  /** Asks again for the same task: from its first event, or exactly after the last one it had. */
  | { what: 'resumed'; edge: string; from: 'start' | 'position' }
  /** Closes the connection because it wants to. */
  | { what: 'left' }
  /** What the task's own view says, by `DELETE` or by `GET`. */
  | { what: 'seen'; by: 'delete' | 'get'; status: TaskStatus; code: string | null }
  /** `whole`: as HTTP wants it. `broken`: cut off. `refused`: no connection. `late`: given up by the caller. */
  | { what: 'ended'; how: 'whole' | 'broken' | 'refused' | 'late'; why?: string }
);

/** One request at a backend: its nonce is in each piece of the answer. */
export type BackendLine = { at: number; nonce: string } & (
  | { what: 'request'; backend: string; canary: string }
  /** The whole answer was written, with its reason to finish. */
  | { what: 'finished'; pieces: number }
  /** It ended in another way, by intent: `reset`, `no-finish`, `garbage`, … */
  | { what: 'failed'; how: string }
  /** The worker closed the connection before the answer was whole. */
  | { what: 'closed'; pieces: number }
);

export type WorldLine = { at: number } & (
  { what: 'edge-down' | 'edge-up'; edge: string } | { what: 'struck' | 'note'; says: string }
);

/** A task as Postgres has it at the very end. */
export interface FinalRow {
  id: string;
  /** Found in its request. */
  canary: string;
  status: TaskStatus;
  errorCode: string | null;
  responseBody: string | null;
  attempts: number;
  crashes: number;
}

/** A message of a thread as Postgres has it at the very end, with its turn. */
export interface FinalMessage {
  threadId: string;
  turnIndex: number;
  role: string;
  status: string;
  content: string;
  /** Of an answer. */
  taskId: string | null;
  turnStatus: string;
}

/** One call of a tool, and what its caller was told: `counted`, a code, a status of HTTP, or that it was cut off. */
export interface ToolCall {
  label: string;
  edge: string;
  outcome: string;
  startedAt: number;
  endedAt: number;
}

export interface ToolEvidence {
  calls: readonly ToolCall[];
  /** A line for each time that a server ran a call: its label. */
  ran: readonly string[];
  rows: readonly { id: string; label: string; status: TaskStatus }[];
  struckAt: number;
  /** The fault strikes nothing that a call of a tool needs. */
  isHarmless: boolean;
}

/** Everything the checker looks at. */
export interface Evidence {
  clients: readonly ClientLine[];
  backends: readonly BackendLine[];
  world: readonly WorldLine[];
  rows: readonly FinalRow[];
  /** Of the threads in which anybody chatted. */
  messages: readonly FinalMessage[];
  tools?: ToolEvidence;
  /** What the processes of the product logged. */
  logs: readonly { process: string; line: string }[];
  /** What nobody may ever read there, nor a caller in an answer: tokens, passwords, addresses of backends. */
  secrets: readonly string[];
}

/** One piece of a scripted answer: whose it is, which request at the backend made it, and its place. */
export interface Piece {
  canary: string;
  nonce: string;
  seq: number;
}

export const pieceText = ({ canary, nonce, seq }: Piece): string => `<${canary}.${nonce}.${String(seq)}>`;

const pieceForm = /<([a-z0-9-]+)\.([a-z0-9-]+)\.(\d+)>/g;

/** The pieces in a text; null when anything else is in it. */
export function piecesOf(text: string): Piece[] | null {
  const pieces = [...text.matchAll(pieceForm)];
  if (pieces.reduce((length, [whole]) => length + whole.length, 0) !== text.length) return null;
  return pieces.map(([, canary = '', nonce = '', seq = '']) => ({ canary, nonce, seq: Number(seq) }));
}
