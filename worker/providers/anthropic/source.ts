type Source = Readonly<Record<string, unknown>>;

/** What pictures and documents begin with, in base64. Their names are what they are by mistake often enough. */
const begins: readonly (readonly [string, string])[] = [
  ['iVBORw0KGgo', 'image/png'],
  ['/9j/', 'image/jpeg'],
  ['R0lGOD', 'image/gif'],
  ['UklGR', 'image/webp'],
  ['JVBERi', 'application/pdf'],
];
/** Said of what Anthropic calls otherwise. */
const otherwise: ReadonlyMap<string, string> = new Map(
  Object.entries({
    'image/jpg': 'image/jpeg',
    'image/pjpeg': 'image/jpeg',
    'image/x-png': 'image/png',
    'application/x-pdf': 'application/pdf',
  }),
);

/**
 * Where a picture or a document comes from. A `data:` URL travels inside the request, as what it is: Anthropic refuses a type
 * that its bytes are not (BerriAI/litellm#24900), base64 as URLs or mails write it, and `image/jpg`. Any other URL is
 * fetched by Anthropic, never by us.
 */
export function sourceOf(url: string): Source {
  const comma = url.indexOf(',');
  const head = /^data:/i.test(url) && comma >= 0 ? url.slice('data:'.length, comma).toLowerCase() : undefined;
  if (head === undefined) return { type: 'url', url };
  const [named = '', ...parameters] = head.split(';').map((part) => part.trim());
  const isBase64 = parameters.includes('base64');
  const text = url.slice(comma + 1);
  if (named.startsWith('text/')) {
    const data = isBase64 ? Buffer.from(text, 'base64').toString('utf8') : unescaped(text).toString('utf8');
    return { type: 'text', media_type: 'text/plain', data };
  }
  const data = isBase64 ? plainBase64(text) : unescaped(text).toString('base64');
  const seen = begins.find(([mark]) => data.startsWith(mark))?.[1];
  return { type: 'base64', media_type: seen ?? otherwise.get(named) ?? named, data };
}

/** What a URL writes with `%`, and is no text of base64. */
function unescaped(text: string): Buffer {
  try {
    return Buffer.from(decodeURIComponent(text), 'utf8');
  } catch {
    return Buffer.from(text, 'utf8');
  }
}

const odd = /[^A-Za-z0-9+/=]/;

/** Without the line ends of mails, and in the letters that are not of URLs. */
function plainBase64(text: string): string {
  if (!odd.test(text)) return text;
  const percent = text.includes('%') ? unescaped(text).toString('utf8') : text;
  return percent.replace(/\s+/g, '').replaceAll('-', '+').replaceAll('_', '/');
}
