import type { AlikeNames } from './alike-names.ts';
import { chatEffort, chatNames, chatParameters, chatUser, toolNamesIn } from './chat-values.ts';
import { Conversation } from './conversation.ts';
import { isJson, kept, listOf, stringOf, type Json } from './json.ts';
import { filePart, imagePart, responseFormat, textPart, Untranslatable, type ChatPart } from './parts.ts';

/**
 * The chat body for a Responses body. What has no words in chat is left out where the answer is as good without it
 * (`store`, `include`, `metadata`, tools that a server would run), and refused where it would not be.
 * @throws Untranslatable
 */
export function chatOfResponses(body: Json): Json {
  const chat = new Conversation(chatNames(toolNamesIn(body)));
  chat.system(stringOf(body['instructions']) ?? '');
  const { input } = body;
  if (typeof input === 'string') chat.user([textPart(input)]);
  else listOf(input).forEach((item, at) => takeItem(chat, item, `input.${String(at)}`));
  if (body['prompt'] != null)
    throw new Untranslatable('prompt', 'is not kept here: send the whole conversation as input');
  const { effort } = isJson(body['reasoning']) ? body['reasoning'] : {};
  const { format } = isJson(body['text']) ? body['text'] : {};
  return {
    ...kept(body, ['model', 'stream', ...passed]),
    ...(typeof body['user'] === 'string' ? { user: chatUser(body['user']) } : {}),
    messages: chat.messages(),
    ...(body['max_output_tokens'] == null ? {} : { max_tokens: body['max_output_tokens'] }),
    ...(effort == null ? {} : { reasoning_effort: typeof effort === 'string' ? chatEffort(effort) : effort }),
    ...responseFormat(format),
    ...toolsOf(body, chat.names),
  };
}

/** The same in both, or of backends that know more than OpenAI. */
const passed = [
  'temperature',
  'top_p',
  'seed',
  'stop',
  'top_k',
  'min_p',
  'presence_penalty',
  'frequency_penalty',
  'chat_template_kwargs',
];

function takeItem(chat: Conversation, item: unknown, path: string): void {
  if (!isJson(item)) throw new Untranslatable(path, 'must be an object');
  switch (item['type'] ?? 'message') {
    case 'message':
      return takeMessage(chat, item, path);
    case 'function_call':
      return chat.call({ ...called(item, path), arguments: stringOf(item['arguments']) || '{}' });
    case 'custom_tool_call':
      return chat.call({
        ...called(item, path),
        arguments: JSON.stringify({ input: stringOf(item['input']) ?? '' }),
      });
    case 'function_call_output':
    case 'custom_tool_call_output':
      return chat.result(needString(item, 'call_id', path), partsOf(item['output'], `${path}.output`));
    case 'item_reference':
      throw new Untranslatable(
        path,
        'refers to an answer, and none are kept here: send the item itself (with store: false most clients do)',
      );
    default:
      return; // what a model thought, and what tools of a server did: no words for it in chat
  }
}

function takeMessage(chat: Conversation, item: Json, path: string): void {
  const parts = partsOf(item['content'], `${path}.content`);
  switch (item['role']) {
    case 'user':
      return chat.user(parts);
    case 'assistant':
      return chat.assistant(parts);
    case 'system':
    case 'developer':
      return chat.system(parts.map((part) => stringOf(part['text']) ?? '').join('\n'));
    default:
      throw new Untranslatable(`${path}.role`, 'must be user, assistant, system or developer');
  }
}

const called = (item: Json, path: string) => ({
  id: needString(item, 'call_id', path),
  name: needString(item, 'name', path),
});

function needString(item: Json, key: string, path: string): string {
  const text = stringOf(item[key]);
  if (text === undefined) throw new Untranslatable(`${path}.${key}`, 'must be a string');
  return text;
}

function partsOf(content: unknown, path: string): ChatPart[] {
  if (typeof content === 'string') return [textPart(content)];
  return listOf(content).flatMap((part, at) => (isJson(part) ? partOf(part, `${path}.${String(at)}`) : []));
}

function partOf(part: Json, path: string): ChatPart[] {
  switch (part['type']) {
    case 'input_text':
    case 'output_text':
    case 'text':
      return [textPart(stringOf(part['text']) ?? '')];
    case 'refusal':
      return [textPart(stringOf(part['refusal']) ?? '')];
    case 'input_image': {
      const url = stringOf(part['image_url']);
      if (url === undefined) throw new Untranslatable(path, 'no files are kept here: give image_url');
      return [imagePart(url, stringOf(part['detail']))];
    }
    case 'input_audio':
      return [{ type: 'input_audio', input_audio: part['input_audio'] }];
    case 'input_file': {
      const data = stringOf(part['file_data']);
      if (data === undefined) throw new Untranslatable(path, 'no files are kept here: give file_data');
      return [filePart({ file_data: data, ...kept(part, ['filename']) })];
    }
    default:
      throw new Untranslatable(`${path}.type`, 'cannot be translated for a backend that speaks chat alone');
  }
}

/** The names of tools that take plain text: in chat each is a function of one string. */
export function customToolsIn(body: Json): string[] {
  return listOf(body['tools']).flatMap((tool) =>
    isJson(tool) && tool['type'] === 'custom' && typeof tool['name'] === 'string' ? [tool['name']] : [],
  );
}

function toolsOf(body: Json, names: AlikeNames): Json {
  const tools = listOf(body['tools']).flatMap((tool) => (isJson(tool) ? functionOf(tool, names) : []));
  if (tools.length === 0) return {};
  const choice = choiceOf(body['tool_choice'], names);
  return {
    tools,
    ...(choice === undefined ? {} : { tool_choice: choice }),
    ...kept(body, ['parallel_tool_calls']),
  };
}

const oneString = {
  type: 'object',
  properties: { input: { type: 'string' } },
  required: ['input'],
  additionalProperties: false,
};

function functionOf(tool: Json, names: AlikeNames): Json[] {
  if (typeof tool['name'] !== 'string') return [];
  const name = names.sent(tool['name']);
  const head = { name, ...kept(tool, ['description']) };
  switch (tool['type']) {
    case 'function': {
      const { parameters } = tool;
      const taken = isJson(parameters)
        ? { parameters: chatParameters(parameters) }
        : kept(tool, ['parameters']);
      return [{ type: 'function', function: { ...head, ...taken, ...kept(tool, ['strict']) } }];
    }
    case 'custom': {
      const { definition } = isJson(tool['format']) ? tool['format'] : {};
      const grammar =
        typeof definition === 'string' ? `\n\nThe input follows this grammar:\n${definition}` : '';
      const description = `${stringOf(tool['description']) ?? ''}${grammar}`;
      return [{ type: 'function', function: { name, description, parameters: oneString } }];
    }
    default:
      return []; // somebody's server would run it, and there is none
  }
}

function choiceOf(choice: unknown, names: AlikeNames): unknown {
  if (!isJson(choice)) return choice ?? undefined;
  const { name } = choice;
  if (choice['type'] === 'function' || choice['type'] === 'custom')
    return { type: 'function', function: { name: typeof name === 'string' ? names.sent(name) : name } };
  return choice['type'] === 'allowed_tools' ? choice['mode'] : 'auto';
}
