import type { Kind } from '../../declared/kinds.ts';
import { McpctlError, type ErrorCode, type Fault } from '../../errors.ts';
import type { Values } from '../resources/rows.ts';

/** One document that cannot be, or what is pruned. */
export interface Refusal {
  /** Where it stands: `documents.3` */
  place: string;
  error: McpctlError;
  /** What it is about, and would be; null where nothing could be read of it. */
  about: { kind: Kind; values: Values } | null;
}

const MOST_FAULTS = 500;

const called = (word: string, name: unknown): string => `${word}/${String(name)}`;

/** Whether a fault only says that what it refers to is not there, which is refused itself. */
function isFollowing(fault: Fault, { about }: Refusal, refused: ReadonlySet<string>): boolean {
  const reference = about?.kind.fields[fault.path]?.reference;
  return reference !== undefined && refused.has(called(reference.to.word, about?.values[fault.path]));
}

/** All of it in one answer; the code is theirs where all have the same. */
export function refusalOf(refusals: readonly Refusal[]): McpctlError {
  const refused = new Set(
    refusals.flatMap(({ about }) => (about ? [called(about.kind.word, about.values[about.kind.key])] : [])),
  );
  const codes = new Set<ErrorCode>();
  const details: Fault[] = [];
  for (const refusal of refusals) {
    const { place, error } = refusal;
    const own = error.details ?? [{ path: '', message: error.message }];
    const faults = own.filter((fault) => !isFollowing(fault, refusal, refused));
    if (faults.length > 0) codes.add(error.code);
    for (const { path, message } of faults)
      details.push({ path: path === '' ? place : `${place}.${path}`, message });
  }
  const [code, other] = codes;
  const isOne = code !== undefined && other === undefined;
  return new McpctlError(isOne ? code : 'invalid_request', undefined, {
    details: details.slice(0, MOST_FAULTS),
  });
}
