import type { Operation } from '../../../core/llm.ts';
import type { Glance, Told } from './ask.ts';
import type { Endpoints } from './url.ts';

/** What is taken for granted of a backend that cannot be asked (`capabilities.operations` absent). */
const assumed: readonly Operation[] = ['chat', 'completions', 'embeddings'];
const all: readonly Operation[] = [...assumed, 'responses', 'messages'];

/** No JSON: no backend can generate from it, and one that is there says 400 or 422. */
const nonsense = '{';

type Verdict = 'there' | 'absent' | 'unknown';

/**
 * Which operations a backend has, asked with a body that nothing can be made of. A path that surely is not there
 * is asked too: where that looks the same (a proxy that parses first, a key that is refused), nothing is learnt.
 * @returns undefined when nothing was learnt; what only some paths did not tell is as it is assumed.
 */
export async function operationsOf(glance: Glance, endpoints: Endpoints): Promise<Operation[] | undefined> {
  const nowhere = endpoints.at('/mcpctl-no-such-path');
  const [control, ...answers] = await Promise.all([
    glance(nowhere, nonsense),
    ...all.map((operation) => glance(endpoints.of(operation), nonsense)),
  ]);
  if (verdictOf(control) !== 'absent') return undefined;
  const verdicts = answers.map(verdictOf);
  if (verdicts.every((verdict) => verdict === 'unknown')) return undefined;
  return all.filter((operation, n) =>
    verdicts[n] === 'unknown' ? assumed.includes(operation) : verdicts[n] === 'there',
  );
}

function verdictOf(answer: Told | undefined): Verdict {
  switch (answer?.status ?? 0) {
    case 404:
    case 405:
    case 501: // llama.cpp without --embeddings
      return 'absent';
    case 400:
    case 413:
    case 415:
    case 422:
      return 'there';
    default:
      return 'unknown'; // no answer, a refused key, an error of its own, or 200 to anything
  }
}

/**
 * Which of `asked` are there on a backend that answers 200 to a path it does not have: only a refusal of an empty
 * request counts, and only where a path that is not there is not refused too.
 */
export async function thereAt(
  asked: readonly Operation[],
  { glance, endpoints }: { glance: Glance; endpoints: Endpoints },
): Promise<Operation[]> {
  const [control, ...answers] = await Promise.all([
    glance(endpoints.at('/mcpctl-no-such-path'), '{}'),
    ...asked.map((operation) => glance(endpoints.of(operation), '{}')),
  ]);
  if (control === undefined || verdictOf(control) === 'there') return [];
  return asked.filter((_, n) => verdictOf(answers[n]) === 'there');
}
