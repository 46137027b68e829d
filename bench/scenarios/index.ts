import { asyncTasks } from './async.ts';
import { atRest } from './at-rest.ts';
import { auditedScenario } from './audited.ts';
import { cancel } from './cancel.ts';
import { cliStart } from './cli-start.ts';
import { expireRate } from './expire-rate.ts';
import { fair } from './fair.ts';
import { firehose } from './firehose.ts';
import { firstToken } from './first-token.ts';
import { largeAnswers } from './large-answers.ts';
import { idleStreams } from './idle-streams.ts';
import { idleWorker } from './idle-worker.ts';
import { mcp } from './mcp.ts';
import { memory } from './memory.ts';
import { pending } from './pending.ts';
import { pools } from './pools.ts';
import { reconnectStorm } from './reconnect-storm.ts';
import { refill } from './refill.ts';
import { resume } from './resume.ts';
import { revocation } from './revocation.ts';
import { rightsScenario } from './rights.ts';
import type { Scenario } from './scenario.ts';
import { settleRate } from './settle-rate.ts';
import { silence } from './silence.ts';
import { streams128, streams512 } from './streams.ts';
import { transportsScenario } from './transports.ts';
import { translateMessages, translateResponses } from './translate.ts';
import { turn } from './turn.ts';
import { viewers } from './viewers.ts';
import { workerKill } from './worker-kill.ts';
import { wholeMany, wholeOne } from './whole.ts';

export const scenarios: readonly Scenario[] = [
  wholeOne,
  wholeMany,
  firstToken,
  translateResponses,
  translateMessages,
  streams128,
  streams512,
  largeAnswers,
  firehose,
  asyncTasks,
  pending,
  fair,
  pools,
  cancel,
  workerKill,
  resume,
  silence,
  transportsScenario,
  idleWorker,
  cliStart,
  idleStreams,
  reconnectStorm,
  revocation,
  rightsScenario,
  auditedScenario,
  turn,
  mcp,
  viewers,
  memory,
  atRest,
  refill,
  settleRate,
  expireRate,
];
