import { useSignal } from '@preact/signals';
import type { CatalogueEntry, CatalogueShown } from '../../core/resources/catalogue.ts';
import { call, Fault as Refusal } from '../net/api.ts';
import { useSending } from '../net/sending.ts';
import { Fault } from '../parts/loaded.tsx';
import type { ComponentChildren } from 'preact';
import { Age, span } from '../parts/time.tsx';
import { Write } from '../parts/write.tsx';
export type Row = Readonly<Record<string, unknown>>;

/** What stands at a dotted path; through an array, what stands there in each of its items. */
function valueAt(row: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((at, name) => {
    if (Array.isArray(at)) return at.map((item) => valueAt(item, name));
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, name)) return undefined;
    return (at as Row)[name];
  }, row);
}

export const textOf = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

/** As words; what a newer server wants shown in a way that is not known here is shown as it is. */
export function valueIn(row: Row, { path, as, none = '–' }: CatalogueShown): ComponentChildren {
  const value = valueAt(row, path);
  if (value === null || value === undefined || value === '') return none;
  if (as === 'ago' && typeof value === 'string') return <Age at={value} />;
  if (as === 'span' && typeof value === 'number') return span(value);
  if (as === 'count' && Array.isArray(value)) return value.length;
  if (Array.isArray(value)) return [...new Set(value.map(textOf))].join(', ') || none;
  return textOf(value);
}

type Field = CatalogueEntry['fields'][number];

/** As text in a form; JSON for what is no text. */
const written = (value: unknown): string => (value === null || value === undefined ? '' : textOf(value));

/** @throws SyntaxError for what is no JSON. */
function valueOf({ kind }: Field, text: string): unknown {
  if (text === '') return kind === 'text' ? '' : null;
  if (kind === 'text') return text;
  if (kind === 'number') return Number(text);
  return kind === 'flag' ? text === 'true' : (JSON.parse(text) as unknown);
}

function Input({ field, text, set }: { field: Field; text: string; set: (text: string) => void }) {
  const { name, kind, required, long } = field;
  const hear = ({
    currentTarget,
  }: {
    currentTarget: HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;
  }): void => set(currentTarget.value);
  return (
    <label>
      {name}
      {kind === 'json' && <span class="quiet"> (JSON)</span>}
      {kind === 'flag' ? (
        <select value={text} onChange={hear}>
          <option value="">as usual</option>
          <option value="true">yes</option>
          <option value="false">no</option>
        </select>
      ) : long || kind === 'json' ? (
        <textarea value={text} required={required} onInput={hear} />
      ) : kind === 'number' ? (
        <input type="number" step="any" value={text} required={required} onInput={hear} />
      ) : (
        <input value={text} required={required} onInput={hear} />
      )}
    </label>
  );
}

const notJson = (name: string): Refusal =>
  new Refusal({ status: 400, code: 'invalid_request', sentence: `${name} is no JSON.`, requestId: '' });

/** Makes one, or changes the revision that was read: what somebody else changed meanwhile is not written over. */
export function Form({ entry, row, done }: { entry: CatalogueEntry; row?: Row; done: () => void }) {
  const fields = entry.fields.filter(
    ({ name, sealed, afterwards }) => sealed !== true && (row ? name !== entry.key : afterwards !== true),
  );
  const texts = useSignal<Readonly<Record<string, string>>>(
    Object.fromEntries(fields.map(({ name }) => [name, written(row?.[name])])),
  );
  const { fault, send } = useSending();
  const submit = (event: Event): void => {
    event.preventDefault();
    const body: Record<string, unknown> = {};
    for (const field of fields) {
      const text = texts.value[field.name] ?? '';
      if (row ? text === written(row[field.name]) : text === '') continue;
      try {
        body[field.name] = valueOf(field, text);
      } catch {
        return void (fault.value = notJson(field.name));
      }
    }
    const key = row ? `/${encodeURIComponent(textOf(row[entry.key]))}` : '';
    const headers =
      typeof row?.['revision'] === 'number' ? { 'if-match': `"${String(row['revision'])}"` } : {};
    void send(async () => {
      await call(row ? 'PATCH' : 'POST', `/${entry.plural}${key}`, { body, headers });
      done();
    });
  };
  return (
    <form onSubmit={submit}>
      {fault.value && <Fault fault={fault.value} />}
      {fields.map((field) => (
        <Input
          key={field.name}
          field={field}
          text={texts.value[field.name] ?? ''}
          set={(text) => (texts.value = { ...texts.value, [field.name]: text })}
        />
      ))}
      {entry.fields.some(({ sealed }) => sealed === true) && (
        <p class="quiet">Its values are given in a terminal, and never shown again.</p>
      )}
      <Write type="submit" class="main">
        Save
      </Write>
    </form>
  );
}
