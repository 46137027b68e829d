import type { Judging } from '../../../core/judge/stream.ts';
import { isFault, judgeCount, judgeWhole } from '../../../core/judge/whole.ts';
import { wholeAnswerFactor, type Patience } from '../patience.ts';
import type { ForwardCall, Last } from '../provider.ts';
import type { Answer } from './wire/exchange.ts';
import { failureOf } from './failure.ts';
import { countsTokens } from './request.ts';

interface Asked {
  call: ForwardCall;
  judging: Judging;
  patience: Patience;
}

/** The answer to a call that asked for all of it at once. @throws what reading throws. */
export async function wholeAnswer(answer: Answer, { call, judging, patience }: Asked): Promise<Last> {
  const pieces: Uint8Array[] = [];
  const live = (): void => patience.wait(call.stallMs * wholeAnswerFactor); // bytes are life
  for await (const piece of answer.bytes(live)) {
    live();
    pieces.push(piece);
  }
  const body = Buffer.concat(pieces).toString('utf8');
  const judged = countsTokens(call) ? judgeCount(body) : judgeWhole(body, judging);
  return isFault(judged) ? failureOf(judged) : { kind: 'end', status: 200, ...judged };
}
