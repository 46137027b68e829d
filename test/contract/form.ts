import { expect } from 'chai';

interface Chunk {
  id: unknown;
  object: unknown;
  created: unknown;
  model: unknown;
  usage?: unknown;
  choices: { index: unknown; delta: Record<string, unknown>; finish_reason?: unknown }[];
}

/**
 * Holds the bytes of a streamed chat against every rule of the contract (reference 1.3), for one choice and
 * without usage asked for.
 */
export function expectForm(bytes: Buffer, model: string): void {
  const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  expect(text).to.not.include('\r');
  const events = text.split('\n\n');
  expect(events.pop(), 'it ends with an empty line').to.equal('');
  expect(events.pop()).to.equal('data: [DONE]');
  const chunks = events.map((event) => {
    expect(event).to.match(/^data: \{[^\n]*\}$/);
    return JSON.parse(event.slice(6)) as Chunk;
  });
  const [first] = chunks;
  expect(first?.choices[0]?.delta).to.deep.equal({ role: 'assistant', content: '' });
  for (const chunk of chunks) {
    const same = { id: first?.id, created: first?.created, model, object: 'chat.completion.chunk' };
    expect(chunk).to.include(same);
    expect(chunk.id).to.be.a('string').and.not.to.equal('');
    expect(chunk.created).to.be.a('number');
    expect(chunk.usage ?? null, 'usage unasked').to.equal(null);
    expect(chunk.choices).to.be.an('array').with.length(1);
    expect(chunk.choices[0]).to.have.property('index', 0);
    expect(chunk.choices[0]?.delta).to.be.an('object');
    expect(chunk.choices[0]?.delta['role'] ?? 'assistant').to.equal('assistant');
  }
  const finishing = chunks.flatMap(({ choices: [choice] }) => (choice?.finish_reason ? [choice] : []));
  expect(finishing.map((choice) => [choice.delta, choice.finish_reason])).to.deep.equal([[{}, 'stop']]);
}

/** The header fields of a stream (reference 1.3). */
export function expectStreamHeaders(headers: Headers): void {
  expect(headers.get('content-type')).to.equal('text/event-stream; charset=utf-8');
  expect(headers.get('cache-control')).to.equal('no-cache, no-transform');
  expect(headers.get('x-accel-buffering')).to.equal('no');
  expect(headers.get('content-length')).to.equal(null);
}
