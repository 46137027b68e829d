import { useSignal, type Signal } from '@preact/signals';
import { isFault, type Fault } from './api.ts';

interface Sending {
  /** Why what was asked last was refused; null: it was not, or is being asked. */
  fault: Signal<Fault | null>;
  send: (work: () => Promise<unknown>) => Promise<void>;
}

/** What a button asks for: a refusal stays beside it until it is pressed again. */
export function useSending(): Sending {
  const fault = useSignal<Fault | null>(null);
  return {
    fault,
    async send(work) {
      fault.value = null;
      try {
        await work();
      } catch (thrown) {
        if (isFault(thrown)) fault.value = thrown;
      }
    },
  };
}
