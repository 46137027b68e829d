import { z } from 'zod';
import { entryOf } from '../../core/errors.ts';
import { operations } from '../openapi/document.ts';
import type { Operation } from '../openapi/operation.ts';
import { escaped, page } from './pages.ts';

/** `/admin/api`: every call of `/api/v1` on one page, from what the routes check with. No script, nothing from outside. */
export function apiPage(): string {
  const sections = operations.map(section).join('\n');
  return page(
    'mcpctl API',
    `<h1>API</h1>
<p>Below <code>/api/v1</code>, with <code>Authorization: Bearer</code> or <code>x-api-key</code>. The same for
programs: <code>GET /openapi.json</code>. <code>/v1</code> is OpenAI’s API.</p>
${sections}`,
  );
}

function section(operation: Operation): string {
  const { call, summary, about, query, headers, body, also = [], errors } = operation;
  const answers = [operation, ...also].map(answered).join('');
  const codes = errors.map((code) => `<code>${code}</code> (${String(entryOf(code).status)})`).join(', ');
  return `<h2 id="${escaped(call.replace(/\W+/g, '-').toLowerCase())}"><code>${escaped(call)}</code></h2>
<p>${escaped(summary)}. ${escaped(about ?? '')}</p>
${fields('Query', query)}${fields('Headers', headers)}${fields('Body', body)}${answers}
${codes === '' ? '' : `<p>Refused with ${codes}.</p>`}`;
}

function answered({
  status,
  answer,
  answerType,
}: Pick<Operation, 'status' | 'answer' | 'answerType'>): string {
  const title = `Answer ${String(status)}`;
  return answerType === undefined ? fields(title, answer) : `<p>${title}: <code>${answerType}</code></p>\n`;
}

/** A schema as text that a person reads; folded away, for some are long. */
function fields(title: string, schema: z.ZodType | undefined): string {
  if (!schema) return '';
  const { $schema: _, ...json } = z.toJSONSchema(schema, { unrepresentable: 'any', io: 'input' });
  return `<details><summary>${title}</summary><pre>${escaped(JSON.stringify(json, null, 2))}</pre></details>\n`;
}
