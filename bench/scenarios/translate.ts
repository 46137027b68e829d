import { scripted } from '../backend/script.ts';
import type { Measured } from '../load/job.ts';
import { median, spread, summary } from '../report/stats.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

const TOKENS = 5;
const chat = scripted({ tokens: TOKENS });
const p50 = ({ first }: Measured): number => median(first);

/** The path under `/v1` of each operation, and its body for the same script. */
const calls = {
  responses: {
    path: 'responses',
    body: ({ messages, ...rest }: ChatBody): object => ({ ...rest, input: messages }),
  },
  messages: { path: 'messages', body: (body: ChatBody): object => ({ ...body, max_tokens: 100 }) },
} as const;

type ChatBody = { messages: unknown } & Record<string, unknown>;

/** The first token of a translated call and of the same chat, in turn call by call. */
function translateScenario(operation: keyof typeof calls): Scenario {
  const run = async (bench: Bench): Promise<Result> => {
    const [rounds, count, warmUps] = bench.quick ? [2, 3, 1] : [5, 200, 50];
    const { path, body } = calls[operation];
    const asked = JSON.stringify(body(JSON.parse(chat) as ChatBody));
    const url = bench.product.url.replace('chat/completions', path);
    const targets = [
      { ...bench.product, bodies: [chat] },
      { ...bench.product, url, bodies: [asked] },
    ];
    const job = { targets, bodies: [chat], concurrency: 1, tokens: TOKENS };
    await bench.load.run({ ...job, calls: warmUps });
    const measured: Measured[][] = [];
    for (let round = 0; round < rounds; round++)
      measured.push(await bench.load.run({ ...job, calls: count }));
    const of = (n: number): Measured[] => measured.flatMap((lanes) => lanes.slice(n, n + 1));
    const [plain, translated] = [of(0), of(1)];
    const lost = [...plain, ...translated].reduce((sum, lane) => sum + lane.lost, 0);
    bench.progress(
      `translate-${operation}: ${plain.map((lane, n) => `${p50(lane).toFixed(2)} → ${p50(translated[n] ?? lane).toFixed(2)} ms`).join(', ')}`,
    );
    return {
      rows: [
        { what: 'first token, chat', summary: summary(plain.map(({ first }) => first)) },
        { what: `first token, ${operation}`, summary: summary(translated.map(({ first }) => first)) },
      ],
      comparisons: [
        {
          what: `p50 added by the translation of ${operation}`,
          unit: 'ms',
          ...spread(translated.map((lane, n) => p50(lane) - p50(plain[n] ?? lane))),
        },
      ],
      derived: {},
      calls: (warmUps + rounds * count) * 2,
      ...(lost > 0
        ? {
            faults: {
              mcpctl: {
                lost,
                why: measured
                  .flat()
                  .flatMap(({ why }) => why)
                  .slice(0, 5),
              },
            },
          }
        : {}),
    };
  };
  return {
    name: `translate-${operation}`,
    about:
      `From the call to the first token, of a streamed chat and of the same asked as ${operation} of a member that ` +
      'speaks chat alone, in turn call by call over kept connections: what the translation adds.',
    run,
  };
}

export const translateResponses = translateScenario('responses');
export const translateMessages = translateScenario('messages');
