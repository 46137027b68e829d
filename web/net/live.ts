import { effect, signal } from '@preact/signals';
import { ask, isFault } from './api.ts';
import { eventsOf } from './events.ts';

export const topics = ['pools', 'tasks', 'audit'] as const;
export type Topic = (typeof topics)[number];

/** Counts how often a topic changed; who shows it asks again. */
export const changes: Record<Topic, { value: number; subscribe(hear: (n: number) => void): () => void }> = {
  pools: signal(0),
  tasks: signal(0),
  audit: signal(0),
};
/** `live`: changes are told · `away`: the stream broke, and is tried again · `asking`: this browser keeps no stream, so each page asks. */
export const line = signal<'live' | 'away' | 'asking'>('asking');
export const isLive = {
  get value(): boolean {
    return line.value === 'live';
  },
};

/** Since when the server cannot read its stores, by this browser's clock; null: it can. Nothing that changes is heard of meanwhile. */
export const storesAway = signal<number | null>(null);
/** Since when what is shown may be old, for that or for a line that broke. */
export const oldSince = signal<number | null>(null);

/** Somebody reads: nothing that is shown changes by itself until they go on. It is this page's alone. */
export const isPaused = signal(false);

/** Since when, by `performance.now()`, whatever is read has what was told of a topic. */
export const toldAt: Record<Topic, number> = { pools: 0, tasks: 0, audit: 0 };

function change(topic: Topic, agoMs: number): void {
  toldAt[topic] = performance.now() - agoMs;
  changes[topic].value += 1;
}

type Word = { topics: Topic[]; agoMs: number } | { line: 'live' | 'away' } | { awayForMs: number | null };

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 5_000;
/** A stream that says nothing for so long is dead: it says `ping` each 15 s. */
const SILENT_MS = 40_000;
/** How often that is looked at: a machine that was asleep hears of it soon after it wakes. */
const LOOK_MS = 1_000;
/** Headers of a stream come at once, or over a connection that is dead without having been closed. */
const HEADERS_MS = 10_000;
/** As many as a browser keeps to one server, and how long one of them may take to show that it is one. */
const CONNECTIONS = 6;
const ANSWERED_MS = 1_000;

effect(() => {
  if (line.value !== 'away' && storesAway.value === null) oldSince.value = null;
  else oldSince.value = oldSince.peek() ?? new Date().getTime();
});

let channel: BroadcastChannel | undefined;
let stop: AbortController | undefined;

/** @param awayForMs null: they are back. */
export function hearOfStores(awayForMs: number | null): void {
  if (awayForMs === null) storesAway.value = null;
  else storesAway.value ??= new Date().getTime() - awayForMs;
}

/** The stores are away: answered by the very call that asks. */
export const isStoresAway = (thrown: unknown): boolean => isFault(thrown) && thrown.code === 'unavailable';

function hear(word: Word): void {
  if ('awayForMs' in word) hearOfStores(word.awayForMs);
  else if ('line' in word) {
    // Back after a while: what was missed is asked for.
    if (word.line === 'live' && line.value !== 'live') for (const topic of topics) change(topic, 0);
    line.value = word.line;
  } else for (const topic of word.topics) change(topic, word.agoMs);
}

function tell(word: Word): void {
  hear(word);
  channel?.postMessage(word);
}

/** What the door says now; it says 401, as the stream did. */
const refusal = (): Promise<unknown> => ask('GET', '/whoami').catch((thrown: unknown) => thrown);

/**
 * Ends what has said nothing for too long, by the time of day: a timer stands still while the machine sleeps, and what it was connected to
 * has long forgotten it.
 */
function whileHeard(): { silent: AbortSignal; heard: (mostMs: number) => void; end: () => void } {
  const silent = new AbortController();
  let [at, mostMs] = [new Date().getTime(), HEADERS_MS];
  const look = (): void => {
    const now = new Date().getTime();
    if (now < at) at = now; // somebody set the clock back
    if (now - at > mostMs) silent.abort();
  };
  const timer = setInterval(look, LOOK_MS);
  document.addEventListener('visibilitychange', look); // hidden, its timers are few
  return {
    silent: silent.signal,
    heard: (most) => void ([at, mostMs] = [new Date().getTime(), most]),
    end() {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', look);
    },
  };
}

/**
 * What was connected with a stream that fell silent is as dead, and may be kept for the next call, which would wait for nothing: what answers
 * nothing is given up, and closed by that.
 */
async function shakeOff(): Promise<void> {
  const tryOne = async (): Promise<void> => {
    const answer = await ask('GET', '/whoami', { signal: AbortSignal.timeout(ANSWERED_MS) });
    await answer.text();
  };
  await Promise.allSettled(Array.from({ length: CONNECTIONS }, tryOne));
}

/** One look at the stream, until it ends. @throws Fault where it cannot be had. */
async function follow(signal: AbortSignal): Promise<void> {
  const { silent, heard, end } = whileHeard();
  // oxlint-disable-next-line no-restricted-properties -- browsers forget none
  const both = AbortSignal.any([signal, silent]);
  try {
    const answer = await ask('GET', '/events', { signal: both });
    heard(SILENT_MS);
    tell({ line: 'live' });
    for await (const { event, data } of eventsOf(answer)) {
      heard(SILENT_MS);
      if (event === 'signed-out') throw await refusal();
      if (event === 'hello' || event === 'away') {
        const { awayForMs = null, forMs = awayForMs } = JSON.parse(data) as Partial<
          Record<string, number | null>
        >;
        tell({ awayForMs: forMs });
      }
      if (event === 'changed') {
        if (storesAway.value !== null) tell({ awayForMs: null });
        const { topics: changed, agoMs = 0 } = JSON.parse(data) as { topics: string[]; agoMs?: number };
        tell({ topics: topics.filter((topic) => changed.includes(topic)), agoMs });
      }
    }
  } catch (thrown) {
    if (silent.aborted) {
      tell({ line: 'away' });
      await shakeOff();
    }
    throw thrown;
  } finally {
    end();
  }
}

async function lead(signal: AbortSignal): Promise<void> {
  let wait = FIRST_RETRY_MS;
  while (!signal.aborted) {
    const from = performance.now();
    try {
      await follow(signal);
    } catch (thrown) {
      if (isFault(thrown) && thrown.status === 401) return;
      if (isStoresAway(thrown)) tell({ awayForMs: 0 });
    }
    if (signal.aborted) return;
    tell({ line: 'away' });
    wait = performance.now() - from > LAST_RETRY_MS ? FIRST_RETRY_MS : Math.min(wait * 2, LAST_RETRY_MS);
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

/**
 * One stream a browser: the tab that holds the lock follows it and tells the others; a tab that closes lets go of it by that.
 * Where a browser has no locks (no TLS, and not this machine) each tab asks by itself while somebody looks at it.
 */
export function startLive(): void {
  if (stop || !('locks' in navigator)) return;
  stop = new AbortController();
  const { signal } = stop;
  channel = new BroadcastChannel('mcpctl-live');
  channel.onmessage = ({ data }: MessageEvent<Word | { hello: true }>) => {
    if ('hello' in data) {
      if (!isLeading) return;
      channel?.postMessage({ line: line.value === 'live' ? 'live' : 'away' });
      const since = storesAway.value;
      channel?.postMessage({ awayForMs: since === null ? null : new Date().getTime() - since });
    } else hear(data);
  };
  channel.postMessage({ hello: true });
  let isLeading = false;
  navigator.locks
    .request('mcpctl-live', { signal }, async () => {
      isLeading = true;
      await lead(signal);
      isLeading = false;
    })
    .catch(() => undefined); // nobody waits for the lock any more
}

export function stopLive(): void {
  stop?.abort();
  stop = undefined;
  channel?.close();
  channel = undefined;
  line.value = 'asking';
  storesAway.value = null;
}
