import { cancel } from './cancel.ts';
import { firstToken } from './first-token.ts';
import { silence } from './silence.ts';
import type { Scenario } from './scenario.ts';

export const scenarios: readonly Scenario[] = [firstToken, cancel, silence];
