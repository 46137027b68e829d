import { connect } from 'node:net';
import { expect } from 'chai';
import { answers, type Backend } from '../support/backend.ts';
import { HURRIED_MS, type Door } from './door.ts';
import { after, chunk, DONE, plays, usage, chunkOf } from './scripts.ts';

interface Bytes {
  atMs: number;
  text: string;
}

/** One call over a bare socket: every piece of the answer with its time, counted from the last byte of the request. */
async function timed(url: string, { token, body }: { token: string; body: object }): Promise<Bytes[]> {
  const { hostname, port, pathname } = new URL(url);
  const text = JSON.stringify(body);
  const pieces: Bytes[] = [];
  const socket = connect(Number(port), hostname);
  const head = [
    `POST ${pathname} HTTP/1.1`,
    `host: ${hostname}:${port}`,
    `authorization: Bearer ${token}`,
    'content-type: application/json',
    `content-length: ${String(Buffer.byteLength(text))}`,
    'connection: close',
  ];
  // Not ended: who has closed its half counts as gone, as with every server of Node.
  socket.write(`${head.join('\r\n')}\r\n\r\n${text}`);
  const from = performance.now();
  for await (const bytes of socket) pieces.push({ atMs: performance.now() - from, text: String(bytes) });
  pieces.push({ atMs: performance.now() - from, text: '' });
  return pieces;
}

/** The longest silence, the first byte's included. */
function silences(pieces: readonly Bytes[]): { first: number; longest: number } {
  const times = [0, ...pieces.map(({ atMs }) => atMs)];
  const gaps = times.slice(1).map((at, n) => at - (times[n] ?? 0));
  return { first: pieces[0]?.atMs ?? Infinity, longest: Math.max(...gaps) };
}

const head = /^HTTP\/1\.1 200 OK\r\n(?:[^\r\n]+\r\n)*\r\n/;
const message = { index: 0, message: { role: 'assistant', content: 'late' }, finish_reason: 'stop' };
const whole = { ...chunkOf([message]), object: 'chat.completion', usage };
const late = [chunk({ role: 'assistant', content: '' }), chunk({ content: 'late' }), chunk({}, 'stop'), DONE];

/** How much longer a gap may be than the setting says: the machine is busy. */
const SLACK_MS = 700;

/** A call with the settings of a real edge, to a backend that reads its prompt for 26 s. Not waited for here. */
export async function beginRealSilence(door: Door): Promise<{ pieces: Promise<Bytes[]> }> {
  const { 'really-late': backend } = await door.publish(['really-late']);
  backend?.reply(plays(after(26_000), ...late));
  const body = { model: 'really-late', messages: [{ role: 'user', content: 'hi' }], stream: true };
  const pieces = timed(`${door.baseUrl}/chat/completions`, { token: door.token, body });
  pieces.catch(() => undefined); // told to the test that waits for it
  return { pieces };
}

/** The first byte before 20 s, and something every 15 s, whatever a backend does. */
export function silenceFacts(door: () => Door, real: () => Promise<Bytes[]>): void {
  describe('the silence of an answer, byte by byte', () => {
    let backends: Record<string, Backend>;
    before(async () => {
      backends = await door().publish(['late']);
    });
    const ask = (stream: boolean, more: object = {}): Promise<Bytes[]> =>
      timed(`${door().hurriedUrl}/chat/completions`, {
        token: door().token,
        body: { model: 'late', messages: [{ role: 'user', content: 'hi' }], stream, ...more },
      });

    it('is short while a backend reads a long prompt, streaming', async () => {
      backends['late']?.once(plays(after(HURRIED_MS * 6), ...late));
      const pieces = await ask(true);
      const { first, longest } = silences(pieces);
      expect(first).to.be.within(HURRIED_MS * 0.9, HURRIED_MS + SLACK_MS);
      expect(longest).to.be.below(HURRIED_MS + SLACK_MS);
      expect(pieces.length).to.be.greaterThan(5);
      const text = pieces.map((piece) => piece.text).join('');
      expect(text).to.match(head).and.to.include('"content":"late"').and.to.include('data: [DONE]');
      expect(text).to.not.match(/^:/m);
    });

    it('is short in the middle of a stream', async () => {
      backends['late']?.once(plays(...late.slice(0, 2), after(HURRIED_MS * 5), ...late.slice(2)));
      const { longest } = silences(await ask(true));
      expect(longest).to.be.below(HURRIED_MS + SLACK_MS);
    });

    it('is short when the whole answer is waited for: JSON may begin with line feeds', async () => {
      backends['late']?.once(async (exchange) => {
        await new Promise((resolve) => setTimeout(resolve, HURRIED_MS * 5));
        await answers(200, whole)(exchange);
      });
      const pieces = await ask(false);
      const { first, longest } = silences(pieces);
      expect(first).to.be.below(2 * HURRIED_MS + SLACK_MS);
      expect(longest).to.be.below(HURRIED_MS + SLACK_MS);
      expect(pieces.map((piece) => piece.text).join('')).to.match(head);
      // A client reads it as it is.
      backends['late']?.once(async (exchange) => {
        await new Promise((resolve) => setTimeout(resolve, HURRIED_MS * 3));
        await answers(200, whole)(exchange);
      });
      const answer = await fetch(`${door().hurriedUrl}/chat/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${door().token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'late', messages: [{ role: 'user', content: 'hi' }] }),
      });
      expect(answer.status).to.equal(200);
      expect(await answer.json()).to.have.nested.property('choices[0].message.content', 'late');
    });

    it('ends with an error body, which has the status, when a whole answer fails after its 200', async () => {
      backends['late']?.once(async (exchange) => {
        await new Promise((resolve) => setTimeout(resolve, HURRIED_MS * 3));
        await answers(400, { error: { message: 'No.' } })(exchange);
      });
      const text = (await ask(false)).map((piece) => piece.text).join('');
      expect(text).to.match(/"error":\{"message":"No\."[^}]*"status":400\}/);
      expect(text).to.match(/\r\n0\r\n\r\n$/);
    });

    it('is short in the queue, and says how long the queue is', async () => {
      const narrow = await door().publish(['slow-narrow'], { maxConcurrency: 1 });
      narrow['slow-narrow']?.reply(plays(after(HURRIED_MS * 4), ...late));
      const asked = [ask(true, { model: 'slow-narrow' }), ask(true, { model: 'slow-narrow' })];
      const [one = [], other = []] = await Promise.all(asked);
      for (const pieces of [one, other]) expect(silences(pieces).longest).to.be.below(HURRIED_MS + SLACK_MS);
      const text = [...one, ...other].map((piece) => piece.text).join('');
      expect(text).to.match(/"mcpctl":\{"state":"queued","position":1[,}]/);
      expect(text).to.match(/"mcpctl":\{"state":"running"/);
    });

    it('of a real edge: first byte before 20 s and something every 15 s, with 26 s of silence behind it', async function () {
      this.timeout(60_000);
      const pieces = await real();
      const { first, longest } = silences(pieces);
      expect(first).to.be.within(9_000, 20_000);
      expect(longest).to.be.below(16_500);
      expect(pieces.map((piece) => piece.text).join('')).to.include('data: [DONE]');
    });
  });
}
