import { go, query, withQuery } from '../state/router.ts';

interface Filter {
  name: string;
  label: string;
}

/** A value of the address that is one of a few; `/` leads to the first filter of a screen. */
export function Chosen({
  name,
  label,
  options,
  value,
}: Filter & {
  options: readonly (readonly [string, string])[];
  value: string;
}) {
  return (
    <label>
      {label}
      <select
        data-filter
        value={value}
        onChange={({ currentTarget }) => go(withQuery({ [name]: currentTarget.value }), 'replace')}
      >
        {options.map(([key, text]) => (
          <option key={key} value={key}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

/** One of some words, or any. @param any how that is called. */
export function Choice({ of, any = 'any', ...filter }: Filter & { of: readonly string[]; any?: string }) {
  const options = of.map((one) => [one, one] as const);
  return <Chosen {...filter} options={[['', any], ...options]} value={query.value.get(filter.name) ?? ''} />;
}

/** A value of the address that is typed; it is asked for when its field is left, or with Enter. */
export function Typed({ name, label }: Filter) {
  return (
    <label>
      {label}
      <input
        data-filter
        type="search"
        maxLength={128}
        value={query.value.get(name) ?? ''}
        onChange={({ currentTarget }) => go(withQuery({ [name]: currentTarget.value.trim() }), 'replace')}
      />
    </label>
  );
}

/** The way back from filters that leave nothing. */
export function ClearFilters({ names }: { names: readonly string[] }) {
  return (
    <p>
      <button
        type="button"
        onClick={() => go(withQuery(Object.fromEntries(names.map((name) => [name, '']))), 'replace')}
      >
        Clear the filters
      </button>
    </p>
  );
}
