import { deliver, end, type Has } from './redis.ts';
import { breaks, type CallAt, type Run, type State } from './state.ts';

interface Ways {
  /** Its claim is somebody else's, or over. */
  giveUp: (s: State, run: Run) => void;
  letGo: (s: State, run: Run) => void;
}

/**
 * worker/mcp/provider.ts: what the run of a call of a tool does next, between its claim and its end. The journal is of the machine that
 * served the server when the call was accepted; another machine has one of its own, and knows nothing.
 */
export function callStep(
  has: Has,
  run: Run,
  ways: Ways,
): [what: string, act: (s: State, run: Run) => void] | null {
  switch (run.at) {
    case 'claimed':
      return ['looks into its journal', (s, own) => look(has, s, { run: own, ways, next: 'ready' })];
    case 'ready':
      return ['pins its claim', (s, own) => pin(has, s, { run: own, ways })];
    case 'pinned':
      return ['writes its journal', (s, own) => write(has, s, { run: own, ways })];
    case 'given':
      return ['gives the call to its server', give];
    case 'ran':
      return ['writes down what came of it', writeOutcome];
    case 'over':
      return [
        'ends with what came of it',
        (s, own) => endAs(has, s, { run: own, ways, outcome: 'completed' }),
      ];
    case 'fetched':
    case 'refused':
      return null;
  }
}

interface At {
  run: Run;
  ways: Ways;
}

/** What has been given to a server is not given again, and what another machine may have given neither. */
function look(has: Has, s: State, { run, ways, next }: At & { next: CallAt }): void {
  const isOther = run.elsewhere && has('another machine runs no call that was not made for it');
  const entry = run.elsewhere || !has('what the journal knows is not run') ? '' : s.journal;
  if (isOther || entry === 'given') endAs(has, s, { run, ways, outcome: 'error' });
  else if (entry === 'ended') endAs(has, s, { run, ways, outcome: 'completed' });
  else run.at = next;
}

function pin(has: Has, s: State, { run, ways }: At): void {
  if (has('a call is pinned before it is given') && !deliver(has, s, run.id)) ways.giveUp(s, run);
  else run.at = 'pinned';
}

/** In one breath: nothing of that process comes between. */
function write(has: Has, s: State, { run, ways }: At): void {
  if (has('the journal is asked as it is written')) look(has, s, { run, ways, next: 'given' });
  else run.at = 'given';
  if (run.at === 'given' && !run.elsewhere && has('the journal is written before the call is given'))
    s.journal = 'given';
}

function give(s: State, run: Run): void {
  if (s.truth.ran) breaks(s, 'N1: a call was run twice');
  s.truth.ran = true;
  s.truth.given = run.id;
  run.at = 'ran';
}

function writeOutcome(s: State, run: Run): void {
  if (!run.elsewhere) s.journal = 'ended';
  run.at = 'over';
}

function endAs(has: Has, s: State, { run, ways, outcome }: At & { outcome: 'completed' | 'error' }): void {
  if (outcome === 'completed' && !s.truth.ran) breaks(s, 'N2: a call that never ran was answered');
  if (end(has, s, { id: run.id, outcome })) ways.letGo(s, run);
  else ways.giveUp(s, run);
}
