import { expect } from 'chai';
import OpenAI, { APIConnectionError, type APIError } from 'openai';
import { answers, chats, type Backend, type Script } from '../support/backend.ts';
import { until } from '../support/system.ts';
import { thrownBy, user, type Door } from './door.ts';
import { openAiAt } from './readers.ts';
import { chunk, dies, permitted, plays } from './scripts.ts';

interface Case {
  /** What the backend does, every time. */
  script: Script;
  /** How often the backend is called, with `maxRetries: 2`. */
  hits: number;
  /** How many of those the worker may have sent once more, over a fresh connection. Default: none. */
  sentAgain?: number;
  /** How often the edge is called: 3 where the package is told that another try may help. */
  calls: number;
  status: number | undefined;
  /** The package's class; APIError for an error frame. */
  code?: string | null;
  stream?: boolean;
}

const refuses = (status: number, headers: Record<string, string> = {}): Script =>
  answers(status, { error: { message: 'No.', type: 'x', param: null, code: 'its_own' } }, headers);
/** The backend hangs up without a word. */
const hangsUp: Script = ({ drop }) => drop();
const firstWord = chunk({ role: 'assistant', content: 'one' });

const hungUp: Case = {
  script: hangsUp,
  hits: 3,
  sentAgain: 3,
  calls: 3,
  status: 502,
  code: 'upstream_error',
};

/**
 * One member and `maxRetries: 2`. What the caller can mend (400, 422) goes through at once, what is merely not yet (429, 503)
 * is waited for. What another try
 * may heal is told so, and each of the package's tries is one of the backend, or two where it hangs up over a connection
 * that was kept. Nothing is tried again once a word was shown.
 */
const cases: Readonly<Record<string, Case>> = {
  'a backend’s 400': { script: refuses(400), hits: 1, calls: 1, status: 400, code: 'its_own' },
  'a backend’s 404: the owner’s path or model is not there': {
    script: refuses(404),
    hits: 1,
    calls: 1,
    status: 502,
  },
  'a backend’s 422': { script: refuses(422), hits: 1, calls: 1, status: 422, code: 'its_own' },
  'a backend’s 401: its own key is wrong': { script: refuses(401), hits: 1, calls: 1, status: 502 },
  'a backend’s 403': { script: refuses(403), hits: 1, calls: 1, status: 502 },
  'a backend’s 500': { script: refuses(500), hits: 3, calls: 3, status: 502, code: 'upstream_error' },
  'a backend’s 502': { script: refuses(502), hits: 3, calls: 3, status: 502, code: 'upstream_error' },
  'a backend that hangs up': hungUp,
  'a backend that hangs up, streaming': { ...hungUp, stream: true },
  'a backend that hangs up after the first word': {
    script: plays(firstWord, permitted, dies),
    hits: 1,
    calls: 1,
    status: undefined,
    code: 'upstream_error',
    stream: true,
  },
};

/** How often the backend is asked for one call of a client that tries again by itself. */
export function retryFacts(door: () => Door): void {
  describe('a client that retries twice', () => {
    const nameOf = (n: number): string => `retry-${String(n)}`;
    const entries = Object.entries(cases);
    let backends: Record<string, Backend>;
    let ended: Promise<{ thrown: APIError; calls: number }>[];

    /** What was thrown, and how many requests the package sent. */
    const callOf = async (name: string, { stream }: Case) => {
      let calls = 0;
      const client = openAiAt(door(), 2).withOptions({
        fetch: (url, init) => {
          calls += 1;
          return fetch(url, init);
        },
      });
      const thrown = await thrownBy(async () => {
        const params = { model: name, messages: [user('hi')] };
        if (!stream) return await client.chat.completions.create(params);
        for await (const one of await client.chat.completions.create({ ...params, stream }))
          if (one.choices[0]?.delta.content) backends[name]?.release();
        return undefined;
      });
      return { thrown: thrown as APIError, calls };
    };

    before(async () => {
      backends = await door().publish([...entries.map((_, n) => nameOf(n)), 'busy', 'left', 'queue']);
      // Side by side: between its tries the package waits for up to a second.
      ended = entries.map(([, one], n) => {
        backends[nameOf(n)]?.reply(one.script);
        return callOf(nameOf(n), one);
      });
      for (const one of ended) one.catch(() => undefined);
    });

    for (const [n, [what, { hits, sentAgain = 0, calls, status, code }]] of entries.entries()) {
      it(`calls the backend ${String(hits)} times for ${what}`, async () => {
        const { thrown, calls: made } = await (ended[n] ?? expect.fail());
        const posts = backends[nameOf(n)]?.requests.filter(({ method }) => method === 'POST').length;
        expect(posts).to.be.within(hits, hits + sentAgain);
        expect({ calls: made, status: thrown.status, code: code && thrown.code }).to.deep.equal({
          calls,
          status,
          code,
        });
        expect(thrown).to.not.be.instanceOf(APIConnectionError);
      });
    }

    for (const [n, status] of [429, 503].entries())
      it(`gets the answer of a backend that was busy (${status}) once its time is over, from one call`, async () => {
        backends['busy']?.once(refuses(status, { 'retry-after': '1' }));
        backends['busy']?.once(chats(['free']));
        const answer = await openAiAt(door(), 2).chat.completions.create({
          model: 'busy',
          messages: [user('hi')],
        });
        expect(answer.choices[0]?.message.content).to.equal('free');
        const posts = backends['busy']?.requests.filter(({ method }) => method === 'POST');
        expect(posts).to.have.length(2 * (n + 1));
      });

    it('is told by every refusal whether to try again, and when', async () => {
      const post = async (body: unknown) =>
        await door().system.call('POST', '/v1/chat/completions', { body });
      const messages = [user('hi')];
      for (const [body, status, again] of [
        [{ model: 'nowhere-at-all', messages }, 404, 'false'],
        [{ model: 'busy', messages: [] }, 400, 'false'],
        [{ messages }, 400, 'false'],
      ] as const) {
        const answer = await post(body);
        expect([answer.status, answer.headers.get('x-should-retry')]).to.deep.equal([status, again]);
      }
    });

    it('does not queue again when its time in the queue is over: 504 with x-should-retry: false', async () => {
      const edge = await door().system.startEdge(0, { MCPCTL_QUEUE_SYNC_MS: '700' });
      const busy = await door().publish(['narrow'], { maxConcurrency: 1 });
      busy['narrow']?.reply(plays(firstWord, permitted, chunk({}, 'stop')));
      const first = openAiAt(door()).chat.completions.create({
        model: 'narrow',
        messages: [user('hi')],
        stream: true,
      });
      const running = (await first)[Symbol.asyncIterator]();
      await running.next();
      let calls = 0;
      const client = openAiAt({ baseUrl: `${edge.url}/v1`, token: door().token }, 2).withOptions({
        fetch: (url, init) => ((calls += 1), fetch(url, init)),
      });
      const thrown = (await thrownBy(() =>
        client.chat.completions.create({ model: 'narrow', messages: [user('hi')] }),
      )) as APIError;
      expect([calls, thrown.status, thrown.code]).to.deep.equal([1, 504, 'queue_timeout']);
      expect(thrown.headers?.get('x-should-retry')).to.equal('false');
      busy['narrow']?.release(Infinity);
      while (!(await running.next()).done);
      expect(busy['narrow']?.requests.filter(({ method }) => method === 'POST')).to.have.length(1);
    });

    it('that leaves while it queues never reaches the backend', async () => {
      const busy = await door().publish(['left-alone'], { maxConcurrency: 1 });
      const backend = busy['left-alone'] ?? expect.fail();
      backend.reply(plays(firstWord, permitted, chunk({}, 'stop')));
      const params = { model: 'left-alone', messages: [user('hi')] };
      const running = (await openAiAt(door()).chat.completions.create({ ...params, stream: true }))[
        Symbol.asyncIterator
      ]();
      await running.next();
      const openTasks = (wanted: number): Promise<number> =>
        until(
          () => door().system.openTasks('left-alone'),
          (open) => open === wanted,
        );
      const abort = new AbortController();
      const queued = thrownBy(() =>
        openAiAt(door(), 2).chat.completions.create(params, { signal: abort.signal }),
      );
      await openTasks(2);
      abort.abort();
      expect(await queued).to.be.instanceOf(OpenAI.APIUserAbortError);
      // The edge hears of it by a socket that closes: until then the place of the first would be the second's.
      await openTasks(1);
      backend.release(Infinity);
      while (!(await running.next()).done);
      await openTasks(0);
      expect(backend.requests.filter(({ method }) => method === 'POST')).to.have.length(1);
    });

    it('whose own time is over runs once for each try, and never two at a time', async () => {
      const backend = backends['left'] ?? expect.fail();
      let running = 0;
      let most = 0;
      backend.reply(async ({ response }) => {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => response.once('close', resolve));
        running -= 1;
      });
      const client = openAiAt(door(), 2).withOptions({ timeout: 400 });
      const thrown = await thrownBy(() =>
        client.chat.completions.create({ model: 'left', messages: [user('hi')] }),
      );
      expect(thrown).to.be.instanceOf(OpenAI.APIConnectionTimeoutError);
      await until(
        () => door().system.openTasks('left'),
        (open) => open === 0,
      );
      expect(backend.requests.filter(({ method }) => method === 'POST')).to.have.length(3);
      expect(most).to.equal(1);
    });
  });
}
