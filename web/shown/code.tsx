import { bodyOf, chat } from '../state/chat.ts';
import { Copy } from '../parts/copy.tsx';
import { Dialog } from '../parts/dialog.tsx';
import { quoted } from '../parts/page.tsx';

const TOKEN = 'MCPCTL_TOKEN';

function programs(llm: string): [string, string][] {
  const { stream: _stream, stream_options: _options, ...body } = bodyOf(chat.turns.value);
  const messages = body.messages.length > 0 ? body.messages : [{ role: 'user', content: 'Hello' }];
  const asked = { model: llm, ...body, messages };
  const json = JSON.stringify(asked);
  const base = `${location.origin}/v1`;
  return [
    [
      'curl',
      `curl ${base}/chat/completions -H "authorization: Bearer $${TOKEN}" \\\n  -H 'content-type: application/json' -d ${quoted(json)}`,
    ],
    [
      'Python',
      `import os, json\nfrom openai import OpenAI\n\nclient = OpenAI(base_url=${JSON.stringify(base)}, api_key=os.environ["${TOKEN}"])\nanswer = client.chat.completions.create(**json.loads(${JSON.stringify(json)}))\nprint(answer.choices[0].message.content)`,
    ],
    [
      'Node',
      `import OpenAI from 'openai';\n\nconst client = new OpenAI({ baseURL: ${JSON.stringify(base)}, apiKey: process.env.${TOKEN} });\nconst answer = await client.chat.completions.create(${json});\nconsole.log(answer.choices[0].message.content);`,
    ],
  ];
}

/** The same call from a program. A token stands in none of them. */
export function Code({ llm, close }: { llm: string; close: () => void }) {
  return (
    <Dialog title="The same from a program" close={close}>
      <p class="quiet">
        With a token of yours in <code>{TOKEN}</code>.
      </p>
      {programs(llm).map(([name, text]) => (
        <section key={name}>
          <h3>{name}</h3>
          <Copy text={text} block />
        </section>
      ))}
    </Dialog>
  );
}
