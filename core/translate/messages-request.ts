import { chatEffort, chatNames, chatParameters, chatUser, toolNamesIn } from './chat-values.ts';
import { Conversation } from './conversation.ts';
import type { AlikeNames } from './alike-names.ts';
import { isJson, kept, listOf, stringOf, type Json } from './json.ts';
import { filePart, imagePart, responseFormat, textPart, Untranslatable, type ChatPart } from './parts.ts';

/**
 * The chat body for an Anthropic Messages body. Left out: `thinking` (a model that thinks does), marks for caches,
 * what it thought before, and tools that a server would run.
 * @throws Untranslatable
 */
export function chatOfMessages(body: Json): Json {
  const chat = new Conversation(chatNames(toolNamesIn(body)));
  chat.system(textOf(body['system']));
  listOf(body['messages']).forEach((message, at) => takeMessage(chat, message, `messages.${String(at)}`));
  const stop = listOf(body['stop_sequences']);
  const { user_id: user } = isJson(body['metadata']) ? body['metadata'] : {};
  const { effort, format = body['output_format'] } = isJson(body['output_config'])
    ? body['output_config']
    : ({} as Json);
  return {
    ...kept(body, ['model', 'stream', 'max_tokens', 'temperature', 'top_p', 'top_k']),
    messages: chat.messages(),
    ...(stop.length > 0 ? { stop } : {}),
    ...(typeof user === 'string' ? { user: chatUser(user) } : {}),
    ...(typeof effort === 'string' ? { reasoning_effort: chatEffort(effort) } : {}),
    ...responseFormat(format),
    ...toolsOf(body, chat.names),
  };
}

/** The texts of a string or of blocks, one after the other. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  return listOf(content)
    .flatMap((block) => (isJson(block) && typeof block['text'] === 'string' ? [block['text']] : []))
    .join('\n');
}

function takeMessage(chat: Conversation, message: unknown, path: string): void {
  if (!isJson(message)) throw new Untranslatable(path, 'must be an object');
  const { content } = message;
  const blocks = typeof content === 'string' ? [{ type: 'text', text: content }] : listOf(content);
  switch (message['role']) {
    case 'system':
      return chat.system(textOf(content));
    case 'assistant':
      return blocks.forEach((block, at) => takeSaid(chat, block, `${path}.content.${String(at)}`));
    case 'user': {
      const parts: ChatPart[] = [];
      blocks.forEach((block, at) => {
        const where = `${path}.content.${String(at)}`;
        if (!isJson(block)) throw new Untranslatable(where, 'must be an object');
        if (block['type'] === 'tool_result') takeResult(chat, block, where);
        else parts.push(...partOf(block, where));
      });
      return chat.user(parts);
    }
    default:
      throw new Untranslatable(`${path}.role`, 'must be user or assistant');
  }
}

function takeSaid(chat: Conversation, block: unknown, path: string): void {
  if (!isJson(block)) throw new Untranslatable(path, 'must be an object');
  if (block['type'] === 'text') return chat.assistant([textPart(stringOf(block['text']) ?? '')]);
  if (block['type'] !== 'tool_use') return; // what it thought, and what tools of a server did
  const [id, name] = [stringOf(block['id']), stringOf(block['name'])];
  if (id === undefined || name === undefined) throw new Untranslatable(path, 'must have an id and a name');
  chat.call({ id, name, arguments: JSON.stringify(block['input'] ?? {}) });
}

function takeResult(chat: Conversation, block: Json, path: string): void {
  const id = stringOf(block['tool_use_id']);
  if (id === undefined) throw new Untranslatable(`${path}.tool_use_id`, 'must be a string');
  const { content } = block;
  const parts =
    typeof content === 'string'
      ? [textPart(content)]
      : listOf(content).flatMap((part, at) =>
          isJson(part) ? partOf(part, `${path}.content.${String(at)}`) : [],
        );
  chat.result(id, block['is_error'] === true ? [textPart('Error:'), ...parts] : parts);
}

function partOf(block: Json, path: string): ChatPart[] {
  const source = isJson(block['source']) ? block['source'] : {};
  switch (block['type']) {
    case 'text':
      return [textPart(stringOf(block['text']) ?? '')];
    case 'image':
      return [imagePart(urlOf(source, path))];
    case 'document':
      if (source['type'] === 'text') return [textPart(stringOf(source['data']) ?? '')];
      if (source['type'] === 'content') return [textPart(textOf(source['content']))];
      return [filePart({ file_data: urlOf(source, path), filename: stringOf(block['title']) ?? 'document' })];
    case 'search_result':
      return [textPart(textOf(block['content']))];
    case 'tool_reference':
      return [textPart(stringOf(block['tool_name']) ?? '')];
    default:
      throw new Untranslatable(`${path}.type`, 'cannot be translated for a backend that speaks chat alone');
  }
}

function urlOf({ type, media_type: mediaType, data, url }: Json, path: string): string {
  if (type === 'base64' && typeof data === 'string' && typeof mediaType === 'string')
    return `data:${mediaType};base64,${data}`;
  if (type === 'url' && typeof url === 'string') return url;
  throw new Untranslatable(
    `${path}.source`,
    'no files are kept here: give base64 with its media_type, or url',
  );
}

function toolsOf(body: Json, names: AlikeNames): Json {
  const tools = listOf(body['tools']).flatMap((tool) => {
    // Those without a schema are run by Anthropic's servers.
    if (!isJson(tool) || !isJson(tool['input_schema'])) return [];
    const name = stringOf(tool['name']);
    const described = {
      ...(name === undefined ? {} : { name: names.sent(name) }),
      ...kept(tool, ['description']),
      parameters: chatParameters(tool['input_schema']),
    };
    return [{ type: 'function', function: described }];
  });
  if (tools.length === 0) return {};
  const choice = isJson(body['tool_choice']) ? body['tool_choice'] : {};
  const single = choice['disable_parallel_tool_use'] === true ? { parallel_tool_calls: false } : {};
  const toolChoice = choiceOf(choice, names);
  return { tools, ...(toolChoice === undefined ? {} : { tool_choice: toolChoice }), ...single };
}

function choiceOf({ type, name }: Json, names: AlikeNames): unknown {
  switch (type) {
    case 'auto':
    case 'none':
      return type;
    case 'any':
      return 'required';
    case 'tool':
      return { type: 'function', function: { name: typeof name === 'string' ? names.sent(name) : name } };
    default:
      return undefined;
  }
}
