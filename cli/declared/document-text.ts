import { kindsOf, type Kind } from '../../core/declared/kinds.ts';
import { stored } from '../../core/resources/index.ts';
import { commented, documentOf } from '../yaml.ts';

type Raw = Readonly<Record<string, unknown>>;

const kinds = kindsOf(stored);

/** Why what is shown of one is no document of it; undefined: it is. */
function lackOf({ word, schemas: { create, view } }: Kind, raw: Raw): string | undefined {
  const isPublished = raw['kind'] === 'virtual' || raw['isPublished'] === true;
  if (isPublished) return 'A worker publishes it: no document makes it.';
  const isHidden =
    (word === 'llm' && raw['url'] === null) ||
    Object.keys(create.shape).some((name) => Object.hasOwn(view.shape, name) && !Object.hasOwn(raw, name));
  return isHidden ? 'You do not see all of it: this is no document of it.' : undefined;
}

/**
 * One thing as `apply` reads it: what people write, headed by its word, and as comments what is the server's. What no
 * document makes is whole in comments; what is nothing of documents is written as it is.
 */
export function documentText(word: string, raw: Raw): string {
  const kind = kinds.find((each) => each.word === word);
  if (!kind) return documentOf({ resource: word, ...raw });
  const lack = lackOf(kind, raw);
  if (lack !== undefined) return `${commented(`${lack}\n${documentOf({ resource: word, ...raw })}`)}\n`;
  const names = Object.keys(kind.schemas.create.shape).filter((name) => Object.hasOwn(raw, name));
  const own = Object.fromEntries(names.map((name) => [name, raw[name]]));
  const others = Object.fromEntries(Object.entries(raw).filter(([name]) => !Object.hasOwn(own, name)));
  return `${documentOf({ resource: word, ...own })}${commented(`The server's own:\n${documentOf(others)}`)}\n`;
}
