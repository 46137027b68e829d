import { Edits } from '../../text/json-edits.ts';
import { mapElements, memberText, spliceMembers } from '../../text/json-text.ts';
import { textAt } from '../parts/choice.ts';
import type { Ending } from '../ending.ts';

type Json = Readonly<Record<string, unknown>>;

/**
 * An event, or a whole answer, with the reasons of its choices as they should be (`Ending.mended`); the rest stays
 * the text it was.
 */
export function mendReasons(text: string, ending: Ending): string {
  const edits = new Edits(text);
  const whole = edits.whole();
  const choices = whole && edits.elementsIn(whole, 'choices');
  for (const [at, { start }] of (choices ?? []).entries()) {
    const choice = edits.objectAt(start);
    const reasonText = choice && edits.value(choice, 'finish_reason');
    if (!choice || !reasonText || !/^["{]/.test(reasonText)) continue;
    const value: unknown = JSON.parse(reasonText);
    const reasonSaid = typeof value === 'string' ? value : textAt(value, 'type');
    if (reasonSaid === undefined) continue;
    const index = Number(edits.value(choice, 'index') ?? at);
    const mended = ending.mended(Number.isSafeInteger(index) ? index : at, reasonSaid);
    const right = mended ?? (typeof value === 'string' ? undefined : reasonSaid);
    if (right !== undefined) edits.put(choice, 'finish_reason', JSON.stringify(right));
  }
  return edits.apply();
}

/** A whole answer of which no choice says why it ended, with what each has come to (`Ending.reasonOf`). */
export function giveReasons(text: string, ending: Ending): string {
  const choices = (list = '[]'): string => {
    let at = -1;
    return (
      mapElements(list, (choice) => {
        at += 1;
        const index = Number(memberText(choice, 'index') ?? at);
        const reason = ending.reasonOf(Number.isSafeInteger(index) ? index : at);
        return spliceMembers(choice, { finish_reason: JSON.stringify(reason) }) ?? choice;
      }) ?? list
    );
  };
  return spliceMembers(text, { choices }) ?? text;
}

/** The same in the words of Messages: `stop_reason` of a whole answer, or within the `delta` of an event. */
export function mendStop(text: string, { event, ending }: { event: Json; ending: Ending }): string {
  const whole = textAt(event, 'stop_reason');
  const stopReason = whole ?? textAt(event['delta'], 'stop_reason');
  const right = stopReason === undefined ? undefined : ending.mendedStop(stopReason);
  if (right === undefined) return text;
  const stop = { stop_reason: JSON.stringify(right) };
  if (whole !== undefined) return spliceMembers(text, stop) ?? text;
  return spliceMembers(text, { delta: (delta = '{}') => spliceMembers(delta, stop) ?? delta }) ?? text;
}
