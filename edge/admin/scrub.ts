/** What our jobs carry of an error: a code of the catalogue. */
const codePattern = /^[a-z_]{1,64}$/;

/**
 * What the board is about to send, without any words that a worker could have put into a job: of a failure its
 * catalogue code, no stack, no return value, no logs. A worker writes its own pool's jobs; people read the board.
 */
export function withoutWords<T>(value: T): T {
  return walked(value) as T;
}

function walked(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(walked);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, fieldOf(key, inner)]));
}

function fieldOf(key: string, value: unknown): unknown {
  switch (key) {
    case 'failedReason':
    case 'deferredFailure':
      return typeof value === 'string' && value !== '' && !codePattern.test(value) ? 'unknown' : value;
    case 'stacktrace':
      return [];
    case 'returnValue':
    case 'returnvalue':
      return null;
    case 'progress':
      return typeof value === 'number' ? value : 0;
    default:
      return walked(value);
  }
}
