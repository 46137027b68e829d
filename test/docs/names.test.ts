import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { root } from './markdown.ts';

/** Words that say how something came here, and not what it is (CONTRIBUTING, the second rule of language). */
const words: ReadonlySet<string> = new Set(['said', 'known', 'found', 'told', 'held']);
const mentions = new RegExp(`\\b(${[...words].join('|')})\\b`);
const MOST = 20;

const folders = ['core', 'edge', 'worker', 'scheduler', 'cli', 'start', 'web', 'bench', 'test'];

describe('names', () => {
  it(`say what they hold: at most ${MOST} declarations are called ${[...words].join(', ')}`, () => {
    const declared = folders.flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((path) => /\.tsx?$/.test(path))
        .flatMap((path) => declaredIn(join(folder, path))),
    );
    expect(declared.length, declared.join('\n')).to.be.at.most(MOST);
  });
});

/** Variables, parameters, functions, properties and methods with one of the words as their name, by file and line. */
function declaredIn(path: string): string[] {
  const text = readFileSync(join(root, path), 'utf8');
  if (!mentions.test(text)) return [];
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const declared: string[] = [];
  const look = (node: ts.Node): void => {
    const name = isDeclaration(node) ? node.name : undefined;
    const word = name && (ts.isIdentifier(name) || ts.isPrivateIdentifier(name)) ? name.text : '';
    if (name && words.has(word.replace(/^#/, ''))) {
      const { line } = source.getLineAndCharacterOfPosition(name.getStart(source));
      declared.push(`${path}:${line + 1} ${word}`);
    }
    ts.forEachChild(node, look);
  };
  look(source);
  return declared;
}

const isDeclaration = (node: ts.Node): node is ts.NamedDeclaration =>
  ts.isVariableDeclaration(node) ||
  ts.isParameter(node) ||
  ts.isBindingElement(node) ||
  ts.isFunctionDeclaration(node) ||
  ts.isPropertyDeclaration(node) ||
  ts.isPropertySignature(node) ||
  ts.isMethodDeclaration(node) ||
  ts.isMethodSignature(node) ||
  ts.isGetAccessorDeclaration(node);
