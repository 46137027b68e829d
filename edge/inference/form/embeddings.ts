import { elementsAt, jsonValue, spliceMembers } from '../../../core/text/json-text.ts';
import type { McpctlError } from '../../../core/errors.ts';
import { openAiErrorBody, toldLate } from '../../http/error-body.ts';
import { Edits } from '../../../core/text/json-edits.ts';
import type { FormOptions, Frame } from './form.ts';
import { RawForm } from './raw.ts';

/** Embeddings in the encoding that the caller asked for, whichever of the two its backend knows. */
export class EmbeddingsForm extends RawForm {
  readonly #options: FormOptions;

  constructor(options: FormOptions) {
    super(options);
    this.#options = options;
  }

  override error(error: McpctlError): Frame {
    const body = openAiErrorBody(error, this.#options);
    return { data: JSON.stringify(toldLate(error, body, this.#options.v1)) };
  }

  override whole(body: string): string {
    const edits = new Edits(body);
    const answer = edits.whole();
    if (!answer) return body;
    edits.put(answer, 'model', JSON.stringify(this.#options.model));
    const indices: (string | undefined)[] = [];
    for (const { start } of edits.elementsIn(answer, 'data') ?? []) {
      const item = edits.objectAt(start);
      const value = item && edits.value(item, 'embedding');
      const written = value === undefined ? undefined : this.#written(value);
      if (item && written !== undefined) edits.put(item, 'embedding', written);
      indices.push(item && edits.value(item, 'index'));
    }
    return inOrder(edits.apply(), indices);
  }

  /** Undefined where it is as it should be, or nothing that we know. */
  #written(value: string): string | undefined {
    const isList = value.startsWith('[');
    if (this.#options.encoding === 'base64') return isList ? asBase64(value) : undefined;
    return isList ? undefined : asFloats(value);
  }
}

/**
 * Callers read the rows one by one, as they have asked. A backend that answers them in another order numbers them; one
 * that gives all the same number, or none, has kept to the order.
 * @param indices what each row says of its own.
 */
function inOrder(body: string, indices: readonly (string | undefined)[]): string {
  if (indices.every((index, at) => index === String(at))) return body;
  const rows = indices.map((index, at) => ({ at, index: Number(index) }));
  const isNumbered = new Set(indices).size === indices.length && rows.every(({ index }) => index >= 0);
  const order = isNumbered ? rows.toSorted((a, b) => a.index - b.index) : rows;
  const data = (list = '[]'): string => {
    const elements = elementsAt(list, 0) ?? [];
    const sorted = order.map(({ at }, n) => {
      const row = list.slice(elements[at]?.start, elements[at]?.end);
      return spliceMembers(row, { index: String(n) }) ?? row;
    });
    return `[${sorted.join(',')}]`;
  };
  return spliceMembers(body, { data }) ?? body;
}

/** Little-endian 32-bit floats, as OpenAI packs them. */
function asBase64(list: string): string | undefined {
  const numbers = jsonValue(list);
  if (!Array.isArray(numbers) || !numbers.every((n) => typeof n === 'number')) return undefined;
  const bytes = Buffer.alloc(numbers.length * 4);
  numbers.forEach((n, at) => bytes.writeFloatLE(n, at * 4));
  return `"${bytes.toString('base64')}"`;
}

/** The shortest number that is this 32-bit float again; nine digits are always enough. */
function shortest(n: number): number {
  for (let digits = 7; digits < 9; digits++) {
    const short = Number(n.toPrecision(digits));
    if (Math.fround(short) === n) return short;
  }
  return Number(n.toPrecision(9));
}

function asFloats(quoted: string): string | undefined {
  const text = jsonValue(quoted);
  if (typeof text !== 'string') return undefined;
  const bytes = Buffer.from(text, 'base64');
  if (bytes.length === 0 || bytes.length % 4 !== 0) return undefined;
  const numbers = Array.from({ length: bytes.length / 4 }, (_, at) => bytes.readFloatLE(at * 4));
  return JSON.stringify(numbers.map(shortest));
}
