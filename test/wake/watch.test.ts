import { expect } from 'chai';
import { createBus } from '../../core/runtime/bus.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { until } from '../support/system.ts';
import type { BackendState } from '../../core/member/member-state.ts';
import { BackendWatch, type Watched } from '../../worker/backends/watch.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });

/** One llm and its backend, as a test sets them. */
interface Subject {
  answers: boolean;
  busy: boolean;
  models: string | undefined;
  news: boolean;
  state: BackendState;
  asked: number;
  learnt: number;
  trouble: string | null;
  lists: boolean;
}

describe('the watch of the backends', () => {
  let refreshed: number;
  let refuses: boolean;
  const open: BackendWatch[] = [];
  beforeEach(() => {
    refreshed = 0;
    refuses = false;
  });
  afterEach(() => Promise.all(open.splice(0).map((watch) => watch.stop())));

  const subject = (): Subject => ({
    answers: true,
    busy: false,
    models: 'a',
    news: true,
    state: 'serving',
    asked: 0,
    learnt: 0,
    trouble: null,
    lists: true,
  });
  const watchedBy = (s: Subject, more: Partial<Watched> = {}): Watched => ({
    name: 'desk',
    backend: 'b',
    canWake: true,
    isAvailable: () => {
      s.asked += 1;
      return Promise.resolve(s.answers);
    },
    fingerprint: () => Promise.resolve(s.models),
    learn: () => {
      s.learnt += 1;
      return Promise.resolve(s.news);
    },
    learnListed: () => Promise.resolve(s.lists),
    trouble: () => s.trouble,
    isBusy: () => s.busy,
    become: (state) => void (s.state = state),
    ...more,
  });
  const watch = async (watched: readonly Watched[]): Promise<BackendWatch> => {
    const refresh = (): Promise<void> => {
      refreshed += 1;
      return refuses ? Promise.reject(new TypeError('away')) : Promise.resolve();
    };
    const made = new BackendWatch({
      watched,
      refresh,
      everyMs: 10,
      bus: createBus(log),
      clock: systemClock,
      log,
    });
    open.push(made);
    await made.first();
    return made;
  };
  const looks = async (s: Subject, count: number): Promise<void> => {
    const from = s.asked;
    await until(
      async () => s.asked,
      (asked) => asked >= from + count,
    );
  };
  const becomes = (s: Subject, state: BackendState): Promise<unknown> =>
    until(
      async () => s.state,
      (now) => now === state,
    );

  it('finds at first that a backend with a recipe sleeps, and takes one without on trust', async () => {
    const [sleeper, plain] = [subject(), subject()];
    sleeper.answers = plain.answers = false;
    const made = await watch([
      watchedBy(sleeper),
      watchedBy(plain, { name: 'plain', backend: 'c', canWake: false }),
    ]);
    expect([sleeper.state, plain.state]).to.deep.equal(['asleep', 'serving']);
    made.start();
    await looks(plain, 5);
    expect(plain.state).to.equal('serving');
    plain.answers = true;
    await looks(plain, 2);
    plain.answers = false;
    await becomes(plain, 'down');
    plain.answers = sleeper.answers = true;
    await becomes(plain, 'serving');
    await becomes(sleeper, 'serving');
  });

  it('publishes what is wrong with a configuration, and that it no longer is, once each', async () => {
    const s = subject();
    s.news = false;
    const made = await watch([watchedBy(s)]);
    made.start();
    s.trouble = 'The key is refused.';
    await looks(s, 4);
    expect(refreshed).to.equal(1);
    s.trouble = null;
    await looks(s, 4);
    expect(refreshed).to.equal(2);
  });

  it('asks again for a list of models that it did not get', async () => {
    const s = subject();
    s.lists = false;
    const made = await watch([watchedBy(s)]);
    made.start();
    await looks(s, 3);
    const { learnt } = s;
    expect(learnt).to.be.above(2);
    s.lists = true;
    await looks(s, 3);
    expect(s.learnt).to.be.within(learnt, learnt + 2);
  });

  it('counts two silences in a row, and none of a backend that has work', async () => {
    const s = subject();
    const answered = [true, false, true, false, true, false, true];
    const made = await watch([
      watchedBy(s, {
        isAvailable: () => {
          s.asked += 1;
          return Promise.resolve(answered.shift() ?? s.answers);
        },
      }),
    ]);
    made.start();
    await looks(s, 7);
    expect([s.state, refreshed]).to.deep.equal(['serving', 0]);
    s.busy = true;
    s.answers = false;
    await looks(s, 5);
    expect(s.state).to.equal('serving');
    s.busy = false;
    await becomes(s, 'asleep');
  });

  it('publishes anew what has changed, again until the edge has taken it', async () => {
    const s = subject();
    const made = await watch([watchedBy(s)]);
    expect([s.learnt, refreshed]).to.deep.equal([1, 0]);
    made.start();
    await looks(s, 5);
    expect([s.learnt, refreshed]).to.deep.equal([1, 0]);
    refuses = true;
    s.models = 'a b';
    await until(
      async () => refreshed,
      (times) => times >= 3,
    );
    expect(s.learnt).to.equal(2);
    refuses = false;
    await looks(s, 3);
    const settled = refreshed;
    await looks(s, 5);
    expect(refreshed).to.equal(settled);
    s.news = false;
    s.models = 'c';
    await until(
      async () => s.learnt,
      (times) => times === 3,
    );
    await looks(s, 3);
    expect(refreshed).to.equal(settled);
  });

  it('asks one that is back what it can do, also where it says nothing of its models', async () => {
    const s = subject();
    s.models = undefined;
    const made = await watch([watchedBy(s)]);
    made.start();
    await looks(s, 3);
    expect(s.learnt).to.equal(1);
    s.answers = false;
    await becomes(s, 'asleep');
    s.answers = true;
    await until(
      async () => s.learnt,
      (times) => times === 2,
    );
  });

  it('believes any llm of a backend that it answers, and opens all of them when it was woken', async () => {
    const [wrongKey, rightKey] = [subject(), subject()];
    wrongKey.answers = false;
    const made = await watch([watchedBy(wrongKey), watchedBy(rightKey, { name: 'table' })]);
    expect([wrongKey.state, rightKey.state]).to.deep.equal(['serving', 'serving']);
    rightKey.answers = false;
    await made.suspect('b');
    expect([wrongKey.state, rightKey.state, refreshed]).to.deep.equal(['asleep', 'asleep', 1]);
    made.awake('b');
    expect([wrongKey.state, rightKey.state]).to.deep.equal(['serving', 'serving']);
    await until(
      async () => refreshed,
      (times) => times === 2,
    );
  });
});
