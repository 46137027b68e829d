import { expect } from 'chai';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../../core/runtime/clock.ts';
import { runLocalCommand } from '../../worker/local/commands.ts';
import { TimedPause } from '../../worker/local/timed-pause.ts';

describe('a pause of the owner', () => {
  it('ends when the clock here shows its time, though the machine slept and timers stood still', async () => {
    let now = Date.parse('2026-11-30T16:00:00Z');
    const clock = { ...systemClock, now: () => now };
    let over = (): void => undefined;
    const isOver = new Promise<void>((resolve) => (over = resolve));
    const pause = new TimedPause({ clock, onOver: over });
    pause.begin(7_200_000, 1);
    expect(pause.until).to.equal('2026-11-30T18:00:00.000Z');
    now += 7_200_000;
    await isOver;
    expect(pause.until).to.equal(undefined);
  });

  it('ends after its time, though the clock here was set back meanwhile', async () => {
    let [now, elapsed] = [Date.parse('2026-11-30T16:00:00Z'), 0];
    const clock = { ...systemClock, now: () => now, elapsed: () => elapsed };
    await new Promise<void>((resolve) => {
      new TimedPause({ clock, onOver: resolve }).begin(60_000, 1);
      [now, elapsed] = [now - 3_600_000, 60_000];
    });
  });
});

describe('mcplocal status', () => {
  const folder = mkdtempSync(join(tmpdir(), 'mcplocal-'));
  after(() => rmSync(folder, { recursive: true }));

  it('shows what an edge and a backend have said on one line each, and nothing that cannot be seen', async () => {
    const evil = 'a\u001b]0;x\u0007\nWorker: \u009b2J\u202eb\u200bc';
    const llm = { name: 'one', model: evil, state: 'down', misconfigured: evil, running: 0, slots: 1 };
    const status = {
      pid: 1,
      version: '1',
      session: null,
      edge: 'http://e',
      transport: null,
      connected: false,
    };
    const server = createServer((_req, res) =>
      res.end(JSON.stringify({ ...status, refused: evil, state: 'idle', llms: [llm] })),
    );
    const path = join(folder, 'worker.sock');
    await new Promise<void>((resolve) => server.listen(path, resolve));
    let text = '';
    await runLocalCommand('status', { path, json: false, print: (shown) => void (text += shown) });
    server.close();
    const shown = 'a]0;x Worker: 2J\ufffdb\ufffdc';
    expect(text).to.include(`Refused:    ${shown} Run`).and.include(`one is misconfigured: ${shown}\n`);
    expect(text).to.match(/^[\u0020-\u007e\ufffd\n]*$/);
    expect(text.match(/^Worker:/gm)).to.have.length(1);
  });
});
