import type { Kind } from './kinds.ts';

const leadsTo = ({ fields, behind = [] }: Kind): string[] => [
  ...behind,
  ...Object.values(fields).flatMap(({ reference }) => (reference ? [reference.to.word] : [])),
];

/**
 * The places of documents, those first that others may refer to; else as the kinds come: subjects before grants. What is of none
 * of these kinds comes last.
 */
export function inOrder(
  documents: readonly { kind: Pick<Kind, 'word'> }[],
  kinds: readonly Kind[],
): number[] {
  const depthOf = (kind: Kind): number =>
    1 +
    Math.max(
      0,
      ...leadsTo(kind).flatMap((word) => {
        const other = kinds.find((each) => each.word === word);
        return other && other !== kind ? [depthOf(other)] : [];
      }),
    );
  const turns = new Map(kinds.map((kind, place) => [kind.word, [depthOf(kind), place] as const]));
  const turnOf = (at: number): readonly [number, number] =>
    turns.get(documents[at]?.kind.word ?? '') ?? [kinds.length + 1, 0];
  return documents
    .map((_, at) => ({ at, turn: turnOf(at) }))
    .sort((a, b) => a.turn[0] - b.turn[0] || a.turn[1] - b.turn[1] || a.at - b.at)
    .map(({ at }) => at);
}
