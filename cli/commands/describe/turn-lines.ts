import type { ServerCallView } from '../../../core/agent/thread.ts';
import { plain } from '../../../core/runtime/plain.ts';
import type { SeenTurnDetail } from '../../net/turn/calls.ts';
import { factLines } from '../../say/table.ts';
import { cell } from '../../say/text.ts';
import { pieceLine } from '../../talk/composed-lines.ts';
import type { Look } from './look.ts';

/** A turn: how it ended, and of each of its answers of what it was made, and who had it. */
export function turnLines(turn: SeenTurnDetail, look: Look): string[] {
  const { error, triesAgain, triedAgainBy, answers } = turn;
  return [
    ...factLines([
      ['Thread', turn.threadId],
      ['Turn', turn.turn],
      ['Status', turn.status],
      ['Error', error ? `${plain(error.message)} (${error.code})` : undefined],
      ['Told of later', turn.inContext ? 'yes' : 'no'],
      ['Tries again', triesAgain === null ? undefined : `turn ${triesAgain}`],
      ['Tried again by', triedAgainBy === null ? undefined : `turn ${triedAgainBy}`],
      ['Said', look.instant(turn.createdAt)],
      ['Ended', look.instant(turn.endedAt)],
    ]),
    ...answers.flatMap((answer, at) => answerLines(answer, { at, many: answers.length, look })),
  ];
}

function answerLines(
  answer: SeenTurnDetail['answers'][number],
  { at, many, look }: { at: number; many: number; look: Look },
): string[] {
  const { made, usage, attempts, serverCalls } = answer;
  const attempted = attempts.map(({ llm, reason }) => `${cell(llm)}: ${cell(reason)}`).join('; ');
  return [
    '',
    look.paint.bold(many > 1 ? `Answer ${at + 1}:` : 'Answer:'),
    ...factLines(
      [
        ['Status', answer.status],
        ['Served by', answer.servedBy],
        ['Attempts', attempted === '' ? undefined : attempted],
        ['Task', answer.taskId],
        ['Finish reason', answer.finishReason],
        ['Tokens', usage ? `${usage.promptTokens} in, ${usage.completionTokens} out` : undefined],
        ['Cut silently', answer.backendTruncated === true ? 'yes, by its backend' : undefined],
        ...madeFacts(made),
      ],
      2,
    ),
    ...serverCalls.map((call) => `  ${callLine(call)}`),
    ...(made?.pieces ?? []).map((piece) => `  ${pieceLine(piece)}`),
  ];
}

/** A call that the server ran. */
function callLine({ name, server, taskId, status, code, ms }: ServerCallView): string {
  const outcome = status === 'running' ? 'runs' : (code ?? 'ok');
  const took = ms === null ? '' : `, ${String(ms)} ms`;
  const where = server === null ? '' : `, server ${cell(server)}`;
  return `called ${cell(name)}: ${cell(outcome)}${took}${where}${taskId === null ? '' : `, task ${taskId}`}`;
}

type Fact = Parameters<typeof factLines>[0][number];

function madeFacts(made: SeenTurnDetail['answers'][number]['made']): Fact[] {
  if (!made) return [['Made of', 'not kept']];
  const { personality, params, toolsLeft, contextLength, expected } = made;
  return [
    ['Pool', `${made.pool}${made.llm === null ? '' : `, llm ${made.llm}`}`],
    ['Agent', `revision ${made.revision}`],
    ['Personality', personality ? `${personality.name}, revision ${personality.revision}` : undefined],
    ['Defaults', params && params.length > 0 ? params.join(', ') : undefined],
    ['Tools left', toolsLeft.length > 0 ? toolsLeft.join(', ') : undefined],
    ['Project tools', made.serverTools === undefined ? undefined : `${made.serverTools} offered`],
    ['Earlier turns', `${made.turns} told of, ${made.leftOut} left out`],
    ['Room', contextLength === null ? undefined : `${contextLength} tokens`],
    ['Expected', expected === null ? undefined : `${expected} tokens`],
    ['Made shorter', made.isShorter ? 'its backend had found more too long' : undefined],
    ['Bytes', made.bytes],
    ['SHA-256', made.sha256],
  ];
}
