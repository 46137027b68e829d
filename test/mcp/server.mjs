/**
 * A small MCP server over stdio, as hostile as its arguments ask: `--counter FILE`, `--started FILE` (a line for each start), `--die-in METHOD`
 * and `--hang METHOD` (until there is `--healed FILE`), `--banner`, `--orphan`, `--deaf` (to SIGTERM), `--stays` (though its input
 * closes), `--waits FILE` (with its handshake, until that is there), `--notes` (resources that it tells of, a tool that changes them, and one that renames tools), `--holds MIB` (in a process that it starts), `--heard FILE`
 * (a line for each call, with the name of its tool), `--begins JSON` (its answer to the handshake).
 */
import { spawn } from 'node:child_process';
import { appendFileSync, closeSync, existsSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';

const options = process.argv.slice(2);
const valueOf = (name) => (options.includes(name) ? options[options.indexOf(name) + 1] : undefined);
const counter = valueOf('--counter');
const has = (name) => options.includes(name);

if (has('--banner')) process.stdout.write('\u001b[32mWelcome!\u001b[0m {not json}\n\n');
if (has('--orphan')) {
  // It stays, whatever its parent does, and holds the output open.
  const code = "process.on('SIGTERM',()=>{});process.on('SIGHUP',()=>{});setInterval(()=>{},1000)";
  const grandchild = spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'inherit', 'inherit'] });
  process.stderr.write(`grandchild ${grandchild.pid}\n`);
}
if (has('--started')) appendFileSync(valueOf('--started'), `${process.pid}\n`);
if (has('--stays')) setInterval(() => undefined, 1_000);
if (has('--holds')) {
  const code = `const held = Buffer.alloc(${valueOf('--holds')} * 1024 * 1024, 1); process.stderr.write('holds'); setInterval(() => held, 1000)`;
  spawn(process.execPath, ['-e', code], { stdio: ['ignore', 'ignore', 'inherit'] });
}
if (has('--deaf')) process.on('SIGTERM', () => undefined);

const say = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);
const text = (value) => ({ content: [{ type: 'text', text: value }] });
const object = (properties = {}) => ({ type: 'object', properties });

const tools = [
  { name: 'echo', description: 'Says it again\u200b', inputSchema: object({ message: { type: 'string' } }) },
  { name: 'count', description: 'Counts one more', inputSchema: object({ ms: { type: 'number' } }) },
  { name: 'steps', description: 'Tells how far it is', inputSchema: object({ n: { type: 'number' } }) },
  {
    name: 'region',
    description: 'Wants its argument in a header',
    inputSchema: object({ region: { type: 'string', 'x-mcp-header': 'Region' } }),
  },
  { name: 'env', description: 'Its environment', inputSchema: object() },
  { name: 'stderr', description: 'Prints a line', inputSchema: object() },
  { name: 'big', description: 'More than anybody takes', inputSchema: object() },
  { name: 'exit', description: 'Ends the server', inputSchema: object() },
  { name: 'wrong', description: 'Says that it failed', inputSchema: object() },
  {
    name: 'data',
    description: 'Answers in a structure',
    inputSchema: object(),
    outputSchema: { ...object({ words: { type: 'array', items: { type: 'string' } } }), required: ['words'] },
  },
  { name: 'a.b/c', description: 'Has an odd name', inputSchema: object() },
];

const notes = ['note:///a', 'note:///b', 'note:///dir'];
const subscribed = new Set();
if (has('--notes')) {
  tools.push({ name: 'touch', inputSchema: object({ uri: { type: 'string' } }) });
  tools.push({ name: 'pid', inputSchema: object() });
  tools.push({ name: 'hold', inputSchema: object({ until: { type: 'string' } }) });
}

function ofNotes(id, method, { uri } = {}) {
  if (method === 'resources/list') {
    say({ id, result: { resources: notes.map((one) => ({ uri: one, name: 'a note' })) } });
  } else if (method === 'resources/templates/list') {
    say({ id, result: { resourceTemplates: [] } });
  } else {
    if (counter) appendFileSync(counter, `${method} ${uri}\n`);
    if (method === 'resources/subscribe') subscribed.add(uri);
    else subscribed.delete(uri);
    say({ id, result: {} });
  }
}

/** By the request: what it waits for, and its label. */
const waiting = new Map();
/** How often its tools were asked for. */
let listed = 0;

function saysChanged(times) {
  for (let n = 0; n < times; n += 1) say({ method: 'notifications/tools/list_changed' });
}

const calls = {
  echo: ({ message }) => text(String(message)),
  env: () => text(JSON.stringify(process.env)),
  stderr: () => (process.stderr.write(`token is ${process.env.TOKEN}\n`), text('printed')),
  wrong: () => ({ ...text('It failed.'), isError: true }),
  data: ({ words, ...more }) => ({ ...text(words.join('\n')), structuredContent: { words, ...more } }),
  'a.b/c': () => text('odd'),
  region: ({ region }) => text(region),
  flood: () => (saysChanged(200), text('said')),
  listed: () => text(String(listed)),
  pid: () => text(String(process.pid)),
  touch({ uri }) {
    const isHeard = [...subscribed].some((one) => uri === one || uri.startsWith(`${one}/`));
    if (isHeard) say({ method: 'notifications/resources/updated', params: { uri } });
    return text('touched');
  },
};

/** Prints it again and again, as fast as it is read. */
function prints(printed) {
  process.stdout.write(printed, () => prints(printed));
}

/** Until there is that file; then one of its tools has another name, for calls of it too, where that is asked. */
function hold(id, given) {
  if (!existsSync(given.until)) return setTimeout(hold, 20, id, given);
  const renamed = tools.find(({ name }) => name === given.from);
  if (renamed) {
    renamed.name = given.to;
    Object.assign(calls, { [given.to]: calls[given.from], [given.from]: undefined });
    saysChanged(1);
  }
  say({ id, result: text('held') });
}

const untilRead = new Int32Array(new SharedArrayBuffer(4));

/** What nobody expects of a server. */
const strange = {
  hold,
  /** A line that has no end, a byte at a time. */
  trickles(id, { most }) {
    for (let n = 0; n < most;)
      try {
        n += writeSync(1, 'x');
      } catch {
        Atomics.wait(untilRead, 0, 0, 1); // it is read more slowly
      }
    say({ id, result: text('no end') });
  },
  twice(id) {
    for (const answer of ['first', 'second']) say({ id, result: text(answer) });
    for (let other = id - 50; other < id; other += 1) say({ id: other, result: text('of nobody') });
  },
  'last-words': (id) => (say({ id, result: text('x'.repeat(150_000)) }), process.exit(0)),
  'closes-output': () => closeSync(1),
  'reads-nothing'(id) {
    process.stdin.pause();
    setInterval(() => undefined, 1_000);
    say({ id, result: text('no more') });
  },
  'says-no': (id) => say({ id, error: 'no' }),
  deep: (id) =>
    process.stdout.write(
      `{"jsonrpc":"2.0","id":${id},"result":{"content":${'['.repeat(1e6)}${']'.repeat(1e6)}}}\n`,
    ),
  prints: (id, { printed }) => prints(printed.repeat(4_000)),
};

/** A step each `ms`, and a line of the counter when it begins. */
function steps(id, { n, ms, label }, token) {
  if (counter) appendFileSync(counter, `${label}\n`);
  let step = 0;
  const next = () => {
    if (step === n) return say({ id, result: text('done') });
    step += 1;
    const params = { progressToken: token, progress: step, total: n, message: `step ${step}` };
    if (token !== undefined) say({ method: 'notifications/progress', params });
    waiting.set(id, { timer: setTimeout(next, ms), label });
  };
  next();
}

/** What it was given as it stands in the line: to who reads JSON in another language than this one no number is a double. */
function sayAsWritten(id, line) {
  const [, given] = /"arguments":(\{.*?\})(?:,"_meta":\{"progressToken":\d+\})?\}\}$/.exec(line);
  process.stdout.write(`{"jsonrpc":"2.0","id":${id},"result":{"content":[],"structuredContent":${given}}}\n`);
}

function call(id, { name, arguments: given = {}, _meta: meta = {} }, line) {
  if (has('--heard')) appendFileSync(valueOf('--heard'), `${name}\n`);
  if (name === 'steps') return steps(id, given, meta.progressToken);
  if (name === 'data' && given.as === 'written') return sayAsWritten(id, line);
  if (name === 'exit') return process.exit(3);
  if (name === 'big') return process.stdout.write('x'.repeat(200 * 1024 * 1024));
  if (name === 'count') {
    if (counter) appendFileSync(counter, `${given.label ?? 'one'}\n`);
    if (given.die) process.kill(process.pid, 'SIGKILL');
    const end = () => {
      waiting.delete(id);
      say({ id, result: text('counted') });
    };
    waiting.set(id, { timer: setTimeout(end, given.ms ?? 0), label: given.label });
    return;
  }
  if (Object.hasOwn(strange, name)) return strange[name](id, given);
  const answer = calls[name];
  if (!answer) return say({ id, error: { code: -32602, message: `Unknown tool: ${name}` } });
  say({ id, result: answer(given) });
}

/** Not before there is what it waits for. */
function introduce(id) {
  if (has('--waits') && !existsSync(valueOf('--waits'))) return setTimeout(introduce, 20, id);
  say({
    id,
    result: {
      protocolVersion: '2025-11-25',
      capabilities: { tools: {}, ...(has('--notes') && { resources: { subscribe: true } }) },
      serverInfo: { name: 'fixture', version: '1.0.0' },
    },
  });
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line);
  const isHealed = has('--healed') && existsSync(valueOf('--healed'));
  if (method === valueOf('--hang') && !isHealed) return;
  if (method === valueOf('--die-in') && !isHealed) {
    process.stderr.write('cannot reach the database\n');
    process.exit(7);
  }
  if (method === 'initialize') {
    if (has('--begins')) say({ id, ...JSON.parse(valueOf('--begins')) });
    else introduce(id);
  } else if (method === 'tools/list') {
    listed += 1;
    say({ id, result: { tools } });
  } else if (method.startsWith('resources/')) ofNotes(id, method, params);
  else if (method === 'tools/call') call(id, params, line);
  else if (method === 'ping') say({ id, result: {} });
  else if (method === 'notifications/cancelled') {
    process.stderr.write(`cancelled ${params.requestId}\n`);
    const { timer, label } = waiting.get(params.requestId) ?? {};
    clearTimeout(timer);
    if (counter && label) appendFileSync(counter, `cancelled ${label}\n`);
  }
});
