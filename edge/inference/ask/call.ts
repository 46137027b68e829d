import type { Request, Response } from 'express';
import type { TaskKey } from '../../../core/registry/idempotency.ts';
import type { Wishes } from './headers.ts';
import type { Answerer } from '../answer/answer.ts';
import type { Report } from '../answer/report.ts';
import type { Quiet } from '../follow/wait.ts';
import type { InferenceRequest } from './request.ts';
import type { Translation } from '../translate/sent.ts';

/** Of turns: our own for them, or one where all that a turn says is one completion. */
export type TurnDoor = 'agent' | 'v1' | 'infer';

/** One call for an inference, read and understood. */
export interface Call {
  req: Request;
  res: Response;
  report: Report;
  request: InferenceRequest;
  /** What it is to members that speak chat alone; null: it is not translated. */
  translation: Translation | null;
  /** The name that the caller asked for. */
  llmName: string;
  wishes: Wishes;
  /** The few headers that the backend may see. */
  headers: Record<string, string>;
  key: TaskKey | null;
  /** Of a turn: the door that it came through. */
  door?: TurnDoor;
  /** Of a door whose answers are no inference's: how they go out, and when something is said though nothing came. */
  own?: { answerer: Answerer; quiet: Quiet };
}
