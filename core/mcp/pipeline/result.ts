import { z } from 'zod';
import { beginningOf } from './pages.ts';

const blockSchema = z.looseObject({ type: z.string().optional() });
type Block = z.infer<typeof blockSchema>;
/** Of a call of a tool; what else there is stays as it is. */
const toolResultSchema = z.looseObject({
  content: z.array(blockSchema),
  isError: z.boolean().optional().catch(undefined),
});
export type ToolResult = z.infer<typeof toolResultSchema>;

/** Null: it is none of a tool, and is left to its client to complain of. */
export const toolResultIn = (result: unknown): ToolResult | null =>
  toolResultSchema.safeParse(result).data ?? null;

const isText = (block: Block): block is Block & { text: string } =>
  block.type === 'text' && typeof block['text'] === 'string';

/** All that a tool said in texts, with an end of a line between two that have none. */
export function textOf({ content }: ToolResult): string {
  // Its end is known without the text: to look at that of what is put together from many would copy all of it for each.
  const texts: string[] = [];
  let isLineOpen = false;
  for (const { text } of content.filter(isText)) {
    if (isLineOpen) texts.push('\n');
    texts.push(text);
    isLineOpen = text !== '' && !text.endsWith('\n');
  }
  return texts.join('');
}

/** Of a result that is shown in pages: what names it, how many there are, and what each is called. */
export interface Paged {
  result: string;
  titles: readonly string[];
}

/** The name of the gateway's tool that reads a page. */
export const READ_PAGE = 'read_page';
/** What clients and models are told of it. */
export const readPageAbout = {
  title: 'Read a page of a long result',
  description:
    'Reads one page of a result that was too long to be shown whole, or "all" of them. The result that was shown says its id and how many pages it has. Runs no tool again.',
  inputSchema: {
    type: 'object',
    properties: {
      result: { type: 'string', description: 'the id that the result said' },
      page: {
        description: 'the number of the page, from 1; or "all"',
        anyOf: [
          { type: 'integer', minimum: 1 },
          { type: 'string', enum: ['all'] },
        ],
      },
    },
    required: ['result', 'page'],
    additionalProperties: false,
  },
  annotations: { readOnlyHint: true, openWorldHint: false },
} as const;
/** More are not said one by one. */
const MOST_TITLES = 200;

const askFor = (result: string, page: number | 'all'): string =>
  `${READ_PAGE} ${JSON.stringify({ result, page })}`;

function indexText({ result, titles }: Paged, length: number): string {
  const lines = titles.slice(0, MOST_TITLES).map((title, n) => `${String(n + 1)}. ${title}`);
  const more = titles.length - lines.length;
  return [
    `This result has ${String(length)} characters, in ${String(titles.length)} pages. Page 1 follows. The next: ${askFor(result, 2)}; "page": "all" reads them at once.`,
    ...lines,
    ...(more > 0 ? [`(and ${String(more)} more)`] : []),
  ].join('\n');
}

/** What a page is called that nobody has found a title for. */
export const plainTitle = (n: number): string => `Page ${String(n + 1)}`;

/**
 * A result whose text is in pages: which there are, and the first of them, where its first text was. Other blocks stay where they
 * are; what it has in a structure goes, as it is the same once more.
 */
export function firstPage(result: ToolResult, pages: readonly string[], paged: Paged): object {
  const { content, structuredContent: _same, ...rest } = result;
  const length = pages.reduce((sum, page) => sum + page.length, 0);
  const first = [indexText(paged, length), pages[0] ?? ''].map((text) => ({ type: 'text', text }));
  const at = content.findIndex(isText);
  return {
    ...rest,
    content: content.flatMap((block, n) => (n === at ? first : isText(block) ? [] : [block])),
  };
}

type Take = (text: string) => string;

/** All texts of a result for people or models, in their order: of a tool, of a prompt, of a resource. */
function eachText(result: object, take: Take): object {
  const { content, contents, messages } = result as Record<string, unknown>;
  return {
    ...result,
    ...(content === undefined ? {} : { content: inBlocks(content, take) }),
    ...(contents === undefined ? {} : { contents: inBlocks(contents, take) }),
    ...(Array.isArray(messages) && {
      messages: messages.map((message: unknown) =>
        isObject(message) ? { ...message, content: inBlocks(message['content'], take) } : message,
      ),
    }),
  };
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function inBlocks(value: unknown, take: Take): unknown {
  if (Array.isArray(value)) return value.map((block) => inBlocks(block, take));
  if (!isObject(value)) return value;
  const { text, resource } = value;
  if (typeof text === 'string') return { ...value, text: take(text) };
  return isObject(resource) ? { ...value, resource: inBlocks(resource, take) } : value;
}

/**
 * A result whose texts are together no longer than `max`: they are cut where that is reached, and the last line says how much is missing.
 * @param readOn what else that line says, by how many characters were shown.
 */
export function limited(result: object, max: number, readOn: (shown: number) => string): object {
  let total = 0;
  eachText(result, (text) => {
    total += text.length;
    return text;
  });
  if (total <= max) return result;
  let shown = 0;
  let isCut = false;
  return eachText(result, (text) => {
    const beginning = isCut ? '' : beginningOf(text, max - shown);
    shown += beginning.length;
    if (isCut || beginning.length === text.length) return beginning;
    isCut = true;
    const missing = `${String(total - shown)} of ${String(total)} characters are not shown`;
    return `${beginning}\n[${missing}${readOn(shown)}]`;
  });
}

/** How the rest of a result is read. */
export const readOnFrom =
  (result: string, pages: readonly string[]) =>
  (shown: number): string => {
    let page = 0;
    for (
      let end = pages[0]?.length ?? 0;
      end <= shown && page + 1 < pages.length;
      end += pages[page]?.length ?? 0
    )
      page += 1;
    return `; ${askFor(result, page + 1)} reads on`;
  };
