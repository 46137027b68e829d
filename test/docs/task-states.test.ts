import { expect } from 'chai';
import { terminalStatuses, transitions } from '../../core/task/task.ts';
import { read, spans, tableOf } from './markdown.ts';

const text = read('docs/task-states.md');
const diagram = /^```mermaid\nstateDiagram-v2\n(.*?)^```/ms.exec(text)?.[1] ?? '';
const drawn = [...diagram.matchAll(/^ {2}(\S+) --> (\S+)$/gm)].map(
  ([, from = '', to = '']) => `${from} → ${to}`,
);
const steps = Object.entries(transitions).flatMap(([from, tos]) => tos.map((to) => `${from} → ${to}`));

describe('docs/task-states.md', () => {
  it('draws exactly the steps of core/task/task.ts', () => {
    const ends = terminalStatuses.map((status) => `${status} → [*]`);
    expect(drawn).to.have.members(['[*] → pending', ...steps, ...ends]);
    expect(drawn).to.have.length(diagram.trim().split('\n').length);
  });

  it('says of each step who makes it, and of no other', () => {
    const arrows = tableOf(text, 'from').flatMap((row) =>
      spans(row['from'] ?? '').flatMap((from) => spans(row['to'] ?? '').map((to) => `${from} → ${to}`)),
    );
    expect(arrows).to.have.members(steps);
  });
});
