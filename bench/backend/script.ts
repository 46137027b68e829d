/** What a call asks the scripted backend to do: the JSON of its last message. */
export interface Script {
  /** Names the call in what the backend tells; a call without one is told of to nobody. */
  id: string;
  tokens: number;
  /** Between two tokens. 0: all at once. */
  everyMs: number;
  /** Each token carries its number and when it was written, by the monotonic clock of the machine. */
  stamped: boolean;
  /** The tokens as fast as the caller takes them, so many in one write; 0: no flood. */
  flood: number;
  /** Sends nothing at all for so long. */
  silentMs: number;
  /** Sends its tokens and then nothing, until the caller closes. */
  holds: boolean;
  /** Sends nothing before the bench opens the gate of this name. */
  gate: string;
}

const usual: Script = {
  id: '',
  tokens: 5,
  everyMs: 0,
  stamped: false,
  flood: 0,
  silentMs: 0,
  holds: false,
  gate: '',
};

/** What the backend tells its parent; `atMs` is by the monotonic clock of the machine. */
export interface Told {
  event: 'listening' | 'reached' | 'closed';
  /** Of the call; the port for `listening`. */
  id: string;
  atMs: number;
}

/** What its parent tells the backend. */
export interface Opened {
  open: string;
}

interface Body {
  stream?: boolean;
  messages?: { content?: unknown }[];
}

/** What a call asks the backend to do; a person's words are answered with five tokens. */
export function readScript(text: string): Script & { streaming: boolean } {
  const body = JSON.parse(text) as Body;
  const last = body.messages?.at(-1)?.content;
  const asked = typeof last === 'string' && last.startsWith('{') ? (JSON.parse(last) as Partial<Script>) : {};
  return { ...usual, ...asked, streaming: body.stream === true };
}

/** The body of a call with a script for the backend. */
export function scripted(
  script: Partial<Script>,
  { model = 'bench', stream = true }: { model?: string; stream?: boolean } = {},
): string {
  return JSON.stringify({ model, stream, messages: [{ role: 'user', content: JSON.stringify(script) }] });
}
