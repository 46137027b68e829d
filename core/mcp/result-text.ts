import { z } from 'zod';
import { asWritten } from './pipeline/as-written.ts';
import { memberText } from '../text/json-text.ts';
import { cleaned } from './clean.ts';

/** What a thread keeps of one result, in bytes: a model is told how much more there was. @internal tests go up to it */
export const MOST_RESULT_BYTES = 65_536;

const blockSchema = z
  .looseObject({
    type: z.string().catch(''),
    text: z.string().optional().catch(undefined),
    mimeType: z.string().optional().catch(undefined),
    data: z.string().optional().catch(undefined),
    uri: z.string().optional().catch(undefined),
    resource: z
      .looseObject({
        text: z.string().optional().catch(undefined),
        uri: z.string().optional().catch(undefined),
      })
      .optional()
      .catch(undefined),
  })
  .catch({ type: '' });
const resultSchema = z.looseObject({
  content: z.array(blockSchema).catch([]),
  structuredContent: z.unknown().optional(),
});

/**
 * A result of a tool as a model is told of it, which reads texts: pictures and sounds are named, and links are followed by nobody.
 * @param written the text that it was read of.
 */
export function resultText(result: object, written = ''): string {
  const { content, structuredContent } = resultSchema.parse(result);
  const texts = content.map(textOf).filter((text) => text !== '');
  const all =
    texts.length > 0 || structuredContent === undefined
      ? texts.join('\n')
      : asWritten(structuredContent, {
          text: memberText(written, 'structuredContent') ?? '',
          value: structuredContent,
        });
  return within(all === '' ? '(The tool returned nothing.)' : all);
}

function textOf({
  type,
  text,
  mimeType = 'unknown type',
  data = '',
  uri,
  resource,
}: z.infer<typeof blockSchema>): string {
  if (text !== undefined) return text;
  if (resource?.text !== undefined) return resource.text;
  const at = uri ?? resource?.uri;
  if (at !== undefined) return `[resource ${cleaned(at)}]`;
  if (type === '') return '';
  const bytes = Math.floor((data.length * 3) / 4);
  return `[${cleaned(type)}: ${cleaned(mimeType)}, ${String(bytes)} bytes, which are not shown here]`;
}

/** As much of a text as a thread keeps of one result. */
export function within(text: string, most = MOST_RESULT_BYTES): string {
  const bytes = Buffer.byteLength(text);
  if (bytes <= most) return text;
  // A character that is cut in two is left out.
  const kept = Buffer.from(text).subarray(0, most).toString('utf8').replace(/�$/, '');
  return `${kept}\n[cut here: ${String(bytes)} bytes in all, and ${String(most)} of a result are kept]`;
}
