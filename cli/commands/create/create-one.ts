import { Command, Option } from '@commander-js/extra-typings';
import type { CatalogueEntry } from '../../../core/resources/catalogue.ts';
import { withArticle } from '../../../core/text/article.ts';
import { collect } from '../../input/arguments.ts';
import type { Context } from '../../who/context.ts';
import { formatOption } from '../../say/formats.ts';
import type { CreateOneOptions } from './run-create-one.ts';

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
const placeholders: Readonly<Record<string, string>> = { number: ' <n>', flag: '', json: ' <json>' };

/** `create project NAME …`: an option for each field that people write. The server checks them. */
export function makeCreateOne(
  ctx: Context,
  entry: CatalogueEntry,
  run?: (options: CreateOneOptions) => Promise<void>,
) {
  const command = new Command(entry.word)
    .summary(`make ${withArticle(entry.word)}`)
    .description(`Make ${withArticle(entry.word)}: ${entry.about}.`)
    .argument('<name>', '1 to 63 of a-z 0-9 . _ -');
  for (const { name, kind, choices, required, long, item, afterwards = false } of entry.fields) {
    if (name === 'name' || afterwards) continue;
    if (item) {
      const one = new Option(
        `--${item.flag} <${item.parts.join(':') || 'name'}>`,
        `one of its ${name}; again for more`,
      );
      command.addOption(one.argParser(collect));
      continue;
    }
    const flag = `--${kebab(name)}`;
    const oneOf = choices ? `: ${choices.join(', ')}` : '';
    const option = new Option(`${flag}${placeholders[kind] ?? ' <text>'}`, `its ${name}${oneOf}`);
    if (required && !long) option.makeOptionMandatory();
    command.addOption(option);
    if (!long) continue;
    const file = new Option(`${flag}-file <path>`, `the file with its ${name}; - is stdin`);
    command.addOption(file.conflicts(name));
  }
  for (const flag of shorthands[entry.word] ?? []) command.addOption(flag());
  if (entry.word === 'project') {
    command.option('--from <project>', 'with the description, servers and prompts of that one');
    command.option('--with-rbac', 'with --from: whoever is granted something on that one is on this, too');
  }
  return command
    .addOption(formatOption())
    .addHelpText('before', `Examples:\n  ${exampleOf(entry)}\n`)
    .action(async (name, { output, ...flags }) => {
      const { from, withRbac, ...fields } = flags as Readonly<Record<string, unknown>>;
      const options = { entry, name, fields, output };
      if (run) return run(options);
      if (withRbac === true && from === undefined) command.error('error: --with-rbac goes with --from');
      if (typeof from === 'string') {
        const { runClone } = await import('./run-clone.ts');
        return runClone(ctx, { ...options, from, withRbac: withRbac === true });
      }
      const { runCreateOne } = await import('./run-create-one.ts');
      return runCreateOne(ctx, options);
    });
}

/** Other ways to say what people say most, each as `spelledOut` in run-create-one.ts reads it. */
const shorthands: Readonly<Record<string, readonly (() => Option)[]>> = {
  agent: [
    () => new Option('--system <text>', 'as --system-prompt').conflicts(['systemPrompt', 'systemPromptFile']),
    () =>
      new Option('--system-file <path>', 'as --system-prompt-file').conflicts([
        'system',
        'systemPrompt',
        'systemPromptFile',
      ]),
    () =>
      new Option('--param <name=value>', 'one of its default params, as JSON or text; again for more')
        .argParser(collect)
        .conflicts('defaultParams'),
    () => new Option('--private', 'as --visibility private').conflicts('visibility'),
  ],
  prompt: [() => new Option('--file <path>', 'as --content-file').conflicts(['content', 'contentFile'])],
  personality: [() => new Option('--default', 'it is what its agent says where a call asks for none')],
};

/** `mcpctl create prompt tone --priority 700 --content-file tone.md` */
function exampleOf({ word, fields, example }: CatalogueEntry): string {
  const name = String(example['name']);
  const args = fields.flatMap((field) => {
    const value = example[field.name];
    if (field.name === 'name' || value === undefined) return [];
    if (field.item) return itemsIn(value, field.item);
    if (field.long) return [`--${kebab(field.name)}-file ${name}.md`];
    return [`--${kebab(field.name)} ${JSON.stringify(value)}`];
  });
  return ['mcpctl create', word, name, ...args].join(' ');
}

function itemsIn(
  value: unknown,
  { flag, parts }: NonNullable<CatalogueEntry['fields'][number]['item']>,
): string[] {
  return (Array.isArray(value) ? value : []).map((each: unknown) => {
    const members = Object(each) as Readonly<Record<string, unknown>>;
    const values = parts.flatMap((part) =>
      ['string', 'number'].includes(typeof members[part]) ? [String(members[part])] : [],
    );
    return `--${flag} ${parts.length === 0 ? String(each) : values.join(':')}`;
  });
}
