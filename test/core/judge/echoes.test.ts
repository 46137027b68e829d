import { expect } from 'chai';
import { faultOfError, faultOfRefusal } from '../../../core/judge/fault.ts';

/** What a caller may write in the hope that others are kept from a member. */
const spoken = [
  'The model tiny does not exist',
  'your account has no such subscription plan',
  'Incorrect API key provided',
  'insufficient_quota: check your billing details',
  'the model is loading, server is busy, try again',
  'CUDA out of memory: failed to load the model',
  'The plain HTTP request was sent to HTTPS port',
];
const asChat = (content: unknown): string =>
  JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content }], tool_choice: content });
const escaped = (text: string): string =>
  [...text].map((c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');

const repeats: [how: string, of: (text: string) => string][] = [
  [
    'as its input',
    (text) => JSON.stringify({ detail: [{ loc: ['body', 'tool_choice'], msg: 'Not a tool', input: text }] }),
  ],
  [
    'in its sentence',
    (text) =>
      JSON.stringify({ error: { message: `Invalid value: '${text}'. Supported values are: 'none'.` } }),
  ],
  [
    'as Python writes it',
    (text) =>
      JSON.stringify({
        error: { message: `bad tool_choice '${text.replace(/[ ']/g, (c) => (c === ' ' ? '\\n' : "\\'"))}'` },
      }),
  ],
  [
    'cut in the middle',
    (text) =>
      JSON.stringify({
        message: `1 error [type=literal, input_value='${text.slice(0, 25)}...${text.slice(-24)}']`,
      }),
  ],
  ['as all that it says', (text) => text],
];

describe('what a backend repeats of a request', () => {
  for (const [how, of] of repeats)
    for (const text of spoken)
      it(`is held against no owner, ${how}: ${text}`, () => {
        const body = of(text);
        for (const sent of [
          asChat(text),
          asChat({ name: { [text]: 1 } }),
          asChat([text]),
          `{"a":"${escaped(text)}"}`,
        ])
          expect(faultOfRefusal({ status: 400, body }, { sent }), sent).to.include({
            blame: 'caller',
            code: 'backend_rejected',
          });
      });

  it('is the caller’s in few letters and in any script too, but no word of the backend’s own is', () => {
    const of = (message: string, sent: string) =>
      faultOfRefusal({ status: 400, body: JSON.stringify({ error: { message } }) }, { sent: asChat(sent) });
    for (const text of ['no model', '模型不存在', '余额不足'])
      expect(of(`bad value: ${text}`, text), text).to.include({ blame: 'caller' });
    for (const text of ['billing', 'unpaid'])
      expect(of(`Tool '${text}' is not among the tools`, text), text).to.include({ blame: 'caller' });
    expect(of("İ 🙂 bad: 'no model'", 'no model')).to.include({ blame: 'caller' });
    for (const nothing of ['', ' ', '"', '\u{1f642}'])
      expect(of('There is no model of that name', nothing), nothing).to.include({ blame: 'owner' });
    expect(of('There is no model of that name', 'no!')).to.include({ blame: 'owner' });
    expect(of('User location is not supported', 'User')).to.include({ blame: 'owner' });
    expect(of('check your billing details', 'billing')).to.include({ blame: 'owner' });
  });

  it('is as little believed within an answer', () => {
    const error = { error: { message: `unknown tool: ${spoken[0] ?? ''}`, code: 400 } };
    const [body, sent] = [JSON.stringify(error), asChat(spoken[0])];
    expect(faultOfError(error, { body, chosen: { sent } })).to.include({ blame: 'caller' });
    expect(faultOfError(error, { body })).to.include({ blame: 'owner' });
  });

  it('is told from what it says itself, whatever is spoken of in a conversation', () => {
    const long = `Why do I see this? ${spoken.join('\n')}\nIt comes each time.`;
    for (const text of spoken) {
      const body = JSON.stringify({ error: { message: text } });
      expect(faultOfRefusal({ status: 400, body }, { sent: asChat(long) }), text)
        .to.have.property('blame')
        .that.is.oneOf(['owner', 'later', 'broken']);
    }
    const quoted = JSON.stringify({ error: { message: "The model 'my-own-model' does not exist" } });
    const sent = JSON.stringify({ model: 'my-own-model', messages: [] });
    expect(faultOfRefusal({ status: 400, body: quoted }, { sent })).to.include({ blame: 'owner' });
  });

  it('holds nobody up where a word is quoted forty thousand times, or the words of an error are a megabyte', () => {
    const quoted = `"${'a"'.repeat(40_000)}`;
    const many = Array.from({ length: 9_900 }, (_, n) => `text number ${String(n)} of many`);
    const words = 'text number '.repeat(80_000);
    const from = performance.now();
    for (const [code, sent] of [
      [quoted, asChat('a')],
      [words, JSON.stringify({ model: 'tiny', input: many })],
    ] as const) {
      const body = JSON.stringify({ error: { message: 'Try again later', type: code, code } });
      expect(faultOfRefusal({ status: 503, body }, { sent })).to.include({ blame: 'later' });
    }
    expect(performance.now() - from).to.be.lessThan(1_000);
  });

  it('is not looked for in what holds more texts than are read: then its status and its words count', () => {
    const sent = asChat(Array.from({ length: 50_000 }, () => 'one of many texts'));
    const of = (status: number, error: object) =>
      faultOfRefusal({ status, body: JSON.stringify({ error }) }, { sent });
    expect(of(400, { message: spoken[0] })).to.include({ blame: 'caller' });
    expect(of(404, { message: spoken[0] })).to.include({ blame: 'unable', retryable: true });
    expect(of(400, { message: spoken[0], code: 'model_not_found' })).to.include({ blame: 'owner' });
    expect(of(503, { message: spoken[4] })).to.include({ blame: 'later' });
    const alike = asChat(Array.from({ length: 600 }, (_, n) => `${spoken[0] ?? ''} ${String(n)}`));
    const body = JSON.stringify({ error: { message: spoken[0] } });
    expect(faultOfRefusal({ status: 400, body }, { sent: alike })).to.include({ blame: 'caller' });
  });
});
