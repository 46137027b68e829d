import { expect } from 'chai';
import { isWellKnown } from '../../core/well-known-names.ts';

describe('names of well-known models', () => {
  it('are those of services, however they are written', () => {
    const known = [
      'gpt-4o',
      'GPT-5',
      'openai/gpt-4o',
      'o3',
      'o1-mini',
      'o4-mini:latest',
      'claude-opus-4',
      'gemini-2.5-pro',
    ];
    for (const name of [...known, 'text-embedding-3-large', 'whisper-1', 'anthropic/claude-sonnet-4-5'])
      expect(isWellKnown(name), name).to.equal(true);
  });

  it('are not those of models that people run, or of machines', () => {
    const free = [
      'gpt-oss-20b',
      'openai/gpt-oss-120b',
      'gpt-neox',
      'qwen3',
      'o3d',
      'olmo',
      'tiny-chat',
      'desk-gpt-4o',
    ];
    for (const name of [...free, 'gpt', 'constructor', '']) expect(isWellKnown(name), name).to.equal(false);
  });
});
