/** What the conformance suite wants of a server, over stdio: tools, prompts and resources by the names that it asks for. */
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';

const PNG =
  'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==';
const WAV = 'UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=';

const text = (value) => ({ type: 'text', text: value });
const image = { type: 'image', data: PNG, mimeType: 'image/png' };
const embedded = (uri, mimeType, value) => ({ type: 'resource', resource: { uri, mimeType, text: value } });
const content = (...parts) => ({ content: parts });
const object = (properties = {}, required = []) => ({ type: 'object', properties, required });

const say = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`);

/** Each by its name: what it says of itself, and what it does. */
const tools = {
  test_simple_text: () => content(text('This is a simple text response for testing.')),
  test_image_content: () => content(image),
  test_audio_content: () => content({ type: 'audio', data: WAV, mimeType: 'audio/wav' }),
  test_embedded_resource: () =>
    content(embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')),
  test_multiple_content_types: () =>
    content(
      text('Multiple content types test:'),
      image,
      embedded('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
    ),
  test_error_handling: () => ({
    ...content(text('This tool intentionally returns an error for testing')),
    isError: true,
  }),
  test_missing_capability() {
    throw Object.assign(new Error('Needs sampling'), {
      code: -32021,
      data: { requiredCapabilities: { sampling: {} } },
    });
  },
  test_streaming_elicitation: () => content(text('asked nobody')),
  test_logging_tool: () => content(text('logged nothing')),
  async test_tool_with_progress(_given, token) {
    for (const progress of [0, 50, 100]) {
      const params = { progressToken: token, progress, total: 100 };
      if (token !== undefined) say({ method: 'notifications/progress', params });
      await pause(50);
    }
    return content(text('done'));
  },
  test_custom_headers: ({ region = '' }) => content(text(region)),
  test_trigger_tool_change() {
    hasMore = !hasMore;
    say({ method: 'notifications/tools/list_changed' });
    return content(text('changed'));
  },
  test_trigger_prompt_change() {
    hasMorePrompts = !hasMorePrompts;
    say({ method: 'notifications/prompts/list_changed' });
    return content(text('changed'));
  },
};
const schemas = {
  test_custom_headers: object({ region: { type: 'string', 'x-mcp-header': 'Region' } }),
  json_schema_2020_12_tool: {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    $defs: {
      address: {
        $anchor: 'addressDef',
        type: 'object',
        properties: { street: { type: 'string' }, city: { type: 'string' } },
      },
    },
    properties: {
      name: { type: 'string' },
      address: { $ref: '#/$defs/address' },
      contactMethod: { type: 'string', enum: ['phone', 'email'] },
      phone: { type: 'string' },
      email: { type: 'string' },
    },
    allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
    if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
    then: { required: ['phone'] },
    else: { required: ['email'] },
    additionalProperties: false,
  },
};
tools.json_schema_2020_12_tool = () => content(text('valid'));
/** What comes and goes, so that there is a change to hear of. */
let hasMore = false;
let hasMorePrompts = false;

const userSays = (...parts) => ({ messages: parts.map((part) => ({ role: 'user', content: part })) });
const argument = (name) => ({ name, description: `The ${name}`, required: true });
const prompts = {
  test_simple_prompt: { get: () => userSays(text('This is a simple prompt for testing.')) },
  test_prompt_with_arguments: {
    arguments: [argument('arg1'), argument('arg2')],
    get: ({ arg1, arg2 }) => userSays(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)),
  },
  test_prompt_with_embedded_resource: {
    arguments: [argument('resourceUri')],
    get: ({ resourceUri }) =>
      userSays(
        embedded(resourceUri, 'text/plain', 'Embedded resource content for testing.'),
        text('Please process the embedded resource above.'),
      ),
  },
  test_prompt_with_image: { get: () => userSays(image, text('Please analyze the image above.')) },
};

const resources = [
  { uri: 'test://static-text', name: 'Static text', mimeType: 'text/plain' },
  { uri: 'test://static-binary', name: 'Static binary', mimeType: 'image/png' },
  { uri: 'test://watched-resource', name: 'Watched', mimeType: 'text/plain' },
].map((resource) => ({ description: `${resource.name} resource`, ...resource }));
const templates = [
  {
    uriTemplate: 'test://template/{id}/data',
    name: 'By id',
    description: 'Data of an id',
    mimeType: 'application/json',
  },
];

function read(uri) {
  const [, id] = /^test:\/\/template\/([^/]+)\/data$/.exec(uri) ?? [];
  if (uri === 'test://static-binary') return { uri, mimeType: 'image/png', blob: PNG };
  if (id) {
    const data = { id, templateTest: true, data: `Data for ID: ${id}` };
    return { uri, mimeType: 'application/json', text: JSON.stringify(data) };
  }
  return { uri, mimeType: 'text/plain', text: 'This is the content of the static text resource.' };
}

const methods = {
  initialize: () => ({
    protocolVersion: '2025-11-25',
    capabilities: {
      tools: { listChanged: true },
      prompts: { listChanged: true },
      resources: { listChanged: true, subscribe: true },
      completions: {},
    },
    serverInfo: { name: 'conformance', version: '1.0.0' },
  }),
  ping: () => ({}),
  'tools/list': () => ({
    tools: [...Object.keys(tools), ...(hasMore ? ['test_one_more'] : [])].map((name) => ({
      name,
      description: `The tool ${name}`,
      inputSchema: schemas[name] ?? object(),
    })),
  }),
  'tools/call': ({ name, arguments: given = {}, _meta: meta }) => tools[name](given, meta?.progressToken),
  'prompts/list': () => ({
    prompts: [...Object.entries(prompts), ...(hasMorePrompts ? [['test_one_more', {}]] : [])].map(
      ([name, prompt]) => ({
        name,
        description: `The prompt ${name}`,
        ...(prompt.arguments && { arguments: prompt.arguments }),
      }),
    ),
  }),
  'prompts/get': ({ name, arguments: given = {} }) => prompts[name].get(given),
  'resources/list': () => ({ resources }),
  'resources/templates/list': () => ({ resourceTemplates: templates }),
  'resources/subscribe': () => ({}),
  'resources/unsubscribe': () => ({}),
  'resources/read': ({ uri }) => ({ contents: [read(uri)] }),
  'completion/complete': () => ({ completion: { values: ['test1', 'test2'], total: 2, hasMore: false } }),
};

createInterface({ input: process.stdin }).on('line', async (line) => {
  const { id, method, params = {} } = JSON.parse(line);
  if (id === undefined) return;
  const answer = methods[method];
  if (!answer) return say({ id, error: { code: -32601, message: 'Method not found' } });
  try {
    say({ id, result: await answer(params) });
  } catch ({ code, message, data }) {
    say({ id, error: { code, message, data } });
  }
});
