/** What a smoke run ends with: one sentence for the person who runs it. */
export class SmokeFailure extends Error {}

export function mustBe(holds: boolean, sentence: string): asserts holds {
  if (!holds) throw new SmokeFailure(sentence);
}
