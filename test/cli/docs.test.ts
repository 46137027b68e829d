import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { createProgram } from '../../cli/program/program.ts';
import { ownCatalogue } from '../../core/resources/catalogue.ts';
import { programDeps, startSession, type Session } from './session.ts';

const text = readFileSync(join(import.meta.dirname, '../../docs/cli.md'), 'utf8');

/** `## \`mcpctl task wait\`` → what follows until the next heading. */
function sections(): Map<string, string> {
  const parts = new Map<string, string>();
  for (const part of text.split(/^## /m).slice(1)) {
    const name = /^`(mcpctl[^`]*)`\n/.exec(part)?.[1];
    if (name !== undefined) parts.set(name, part);
  }
  return parts;
}

/** The options that a section lists, long and short. */
function listed(section: string): string[] {
  return [...section.matchAll(/^- (`.*?)(?=:)/gm)].flatMap((line) =>
    [...(line[1] ?? '').matchAll(/(?<=`)--?[\w-]+/g)].map(([flag]) => flag),
  );
}

/** Shell lines as words: quotes kept together; `$(…)` is a line of its own, pipes and redirections go. */
function wordsOf(lines: readonly string[]): string[][] {
  const each = lines.flatMap((line) => {
    const sourced = /^source <\((mcpctl .*)\)/.exec(line)?.[1];
    if (sourced !== undefined) return [sourced];
    const inner = /\$\((mcpctl .*)\)/.exec(line)?.[1];
    const outer = line
      .replace(/\$\(.*\)/, 'ID')
      .replace(/ [<>] \S+$/, '')
      .replace(/^.*\| /, '');
    return inner === undefined ? [outer] : [inner, outer];
  });
  return each.map((line) => [...line.matchAll(/"([^"]*)"|(\S+)/g)].map((m) => m[1] ?? m[2] ?? ''));
}

const blocks = [...text.matchAll(/^```sh\n(.*?)^```/gms)];
const documented = wordsOf(blocks.flatMap((block) => (block[1] ?? '').trim().split('\n')));

describe('docs/cli.md', () => {
  let session: Session;
  beforeEach(async () => (session = await startSession(null)));
  afterEach(() => session.close());

  const program = (): CommandUnknownOpts => createProgram(programDeps(session), ownCatalogue());
  const topics = ['environment', 'exit-codes'];
  /** They have commands below them, and do something themselves. */
  const doing = ['mcpctl', 'mcpctl backup'];

  /** Every command that does something, by its full name. */
  function commands(command: CommandUnknownOpts, path: string): Map<string, CommandUnknownOpts> {
    const children = command.commands.filter(
      (child) => !topics.includes(child.name()) && !child.name().startsWith('__'),
    );
    const below = children.flatMap((child) => [...commands(child, `${path} ${child.name()}`)]);
    const self: [string, CommandUnknownOpts][] =
      children.length > 0 && !doing.includes(path) ? [] : [[path, command]];
    return new Map([...self, ...below]);
  }
  const flags = (command: CommandUnknownOpts): string[] =>
    command.options.flatMap((option) => [option.short, option.long].filter((flag) => flag !== undefined));

  it('has a section for each command, and no other', () => {
    expect([...sections().keys()]).to.have.members([...commands(program(), 'mcpctl').keys()]);
  });

  it('lists each option of each command, and no other', () => {
    for (const [name, command] of commands(program(), 'mcpctl')) {
      const help = name === 'mcpctl' ? ['-h', '--help'] : [];
      expect(listed(sections().get(name) ?? ''), name).to.have.members([...flags(command), ...help]);
    }
  });

  /** The name of the command that the words mean. */
  async function understood([first, ...args]: readonly string[]): Promise<string> {
    expect(first).to.equal('mcpctl');
    const parsed = program();
    let ran = '';
    const stop = new Error('parsed');
    parsed.hook('preAction', (_top, action) => {
      for (let at: CommandUnknownOpts | null = action; at; at = at.parent) ran = `${at.name()} ${ran}`.trim();
      throw stop;
    });
    const thrown: unknown = await parsed.parseAsync(args, { from: 'user' }).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(thrown, args.join(' ')).to.equal(stop);
    return ran;
  }

  it('shows each option in an example, and each example is understood', async () => {
    const used = new Set<string>();
    for (const words of documented) {
      const ran = await understood(words);
      for (const word of words) if (word.startsWith('-')) used.add(`${ran} ${word}`);
    }
    for (const [name, command] of commands(program(), 'mcpctl')) {
      if (name === 'mcpctl') continue;
      for (const option of command.options) {
        const ways = [option.short, option.long].map((flag) => `${name} ${flag ?? ''}`);
        const shown = ways.some((way) => used.has(way));
        expect(shown, `an example of ${name} ${option.long ?? ''}`).to.equal(true);
      }
    }
  });

  it('is not alone: the examples in the help of the program are understood, too', async () => {
    let count = 0;
    for (const [name] of commands(program(), 'mcpctl')) {
      if (name === 'mcpctl') continue;
      await session.close();
      session = await startSession(null);
      expect(await session.run(...name.split(' ').slice(1), '--help'), name).to.equal(0);
      expect(session.out(), name).to.include(`Usage: ${name}`);
      const lines = session
        .out()
        .split('\n')
        .filter((line) => /^ {2}(\S.*\| )?mcpctl /.test(line));
      for (const words of wordsOf(lines.map((line) => line.trim().replace(/ {3,}.*/, '')))) {
        await understood(words);
        count++;
      }
    }
    expect(count).to.be.greaterThan(20);
  });
});
