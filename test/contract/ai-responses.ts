import { createOpenAI } from '@ai-sdk/openai';
import { generateText, streamText, tool } from 'ai';
import { expect } from 'chai';
import { z } from 'zod';
import type { Backend } from '../support/backend.ts';
import type { Door } from './door.ts';
import { aiSdkAt } from './readers.ts';
import { text } from './scripts.ts';

/** `ai` 5 with a picture, in chat and through its OpenAI provider, which speaks Responses: both over chat alone. */
export function aiResponsesFacts(
  door: () => Door,
  { model, backend }: { model: string; backend: () => Backend },
): void {
  describe('the ai package', () => {
    const responses = () => createOpenAI({ baseURL: door().baseUrl, apiKey: door().token }).responses(model);
    const sent = () => backend().requests.findLast(({ method }) => method === 'POST')?.json;
    const png = Buffer.from('iVBORw0KGgo=', 'base64');
    const messages = [
      {
        role: 'user' as const,
        content: [
          { type: 'text' as const, text: 'What is it?' },
          { type: 'image' as const, image: png, mediaType: 'image/png' },
        ],
      },
    ];
    const picture = {
      type: 'image_url',
      image_url: { url: `data:image/png;base64,${png.toString('base64')}` },
    };

    for (const [what, of] of [
      ['its Responses provider', responses],
      ['its chat', () => aiSdkAt(door())(model)],
    ] as const)
      it(`sends a picture, whole and streamed: ${what}`, async () => {
        const whole = await generateText({ model: of(), messages, maxRetries: 0 });
        expect([whole.text, whole.finishReason]).to.deep.equal([text, 'stop']);
        expect(whole.usage).to.include({ inputTokens: 9, outputTokens: 4 });
        expect(sent()).to.deep.nested.include({ 'messages[0].content[1]': picture });
        const streamed = streamText({ model: of(), messages, maxRetries: 0 });
        expect([await streamed.text, await streamed.finishReason]).to.deep.equal([text, 'stop']);
        expect(sent()).to.deep.nested.include({ 'messages[0].content[1]': picture });
      });

    it('runs a tool that its Responses provider is told to call, and goes on with the result', async () => {
      const asked: unknown[] = [];
      const look = tool({
        inputSchema: z.object({ at: z.string() }),
        execute: (input) => Promise.resolve(asked.push(input)),
      });
      const answer = streamText({
        model: responses(),
        prompt: 'hi',
        tools: { look },
        stopWhen: ({ steps }) => steps.length === 2,
        maxRetries: 0,
        // Else it refers to what it takes for kept, and is told so (translation.md).
        providerOptions: { openai: { store: false } },
      });
      expect(await answer.text).to.equal(text);
      expect(asked[0]).to.deep.equal({ at: 'sky' });
      const roles = (sent()?.['messages'] as { role: string }[]).map(({ role }) => role);
      expect(roles).to.include('tool');
    });
  });
}
