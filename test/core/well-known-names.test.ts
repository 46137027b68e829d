import { expect } from 'chai';
import { isWellKnown } from '../../core/well-known-names.ts';

describe('names of well-known models', () => {
  it('are those of services, however they are written', () => {
    const wellKnown = [
      'gpt-4o',
      'GPT-5',
      'openai/gpt-4o',
      'o3',
      'o1-mini',
      'o4-mini:latest',
      'claude-opus-4',
      'gemini-2.5-pro',
    ];
    const disguised = ['gpt4o', 'gpt_4o', 'gpt.4o', 'claude3', 'claude_3', 'o5', 'o2-mini', 'grok', 'sonnet'];
    const sold = ['openai.gpt-4o', 'openai-gpt-4o', 'us.anthropic.claude-3-5-sonnet', 'azure_gpt-4'];
    for (const name of [
      ...wellKnown,
      ...disguised,
      ...sold,
      'text-embedding-3-large',
      'whisper-1',
      'anthropic/claude-sonnet-4-5',
    ])
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
      'openai.gpt-oss-20b',
      'gpt2-xl',
      'mistral:latest',
      'deepseek-r1',
      'o10x',
    ];
    for (const name of [...free, 'gpt', 'constructor', '']) expect(isWellKnown(name), name).to.equal(false);
  });
});
