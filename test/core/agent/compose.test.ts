import { expect } from 'chai';
import fc from 'fast-check';
import { composeChat, type Persona, type PersonaPrompt } from '../../../core/agent/compose.ts';
import { callersOwn } from '../../../core/agent/uncover.ts';

const persona = (more: Partial<Persona> = {}): Persona => ({
  ...{ id: 'a', name: 'reviewer', revision: 3, systemPrompt: '', defaultParams: '{}', prompts: [] },
  extras: { allowedTools: null, refusesSystem: false },
  ...{ personality: null, outOfReach: [] },
  ...more,
});
const prompt = (
  name: string,
  of: PersonaPrompt['of'],
  [priority, content]: [number, string],
): PersonaPrompt => ({
  ...{ id: `id-${name}`, name, of, priority, revision: 1, content },
});
const systemOf = (body: string): unknown => {
  const { messages } = JSON.parse(body) as { messages: { role: string; content: unknown }[] };
  return messages.filter(({ role }) => role === 'system').map(({ content }) => content);
};
const user = '{"role":"user","content":"hi"}';

describe('what an agent makes of a chat', () => {
  it('is these bytes', () => {
    const reviewer = persona({
      systemPrompt: 'You review code.\n',
      defaultParams: '{"seed": 9007199254740993, "top_p": 1.0, "max_tokens": 2000, "temperature": 0.20}',
      prompts: [
        prompt('style', 'agent', [500, 'Short.\r\n\n']),
        prompt('house', 'project', [900, 'House rules.']),
        prompt('late', 'agent', [100, 'Late.']),
        prompt('a-first', 'agent', [500, 'First.']),
        prompt('empty', 'agent', [900, '\n']),
        prompt('mood', 'personality', [100, 'Be grumpy.']),
        prompt('loud', 'personality', [800, 'SHOUT.']),
      ],
    });
    const call =
      `{ "model":"reviewer", "messages" : [${user}, {"role":"system","content":"Mine.\\n"},\n` +
      `{"role":"assistant","content":"é","x":1.0},{"role":"developer","content":[{"type":"text","text":"And this."}]}],` +
      ` "temperature":null, "max_completion_tokens":12345678901234567890, "x":[1.0,  2] }`;
    const composed = composeChat(reviewer, call);
    expect(composed.body).to.equal(
      '{"model":"reviewer","messages":[{"role":"system","content":' +
        '"You review code.\\n\\nFirst.\\n\\nShort.\\n\\nLate.\\n\\nHouse rules.\\n\\nSHOUT.\\n\\nBe grumpy.\\n\\nMine.\\n\\nAnd this."},' +
        `${user},{"role":"assistant","content":"é","x":1.0}],` +
        '"max_completion_tokens":12345678901234567890,"x":[1.0,  2],"seed": 9007199254740993,"top_p": 1.0}',
    );
    expect(composed.params).to.deep.equal(['seed', 'top_p']);
    expect(
      composed.pieces.map(({ source, name, bytes }) => `${source} ${name ?? '-'} ${bytes}`),
    ).to.deep.equal([
      'agent reviewer 16',
      'agent prompt a-first 6',
      'agent prompt style 6',
      'agent prompt late 5',
      'project prompt house 12',
      'personality prompt loud 6',
      'personality prompt mood 10',
      'call - 16',
    ]);
  });

  it('leaves a call as it is where an agent has nothing to say', () => {
    const { body, pieces, system } = composeChat(persona(), `{"messages":[${user}],"temperature":null}`);
    expect([body, pieces, system]).to.deep.equal([`{"messages":[${user}],"temperature":null}`, [], 0]);
  });

  it('takes of two members of one name the last, as who reads JSON does', () => {
    const twice = `{"messages":[${user}],"messages":[{"role":"system","content":"S"}]}`;
    expect(composeChat(persona(), twice).body).to.equal('{"messages":[{"role":"system","content":"S"}]}');
  });

  it('refuses a system message that is no text', () => {
    const image = `{"messages":[${user},{"role":"system","content":[{"type":"image_url","image_url":{}}]}]}`;
    const work = (): unknown => composeChat(persona(), image);
    expect(work)
      .to.throw()
      .with.deep.property('details', [
        { path: 'messages.1.content', message: 'a system message to an agent is a text, or a list of texts' },
      ]);
  });

  const word = fc.string({ unit: 'grapheme', maxLength: 12 });
  const prompts = fc.uniqueArray(
    fc.record<PersonaPrompt>({
      id: fc.uuid(),
      name: fc.constantFrom('a', 'b', 'ab', 'a-b', 'b.c'),
      of: fc.constantFrom('agent', 'project'),
      priority: fc.constantFrom(0, 500, 1000),
      revision: fc.nat(9),
      content: word,
    }),
    { selector: ({ id }) => id, maxLength: 6 },
  );
  const params = fc.dictionary(
    fc.constantFrom('temperature', 'max_tokens', 'top_k', 'stop', 'é"'),
    fc.jsonValue(),
    {
      maxKeys: 4,
    },
  );
  const personas = fc.record({ systemPrompt: word, prompts, defaultParams: params });
  const messages = fc.array(
    fc.record({ role: fc.constantFrom('system', 'user', 'assistant', 'developer'), content: word }),
    { minLength: 1, maxLength: 5 },
  );
  const calls = fc
    .record({ model: fc.constant('reviewer'), messages })
    .chain((base) =>
      fc
        .dictionary(fc.constantFrom('temperature', 'max_completion_tokens', 'top_k', 'user'), fc.jsonValue())
        .map((more) => ({ ...base, ...more })),
    );

  it('is the same whatever the order of its prompts, has one system message, and once more changes nothing', () => {
    fc.assert(
      fc.property(personas, calls, fc.integer({ min: 0, max: 5 }), (drawn, call, turn) => {
        const defaultParams = JSON.stringify(drawn.defaultParams);
        const one = persona({ ...drawn, defaultParams });
        const turned = [...drawn.prompts.slice(turn), ...drawn.prompts.slice(0, turn)];
        const { body, params: used } = composeChat(one, JSON.stringify(call));
        expect(composeChat({ ...one, prompts: turned }, JSON.stringify(call)).body).to.equal(body);
        expect(systemOf(body)).to.have.length.at.most(1);
        const sent = JSON.parse(body) as Record<string, unknown>;
        const defaults = JSON.parse(defaultParams) as Record<string, unknown>;
        for (const name of used) expect(sent[name]).to.deep.equal(defaults[name]);
        // Without its nulls, which took defaults away and are no more.
        expect(composeChat({ ...one, defaultParams: '{}' }, body).body).to.equal(body);
      }),
      { numRuns: 150 },
    );
  });

  it('is the same whether it has what was said before in the call, or beside it', () => {
    fc.assert(
      fc.property(personas, calls, messages, (drawn, call, before) => {
        const one = persona({ ...drawn, defaultParams: JSON.stringify(drawn.defaultParams) });
        const isSystem = ({ role }: { role: string }): boolean => role === 'system' || role === 'developer';
        const others = [...before, ...call.messages].filter((message) => !isSystem(message));
        const system = call.messages.filter(isSystem);
        const { body, ...facts } = composeChat(
          one,
          JSON.stringify({ ...call, messages: [...system, ...others] }),
        );
        const texts = others.map((message) => JSON.stringify(message));
        const beside = composeChat(one, JSON.stringify(call), texts);
        expect(beside).to.deep.equal({ body, ...facts });
      }),
      { numRuns: 150 },
    );
  });

  it('can be taken out again: what is left is what the caller said', () => {
    fc.assert(
      fc.property(personas, calls, (drawn, call) => {
        const one = persona({ ...drawn, defaultParams: JSON.stringify(drawn.defaultParams) });
        const none = persona({ defaultParams: one.defaultParams });
        const composed = composeChat(one, JSON.stringify(call));
        const own = JSON.parse(callersOwn(composed.body, composed)) as Record<string, unknown>;
        const bare = composeChat(none, JSON.stringify(call));
        fc.pre(
          !bare.body.includes(JSON.stringify(drawn.systemPrompt).slice(1, -1)) || drawn.systemPrompt === '',
        );
        expect(own).to.deep.equal(JSON.parse(callersOwn(bare.body, bare)));
      }),
      { numRuns: 150 },
    );
  });
});
