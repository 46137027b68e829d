import { expect } from 'chai';
import fc from 'fast-check';
import { ByteLines } from '../../core/text/byte-lines.ts';
import { McpctlError } from '../../core/errors.ts';
import { parseHandBack } from '../../core/task/hand-back.ts';
import { shapeOf } from '../../core/text/json-shape.ts';
import { spliceMembers } from '../../core/text/json-text.ts';
import { reasonOfBody } from '../../core/judge/parts/reason.ts';
import { StreamJudge } from '../../core/judge/stream.ts';
import { isFault, judgeWhole } from '../../core/judge/whole.ts';
import { operationSchema, type Operation } from '../../core/llm.ts';
import { parseOutcome } from '../../core/task/outcome.ts';
import { parseFrame } from '../../core/member/protocol.ts';
import { parseControl } from '../../core/queue/live/control.ts';
import { parseFence } from '../../core/queue/task/fence.ts';
import { parseMessage, parseEntry } from '../../core/queue/task/stream.ts';
import { readSse, type SseEvent } from '../../core/text/sse.ts';
import { Untranslatable } from '../../core/translate/parts.ts';
import { chatBodyOf } from '../../core/translate/member-body.ts';
import { eventIdOf, positionOf } from '../../edge/http/sse.ts';
import { formOf, type Form } from '../../edge/inference/form/index.ts';
import { readRequest } from '../../edge/inference/ask/request.ts';
import { OllamaEmbeddingsForm, OllamaForm } from '../../edge/ollama/form.ts';
import { parseWorkerConfig } from '../../worker/sources/config.ts';
import { mutated, tears, torn } from './mutated.ts';

/** Something that reads what others wrote, and what must hold of it whatever that is. */
export interface Target {
  name: string;
  property: fc.IAsyncProperty<unknown[]> | fc.IProperty<unknown[]>;
}

/** What `work` comes to; an error of ours is an answer, any other is a fault. */
async function answered<T>(work: () => T | Promise<T>): Promise<T | { refused: string }> {
  try {
    return await work();
  } catch (thrown) {
    if (thrown instanceof McpctlError && thrown.code !== 'internal') return { refused: thrown.code };
    if (thrown instanceof Untranslatable) return { refused: thrown.path };
    throw thrown;
  }
}

const chat =
  '{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true},"n":2}';
const requests = [
  chat,
  '{"model":"m","prompt":["a","b"],"max_tokens":5}',
  '{"model":"m","input":[[1,2],[3]],"encoding_format":"base64"}',
  '{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]}],"tools":[{"type":"function","name":"f","parameters":{}}]}',
  '{"model":"m","max_tokens":5,"system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"tools":[{"name":"f","input_schema":{}}]}',
];
const wholes = [
  '{"id":"1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}',
  '{"object":"list","data":[{"embedding":[0.1],"index":0}]}',
  '{"id":"r","output":[{"type":"message","content":[{"type":"output_text","text":"hi"}]}],"status":"completed"}',
  '{"type":"message","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn"}',
  '{"error":{"message":"no","code":400}}',
  '{"detail":[{"loc":["body"],"msg":"no"}]}',
];
const delta = (text: string, reason = 'null'): string =>
  `data: {"id":"1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"${text}"},"finish_reason":${reason}}]}\n\n`;
const streams = [
  `${delta('a')}: ping\n\n${delta('ö')}${delta('', '"stop"')}data: [DONE]\n\n`,
  `${delta('a')}${delta('b')}event: error\ndata: {"error":{"message":"broken"}}\n\n`,
  `\ufeffdata: {"choices":[{"index":0,"text":"x","finish_reason":"length"}]}\r\n\r\ndata: [DONE]\r\n\r\n`,
  'event: message_start\ndata: {"type":"message_start"}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n',
];
const operation = fc.constantFrom<Operation>(...operationSchema.options);
const encoder = new TextEncoder();

async function eventsOf(pieces: readonly Uint8Array[]): Promise<SseEvent[]> {
  const events: SseEvent[] = [];
  const source = (async function* () {
    yield* pieces;
  })();
  for await (const event of readSse(source)) events.push(event);
  return events;
}

/** What a stream came to, told event by event. */
function verdictOf(judged: Operation, packets: readonly SseEvent[][]): unknown {
  const judge = new StreamJudge({ operation: judged, asked: () => 1 });
  const events: string[] = [];
  for (const packet of packets) {
    const { events: passed, last } = judge.pass(packet);
    events.push(...passed);
    if (last !== undefined) return { events, last, end: last === 'done' ? judge.endOf('closed') : undefined };
  }
  return { events, end: judge.endOf('closed') };
}

const together: Target[] = [
  {
    name: 'event streams: however they are torn, the same events',
    property: fc.asyncProperty(mutated(streams), tears, async (text, lengths) => {
      const bytes = encoder.encode(text);
      expect(await eventsOf(torn(bytes, lengths))).to.deep.equal(await eventsOf([bytes]));
    }),
  },
  {
    name: 'the judge of streams: however events come together, the same verdict',
    property: fc.asyncProperty(mutated(streams), operation, tears, async (text, judged, lengths) => {
      const events = await eventsOf([encoder.encode(text)]);
      const packets: SseEvent[][] = [];
      for (let at = 0, i = 0; at < events.length; i++) {
        const length = lengths[i % lengths.length] ?? 1;
        packets.push(events.slice(at, at + length));
        at += length;
      }
      expect(verdictOf(judged, packets)).to.deep.equal(
        verdictOf(
          judged,
          events.map((event) => [event]),
        ),
      );
    }),
  },
  {
    name: 'lines: however they are torn, the same lines',
    property: fc.property(mutated(requests), tears, (text, lengths) => {
      const bytes = encoder.encode(text);
      const lines = new ByteLines(1_000_000);
      const read: string[] = [];
      for (const piece of torn(bytes, lengths))
        for (const line of lines.feed(piece)) read.push(Buffer.from(line).toString('hex'));
      read.push(Buffer.from(lines.rest()).toString('hex'));
      const whole = Buffer.from(bytes).toString('latin1').split('\n');
      expect(read).to.deep.equal(whole.map((line) => Buffer.from(line, 'latin1').toString('hex')));
    }),
  },
];

/** What callers are shown of an answer, in each door's form. */
const forms: readonly (() => Form)[] = [
  ...operationSchema.options.map((of) => () => {
    const row = { id: 'a-task', operation: of, createdAt: new Date(0), llmName: 'm', source: 'v1' as const };
    const asked = {
      model: 'm',
      wantsUsage: true,
      encoding: 'base64' as const,
      customTools: [],
      toolNames: [],
      stops: ['x'],
    };
    return formOf(row, asked);
  }),
  ...(['chat', 'generate'] as const).map(
    (call) => () => new OllamaForm(call, optionsOfForm, { now: () => 1, startedAt: 0 }),
  ),
  ...[false, true].map((older) => () => new OllamaEmbeddingsForm(optionsOfForm, older)),
];
const optionsOfForm = {
  ...{ taskId: 'a-task', model: 'm', createdS: 0, v1: true, resumable: false },
  ...{ wantsUsage: true, encoding: 'float' as const, customTools: [], toolNames: [], stops: [] },
};

/** Words that mean something in an answer, and some that every object has, in any place and of any kind. */
const { answer } = fc.letrec<{ answer: unknown }>((tie) => {
  const keys =
    'choices delta message content usage prompt_tokens data embedding index finish_reason tool_calls';
  const more = 'function name arguments id reasoning model timings error __proto__ constructor';
  const words = fc.constantFrom(...`${keys} ${more}`.split(' '));
  const values = fc.constantFrom<unknown>(null, true, -1, 0, 1e308, 0.5, '', 'stop', 'constructor', '1');
  const list = fc.array(tie('answer'), { maxLength: 3 });
  const holder = fc.dictionary(words, tie('answer'), { maxKeys: 4 });
  const choices = fc.record({ choices: fc.array(holder, { maxLength: 2 }), usage: tie('answer') });
  const rows = fc.record({ data: fc.oneof(list, tie('answer')), usage: tie('answer') });
  return { answer: fc.oneof({ maxDepth: 5 }, values, list, holder, choices, rows) };
});

const alone: Target[] = [
  {
    name: 'answers as callers are shown them: JSON, whatever a backend or a worker has said',
    property: fc.property(answer, fc.constantFrom(...forms), (value, newForm) => {
      const text = JSON.stringify(value);
      const form = newForm();
      const frames = [...form.event(text), ...form.event(text), ...form.last(null)];
      const shown = [newForm().whole(text), ...frames.map(({ data }) => data)];
      for (const each of shown) if (each !== '[DONE]') JSON.parse(each);
    }),
  },
  {
    name: 'JSON as text: looked at as the parser sees it, and spliced without a change to the rest',
    property: fc.asyncProperty(mutated([...requests, ...wholes]), async (text) => {
      const { members } = await shapeOf(text);
      const spliced = spliceMembers(text, { model: '"other"' });
      let parsed: unknown;
      try {
        parsed = JSON.parse(text);
      } catch {
        return; // what is no JSON may be seen as anything, but ends
      }
      const isObject = typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed);
      expect(members !== undefined).to.equal(isObject);
      if (!isObject) return void expect(spliced).to.equal(undefined);
      expect(members?.map(({ key }) => key)).to.include.members(Object.keys(parsed as object));
      expect(JSON.parse(spliced ?? '')).to.deep.equal({ ...(parsed as object), model: 'other' });
    }),
  },
  {
    name: 'bodies of calls: read, or refused with a code',
    property: fc.asyncProperty(mutated(requests), operation, async (text, asked) => {
      await answered(() => readRequest(asked, text));
    }),
  },
  {
    name: 'bodies to translate: translated into JSON, or refused with a code',
    property: fc.asyncProperty(
      mutated(requests),
      fc.constantFrom('responses' as const, 'messages' as const),
      async (text, asked) => {
        const read = await answered(() => readRequest(asked, text));
        if (!('refused' in read)) await answered(() => JSON.stringify(chatBodyOf(asked, text)));
      },
    ),
  },
  {
    name: 'whole answers: an answer that is JSON, or a fault with a sentence',
    property: fc.property(mutated(wholes), operation, (text, asked) => {
      const judged = judgeWhole(text, { operation: asked, asked: () => 1 });
      if (isFault(judged)) expect(judged.message).to.be.a('string').and.not.equal('');
      else JSON.parse(judged.body);
      expect(reasonOfBody(text)).to.be.an('object');
    }),
  },
  {
    name: 'what stands in Redis, and what comes down a control stream: understood, or nothing',
    property: fc.property(
      mutated([
        '{"kind":"infer","taskId":"t","claimId":"c","llmName":"m","operation":"chat","streaming":true,"headers":{},"request":"{}"}',
        '{"kind":"cancel","taskId":"t","claimId":"c"}',
        '{"kind":"completed","status":200,"body":"{}","usage":{"promptTokens":1,"completionTokens":1,"totalTokens":2}}',
        '{"counts":"attempt","code":"x","message":"y","retryAfterS":1}',
        '1-5-abcdef0123\n{"a":1}\n{"b":2}',
        '["1-5",["e","{}","c","x"]]',
      ]),
      fc.array(mutated(['1', 'e', 'd', 'epoch', 'claim', 'open', 'state'])),
      (text, fields) => {
        for (const parse of [parseFrame, parseControl, parseHandBack, parseOutcome, parseMessage])
          parse(text);
        parseEntry(text, fields);
        parseFence(fields);
      },
    ),
  },
  {
    name: 'positions in a stream: the same again, or refused',
    property: fc.asyncProperty(mutated(['1-5', '12-345-abcdef0123', '1-0']), async (text) => {
      const at = await answered(() => positionOf(text));
      if ('refused' in at) return;
      expect(positionOf(eventIdOf(at, 2))).to.deep.equal(at);
    }),
  },
  {
    name: "a worker's configuration: read, or refused with what to do",
    property: fc.asyncProperty(
      mutated([
        '{"providers":[{"name":"a","type":"vllm","url":"http://127.0.0.1:8000/v1","model":"m","publish":true,"wake":{"type":"command","command":"x","args":["y"]}}]}',
      ]),
      async (text) => void (await answered(() => parseWorkerConfig(text, '/home'))),
    ),
  },
];

export const targets: readonly Target[] = [...together, ...alone];
