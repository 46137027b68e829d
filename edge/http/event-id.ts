import { McpctlError } from '../../core/errors.ts';
import type { Form } from '../../core/registry/database/forms.ts';
import type { Position } from '../../core/queue/task/stream.ts';

/**
 * What a frame's `id:` says: the place of its event in the task's stream, and whose event it is. Opaque to callers. It
 * says no claim where an edge of a release before may be asked to go on from it: that one refuses an id which does.
 */
export function eventIdOf({ epoch, seq, tag }: Position, form: Form): string {
  return tag && form >= 2 ? `${epoch}-${seq}-${tag}` : `${epoch}-${seq}`;
}

/** @throws McpctlError `invalid_cursor` unless it has the form of an id that a stream gives out. */
export function positionOf(id: string): Position {
  const [, epoch, seq, tag] = /^([1-9]\d{0,8})-([1-9]\d{0,14})(?:-([\da-f]{10}))?$/.exec(id) ?? [];
  if (epoch === undefined) throw new McpctlError('invalid_cursor');
  return { epoch: Number(epoch), seq: Number(seq), tag };
}
