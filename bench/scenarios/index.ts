import { cancel } from './cancel.ts';
import { firstToken } from './first-token.ts';
import { idleStreams } from './idle-streams.ts';
import { idleWorker } from './idle-worker.ts';
import { reconnectStorm } from './reconnect-storm.ts';
import type { Scenario } from './scenario.ts';
import { silence } from './silence.ts';
import { transportsScenario } from './transports.ts';

export const scenarios: readonly Scenario[] = [
  firstToken,
  cancel,
  silence,
  transportsScenario,
  idleWorker,
  idleStreams,
  reconnectStorm,
];
