import { McpctlError } from '../core/errors.ts';
import type { Position } from '../core/queue/stream.ts';

/** What a frame's `id:` says: the place of its event in the task's stream. Opaque to callers. */
export function eventIdOf({ epoch, seq }: Position): string {
  return `${epoch}-${seq}`;
}

/** @throws McpctlError `invalid_cursor` unless it has the form of an id that a stream gives out. */
export function positionOf(id: string): Position {
  const [, epoch, seq] = /^([1-9]\d{0,8})-([1-9]\d{0,14})$/.exec(id) ?? [];
  if (epoch === undefined) throw new McpctlError('invalid_cursor');
  return { epoch: Number(epoch), seq: Number(seq) };
}
