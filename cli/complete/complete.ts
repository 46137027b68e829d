import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { llmStatuses } from '../../core/llm.ts';
import { taskStatuses } from '../../core/task/task.ts';
import type { Context } from '../who/context.ts';
import { isCalled, othersTypes, ownTypes, type Doing, type Type } from '../resources/types.ts';
import type { GlobalOptions } from '../who/target.ts';
import { liveNames, type Candidate } from './live.ts';
import { argumentSources, optionSources, statusesOf, type AgentHas, type Source } from './sources.ts';

type Option = CommandUnknownOpts['options'][number];

/** Where the cursor is. */
interface Place {
  command: CommandUnknownOpts;
  /** The command that it is one of. */
  above: CommandUnknownOpts;
  /** `task logs`; empty for mcpctl itself. */
  path: string;
  /** What stands before the word, without options. */
  args: string[];
  /** The option whose value the word is. */
  option: Option | undefined;
  /** After `--` nothing is an option. */
  argsOnly: boolean;
  flags: GlobalOptions;
}

/** What the shell puts in itself: names of files. */
export const FILES = 'files';

/**
 * What the last word could become, given those before it.
 * @throws what asking a server does, and what a damaged file of this machine is.
 */
export async function complete(
  ctx: Context,
  root: CommandUnknownOpts,
  words: readonly string[],
): Promise<Candidate[] | typeof FILES> {
  const word = words.at(-1) ?? '';
  const place = placeOf(root, words.slice(0, -1));
  const [, long, value] = /^(--[\w-]+)=(.*)$/s.exec(word) ?? [];
  const joined = place.argsOnly || long === undefined ? undefined : optionNamed(place.command, long);
  if (joined && long !== undefined && value !== undefined) {
    const values = await valuesOf(ctx, { ...place, option: joined }, value);
    return values === FILES
      ? []
      : starting(values, value).map((c) => ({ ...c, value: `${long}=${c.value}` }));
  }
  if (!place.option && !place.argsOnly && word.startsWith('-')) return starting(optionsOf(place), word);
  const values = place.option ? await valuesOf(ctx, place, word) : await argumentsOf(ctx, place, word);
  return values === FILES ? FILES : starting(values, word);
}

const starting = (all: readonly Candidate[], word: string): Candidate[] =>
  all.filter(({ value }) => value.startsWith(word));

function placeOf(root: CommandUnknownOpts, before: readonly string[]): Place {
  const place: Place = {
    command: root,
    above: root,
    path: '',
    args: [],
    option: undefined,
    argsOnly: false,
    flags: {},
  };
  for (const word of before) {
    if (place.option) {
      flagged(place, place.option, word);
      place.option = undefined;
    } else if (word === '--') place.argsOnly = true;
    else if (!place.argsOnly && word.startsWith('-') && word !== '-') optionIn(place, word);
    else wordIn(place, word);
  }
  return place;
}

function wordIn(place: Place, word: string): void {
  const child = place.args.length > 0 ? undefined : childNamed(place.command, word);
  if (!child) return void place.args.push(word);
  place.above = place.command;
  place.command = child;
  place.path = place.path === '' ? child.name() : `${place.path} ${child.name()}`;
}

/** `--output json`, `--output=json`, `-o json`, `-ojson`. */
function optionIn(place: Place, word: string): void {
  const [, long, value] = /^(--[^=]+)(?:=(.*))?$/s.exec(word) ?? [];
  const short = word.slice(0, 2);
  const option = optionNamed(place.command, long ?? short);
  if (!option?.required) return;
  const given = long === undefined ? word.slice(2) || undefined : value;
  if (given === undefined) place.option = option;
  else flagged(place, option, given);
}

/** The flags that decide which server is asked. */
function flagged(place: Place, option: Option, value: string): void {
  if (option.long === '--server') place.flags.server = value;
  else if (option.long === '--context') place.flags.context = value;
  else if (option.long === '--token-file') place.flags.tokenFile = value;
}

function childNamed(command: CommandUnknownOpts, word: string): CommandUnknownOpts | undefined {
  return command.commands.find((child) => child.name() === word || child.aliases().includes(word));
}

/** Its own options, those of the commands above it, and help. */
function optionsAt(command: CommandUnknownOpts): readonly Option[] {
  const help = command.createHelp();
  return [...help.visibleOptions(command), ...help.visibleGlobalOptions(command)];
}

function optionNamed(command: CommandUnknownOpts, name: string): Option | undefined {
  return optionsAt(command).find((option) => option.long === name || option.short === name);
}

function optionsOf({ command }: Place): Candidate[] {
  return optionsAt(command).flatMap(({ long, description }) =>
    long ? [{ value: long, about: description }] : [],
  );
}

function commandsOf(command: CommandUnknownOpts): Candidate[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .map((child) => ({ value: child.name(), about: child.summary() || child.description() }));
}

type Found = Promise<Candidate[] | typeof FILES>;

async function valuesOf(ctx: Context, place: Place, word: string): Found {
  const { option } = place;
  if (option?.argChoices) return plainWords(option.argChoices);
  return fromSource(ctx, place, { source: optionSources[option?.long ?? ''] ?? sourceOf(option), word });
}

/** Of an option that a resource brings: a file with a text, or the name of one of another resource. */
function sourceOf(option: Option | undefined): Source {
  if (option?.long?.endsWith('-file')) return { of: 'files' };
  const named = ownTypes('get').find(({ word }) => option?.long === `--${word}`);
  return named?.entry ? { of: 'names', live: named.entry } : { of: 'nothing' };
}

async function argumentsOf(ctx: Context, place: Place, word: string): Found {
  const { command, path, args } = place;
  if (command.commands.length > 0 && args.length === 0) return commandsOf(command);
  const argument = command.registeredArguments[args.length] ?? command.registeredArguments.at(-1);
  const more = args.length < command.registeredArguments.length || argument?.variadic === true;
  if (!more) return [];
  if (argument?.argChoices) return plainWords(argument.argChoices);
  const sources = argumentSources[path] ?? [];
  return fromSource(ctx, place, { source: sources[args.length] ?? sources.at(-1), word });
}

const plainWords = (all: readonly string[]): Candidate[] => all.map((value) => ({ value, about: '' }));

interface Asked {
  source: Source | undefined;
  word: string;
}

async function fromSource(ctx: Context, place: Place, { source, word }: Asked): Found {
  switch (source?.of) {
    case undefined:
    case 'nothing':
      return [];
    case 'files':
      return FILES;
    case 'words':
      return plainWords(source.words);
    case 'commands':
      return helpTopics(place);
    case 'statuses':
      return plainWords(statusesAt(place));
    case 'names':
      return unsaid(place, await liveNames(ctx, source.live, place.flags));
    case 'agent':
      return ofAgent(ctx, place, source.has);
    case 'typed':
      return typed(ctx, place, { doing: source.doing, word });
  }
}

/** The agent is what was said last: `chat reviewer`, `describe agent reviewer`, `describe agent/reviewer`. */
async function ofAgent(ctx: Context, { args, flags }: Place, has: AgentHas): Promise<Candidate[]> {
  const agent = args.at(-1)?.split('/').at(-1);
  const own = agent === undefined ? [] : await liveNames(ctx, { has, agent }, flags);
  return has === 'personality' ? [...own, { value: 'none', about: 'in spite of its default' }] : own;
}

/** What was said already is not said again. */
const unsaid = ({ args }: Place, all: readonly Candidate[]): Candidate[] =>
  all.filter(({ value }) => !args.includes(value));

/** `help task …`: the commands below those that were said. */
function helpTopics({ above, args }: Place): Candidate[] {
  let at = above;
  for (const word of args) {
    const child = childNamed(at, word);
    if (!child) return [];
    at = child;
  }
  const hidden = at.commands.filter(
    (child) => child.name() === 'environment' || child.name() === 'exit-codes',
  );
  return [...commandsOf(at), ...hidden.map((child) => ({ value: child.name(), about: 'a topic' }))];
}

function statusesAt({ path, args }: Place): readonly string[] {
  const [first] = args;
  const all = [...llmStatuses, ...taskStatuses];
  if (path !== 'task list' && first === undefined) return all;
  const name = path === 'task list' ? 'task' : (first ?? '').split('/')[0];
  const type = ownTypes('get').find((own) => isCalled(own, name ?? ''));
  return type ? (statusesOf[type.word] ?? []) : all;
}

interface Typed {
  doing: Doing;
  word: string;
}

/** `get llm …` and `get llm/…`. The server is asked for its types where this release knows none like that. */
async function typed(ctx: Context, place: Place, { doing, word }: Typed): Promise<Candidate[]> {
  const own = ownTypes(doing);
  const others = (): Promise<Type[]> => othersTypes(ctx, doing);
  const typeNamed = async (name: string): Promise<Type | undefined> =>
    own.find((type) => isCalled(type, name)) ?? (await others()).find((type) => isCalled(type, name));
  const named = async (type: Type | undefined): Promise<Candidate[]> =>
    type ? liveNames(ctx, type.entry ?? 'task', place.flags) : [];
  const slash = word.indexOf('/');
  if (slash >= 0) {
    const prefix = word.slice(0, slash);
    const all = await named(await typeNamed(prefix));
    return unsaid(
      place,
      all.map((c) => ({ ...c, value: `${prefix}/${c.value}` })),
    );
  }
  const [first] = place.args;
  if (first !== undefined) return unsaid(place, await named(await typeNamed(first)));
  const like = own.filter((type) => type.word.startsWith(word));
  const types = like.length > 0 ? own : await others();
  return types.map((type) => ({ value: type.word, about: type.about }));
}
