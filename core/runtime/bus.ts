import { EventEmitter } from 'node:events';
import type { EventMap, EventName } from '../task/events.ts';
import type { Log } from './log.ts';

/** The typed events of one process. Listeners run at once and must not throw. */
export interface Bus {
  emit<N extends EventName>(name: N, event: EventMap[N]): void;
  /** @returns the way to stop listening. */
  on<N extends EventName>(name: N, listener: (event: EventMap[N]) => void): () => void;
}

/** Said of what another line tells too: the end of a task whose caller waited is in `inference.finished`. */
const quiet: ReadonlySet<EventName> = new Set<EventName>(['duty.finished', 'task.accepted', 'claim.started']);
const isQuiet = (name: EventName, line: Record<string, unknown>): boolean =>
  quiet.has(name) || (name === 'task.settled' && line['by'] === 'edge' && line['source'] !== 'async');

/** Every event is also a log line, so that the log and the tests see the same thing. */
export function createBus(log: Log): Bus {
  const emitter = new EventEmitter();
  emitter.setMaxListeners(0);
  return {
    emit(name, event) {
      const line: Record<string, unknown> = { event: name, ...event };
      if (isQuiet(name, line)) log.debug(line, String(name));
      else log.info(line, String(name));
      emitter.emit(name, event);
    },
    on(name, listener) {
      emitter.on(name, listener);
      return () => emitter.off(name, listener);
    },
  };
}
