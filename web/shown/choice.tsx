import { go, query, withQuery } from '../state/router.ts';

/** One of some words, or any, kept in the address under `name`. @param isMain where `/` leads to. */
export function Choice({
  label,
  name,
  of,
  isMain = false,
}: {
  label: string;
  name: string;
  of: readonly string[];
  isMain?: boolean;
}) {
  return (
    <label>
      {label}
      <select
        data-filter={isMain ? true : undefined}
        value={query.value.get(name) ?? ''}
        onChange={({ currentTarget }) => go(withQuery({ [name]: currentTarget.value }), 'replace')}
      >
        <option value="">any</option>
        {of.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
    </label>
  );
}
