import { Dialog } from '../parts/dialog.tsx';
import { Facts } from '../parts/facts.tsx';
import { areKeysTold } from '../state/keys.ts';

const meanings: readonly (readonly [string, string])[] = [
  ['j k', 'to the next row, to the one before'],
  ['Enter', 'opens it; a task, beside the list'],
  ['Esc', 'closes what is open beside the list'],
  ['n', 'shows what is new'],
  ['/', 'to the filter'],
  ['.', 'nothing changes by itself; again: it goes on'],
  ['g o', 'to the overview'],
  ['g p, g l', 'to the pools, to the llms'],
  ['g t', 'to the tasks'],
  ['g a, g u', 'to the playground, to the usage'],
];

/** What keys do where nobody types. */
export function Keys() {
  if (!areKeysTold.value) return null;
  return (
    <Dialog title="Keys" close={() => (areKeysTold.value = false)}>
      <Facts of={meanings} />
    </Dialog>
  );
}
