/**
 * One task in a small world, small enough to visit every state of it. Numbers stand for ids: an epoch is its
 * number, a job the epoch it was added for, a claim the run that made it. 0 = none.
 */
export interface State {
  row: Row;
  /** The place of the answer in a thread: the task answers a turn. */
  message: Message;
  /** Postgres keeps this beside the row. */
  crashes: number;
  fence: Fence | null;
  stream: readonly Entry[];
  /** T is in `run:{P}`, the index of running tasks. */
  indexed: boolean;
  jobs: Job[];
  runs: Run[];
  flows: Flow[];
  callers: Caller[];
  /** Of a machine: what it has written down of a call, whatever becomes of Redis and of its worker. */
  journal: '' | 'given' | 'ended';
  /** Runs are numbered as they come. */
  lastRun: number;
  /** What a Redis that loses its tail goes back to; null: its disk holds nothing older yet. */
  kept: Pick<State, 'fence' | 'stream' | 'indexed' | 'jobs'> | null;
  /** It went back, and no leader has been through it yet: nobody claims there. */
  distrusted: boolean;
  /** A session was put out: Postgres says so, and its runs are `foul`. */
  revoked: boolean;
  /** Redis has the mark of it, which a claim asks for. */
  marked: boolean;
  /** Redis was away just now: no beat could arrive. */
  blind: boolean;
  /** What faults may still happen. */
  left: Record<Fault, number>;
  /** What only the checker knows. */
  truth: Truth;
  /** The rule of the promise that was just broken. */
  broken: string;
}

export interface Row {
  status: 'none' | 'open' | 'completed' | 'error' | 'cancelled';
  epoch: number;
  claim: number;
}

/** Written with what callers were shown: so many events of that claim; 0 = nothing. */
export interface Message {
  status: Row['status'];
  claim: number;
  events: number;
}

export interface Fence {
  epoch: number;
  state: 'open' | 'released' | 'ended' | 'closed';
  claim: number;
  shown: number;
  job: number;
  seq: number;
  /** The claim is of the session that was, or will be, put out. */
  foul: boolean;
}

export interface Entry {
  kind: 'event' | 'end' | 'closed';
  epoch: number;
  seq: number;
  /** Who really wrote it. */
  claim: number;
  /** Its place in what that claim said; an end says how it ended. */
  n: number;
  outcome: '' | 'completed' | 'error' | 'cancelled';
}

/** `kept`: finished, but still known to BullMQ. */
export interface Job {
  id: number;
  at: 'wait' | 'active' | 'kept';
  by: number;
}

/** How far the run of a call of a tool has got since it was claimed. */
export type CallAt = 'ready' | 'pinned' | 'given' | 'ran' | 'over';

export interface Run {
  id: number;
  job: number;
  epoch: number;
  /** `refused`: it got no claim and has yet to let go of the job. */
  at: 'fetched' | 'claimed' | 'refused' | CallAt;
  sent: number;
  /** Of a call: on another machine than the one that served its server when it was accepted. */
  elsewhere: boolean;
  /** Of the session that was put out; it hears of nothing, and goes on. */
  foul: boolean;
}

/** Something under way in an edge (A the one that accepted, B another) or in a scheduler; it can stop anywhere. */
export interface Flow {
  by: 'A' | 'B' | 'S';
  why:
    | 'submit'
    | 'reap'
    | 'back'
    | 'settle'
    | 'reconcile'
    | 'renew'
    | 'cancel'
    | 'expire'
    | 'give up'
    | 'put out';
  next: Step;
  /** What it has seen of the fence. */
  epoch: number;
  claim: number;
  job: number;
  shown: number;
  /** The row's epoch: seen, then allocated. */
  rowEpoch: number;
  newEpoch: number;
  outcome: Entry['outcome'];
}
export type Step =
  | 'insert'
  | 'enqueue'
  | 'add'
  | 'read row'
  | 'read fence'
  | 'bump'
  | 'requeue'
  | 'end'
  | 'settle'
  | 'finish close'
  | 'close fence'
  | 'close row'
  | 'withdraw'
  | 'mark'
  | 'find claim';

/** Who waits, at an edge. */
export interface Caller {
  epoch: number;
  seq: number;
  /** The claim that what was read last is of. */
  of: number;
  /** Read or heard, and not yet dealt with. */
  entry: Entry | null;
  /** The epoch it shows. */
  shows: number;
  /** Whose bytes it got, and how many of them. */
  claim: number;
  got: number;
  /** The last frame. `gone`: that this answer is not to be had; of how the task ended it says nothing. */
  shown: '' | 'completed' | 'error' | 'cancelled' | 'gone';
  toldClaim: number;
  /** An end that was told before it was settled. */
  owes: boolean;
}

export const faults = [
  'flush',
  'loseTail',
  'crashWorker',
  'crashEdge',
  'crashLeader',
  'falseDeath',
  'blink',
  'lapse',
  'resend',
  'handBack',
  'cancel',
  'expire',
  'giveUp',
  'revoke',
  'comeBack',
  'move',
] as const;
export type Fault = (typeof faults)[number];

export interface Truth {
  /** The claim of which callers have seen bytes, since Redis was last lost. */
  shown: number;
  /** Closed by somebody, since Redis was last lost. */
  closed: boolean;
  /** Redis was lost at least once. */
  lost: boolean;
  /** Claims that a dead worker, or one thought dead, held. */
  deaths: number;
  /** Somebody has finished putting the session out, since Redis was last lost. */
  putOut: boolean;
  /** A server was given the call, whoever knows it. */
  ran: boolean;
  /** By which claim, the last. */
  given: number;
}

export interface World {
  faults: Partial<Record<Fault, number>>;
  callers: number;
  /** Leaders that may act at once: one that was replaced may still be finishing. */
  leaders: number;
  /** Events of one run; with none, its end is the whole answer. */
  events: number;
  /** A call of a tool, and no question to a model. */
  call?: boolean;
  /** What leaders do; all of it, unless said. */
  duties?: readonly Flow['why'][];
}

/** Something that can happen next. `do` changes the copy that it is given. */
export interface Action {
  what: string;
  do: (s: State) => void;
}

export function initial(world: World): State {
  const left = Object.fromEntries(faults.map((fault) => [fault, world.faults[fault] ?? 0])) as State['left'];
  const caller = { epoch: 0, seq: 0, of: 0, entry: null, shows: 0, claim: 0, got: 0 } as const;
  return {
    row: { status: 'none', epoch: 0, claim: 0 },
    message: { status: 'none', claim: 0, events: 0 },
    crashes: 0,
    fence: null,
    stream: [],
    indexed: false,
    jobs: [],
    runs: [],
    flows: [flow('A', 'submit', 'insert')],
    callers: Array.from({ length: world.callers }, () => ({
      ...caller,
      shown: '',
      toldClaim: 0,
      owes: false,
    })),
    journal: '',
    lastRun: 0,
    kept: null,
    distrusted: false,
    revoked: false,
    marked: false,
    blind: false,
    left,
    truth: { shown: 0, closed: false, lost: false, deaths: 0, putOut: false, ran: false, given: 0 },
    broken: '',
  };
}

export function flow(by: Flow['by'], why: Flow['why'], next: Step): Flow {
  return { by, why, next, epoch: 0, claim: 0, job: 0, shown: 0, rowEpoch: 0, newEpoch: 0, outcome: '' };
}

export function copy(s: State): State {
  return {
    ...s,
    row: { ...s.row },
    message: { ...s.message },
    fence: s.fence && { ...s.fence },
    jobs: s.jobs.map((job) => ({ ...job })),
    runs: s.runs.map((run) => ({ ...run })),
    flows: s.flows.map((f) => ({ ...f })),
    callers: s.callers.map((c) => ({ ...c })),
    left: { ...s.left },
    kept: s.kept && copyOfRedis(s.kept),
    truth: { ...s.truth },
  };
}

/** What Redis holds, by itself: as it was, whatever becomes of it. */
export function copyOfRedis({
  fence,
  stream,
  indexed,
  jobs,
}: NonNullable<State['kept']>): NonNullable<State['kept']> {
  return { fence: fence && { ...fence }, stream, indexed, jobs: jobs.map((job) => ({ ...job })) };
}

/** Every word of a state as a number, so that a state's key is a short string of small numbers. */
const codes = new Map<string, number>();
function codeOf(word: string): number {
  let code = codes.get(word);
  if (code === undefined) codes.set(word, (code = codes.size + 1));
  return code;
}

const bytes = Buffer.alloc(4_096);
let end = 0;
const put = (value: string | number | boolean): void => {
  bytes[end++] = typeof value === 'string' ? codeOf(value) : Number(value);
};
function putEntry(e: Entry): void {
  put(e.kind);
  put(e.epoch * 16 + e.seq);
  put(e.claim * 16 + e.n);
  put(e.outcome);
}
function putFlow(f: Flow): void {
  put(f.by);
  put(f.why);
  put(f.next);
  put(f.epoch * 16 + f.claim);
  put(f.job * 16 + f.shown);
  put(f.rowEpoch * 16 + f.newEpoch);
  put(f.outcome);
}
function putCaller(c: Caller): void {
  put(c.epoch * 16 + c.seq);
  put(c.of);
  if (c.entry) putEntry(c.entry);
  put(c.shown);
  put(c.shows * 2 + (c.owes ? 1 : 0));
  put(c.claim * 16 + c.got);
  put(c.toldClaim);
}

/** In an order of their own: who of two equal callers or leaders is which does not matter. */
function putSorted<T>(items: readonly T[], each: (item: T) => void): void {
  put(items.length);
  const [only] = items;
  if (items.length === 1 && only !== undefined) return each(only);
  const from = end;
  const parts = items.map((item) => {
    end = from;
    each(item);
    return bytes.toString('latin1', from, end);
  });
  end = from + bytes.write(parts.sort().join(''), from, 'latin1');
}

function putRedis({ fence, stream, indexed, jobs }: NonNullable<State['kept']>): void {
  put(fence ? fence.state : '');
  if (fence) {
    put(fence.epoch * 16 + fence.claim);
    put(fence.shown * 16 + fence.job);
    put(fence.seq * 2 + (fence.foul ? 1 : 0));
  }
  put(indexed);
  put(stream.length);
  for (const entry of stream) putEntry(entry);
  put(jobs.length);
  for (const job of jobs) {
    put(job.at);
    put(job.id * 16 + job.by);
  }
}

export function keyOf(s: State): string {
  end = 0;
  const { row, truth } = s;
  put(row.status);
  put(row.epoch * 16 + row.claim);
  put(s.message.status);
  put(s.message.claim * 16 + s.message.events);
  put(s.crashes * 2 + (s.blind ? 1 : 0));
  put(s.lastRun * 16 + truth.shown);
  put(truth.deaths * 4 + (truth.closed ? 2 : 0) + (truth.lost ? 1 : 0));
  put(s.journal);
  put(truth.given * 2 + (truth.ran ? 1 : 0));
  put(s.broken);
  for (const fault of faults) put(s.left[fault]);
  putRedis(s);
  put(s.distrusted);
  put((s.revoked ? 4 : 0) + (s.marked ? 2 : 0) + (truth.putOut ? 1 : 0));
  put(s.kept !== null);
  if (s.kept) putRedis(s.kept);
  put(s.runs.length);
  for (const run of s.runs) {
    put(run.at);
    put(run.id * 16 + run.job);
    put(run.epoch * 16 + run.sent);
    put((run.foul ? 1 : 0) + (run.elsewhere ? 2 : 0));
  }
  putSorted(s.flows, putFlow);
  putSorted(s.callers, putCaller);
  return bytes.toString('latin1', 0, end);
}

/** The promise that a step broke; the first one counts. */
export function breaks(s: State, promise: string): void {
  if (s.broken === '') s.broken = promise;
}

export const isTerminal = ({ status }: Row): boolean =>
  status === 'completed' || status === 'error' || status === 'cancelled';
