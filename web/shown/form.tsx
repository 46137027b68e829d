import { useSignal } from '@preact/signals';
import type { CatalogueEntry, CatalogueShown } from '../../core/resources/catalogue.ts';
import { call, Fault as Refusal, isFault } from '../net/api.ts';
import { useSending } from '../net/sending.ts';
import { Fault } from '../parts/loaded.tsx';
import type { ComponentChildren } from 'preact';
import { Age, span } from '../parts/time.tsx';
import { Words } from '../parts/words.tsx';
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

/** What somebody else wrote into a field meanwhile, below one's own. */
function Theirs({ text }: { text: string }) {
  return (
    <div class="warning">
      <p class="quiet">Changed meanwhile, and now:</p>
      {text === '' ? <p class="quiet">nothing</p> : <Words text={text} />}
    </div>
  );
}

/** A row as it was read, the texts of a form that began with it, and what others changed of it since. */
interface Read {
  row: Row | undefined;
  texts: Readonly<Record<string, string>>;
  theirs: readonly string[];
}

/** What was written stays; what was not is as others have it by now. */
function over({ row, texts }: Read, now: Row): Read {
  const each = Object.entries(texts).map(([name, text]) => {
    const [before, after] = [written(row?.[name]), written(now[name])];
    return { name, text: text === before ? after : text, isTheirs: after !== before };
  });
  return {
    row: now,
    texts: Object.fromEntries(each.map(({ name, text }) => [name, text])),
    theirs: each.filter(({ isTheirs }) => isTheirs).map(({ name }) => name),
  };
}

/** What of it is to be sent: what was written of a new one, or is other than it was read. @throws Fault for what is no JSON. */
function bodyOf(fields: readonly Field[], { row, texts }: Read): Row {
  const body: Record<string, unknown> = {};
  for (const field of fields) {
    const text = texts[field.name] ?? '';
    if (row ? text === written(row[field.name]) : text === '') continue;
    try {
      body[field.name] = valueOf(field, text);
    } catch {
      throw notJson(field.name);
    }
  }
  return body;
}

/** Sends it, and where it was changed meanwhile reads what it is by now, for the next time. */
function useSaving({ entry, fields, row: first, done }: FormProps & { fields: readonly Field[] }) {
  const read = useSignal<Read>({
    row: first,
    texts: Object.fromEntries(fields.map(({ name }) => [name, written(first?.[name])])),
    theirs: [],
  });
  const { fault, send } = useSending();
  const save = async (): Promise<void> => {
    const { row } = read.value;
    const path = `/${entry.plural}${row ? `/${encodeURIComponent(textOf(row[entry.key]))}` : ''}`;
    const revision = row?.['revision'];
    const headers = typeof revision === 'number' ? { 'if-match': `"${String(revision)}"` } : undefined;
    const body = bodyOf(fields, read.value);
    try {
      await call(row ? 'PATCH' : 'POST', path, { body, ...(headers && { headers }) });
    } catch (thrown) {
      if (isFault(thrown) && thrown.status === 412)
        read.value = over(read.value, await call<Row>('GET', path));
      throw thrown;
    }
    done();
  };
  return { read, fault, save: () => void send(save) };
}

interface FormProps {
  entry: CatalogueEntry;
  row?: Row;
  done: () => void;
}

/**
 * Makes one, or changes the revision that it began with: what somebody else changed meanwhile is not written over, but shown beside what was
 * written here; whoever saves again has seen both.
 */
export function Form(props: FormProps) {
  const { entry, row: first } = props;
  const fields = entry.fields.filter(
    ({ name, sealed, afterwards }) => sealed !== true && (first ? name !== entry.key : afterwards !== true),
  );
  const { read, fault, save } = useSaving({ ...props, fields });
  const { row, texts, theirs } = read.value;
  const submit = (event: Event): void => {
    event.preventDefault();
    save();
  };
  const set = (name: string, text: string): void =>
    void (read.value = { ...read.value, texts: { ...read.value.texts, [name]: text } });
  return (
    <form onSubmit={submit}>
      {fault.value && <Fault fault={fault.value} />}
      {theirs.length > 0 && <p>To save now writes over what is said to have been changed meanwhile.</p>}
      {fields.map((field) => (
        <div key={field.name}>
          <Input field={field} text={texts[field.name] ?? ''} set={(text) => set(field.name, text)} />
          {theirs.includes(field.name) && <Theirs text={written(row?.[field.name])} />}
        </div>
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
