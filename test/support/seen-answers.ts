/**
 * Answers as public reports tell of them, by where each was seen; test/system/odd-answers.test.ts has them come through the
 * door. test/core/judge/seen has more of them, without the processes.
 */
import { gzipSync } from 'node:zlib';
import { answers, type Script } from './backend.ts';

const chunk = (delta: unknown, finish: unknown = null, more: object = {}): string =>
  `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }], ...more })}\n\n`;
const role = chunk({ role: 'assistant', content: '' });
const hello = chunk({ content: 'Hello' });
const stop = chunk({}, 'stop');
const done = 'data: [DONE]\n\n';
const wholeText = (message: object = { content: 'Hello' }, finish: unknown = 'stop'): string =>
  JSON.stringify({
    id: 'c',
    choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason: finish }],
  });
const whole = wholeText();
const refusal = (message: string, more: object = {}): object => ({ error: { message, ...more } });
const isStream = ({ request }: Parameters<Script>[0]): boolean => request.json?.['stream'] === true;

/** What is written to the socket, head and all, and whether it is closed then. */
const raw =
  (pieces: (exchange: Parameters<Script>[0]) => (string | Buffer)[], { leaveOpen = false } = {}): Script =>
  async (exchange) => {
    const { socket } = exchange.response;
    for (const piece of pieces(exchange))
      await new Promise((resolve) => socket?.write(piece, () => setImmediate(resolve)));
    if (!leaveOpen) socket?.end();
  };
const head = (...headers: string[]): string =>
  `HTTP/1.1 200 OK\r\n${headers.map((one) => `${one}\r\n`).join('')}\r\n`;
const ofStream = 'content-type: text/event-stream';
const chunkedPiece = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
/** A stream of these events, and all at once what is said of the other. */
const either = (events: string, body: string | object = whole, status = 200): Script => {
  const streamed = raw(() => [head(ofStream, 'connection: close'), events]);
  return (exchange) => (isStream(exchange) ? streamed(exchange) : answers(status, body)(exchange));
};
const call = (piece: object, finish: string | null = null): string => chunk({ tool_calls: [piece] }, finish);
const calling = wholeText({
  content: 'Hello',
  tool_calls: [{ function: { name: 'f', arguments: { a: 1 } } }],
});

/** Where it was seen, and what was sent. Each is an answer that says Hello. */
export const answered: Record<string, Script> = {
  'waybarrios/vllm-mlx#628: null to its end, then [DONE]': either(role + hello + chunk({}) + done),
  'earendil-works/pi#6226 (NVIDIA NIM): whole calls, and no end': either(
    role +
      hello +
      call({ index: 0, id: 'a', type: 'function', function: { name: 'f', arguments: '{"a":1}' } }),
    calling,
  ),
  'sgl-project/sglang#7048: calls without ids': either(
    hello + call({ index: 0, id: null, function: { name: 'f', arguments: '{}' } }, 'tool_calls') + done,
    calling,
  ),
  'SGLang’s own reasons': either(
    hello + chunk({}, { type: 'stop', matched: 2 }),
    wholeText({ content: 'Hello' }, { type: 'stop' }),
  ),
  'sgl-project/sglang#3912: an empty reason': either(chunk({ content: 'Hello' }, '') + stop + done),
  'jakobdylanc/llmcord#84 (Gemini): another name for the reason': either(
    hello + `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finishReason: 'STOP' }] })}\n\n`,
  ),
  'events that say that it lives': either(
    `event: ping\ndata: ping\n\n${role}data: ping\n\n${hello}event: ping\ndata: {"type":"ping"}\n\n${stop}`,
  ),
  'colons alone (ollama/ollama#16443)': either(`:\n\n${role}:\n\n${hello}:\n\n${stop}`),
  'events beside it': either(
    `${hello}data: {"citations":["x"]}\n\n${stop}data: {"choices":null,"usage":{"prompt_tokens":"1","completion_tokens":1}}\n\n`,
  ),
  'usage with each of its chunks': either(
    chunk({ content: 'Hello' }, null, { usage: { prompt_tokens: 1, completion_tokens: 1 } }) + stop + done,
  ),
  'CR, and a mark of the order of its bytes': either(
    `\ufeff${(role + hello + stop).replaceAll('\n', '\r')}`,
    `\ufeff${whole}`,
  ),
  'line ends of every kind': either(role.replaceAll('\n', '\r\n') + hello.replaceAll('\n', '\r') + stop),
  'gzip, of which it says nothing (apache/trafficcontrol#1737)': raw((exchange) => [
    head(isStream(exchange) ? ofStream : 'content-type: application/json', 'connection: close'),
    gzipSync(isStream(exchange) ? hello + stop : whole),
  ]),
  'gzip that it is not (stoplightio/prism#1272)': raw((exchange) => [
    head('content-encoding: gzip', 'connection: close'),
    isStream(exchange) ? hello + stop : whole,
  ]),
  'a length that it never has': raw((exchange) => [
    head('content-length: 9999'),
    isStream(exchange) ? hello + stop : whole,
  ]),
  'no end of its chunks, nor of its connection': raw(
    (exchange) => [
      head('transfer-encoding: chunked'),
      chunkedPiece(isStream(exchange) ? hello + stop : whole),
    ],
    { leaveOpen: true },
  ),
  'something behind its chunks': raw((exchange) => [
    head('transfer-encoding: chunked', 'trailer: x'),
    chunkedPiece(isStream(exchange) ? hello + stop : whole),
    '0\r\nx: 1\r\n\r\n',
  ]),
  'something before its head': raw((exchange) => [
    'HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n',
    head('connection: close'),
    isStream(exchange) ? hello + stop : whole,
  ]),
  'the wrong type, and blank lines before it (OpenRouter)': raw((exchange) => [
    head('content-type: text/html', 'connection: close'),
    `\n\n  \n${isStream(exchange) ? hello + stop : whole}`,
  ]),
  'thinking by many names': either(
    chunk({ role: 'assistant', thinking: 'hm' }) +
      chunk({ reasoning: 'hm' }) +
      chunk({ reasoning_details: [{ type: 'x' }] }) +
      hello +
      stop,
  ),
};

/** What another member answers in its place: nothing was to be seen. */
export const passedOn: Record<string, Script> = {
  'sgl-project/sglang#11904: it was aborted': either(
    role + chunk({ role: null, content: null }, 'abort') + done,
    wholeText({ content: '' }, 'abort'),
  ),
  'sgl-project/sglang#28175: its queue is full': either(
    `data: ${JSON.stringify(refusal('The request queue is full.', { type: 'AbortError' }))}\n\n${done}`,
    refusal('The request queue is full.'),
    503,
  ),
  'Alishahryar1/free-claude-code#1012 (NVIDIA NIM)': answers(400, {
    status: 400,
    title: 'Bad Request',
    detail: "Function id 'a': DEGRADED function cannot be invoked",
  }),
  'nginx: plain HTTP': answers(
    400,
    '<html><head><title>400 The plain HTTP request was sent to HTTPS port</title>',
    { 'content-type': 'text/html' },
  ),
  'a page to log in at': answers(200, '<!doctype html><title>Log in</title>', {
    'content-type': 'text/html',
  }),
  'a refusal whose words never come': raw(() => [
    'HTTP/1.1 503 Service Unavailable\r\nretry-after: 600\r\ncontent-length: 99\r\n\r\n{',
  ]),
};

/** What the caller is told, with the sentence that the backend had. */
export const refused: Record<string, [status: number, says: string, script: Script]> = {
  'ggml-org/llama.cpp#16109: a field of that name': [
    400,
    'exceeds the available context size',
    either(
      'error: {"code":400,"message":"the request exceeds the available context size","type":"invalid_request_error"}\n\ndata: [DONE]\n\n',
      refusal('the request exceeds the available context size', { code: 400 }),
    ),
  ],
  'lmstudio-ai/lmstudio-bug-tracker#1251: in an event': [
    400,
    'Reached context length of 4096',
    either(
      'event: error\ndata: {"error":"Reached context length of 4096 tokens with model (arch: x) that does not currently support mid-generation context overflow."}\n\n',
      {
        error:
          'Reached context length of 4096 tokens with model (arch: x) that does not currently support mid-generation context overflow.',
      },
    ),
  ],
  'QwenLM/qwen-code#98 (DashScope)': [
    400,
    'Range of input length',
    answers(
      400,
      refusal('<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 204800]'),
    ),
  ],
  'lemonade-sdk/lemonade#2826: JSON within a stream': [
    400,
    'exceeds the available context size',
    either(
      '{"error":{"code":400,"message":"request (19185 tokens) exceeds the available context size (16384 tokens), try increasing it"}}',
      refusal('request (19185 tokens) exceeds the available context size', { code: 400 }),
    ),
  ],
  'axum: a body that it does not take, and nobody else there': [
    400,
    'length limit exceeded',
    answers(413, 'Failed to buffer the request body: length limit exceeded', {
      'content-type': 'text/plain',
    }),
  ],
};

/** What follows the first word, and is no end of it. */
export const broken: Record<string, string> = {
  'earendil-works/pi#8460: neither reason nor [DONE]': '',
  'CommandCodeAI/command-code#785: within a call': call({
    index: 0,
    id: 'a',
    type: 'function',
    function: { name: 'f', arguments: '{"a":' },
  }),
  'a page': '<html><head><title>502 Bad Gateway</title></head></html>\n',
  'half an event': 'data: {"choices":[{"index":0,"del',
  'an error that is no JSON': 'event: error\ndata: upstream timed out\n\n',
};
export const breaks =
  (rest: string): Script =>
  ({ response }) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(hello);
    setTimeout(() => response.end(rest), 150); // by then it was shown, so nobody else may answer
  };
