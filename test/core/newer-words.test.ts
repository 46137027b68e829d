import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { parseHandBack } from '../../core/task/hand-back.ts';
import { parseOutcome } from '../../core/task/outcome.ts';
import {
  heartbeatSchema,
  isForeignLine,
  parseFrame,
  registerSchema,
  resultSchema,
  parseStreamLine,
  streamLineSchema,
} from '../../core/member/protocol.ts';
import { parseControl } from '../../core/queue/live/control.ts';
import { parseFence } from '../../core/queue/task/fence.ts';
import { parseMember } from '../../core/queue/live/presence.ts';
import { parseEntry } from '../../core/queue/task/stream.ts';
import { heldHeadSchema, taskHeadSchema } from '../../core/task/head.ts';
import { readRegistered } from '../../worker/registration/registered.ts';

const NEWER = 'of-a-newer-release';
const id = randomUUID();
type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

interface Reader {
  read: (json: Json) => unknown;
  sample: Json;
  /** Where words of a list that may grow stand, and what an unknown one is read as; undefined = anything. */
  words?: Record<string, unknown>;
}

const flat = (json: Json): string[] =>
  Object.entries(json ?? {}).flatMap(([key, value]) => [key, String(value)]);
const usage = { promptTokens: 1, completionTokens: 2, totalTokens: 3 };
const head = {
  operation: 'chat',
  streaming: true,
  headers: {},
  llmName: 'desk',
  runMs: 1_000,
  translated: 'messages',
};

/** Each schema that reads what another process wrote. */
const readers: Record<string, Reader> = {
  'a fence': {
    read: (json) => parseFence(flat(json)),
    sample: {
      epoch: '2',
      state: 'released',
      claim: 'c',
      shown: '',
      job: 'j',
      q: 'q',
      via: 'redis',
      seq: '4',
      why: 'w',
    },
    words: { state: 'open', via: 'sse' },
  },
  'a control message': {
    read: (json) => parseControl(JSON.stringify(json)),
    sample: { kind: 'state', state: 'serving', members: { desk: 'serving', lap: 'asleep' } },
    words: { state: 'draining', 'members.desk': 'down' },
  },
  'what a relay hands over': {
    read: (json) => parseControl(JSON.stringify(json)),
    sample: { kind: 'held', nonce: 'n', claims: [{ taskId: 't', poolKey: 'p', claimId: 'c' }] },
  },
  'an announcement': {
    read: (json) => parseMember(`llm ${id}`, `1000 ${JSON.stringify(json)}`, 1_000),
    sample: { sessionId: id, boot: 'b', slots: 2, running: 1, state: 'serving', misconfigured: 'no model' },
    words: { state: 'draining' },
  },
  'a heartbeat': {
    read: (json) => heartbeatSchema.parse(json),
    sample: { providerSessionId: id, state: 'serving', members: { desk: 'serving', lap: 'asleep' } },
    words: { state: 'draining', 'members.desk': 'down' },
  },
  'a registration': {
    read: (json) => registerSchema.parse(json),
    sample: {
      protocol: 1,
      transports: ['redis', 'sse'],
      providers: [
        {
          name: 'desk',
          type: 'openai',
          model: 'm',
          initialStatus: 'active',
          capabilities: { operations: ['chat', 'embeddings'], tools: true },
        },
        { name: 'lap', type: 'ollama', model: 'm' },
      ],
    },
    words: {
      'transports.0': NEWER,
      'providers.0.initialStatus': 'inactive',
      'providers.0.capabilities.operations': [],
    },
  },
  'the answer to it': {
    read: (json) => readRegistered(json, []),
    sample: {
      providerSessionId: id,
      llms: [{ id, name: 'desk', poolKey: 'p', status: 'active' }],
      agents: [],
      warnings: ['w'],
      transport: { kind: 'redis', namespace: 'n' },
    },
    words: { 'transport.kind': 'sse', 'llms.0.status': NEWER },
  },
  'a head': {
    read: (json) => heldHeadSchema.parse(json),
    sample: head,
    words: { translated: undefined },
  },
  'a head in a row': { read: (json) => taskHeadSchema.parse(json), sample: head },
  'a frame': {
    read: (json) => parseFrame(JSON.stringify(json)),
    sample: { kind: 'infer', taskId: 't', claimId: 'c', llmName: 'desk', operation: 'chat', request: '{}' },
  },
  'an end of a task': {
    read: (json) => parseOutcome(JSON.stringify(json)),
    sample: { kind: 'failed', code: 'backend_error', message: 'm', usage },
    words: { code: NEWER },
  },
  'a hand-back': {
    read: (json) => parseHandBack(JSON.stringify(json)),
    sample: { counts: 'attempt', code: 'backend_error', message: 'm', retryAfterS: 3 },
    words: { counts: 'none', code: NEWER },
  },
  'a line of an answer': {
    read: (json) => streamLineSchema.parse(json),
    sample: { end: { finishReason: 'stop', usage, status: 200, body: '{}' } },
    words: { 'end.finishReason': NEWER },
  },
  'a failure of an answer': {
    read: (json) => streamLineSchema.parse(json),
    sample: { error: { code: 'backend_error', message: 'm', retryable: true } },
    words: { 'error.code': NEWER },
  },
  'a result': {
    read: (json) => resultSchema.parse(json),
    sample: { claimId: 'c', chunk: { data: 'd', done: true } },
  },
  'events of a stream': {
    read: (json) => parseEntry('1-2', ['l', 'one\ntwo', ...flat(json)]),
    sample: { c: 'claim' },
  },
  'the end of a stream': {
    read: (json) => parseEntry('1-2', ['e', '{"kind":"completed","status":200}', ...flat(json)]),
    sample: { c: 'claim', session: id, llm: 'l', at: '1', bytes: '7' },
  },
};

/** Each object in it, by its path; records of names are objects as well. */
function objectsIn(json: Json, path: string[] = []): string[][] {
  if (typeof json !== 'object' || json === null) return [];
  const inside = Object.entries(json).flatMap(([key, value]) => objectsIn(value, [...path, key]));
  return Array.isArray(json) ? inside : [path, ...inside];
}

/** A copy in which something else stands at a path. */
function replaced(json: unknown, [key, ...rest]: readonly string[], value: unknown): unknown {
  if (key === undefined) return value;
  const inside = json as Record<string, unknown>;
  if (Array.isArray(json))
    return json.map((item, n) => (String(n) === key ? replaced(item, rest, value) : (item as unknown)));
  const next = replaced(inside[key], rest, value);
  return { ...inside, [key]: next };
}

function without(read: unknown, key: string): unknown {
  if (Array.isArray(read)) return read.map((item) => without(item, key));
  if (typeof read !== 'object' || read === null || read instanceof Date) return read;
  const kept = Object.entries(read).filter(([name]) => name !== key);
  return Object.fromEntries(kept.map(([name, value]) => [name, without(value, key)]));
}

describe('what a process of a newer release says is read as far as it is known:', () => {
  for (const [what, { read, sample, words = {} }] of Object.entries(readers)) {
    it(`${what} with more in it`, () => {
      for (const path of objectsIn(sample))
        for (const value of ['serving', 7, null, { kind: 'x' }, [1]]) {
          const isRecord = path.at(-1) === 'members' || path.at(-1) === 'headers';
          const more = replaced(sample, [...path, NEWER], isRecord ? 'serving' : value) as Json;
          expect(without(read(more), NEWER), path.join('.')).to.deep.equal(without(read(sample), NEWER));
        }
    });
    for (const [path, meaning] of Object.entries(words))
      it(`${what} with another word in ${path}`, () => {
        const at = path.split('.');
        const isList = Array.isArray(meaning);
        const newer = read(replaced(sample, at, isList ? [NEWER] : NEWER) as Json);
        const [top = ''] = at;
        // A transport that is not known takes what was said of it along.
        const expected =
          top === 'transport'
            ? replaced(read(sample), ['transport'], { kind: 'sse' })
            : meaning === undefined
              ? read(sample)
              : replaced(read(sample), at, meaning);
        expect(without(newer, NEWER === meaning ? '' : NEWER)).to.deep.equal(expected);
      });
  }

  it('an operation that is not known leads to its task being given back', () => {
    const frame = {
      kind: 'infer',
      taskId: 't',
      claimId: 'c',
      llmName: 'desk',
      operation: NEWER,
      request: [],
    };
    expect(parseFrame(JSON.stringify(frame))).to.deep.equal({
      kind: 'unreadable',
      taskId: 't',
      claimId: 'c',
      llmName: 'desk',
    });
  });

  it('an end of another kind never went well, and what it cost is counted', () => {
    for (const status of [200, 500])
      expect(parseOutcome(JSON.stringify({ kind: NEWER, status, body: 'b', usage }))).to.deep.equal({
        kind: 'failed',
        code: 'backend_incomplete',
        message: 'The worker reported an outcome that is not understood.',
        usage,
      });
    expect(parseOutcome('no JSON')).to.include({ kind: 'failed', code: 'backend_incomplete' });
  });

  it('an end whose usage cannot be is an end all the same, over a relay too', () => {
    for (const impossible of [{ promptTokens: -1, completionTokens: 2, totalTokens: 1 }, {}, 'many', [1]]) {
      const outcome = parseOutcome(JSON.stringify({ kind: 'completed', status: 200, usage: impossible }));
      expect(outcome).to.have.nested.property('usage.totalTokens', Number.MAX_SAFE_INTEGER);
      // What is no object is no usage either: that line is refused, as hostile-workers asks for.
      const isUsage = typeof impossible === 'object' && !Array.isArray(impossible);
      const line = { end: { usage: 'usage' in outcome ? outcome.usage : null, body: 'x' } };
      expect(parseStreamLine({ end: { usage: impossible, body: 'x' } })).to.deep.equal(isUsage ? line : null);
    }
    expect(parseStreamLine({ end: { usage: null } })).to.deep.equal({ end: { usage: null } });
    expect(parseStreamLine({ end: { status: 99, usage: 'many' } })).to.equal(null);
  });

  it('kinds that are not known are passed over', () => {
    const other = JSON.stringify({ kind: NEWER });
    expect(parseFrame(other)).to.equal(null);
    expect(parseControl(other)).to.equal(null);
    expect(parseEntry('1-2', [NEWER, 'x', 'c', 'claim'])).to.equal(null);
    expect(isForeignLine({ [NEWER]: 1 })).to.equal(true);
    for (const line of [{ seq: 1 }, { end: 7 }, { data: 'd', [NEWER]: 1 }, 'text', null, [NEWER]])
      expect(isForeignLine(line), JSON.stringify(line)).to.equal(false);
  });

  it('and what is torn stays torn', () => {
    expect(parseFence(flat({ epoch: '2', claim: 'c' }))).to.equal(null);
    expect(heartbeatSchema.safeParse({ providerSessionId: id, state: 7 }).success).to.equal(false);
  });
});
