import fc from 'fast-check';

/** Pieces that parsers trip over: halves of things, marks of other formats, what no terminal or database can hold. */
const trouble = [
  ...[
    '',
    '"',
    '\\',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '\n',
    '\r',
    '\r\n',
    '\n\n',
    '\u0000',
    '\ud800',
    '\ufeff',
    '\u2028',
  ],
  ...[
    'null',
    'true',
    '-0',
    '1e999',
    '9007199254740993',
    '0x10',
    'NaN',
    '[DONE]',
    'data: ',
    'event: error\n',
    ': ',
  ],
  ...[
    '"__proto__":{}',
    '"constructor":1',
    '{"error":{"message":"x"}}',
    '{"error":"x"}',
    '"finish_reason":"stop"',
  ],
  ...[
    '"index":1',
    '"n":2',
    '💥',
    '\\u0000',
    '\\ud800',
    '-1',
    '1-',
    '--',
    '0-0-0',
    ' '.repeat(50),
    '['.repeat(50),
  ],
];

interface Change {
  how: 'insert' | 'drop' | 'repeat' | 'swap' | 'flip';
  at: number;
  length: number;
  text: string;
}

function apply(text: string, { how, at, length, text: piece }: Change): string {
  const from = Math.floor(at * text.length);
  const cut = text.slice(from, from + length);
  const [before, after] = [text.slice(0, from), text.slice(from + length)];
  switch (how) {
    case 'insert':
      return before + piece + cut + after;
    case 'drop':
      return before + after;
    case 'repeat':
      return before + cut + cut + after;
    case 'swap':
      return after + cut + before;
    case 'flip':
      return before + piece + after;
  }
}

/** Texts that are nearly right: one of the samples, changed in some places. Seldom one that was not changed, or none of them. */
export function mutated(samples: readonly string[]): fc.Arbitrary<string> {
  const change = fc.record<Change>({
    how: fc.constantFrom('insert', 'drop', 'repeat', 'swap', 'flip'),
    at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
    length: fc.nat({ max: 40 }),
    text: fc.oneof(fc.constantFrom(...trouble), fc.string({ unit: 'binary', maxLength: 6 })),
  });
  const near = fc
    .tuple(fc.constantFrom(...samples), fc.array(change, { maxLength: 5 }))
    .map(([sample, changes]) => changes.reduce(apply, sample));
  return fc.oneof({ weight: 9, arbitrary: near }, { weight: 1, arbitrary: fc.string({ unit: 'binary' }) });
}

/** Where bytes are torn on their way: the lengths of the pieces, over and over. */
export const tears = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 });

export function torn(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths[i % lengths.length] ?? 1;
    pieces.push(bytes.subarray(at, at + length));
    at += length;
  }
  return pieces;
}
