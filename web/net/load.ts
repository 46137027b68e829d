import { useSignal, type ReadonlySignal, type Signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { call, isFault, wroteAt, type Fault } from './api.ts';
import { changes, hearOfStores, isLive, isPaused, isStoresAway, line, toldAt, type Topic } from './live.ts';

export interface Load<T> {
  /** What came last; stays while it is asked again, and when that fails. */
  data: ReadonlySignal<T | undefined>;
  fault: ReadonlySignal<Fault | null>;
  /** By this browser's clock, when `data` came. */
  at: ReadonlySignal<number>;
  again: () => void;
}

/** Asked again no sooner than this, however much changes. */
const AGAIN_MS = 1_000;
/** While no stream tells of changes. */
const POLL_MS = 5_000;

interface Asked {
  path: string;
  topic: Topic | undefined;
  question: object | undefined;
}

interface Kept<T> {
  data: Signal<T | undefined>;
  fault: Signal<Fault | null>;
  at: Signal<number>;
  /** Counts how often somebody wished to have it asked again. */
  asked: Signal<number>;
}

/** Where no stream says whether the stores are away, the calls themselves do. */
function toldByCalls(awayForMs: number | null): void {
  if (line.value === 'asking') hearOfStores(awayForMs);
}

/** Hears that a page goes on that was paused. @returns what ends it. */
function whenGoneOn(hear: () => void): () => void {
  let wasPaused = isPaused.value;
  return isPaused.subscribe((paused) => {
    if (wasPaused && !paused) hear();
    wasPaused = paused;
  });
}

/**
 * An answer will do that was made for another page since: it has what was told, what was changed from here, and nothing older than what is
 * shown. Of many who hear of one change one is answered anew.
 * @param cameAt when what is shown came.
 */
function sharing(topic: Topic | undefined, cameAt: number): Record<string, string> {
  if (topic === undefined || !isLive.value) return {};
  const ageMs = performance.now() - Math.max(toldAt[topic], wroteAt(), cameAt);
  return { 'x-mcpctl-max-age-ms': String(Math.floor(ageMs)) };
}

/** @returns what ends it. */
function keep<T>({ path, topic, question }: Asked, { data, fault, at, asked }: Kept<T>): () => void {
  const left = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let [isAsking, isStale, cameAt] = [false, false, performance.now()];
  const look = async (isWished = false): Promise<void> => {
    if (isAsking || document.hidden) return void (isStale = true);
    isAsking = true;
    isStale = false;
    try {
      const answer = await call<T>(question ? 'POST' : 'GET', path, {
        body: question,
        headers: isWished ? {} : sharing(topic, cameAt),
        signal: left.signal,
      });
      cameAt = performance.now();
      data.value = answer;
      fault.value = null;
      at.value = new Date().getTime();
      toldByCalls(null);
    } catch (thrown) {
      if (isFault(thrown) && thrown.status !== 401) fault.value = thrown;
      if (isStoresAway(thrown)) toldByCalls(0);
    }
    isAsking = false;
    if (!left.signal.aborted) timer = setTimeout(next, AGAIN_MS);
  };
  const next = (): void => {
    timer = undefined;
    if (isPaused.value) return;
    if (isStale) void look();
    else if (fault.value || (topic !== undefined && !isLive.value))
      timer = setTimeout(() => void look(), POLL_MS);
  };
  const soon = (): void => {
    isStale = true;
    if (!isAsking && timer === undefined && !isPaused.value) void look();
  };
  const shown = (): void => void (document.hidden || soon());
  const stopHearing =
    topic === undefined ? undefined : changes[topic].subscribe((n) => void (n > 0 && soon()));
  const stopPausing = whenGoneOn(() => {
    if (topic !== undefined || fault.value) soon();
  });
  const stopAgain = asked.subscribe((n) => {
    if (n === 0) return;
    clearTimeout(timer);
    void look(true);
  });
  document.addEventListener('visibilitychange', shown);
  void look();
  return () => {
    left.abort();
    clearTimeout(timer);
    stopHearing?.();
    stopAgain();
    stopPausing();
    document.removeEventListener('visibilitychange', shown);
  };
}

/**
 * What a path answers: asked at once, again when its topic changes, and when somebody looks again after it was hidden.
 * @param path null: nothing yet.
 * @param question sent with POST, to a path that answers and writes nothing.
 */
export function useLoad<T>(path: string | null, topic?: Topic, question?: object): Load<T> {
  const kept: Kept<T> = {
    data: useSignal<T | undefined>(undefined),
    fault: useSignal<Fault | null>(null),
    at: useSignal(0),
    asked: useSignal(0),
  };
  useEffect(() => {
    kept.data.value = undefined;
    kept.fault.value = null;
    return path === null ? undefined : keep({ path, topic, question }, kept);
  }, [path, topic, question && JSON.stringify(question)]);
  return { ...kept, again: () => (kept.asked.value += 1) };
}
