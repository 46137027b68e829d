/** A call by each way that an answer can take to its caller: all at once, as a stream, and as a task that nobody waits for. */
import { messageOf } from '../../core/errors.ts';
import { until, type System } from './system.ts';

export const wayNames = ['whole', 'streamed', 'later'] as const;
export type Way = (typeof wayNames)[number];

export interface Told {
  status: number;
  text: string;
  headers?: Headers;
}

export interface Asking {
  path: string;
  operation: string;
  request: object;
}

export function waysOf(
  t: System,
  { path, operation, request }: Asking,
): Record<Way, (model: string) => Promise<Told>> {
  const answerTold = async (answer: Response): Promise<Told> => ({
    status: answer.status,
    text: await answer.text(),
    headers: answer.headers,
  });
  return {
    whole: async (model) => answerTold(await t.call('POST', path, { body: { model, ...request } })),
    streamed: async (model) =>
      answerTold(await t.call('POST', path, { body: { model, ...request, stream: true } })),
    later: async (llm) => {
      const made = await t.call('POST', '/api/v1/tasks', { body: { llm, operation, request } });
      const { id } = (await made.json()) as { id: string };
      const task = await until(
        () => t.task(id),
        ({ status }) => status === 'completed' || status === 'error',
        30_000,
      ).catch(async (thrown: unknown) => {
        const pool = await (await t.call('GET', `/api/v1/pools/${llm}`)).text();
        throw new Error(`${messageOf(thrown)}, while its pool was ${pool}`, { cause: thrown });
      });
      return { status: task.error ? 500 : 200, text: JSON.stringify(task.response ?? task.error) };
    },
  };
}
