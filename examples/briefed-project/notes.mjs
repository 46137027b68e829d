/** An MCP server over stdio, without dependencies: the notes of a folder as resources, and a tool that looks through them. */
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

const folder = new URL('notes/', import.meta.url);
const names = () => readdirSync(folder).filter((name) => name.endsWith('.md'));
const textOf = (name) => readFileSync(new URL(name, folder), 'utf8');
const text = (value) => ({ content: [{ type: 'text', text: value }] });

const tools = [
  {
    name: 'search',
    description: 'Lines of the notes that have these words',
    inputSchema: { type: 'object', properties: { words: { type: 'string' } }, required: ['words'] },
  },
];

function search({ words = '' }) {
  const lines = names().flatMap((name) =>
    textOf(name)
      .split('\n')
      .map((line) => `${name}: ${line}`),
  );
  const having = lines.filter((line) => line.toLowerCase().includes(String(words).toLowerCase()));
  return text(having.join('\n') || 'No line has that.');
}

function read({ uri }) {
  const name = names().find((candidate) => `notes://${candidate}` === uri);
  if (!name) throw new Error(`There is no note ${String(uri)}.`);
  return { contents: [{ uri, mimeType: 'text/markdown', text: textOf(name) }] };
}

const methods = {
  initialize: ({ protocolVersion }) => ({
    protocolVersion,
    capabilities: { tools: {}, resources: {} },
    serverInfo: { name: 'notes', version: '1.0.0' },
  }),
  ping: () => ({}),
  'tools/list': () => ({ tools }),
  'tools/call': ({ arguments: given = {} }) => search(given),
  'resources/list': () => ({ resources: names().map((name) => ({ uri: `notes://${name}`, name })) }),
  'resources/read': read,
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params = {} } = JSON.parse(line);
  if (id === undefined) continue;
  let answer;
  try {
    const error = { code: -32601, message: 'Method not found' };
    answer = Object.hasOwn(methods, method) ? { result: methods[method](params) } : { error };
  } catch (thrown) {
    answer = { error: { code: -32602, message: thrown instanceof Error ? thrown.message : 'It failed.' } };
  }
  process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', id, ...answer })}\n`);
}
