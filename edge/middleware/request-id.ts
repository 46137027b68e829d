import { randomUUID } from 'node:crypto';
import type { RequestHandler } from 'express';
import { isAnthropicDoor } from '../http/context.ts';
import type { Clock } from '../../core/runtime/clock.ts';

const sane = /^[A-Za-z0-9._-]{1,128}$/;

/** Gives each request its context and its id: the caller's own if it is harmless, else a new one. */
export function requestId({ clock }: { clock: Clock }): RequestHandler {
  return (req, res, next) => {
    const given = req.get('x-request-id');
    const id = given !== undefined && sane.test(given) ? given : randomUUID();
    req.context = {
      requestId: id,
      startedAt: clock.elapsed(),
      actor: undefined,
      browser: undefined,
      askAgain: undefined,
      text: undefined,
      shape: undefined,
      answerRoom: undefined,
      onlyBlanks: false,
      write: undefined,
      reported: false,
    };
    res.set('x-request-id', id);
    if (isAnthropicDoor(req)) res.set('request-id', id);
    next();
  };
}
