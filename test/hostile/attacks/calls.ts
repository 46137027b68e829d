import { randomUUID } from 'node:crypto';
import { json, overConnections, requestOf, untilNext, type Attack, type Target } from '../attack.ts';
import { headOf, openRaw } from '../raw.ts';

/** A project of the attacker's, and how many long texts there are (run.ts makes them). */
export const attackersProject = 'mallorys';
export const LONG_TEXTS = 22;

/** What a user is given at a time of answers that are not read: one large one. */
const UNREAD_BYTES = 8_000_000;

/** One request after the other over some connections, each with a moment between; answers are read and forgotten. */
const calls =
  (
    { count, everyMs, reads = true }: { count: number; everyMs: number; reads?: boolean },
    request: (target: Omit<Target, 'over'>, n: number) => string | Buffer,
  ): Attack['prepare'] =>
  (target) =>
    overConnections(target, { count, reads }, async (line, nth) => {
      for (let n = 0; line.isOn(); n++) {
        await line.send(request(target, nth * 100_000 + n));
        await untilNext(everyMs);
      }
    });

const chat = (model: string, more = ''): string =>
  `{"model":"${model}","messages":[{"role":"user","content":"x"}]${more}}`;

/** What a user with a token asks for, again and again. */
export const userCalls: Readonly<Record<string, Attack>> = {
  'unread-answers': {
    about: 'one task of 8 MB read by 40 connections that do not read',
    prepare: (target) => {
      const attack = overConnections(target, { count: 40, reads: false }, (line) =>
        line.send(headOf(`GET /api/v1/tasks/${target.largeTask}`, target.token)),
      );
      return async (over) => {
        const done = await attack(over);
        return { ...done, bytes: done.bytes + UNREAD_BYTES };
      };
    },
  },
  'read-answers': {
    about: 'the same, by 8 who do read, again and again',
    prepare: calls({ count: 8, everyMs: 20 }, (target) =>
      headOf(`GET /api/v1/tasks/${target.largeTask}`, target.token),
    ),
  },
  'slow-readers': {
    about: 'lists and metrics asked for and not read',
    prepare: calls({ count: 60, everyMs: 200, reads: false }, (target, n) =>
      headOf(n % 2 === 0 ? 'GET /api/v1/tasks?limit=200' : 'GET /metrics', target.token),
    ),
  },
  'long-queries': {
    about: 'queries of 12 kB, of many parameters',
    prepare: calls({ count: 10, everyMs: 20 }, (target, n) =>
      headOf(`GET /api/v1/tasks?${'a=1&'.repeat(3_000)}b=${String(n)}`, target.token),
    ),
  },
  'long-pages': {
    about: 'a list of long texts, half a MB a page, by 16 again and again',
    prepare: calls({ count: 16, everyMs: 20 }, (target) =>
      headOf('GET /api/v1/prompts?limit=200', target.token),
    ),
  },
  'one-row': {
    about: 'one row that is changed by 16, each with 8 on their way',
    prepare: calls({ count: 16, everyMs: 20 }, (target, n) =>
      requestOf(target, {
        method: 'PATCH',
        path: `/api/v1/projects/${attackersProject}`,
        body: `{"description":"${String(n)}"}`,
      }),
    ),
  },
  'status-page': {
    about: 'the page of numbers, asked for again and again by 30',
    prepare: calls({ count: 30, everyMs: 5 }, (target) => headOf('GET /ui/status', target.token)),
  },
  'one-model': {
    about: 'one llm looked at by 30',
    prepare: calls({ count: 30, everyMs: 5 }, (target, n) =>
      headOf(`GET ${n % 2 === 0 ? '/api/v1/llms/nobodys' : '/v1/models/nobodys'}`, target.token),
    ),
  },
  'watch-storm': {
    about: 'as many streams of what changes as one may, of which nothing is read',
    prepare: (target) =>
      overConnections(target, { count: 300, reads: false }, (line) =>
        line.send(headOf('GET /api/v1/events', target.token, ['accept: text/event-stream'])),
      ),
  },
  'garbage-cursors': {
    about: 'positions in lists that nobody gave out',
    prepare: calls({ count: 10, everyMs: 10 }, (target, n) => {
      const cursor = Buffer.from(`${String(n)}${'c'.repeat(3_000)}`).toString('base64url');
      return headOf(`GET /api/v1/${n % 2 === 0 ? 'tasks' : 'llms'}?after=${cursor}`, target.token);
    }),
  },
  'many-task-ids': {
    about: 'tasks that there are not, asked for and waited for',
    prepare: calls({ count: 10, everyMs: 10 }, (target) =>
      headOf(`GET /api/v1/tasks/${randomUUID()}?wait=30`, target.token),
    ),
  },
  'long-waits': {
    about: 'one task waited for by hundreds',
    prepare: (target) =>
      overConnections(target, { count: 300 }, (line) =>
        line.send(headOf(`GET /api/v1/tasks/${target.largeTask}?wait=30`, target.token)),
      ),
  },
  'many-keys': {
    about: 'as many idempotency keys as calls',
    prepare: calls({ count: 10, everyMs: 15 }, (target) =>
      requestOf(target, {
        path: '/v1/chat/completions',
        body: chat('nobody'),
        headers: [`idempotency-key: ${randomUUID()}`],
      }),
    ),
  },
  'cancel-storm': {
    about: 'streams of an llm that does not answer, each left at once',
    prepare: (target) => {
      const body = chat('nobodys', ',"stream":true');
      const request = requestOf(target, { path: '/v1/chat/completions', body });
      return overConnections(target, { count: 10 }, async (line) => {
        while (!line.over.aborted) {
          const raw = await openRaw(target.port);
          await raw.send(request);
          await untilNext(20);
          raw.socket.destroy();
        }
      });
    },
  },
  'resume-storm': {
    about: 'one stream taken up again and again',
    prepare: (target) =>
      overConnections(target, { count: 10 }, async (line) => {
        const request = headOf(`GET /api/v1/tasks/${target.largeTask}/stream`, target.token, [
          'accept: text/event-stream',
          'last-event-id: 1-0',
        ]);
        while (!line.over.aborted) {
          const raw = await openRaw(target.port);
          await raw.send(request);
          await untilNext(20);
          raw.socket.destroy();
        }
      }),
  },
  'sse-readers': {
    about: 'hundreds of streams of one task, of which nothing is read',
    prepare: (target) =>
      overConnections(target, { count: 300, reads: false }, (line) =>
        line.send(
          headOf(`GET /api/v1/tasks/${target.largeTask}/stream`, target.token, [
            json,
            'accept: text/event-stream',
          ]),
        ),
      ),
  },
};
